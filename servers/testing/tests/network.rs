//! The network service, as it is, over the real kernel: clients of the shipped library that talk to each other through the
//! machine's own loop, wait, and die.

use std::net::SocketAddr;

use embedded_io::{Read, Write};
use gritos_abi::{Address, ObjectType, Rights};
use gritos_base_api::{Supervision, SupervisionClient};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Cap, serve};
use gritos_net_api::{NetError, NetService, Readiness, Sockets};
use gritos_net_client::{Error, Local, Net};
use gritos_net_core::host::NoWire;
use gritos_net_core::{Clock, Config, Limits, Rule, Rules, Service, ServiceLimits, Signals, Stack};
use gritos_service::{BufferMemory, Buffers, Kernel, Port, adopt, object_cap, release};
use gritos_sys::{Wait, ipc, time};
use gritos_testing::memory::{Mapper, Memory};
use gritos_testing::{Program, System};

/// Badge of the first client; the others follow.
const CLIENT: u32 = 0x8000_0001;
const MS: u64 = 1_000_000;
const SESSION: Rights = Rights::SEND.union(Rights::GRANT);
const MEMORY: u64 = 16 << 12;
const MAPPED: Rights = Rights::READ.union(Rights::WRITE).union(Rights::MAP);

/// Time and notifications, as the service's own program has them.
struct Outside;

impl Clock for Outside {
    fn now_ns(&self) -> u64 {
        time::nanoseconds(time::now())
    }
}

impl Signals for Outside {
    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        let slot = adopt(notification.address()).ok()?;
        Some(Cap::new(slot.address()))
    }

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        let _ = object_cap::<_, gritos_sys::cap::Notification>(notification).signal(bits);
    }

    fn release(&mut self, notification: Cap<Notification>) {
        let _ = release(notification.address());
    }
}

/// A program's side.
#[derive(Clone, Copy, Debug)]
struct Side(Memory);

impl Local for Side {
    type Transport = Kernel;

    fn transport(&self) -> Kernel {
        Kernel
    }

    fn bytes(&self) -> usize {
        self.0.len() as usize
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        self.0.read(offset as u64, to).is_ok()
    }

    fn write(&self, offset: usize, from: &[u8]) -> bool {
        self.0.write(offset as u64, from).is_ok()
    }

    fn release(&self, capability: Address) {
        let _ = release(capability);
    }
}

/// The service without a wire; its endpoint. The first client may do everything, and the second connect.
fn service(system: &mut System) -> u32 {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Port::<8>::new(gritos_sys::Cap::at(at), 4).unwrap();
        let mut rules = Rules::new();
        rules.allow(CLIENT, Rule::ANY);
        rules.allow(
            CLIENT + 1,
            Rule::parse("connect/tcp 127.0.0.1:*").expect("a rule"),
        );
        let stack = Stack::new(
            NoWire,
            Config::default(),
            Limits::default(),
            rules,
            &mut [5; 32],
            0,
        );
        let buffers = Buffers::<Mapper<9>, 8>::new(Mapper::default(), 4);
        let limits = ServiceLimits::default();
        let mut service = Service::new(stack, Outside, buffers, Outside, at, 1, limits);
        port.set_deadline(Some(0));
        serve::<NetService, _, _>(&mut port, &mut service);
    });
    endpoint
}

/// A program with a session and memory, and where it finds both.
fn program(system: &mut System, endpoint: u32, number: u32) -> (Program, Address, Address) {
    let mut program = system.program();
    let session = system.give(&mut program, endpoint, SESSION, CLIENT + number);
    let object = system.make(ObjectType::MemoryObject, MEMORY);
    let memory = system.give(&mut program, object, Rights::AS_HELD, 0);
    (program, session, memory)
}

/// The library, in the program that calls this.
fn attach(session: Address, memory: Address) -> Net<Side> {
    let session: Cap<Sockets> = Cap::new(session);
    let side = Side(Memory::at(memory));
    Net::attach(session, Cap::with_rights(memory, MAPPED), side).expect("attaching")
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn a_server_that_waits_hears_a_client_and_answers() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    let (server, session, memory) = program(&mut system, endpoint, 0);
    system.client(server, move || {
        let net = attach(session, memory);
        let listener = net.listen(at(80), 2).unwrap();
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), at(80).ip());
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        stream.write_all(&[7; 30_000]).unwrap();
    });
    let (client, session, memory) = program(&mut system, endpoint, 1);
    system.client(client, move || {
        let net = attach(session, memory);
        let _ = ipc::sleep_until(time::after(5 * MS));
        let refused = net.listen(at(81), 1).unwrap_err();
        assert_eq!(refused, Error::Net(NetError::Access), "it may only connect");
        let mut stream = net.connect(at(80)).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut heard = Vec::new();
        let mut room = [0; 4096];
        loop {
            match stream.read(&mut room).unwrap() {
                0 => break,
                count => heard.extend_from_slice(&room[..count]),
            }
        }
        assert_eq!(heard, [7; 30_000]);
    });
    system.run();
}

#[test]
fn a_notification_tells_of_what_arrives() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    let bell = system.make(ObjectType::Notification, 0);
    let (mut server, session, memory) = program(&mut system, endpoint, 0);
    let bell = system.give(&mut server, bell, Rights::AS_HELD, 0);
    system.client(server, move || {
        let net = attach(session, memory);
        let listener = net.listen(at(80), 2).unwrap();
        let rings = Cap::with_rights(bell, Rights::SEND);
        let ready = listener.socket().watch(rings, Readiness::READABLE).unwrap();
        assert!(ready.is_empty());
        assert!(listener.try_accept().unwrap().is_none());
        let bell = gritos_sys::Cap::<gritos_sys::cap::Notification>::at(bell);
        let bits = bell.wait(&Wait::FOREVER).unwrap();
        assert_eq!(bits, u64::from(Readiness::READABLE.bits()));
        assert!(listener.try_accept().unwrap().is_some());
    });
    let (client, session, memory) = program(&mut system, endpoint, 1);
    system.client(client, move || {
        let net = attach(session, memory);
        let _ = ipc::sleep_until(time::after(20 * MS));
        let _stream = net.connect(at(80)).unwrap();
        let _ = ipc::sleep_until(time::after(20 * MS));
    });
    system.run();
}

#[test]
fn connections_of_a_dead_client_end_and_its_place_comes_free() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    let (server, session, memory) = program(&mut system, endpoint, 0);
    system.client(server, move || {
        let net = attach(session, memory);
        let listener = net.listen(at(80), 2).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // Ended by the service, on behalf of who cannot any more.
        let mut room = [0; 16];
        let ended = stream.read(&mut room);
        assert!(
            matches!(ended, Ok(0) | Err(Error::Net(NetError::Reset))),
            "{ended:?}"
        );
    });
    let (dying, session, memory) = program(&mut system, endpoint, 1);
    system.client(dying, move || {
        let net = attach(session, memory);
        let _ = ipc::sleep_until(time::after(5 * MS));
        core::mem::forget(net.connect(at(80)).unwrap());
    });
    let mut root = system.program();
    let rights = SESSION | Supervision::ADMINISTER;
    let administration = system.give(&mut root, endpoint, rights, 0x8000_0000);
    system.client(root, move || {
        let _ = ipc::sleep_until(time::after(50 * MS));
        let mut server = SupervisionClient::new(Cap::<Supervision>::new(administration), Kernel);
        // Its socket and its memory.
        assert_eq!(server.client_gone(CLIENT + 1), Ok(2));
        assert_eq!(server.client_gone(CLIENT + 1), Ok(0));
    });
    system.run();
}
