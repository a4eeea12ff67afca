//! Streams through rings of bytes.

use std::net::SocketAddr;
use std::thread;

use embedded_io::{Read, Write};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Address, Cap};
use gritos_net_api::{MessageFlags, NetError, ShutdownHow, SocketOption};
use gritos_net_client::{Bell, Error, Net, RingMemory, RingStream, TcpStream};
use gritos_net_core::host::{Held, HostMemory, Machine};
use gritos_ring::{Gone, Memory};
use gritos_service::BufferMemory;

use crate::common::{MEMORY_RIGHTS, Side, open_machine, program};

/// Waits for a notification of the machine.
#[derive(Clone, Copy)]
struct HostBell(&'static Machine, Address);

impl Bell for HostBell {
    fn notification(&self) -> Cap<Notification> {
        Cap::new(self.1)
    }

    fn wait(&mut self) -> Option<u64> {
        for _ in 0..100_000 {
            match self.0.signalled(self.1) {
                0 => self.0.pass(1_000_000),
                bits => return Some(bits),
            }
            thread::yield_now();
        }
        None
    }
}

/// The machine's memory as that of a ring.
#[derive(Clone, Copy)]
struct Ring(HostMemory);

impl Memory for Ring {
    fn len(&self) -> usize {
        self.0.len() as usize
    }
    fn load(&self, offset: usize) -> Result<u32, Gone> {
        BufferMemory::load(&self.0, offset as u64).map_err(|_| Gone)
    }
    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        BufferMemory::store(&self.0, offset as u64, value).map_err(|_| Gone)
    }
    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        BufferMemory::read(&self.0, offset as u64, to).map_err(|_| Gone)
    }
    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        BufferMemory::write(&self.0, offset as u64, from).map_err(|_| Gone)
    }
    fn fence(&self) {}
}

type Rings = RingStream<Side, Ring, HostBell>;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn rings_of(
    machine: &'static Machine,
    net: &Net<Side>,
    stream: TcpStream<Side>,
    bytes: usize,
) -> (Rings, HostMemory) {
    let memory = HostMemory::new(bytes);
    let object = machine.hold(Held::Memory(memory, MEMORY_RIGHTS));
    let object = Cap::with_rights(object, MEMORY_RIGHTS);
    let registered = RingMemory::register(net, object, Ring(memory)).unwrap();
    let bell = HostBell(machine, machine.hold(Held::Notification));
    (stream.into_rings(registered, bell).unwrap(), memory)
}

/// A stream with rings of so many bytes, and its peer without.
fn pair(bytes: usize) -> (Rings, TcpStream<Side>, HostMemory) {
    let machine = open_machine();
    let (net, other) = (program(machine, 1, 8192), program(machine, 2, 300_000));
    let listener = other.listen(at(80), 1).unwrap();
    let stream = net.connect(at(80)).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let (rings, memory) = rings_of(machine, &net, stream, bytes);
    (rings, peer, memory)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn a_megabyte_out_takes_a_few_calls() {
    let (mut rings, mut peer, _) = pair(1 << 20);
    let data = pattern(1 << 20);
    thread::scope(|scope| {
        let data = &data;
        let reader = scope.spawn(move || {
            let mut room = vec![0; 1 << 20];
            let mut at = 0;
            while at < room.len() {
                at += peer.read(&mut room[at..]).unwrap();
            }
            assert!(room == *data);
            assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
        });
        rings.write_all(data).unwrap();
        rings.shutdown(ShutdownHow::Send).unwrap();
        reader.join().unwrap();
        assert!(rings.calls() < 16, "{} calls", rings.calls());
    });
}

#[test]
fn a_megabyte_in_takes_a_few_calls_and_ends() {
    let (mut rings, mut peer, _) = pair(1 << 20);
    let data = pattern(1 << 20);
    thread::scope(|scope| {
        let data = &data;
        let writer = scope.spawn(move || {
            peer.write_all(data).unwrap();
            peer.shutdown(ShutdownHow::Send).unwrap();
            peer
        });
        let mut heard = Vec::new();
        let mut room = [0; 10_000];
        loop {
            match rings.read(&mut room).unwrap() {
                0 => break,
                count => heard.extend_from_slice(&room[..count]),
            }
        }
        assert!(heard == *data);
        assert!(rings.calls() < 16, "{} calls", rings.calls());
        // The other direction is still open.
        let mut peer = writer.join().unwrap();
        rings.write_all(b"thanks").unwrap();
        rings.flush().unwrap();
        let mut room = [0; 6];
        peer.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"thanks");
    });
}

