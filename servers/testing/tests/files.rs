//! The file server, as it is, over the real kernel: clients of the shipped library that share a tree, take their memory
//! away in the midst of their calls, and die.

use gritos_abi::{Address, ObjectType, Rights};
use gritos_base_api::{Supervision, SupervisionClient};
use gritos_fs_api::FileService;
use gritos_fs_client::{Client, Errno, Link, MEMORY_BYTES, Mode, OpenFlags};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::{Alarm, FileService as Files, Limits};
use gritos_fs_core::vfs::Vfs;
use gritos_idl_runtime::{
    Cap, Incoming, Outcome, Outgoing, ServerPort, Status, Ticket, Transport, serve,
};
use gritos_service::{Buffers, Kernel, Port, release};
use gritos_sys::{ipc, time};
use gritos_testing::memory::{Mapper, Memory};
use gritos_testing::{Program, System};

/// Badge of the first client; the others follow.
const CLIENT: u32 = 0x8000_0001;
const MS: u64 = 1_000_000;
const SESSION: Rights = Rights::SEND.union(Rights::GRANT);
const MEMORY: u64 = (MEMORY_BYTES as u64).next_multiple_of(4096);
const MODE: Mode = Mode::from_bits_retain(0o644);
const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

type Library = Client<Direct, Memory>;

/// Carries calls to the kernel, as the library of components does.
#[derive(Debug)]
struct Direct;

impl Transport for Direct {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        Kernel.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}

impl Link for Direct {
    fn release(&mut self, address: Address) {
        let _ = release(address);
    }
}

/// A port whose alarms are deadlines, as the file server has it where there is no time service.
struct Alarmed(Port<4>);

impl Alarm for Alarmed {
    fn alarm(&mut self, after_ns: Option<u64>) {
        self.0.set_deadline(after_ns.map(time::after));
    }
}

impl ServerPort for Alarmed {
    fn recv(&mut self) -> Incoming {
        self.0.recv()
    }

    fn reply_recv<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Incoming {
        self.0.reply_recv(reply)
    }

    fn ticket(&mut self) -> Option<Ticket> {
        self.0.ticket()
    }

    fn keep(&mut self) {
        self.0.keep();
    }

    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        self.0.answer(ticket, reply)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.0.discard(incoming);
    }
}

const fn now() -> u64 {
    1_700_000_000_000_000_000
}

/// The server with a tree in memory; its endpoint.
fn service(system: &mut System) -> u32 {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Alarmed(Port::new(gritos_sys::Cap::at(at), 4).unwrap());
        let vfs = Vfs::new(Box::new(MemoryVolume::new(16 << 20, now)));
        let buffers = Buffers::<Mapper<9>, 8>::new(Mapper::default(), 2);
        let mut files = Files::new(vfs, buffers, Limits::default(), at, 1);
        serve::<FileService, _, _>(&mut port, &mut files);
    });
    endpoint
}

/// A program with a session and memory, and where it finds both; the memory's number too.
fn program(system: &mut System, endpoint: u32, number: u32) -> (Program, Address, Address, u32) {
    let mut program = system.program();
    let session = system.give(&mut program, endpoint, SESSION, CLIENT + number);
    let object = system.make(ObjectType::MemoryObject, MEMORY);
    let memory = system.give(&mut program, object, Rights::AS_HELD, 0);
    (program, session, memory, object)
}

/// The library, in the program that calls this.
fn connect(session: Address, memory: Address) -> Library {
    let rights = Rights::READ | Rights::WRITE | Rights::MAP;
    let object = Cap::with_rights(memory, rights);
    Client::new(Direct, Cap::new(session), object, Memory::at(memory)).expect("connecting")
}

