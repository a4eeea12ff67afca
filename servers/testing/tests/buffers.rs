//! Sessions and registered memory over the real kernel: what unwraps, what is
//! refused, and what happens when the client takes its memory away.

use gritos_abi::{Address, ObjectType, Rights, Status};
use gritos_base_api::{
    BaseError, Buffer, BufferAccess, Session, SessionClient, SessionRegisterAnswer, SessionServer,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{
    BUFFER_READ, BUFFER_WRITE, BufferRange, BufferSource, Caller, Cap, EndpointCap, Error, Hooks,
    Rights as StubRights, ServerPort, serve,
};
use gritos_service::{BufferMemory, Buffers, Kernel, Port, Use};
use gritos_sys::shared::BufferError;
use gritos_testing::memory::{Mapper, Memory};
use gritos_testing::{Handle, Program, System};

const PAGE: u64 = 4096;
const BOTH: BufferAccess = BufferAccess::READ.union(BufferAccess::WRITE);

/// Answers `generation` with the first byte of the buffer that was registered
/// last, and writes the second: enough to see both directions.
struct Server {
    buffers: Buffers<Mapper<9>, 8>,
    endpoint: Address,
    last: u32,
}

impl SessionServer for Server {
    fn register(
        &mut self,
        caller: Caller,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        let (buffer, length) =
            self.buffers
                .register(caller.badge, memory, access, self.endpoint)?;
        self.last = buffer.slot(false).badge;
        Ok(SessionRegisterAnswer { buffer, length })
    }

    fn unregister(&mut self, caller: Caller, buffer: EndpointCap<Buffer>) -> Result<(), BaseError> {
        self.buffers.unregister(caller.badge, buffer)
    }

    fn generation(&mut self, _caller: Caller) -> Result<u64, BaseError> {
        let range = BufferRange {
            source: BufferSource::Registered(self.last),
            offset: 1,
            length: 2,
        };
        let used = self.buffers.with(&range, Use::Both, |buffer| {
            let mut byte = [0];
            buffer.read(0, &mut byte)?;
            buffer.write(1, &[byte[0] + 1])?;
            Ok(u64::from(byte[0]))
        })?;
        used.map_err(|error: BufferError| match error {
            BufferError::Gone => BaseError::NotRegistered,
            BufferError::OutOfRange | BufferError::Unaligned => BaseError::Invalid,
        })
    }
}

impl<P: ServerPort> Hooks<P> for Server {}

fn serving(system: &mut System) -> u32 {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Port::<1>::new(gritos_sys::Cap::at(at), 4).unwrap();
        let mut server = Server {
            buffers: Buffers::new(Mapper::default(), 2),
            endpoint: at,
            last: 0,
        };
        serve::<Session, _, _>(&mut port, &mut server);
    });
    endpoint
}

/// A client with a session, a page of memory, and the numbers of both.
struct Setup {
    program: Program,
    session: Address,
    memory: Address,
    object: u32,
    handle: Handle,
}

fn setup(system: &mut System, rights: Rights) -> Setup {
    let endpoint = serving(system);
    let mut program = system.program();
    let session = system.give(&mut program, endpoint, rights, 1 << 31 | 3);
    let object = system.make(ObjectType::MemoryObject, PAGE);
    let memory = system.give(&mut program, object, Rights::AS_HELD, 0);
    Setup {
        program,
        session,
        memory,
        object,
        handle: system.handle(),
    }
}

const GRANTING: Rights = Rights::SEND.union(Rights::GRANT);
const NEEDED: StubRights = StubRights::READ
    .union(StubRights::WRITE)
    .union(StubRights::MAP);

#[test]
fn memory_is_registered_used_and_taken_back() {
    let mut system = System::new();
    let setup = setup(&mut system, GRANTING);
    system.client(setup.program, move || {
        let mut session = SessionClient::new(Cap::new(setup.session), Kernel);
        let memory = Cap::with_rights(setup.memory, NEEDED);
        let mine = Memory::at(setup.memory);
        mine.write(1, &[41, 0]).unwrap();
        let registered = session.register(memory, BOTH).unwrap();
        assert_eq!(registered.length, PAGE);
        let rights = registered.buffer.rights();
        assert!(rights.contains(StubRights::SEND | BUFFER_READ | BUFFER_WRITE));
        assert_eq!(session.generation(), Ok(41));
        let mut byte = [0];
        mine.read(2, &mut byte).unwrap();
        assert_eq!(byte, [42]);
        session.unregister(registered.buffer).unwrap();
        let gone = session.generation();
        assert_eq!(gone, Err(Error::Server(BaseError::NotRegistered)));
    });
    system.run();
}

#[test]
fn a_client_that_takes_its_memory_away_harms_only_itself() {
    let mut system = System::new();
    let setup = setup(&mut system, GRANTING);
    system.client(setup.program, move || {
        let mut session = SessionClient::new(Cap::new(setup.session), Kernel);
        let memory = Cap::with_rights(setup.memory, NEEDED);
        let registered = session.register(memory, BOTH).unwrap();
        setup.handle.revoke(setup.object);
        let gone = session.generation();
        assert_eq!(gone, Err(Error::Server(BaseError::NotRegistered)));
        session.unregister(registered.buffer).unwrap();
    });
    system.run();
}

#[test]
fn limits_rights_and_wrong_capabilities_are_refused() {
    let mut system = System::new();
    let setup = setup(&mut system, GRANTING);
    system.client(setup.program, move || {
        let mut session = SessionClient::new(Cap::new(setup.session), Kernel);
        let read_only = Cap::with_rights(setup.memory, StubRights::READ | StubRights::MAP);
        let refused = session.register(read_only, BOTH);
        assert_eq!(refused, Err(Error::Server(BaseError::Access)));
        let memory = Cap::with_rights(setup.memory, NEEDED);
        let first = session.register(memory, BOTH).unwrap();
        session.register(memory, BOTH).unwrap();
        let third = session.register(memory, BOTH);
        assert_eq!(third, Err(Error::Server(BaseError::Limit)));
        session.unregister(first.buffer).unwrap();
        let again = session.unregister(first.buffer);
        assert_eq!(again, Err(Error::Server(BaseError::NotRegistered)));
        // Its own session is no buffer, and an endpoint is no memory.
        let own = session.unregister(Cap::new(setup.session));
        assert_eq!(own, Err(Error::Server(BaseError::NotRegistered)));
        let endpoint = session.register(Cap::new(setup.session), BOTH);
        assert!(matches!(endpoint, Err(Error::Refused(_))), "{endpoint:?}");
        // What was refused left nothing in the server's window.
        session.register(memory, BOTH).unwrap();
    });
    system.run();
}

#[test]
fn a_session_without_grant_sends_no_memory() {
    let mut system = System::new();
    let setup = setup(&mut system, Rights::SEND);
    system.client(setup.program, move || {
        let mut session = SessionClient::new(Cap::new(setup.session), Kernel);
        let memory = Cap::with_rights(setup.memory, NEEDED);
        let refused = session.register(memory, BOTH);
        assert_eq!(refused, Err(Error::Call(Status::EndpointNoGrant)));
    });
    system.run();
}