#[test]
fn small_rings_carry_much() {
    let (mut rings, mut peer, _) = pair(1024);
    let data = pattern(50_000);
    thread::scope(|scope| {
        let data = &data;
        let echo = scope.spawn(move || {
            let mut room = [0; 700];
            loop {
                match peer.read(&mut room).unwrap() {
                    0 => break,
                    count => peer.write_all(&room[..count]).unwrap(),
                }
            }
        });
        for piece in data.chunks(400) {
            rings.write_all(piece).unwrap();
            let mut back = vec![0; piece.len()];
            rings.read_exact(&mut back).unwrap();
            assert!(back == piece);
        }
        rings.close().unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn calls_that_move_bytes_are_refused_beside_rings() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let listener = net.listen(at(80), 1).unwrap();
    let stream = net.connect(at(80)).unwrap();
    let _peer = listener.accept().unwrap();
    let cap = stream.socket().cap();
    let (_rings, _) = rings_of(machine, &net, stream, 4096);
    let same = gritos_net_client::Socket::from_cap(net, cap);
    let invalid = Error::Net(NetError::Invalid);
    assert_eq!(same.send(b"x", MessageFlags::empty()).unwrap_err(), invalid);
    assert_eq!(
        same.recv(&mut [0], MessageFlags::empty()).unwrap_err(),
        invalid
    );
    std::mem::forget(same);
}

#[test]
fn a_reset_is_told_after_what_arrived_before_it() {
    let (mut rings, mut peer, _) = pair(4096);
    peer.write_all(b"last words").unwrap();
    let mut room = [0; 10];
    rings.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"last words");
    // Closing with unread data resets the connection.
    rings.write_all(b"unread").unwrap();
    rings.flush().unwrap();
    drop(peer);
    let error = loop {
        match rings.write(b"more") {
            Ok(_) => rings.flush().err().map_or((), |_| ()),
            Err(error) => break error,
        }
    };
    assert!(matches!(
        error.net(),
        Some(NetError::Reset | NetError::BrokenPipe | NetError::NotConnected)
    ));
}

#[test]
fn a_client_that_lies_about_its_ring_loses_the_connection_alone() {
    let (mut rings, mut peer, memory) = pair(4096);
    // The counter of bytes to be sent says that there are more than the ring holds.
    BufferMemory::store(&memory, 2048, 0x7fff_ffff).unwrap();
    let mut room = [0; 4];
    assert_eq!(
        peer.read(&mut room).unwrap_or(0),
        0,
        "nothing made up arrives"
    );
    assert!(rings.read(&mut room).is_err());
    assert!(rings.shutdown(ShutdownHow::Send).is_err());
}

#[test]
fn memory_that_goes_away_closes_the_connection() {
    let (mut rings, mut peer, memory) = pair(4096);
    memory.revoke();
    let mut room = [0; 4];
    assert_eq!(peer.read(&mut room).unwrap_or(0), 0);
    assert_eq!(rings.read(&mut room), Err(Error::Memory));
    assert!(
        rings.shutdown(ShutdownHow::Send).is_err(),
        "the socket is gone"
    );
}

#[test]
fn rings_need_a_connection_and_room() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let listener = net.listen(at(80), 2).unwrap();
    let memory = HostMemory::new(4096);
    let object = machine.hold(Held::Memory(memory, MEMORY_RIGHTS));
    let registered =
        RingMemory::register(&net, Cap::with_rights(object, MEMORY_RIGHTS), Ring(memory)).unwrap();
    let bell = HostBell(machine, machine.hold(Held::Notification));
    let tiny = HostMemory::new(512);
    let object = machine.hold(Held::Memory(tiny, MEMORY_RIGHTS));
    let object = Cap::with_rights(object, MEMORY_RIGHTS);
    assert!(matches!(
        RingMemory::register(&net, object, Ring(tiny)),
        Err(Error::Memory)
    ));
    let stream = net.connect(at(80)).unwrap();
    stream.shutdown(ShutdownHow::Send).unwrap();
    stream
        .socket()
        .setsockopt(SocketOption::NoDelay, 1)
        .unwrap();
    // A half-closed connection still receives through its ring.
    let (mut peer, _) = listener.accept().unwrap();
    let mut rings = stream.into_rings(registered, bell).unwrap();
    peer.write_all(b"hello").unwrap();
    let mut room = [0; 5];
    rings.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"hello");
}