#[test]
fn two_clients_share_a_tree_and_keep_their_descriptors_apart() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    for number in 0..2 {
        let (program, session, memory, _) = program(&mut system, endpoint, number);
        system.client(program, move || {
            let mut client = connect(session, memory);
            let mine = format!("/of-{number}");
            let file = client.open(&mine, NEW, MODE).unwrap();
            let text = vec![b'a' + number as u8; 10_000];
            assert_eq!(client.write(file, 0, &text), Ok(text.len()));
            client.fsync(file).unwrap();
            // Until both have written.
            let _ = ipc::sleep_until(time::after(10 * MS));
            let other = format!("/of-{}", 1 - number);
            let theirs = client.open(&other, OpenFlags::READ, MODE).unwrap();
            let mut heard = vec![0; 20_000];
            assert_eq!(client.read(theirs, 0, &mut heard), Ok(10_000));
            assert!(heard[..10_000].iter().all(|b| *b == b'b' - number as u8));
            assert_eq!(client.write(theirs, 0, b"x"), Err(Errno::BADF));
            client.close(theirs).unwrap();
            client.close(file).unwrap();
            assert_eq!(client.stat("/nothing").map(|_| ()), Err(Errno::NOENT));
        });
    }
    system.run();
}

#[test]
fn a_client_that_takes_its_memory_away_fails_alone() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    let (liar, session, memory, object) = program(&mut system, endpoint, 0);
    let handle = system.handle();
    system.client(liar, move || {
        let mut client = connect(session, memory);
        let file = client.open("/lie", NEW, MODE).unwrap();
        assert_eq!(client.write(file, 0, &[1; 5000]), Ok(5000));
        handle.revoke(object);
        assert!(client.write(file, 0, &[2; 5000]).is_err());
        assert!(client.stat("/lie").is_err());
    });
    let (honest, session, memory, _) = program(&mut system, endpoint, 1);
    system.client(honest, move || {
        let mut client = connect(session, memory);
        let _ = ipc::sleep_until(time::after(50 * MS));
        let file = client.open("/lie", OpenFlags::READ, MODE).unwrap();
        let mut heard = [0; 6000];
        assert_eq!(client.read(file, 0, &mut heard), Ok(5000));
        assert!(
            heard[..5000].iter().all(|b| *b == 1),
            "whole, and of before"
        );
    });
    system.run();
}

#[test]
fn what_a_dead_client_had_open_is_closed_and_what_it_wrote_stays() {
    let mut system = System::new();
    let endpoint = service(&mut system);
    let (dying, session, memory, _) = program(&mut system, endpoint, 0);
    system.client(dying, move || {
        let mut client = connect(session, memory);
        let file = client.open("/last-words", NEW, MODE).unwrap();
        assert_eq!(client.write(file, 0, b"remember"), Ok(8));
        // It ends with the file open, and its name gone.
        client.open("/gone", NEW, MODE).unwrap();
        client.unlink("/gone").unwrap();
    });
    let (other, session, memory, _) = program(&mut system, endpoint, 1);
    let mut root = system.program();
    let rights = SESSION | Supervision::ADMINISTER;
    let administration = system.give(&mut root, endpoint, rights, 0x8000_0000);
    system.client(root, move || {
        let _ = ipc::sleep_until(time::after(20 * MS));
        let mut server = SupervisionClient::new(Cap::<Supervision>::new(administration), Kernel);
        // Two files and its memory.
        assert_eq!(server.client_gone(CLIENT), Ok(3));
        assert_eq!(server.client_gone(CLIENT), Ok(0));
    });
    system.client(other, move || {
        let mut client = connect(session, memory);
        let _ = ipc::sleep_until(time::after(50 * MS));
        let file = client.open("/last-words", OpenFlags::READ, MODE).unwrap();
        let mut heard = [0; 16];
        assert_eq!(client.read(file, 0, &mut heard), Ok(8));
        assert_eq!(&heard[..8], b"remember");
        assert_eq!(client.stat("/gone").map(|_| ()), Err(Errno::NOENT));
    });
    system.run();
}
