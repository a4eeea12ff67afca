//! The calls of BSD.

use std::net::{IpAddr, SocketAddr};
use std::thread;

use gritos_idl_runtime::Cap;
use gritos_net_api::{
    Domain, IpProtocol, MessageFlags, NetError, Readiness, ShutdownHow, SocketOption, SocketType,
};
use gritos_net_client::{Error, Socket};
use gritos_net_core::host::Held;
use gritos_net_core::{Limits, Rules, ServiceLimits};

use crate::common::{machine, open_machine, program};

const NOW: MessageFlags = MessageFlags::DONT_WAIT;
const WAIT: MessageFlags = MessageFlags::empty();

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn would_block<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err(), Error::Net(NetError::WouldBlock));
}

#[test]
fn a_blocked_accept_is_answered_when_somebody_connects() {
    let machine = open_machine();
    let (server, client) = (program(machine, 1, 8192), program(machine, 2, 8192));
    let listener = server
        .socket(Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    listener.bind(at(80)).unwrap();
    listener.listen(2).unwrap();
    would_block(listener.accept(NOW));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| listener.accept(WAIT).unwrap());
        machine.pass(50_000_000);
        let socket = client
            .socket(Domain::Inet, SocketType::Stream, IpProtocol::Tcp)
            .unwrap();
        socket.connect(at(80)).unwrap();
        let (accepted, from) = waiting.join().unwrap();
        assert_eq!(from, socket.getsockname().unwrap());
        assert_eq!(accepted.getpeername().unwrap(), from);
        assert_eq!(socket.getpeername().unwrap(), at(80));
        // A reader that waits hears what is sent later.
        let reader = scope.spawn(move || {
            let mut room = [0; 64];
            let count = accepted.recv(&mut room, WAIT).unwrap();
            room[..count].to_vec()
        });
        machine.pass(50_000_000);
        assert_eq!(socket.send(b"good morning", WAIT).unwrap(), 12);
        assert_eq!(reader.join().unwrap(), b"good morning");
    });
}

/// Two connected sockets of one program.
fn pair(
    net: gritos_net_client::Net<crate::common::Side>,
    port: u16,
) -> [Socket<crate::common::Side>; 2] {
    let listener = net
        .socket(Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    listener.bind(at(port)).unwrap();
    listener.listen(1).unwrap();
    let socket = net
        .socket(Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    socket.connect(at(port)).unwrap();
    let (accepted, _) = listener.accept(WAIT).unwrap();
    [socket, accepted]
}

#[test]
fn a_send_that_waits_takes_everything_and_wait_all_gets_everything() {
    let machine = open_machine();
    let net = program(machine, 1, 300_000);
    let [a, b] = pair(net, 80);
    let other = program(machine, 2, 300_000);
    let data: Vec<u8> = (0..200_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    thread::scope(|scope| {
        let data = &data;
        let sender = scope.spawn(move || a.send(data, WAIT).unwrap());
        // A second thread of the program has memory of its own.
        let reader = Socket::from_cap(other, b.cap());
        let mut room = vec![0; 200_000];
        assert_eq!(
            reader.recv(&mut room, MessageFlags::WAIT_ALL).unwrap(),
            200_000
        );
        assert!(room == *data);
        assert_eq!(sender.join().unwrap(), 200_000);
        std::mem::forget(reader);
    });
}

#[test]
fn a_send_that_does_not_wait_takes_what_fits() {
    let net = program(open_machine(), 1, 300_000);
    let [a, _b] = pair(net, 80);
    let sent = a.send(&[1; 200_000], NOW).unwrap();
    assert!((1..200_000).contains(&sent), "{sent}");
    while a.send(&[1; 10_000], NOW).is_ok() {}
    would_block(a.send(b"x", NOW));
    a.setsockopt(SocketOption::NonBlocking, 1).unwrap();
    would_block(a.send(b"x", WAIT));
}

#[test]
fn time_outs_end_a_wait() {
    let net = program(open_machine(), 1, 8192);
    let [a, b] = pair(net, 80);
    b.setsockopt(SocketOption::ReceiveTimeout, 5_000_000)
        .unwrap();
    would_block(b.recv(&mut [0; 10], WAIT));
    // What came before the time-out is not lost.
    a.send(b"half", WAIT).unwrap();
    let mut room = [0; 10];
    assert_eq!(b.recv(&mut room, MessageFlags::WAIT_ALL).unwrap(), 4);
    assert_eq!(&room[..4], b"half");
}

#[test]
fn readers_are_answered_in_the_order_in_which_they_came() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let [a, b] = pair(net, 80);
    let readers: Vec<_> = (2..5)
        .map(|number| {
            let own = program(machine, number, 8192);
            let cap = b.cap();
            let reader = thread::spawn(move || {
                let socket = Socket::from_cap(own, cap);
                let mut room = [0; 1];
                let count = socket.recv(&mut room, WAIT).unwrap();
                std::mem::forget(socket);
                (count, room[0])
            });
            thread::sleep(std::time::Duration::from_millis(100));
            reader
        })
        .collect();
    for byte in [b"a", b"b", b"c"] {
        a.send(byte, WAIT).unwrap();
    }
    let heard: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .collect();
    assert_eq!(heard, [(1, b'a'), (1, b'b'), (1, b'c')]);
}

#[test]
fn a_watch_tells_what_a_socket_became_ready_for() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let [a, b] = pair(net, 80);
    let bell = machine.hold(Held::Notification);
    let interest = Readiness::READABLE | Readiness::HANG_UP;
    assert_eq!(
        b.watch(Cap::new(bell), interest).unwrap(),
        Readiness::empty()
    );
    assert_eq!(machine.signalled(bell), 0);
    a.send(b"x", WAIT).unwrap();
    machine.pass(2_000_000);
    assert_eq!(
        machine.signalled(bell),
        u64::from(Readiness::READABLE.bits())
    );
    a.shutdown(ShutdownHow::Send).unwrap();
    machine.pass(2_000_000);
    assert_eq!(
        machine.signalled(bell),
        u64::from(Readiness::HANG_UP.bits())
    );
    b.watch(Cap::new(bell), Readiness::empty()).unwrap();
    drop(a);
    machine.pass(20_000_000);
    assert_eq!(machine.signalled(bell), 0);
}

#[test]
fn a_watch_tells_again_when_a_call_left_something() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let [a, b] = pair(net, 80);
    let bell = machine.hold(Held::Notification);
    b.watch(Cap::new(bell), Readiness::READABLE).unwrap();
    let readable = u64::from(Readiness::READABLE.bits());
    a.send(b"xyz", WAIT).unwrap();
    a.shutdown(ShutdownHow::Send).unwrap();
    machine.pass(2_000_000);
    assert_eq!(machine.signalled(bell), readable);
    let mut room = [0; 2];
    assert_eq!(b.recv(&mut room, MessageFlags::PEEK).unwrap(), 2);
    assert_eq!(machine.signalled(bell), 0, "a look takes nothing");
    assert_eq!(b.recv(&mut room, NOW).unwrap(), 2);
    assert_eq!(machine.signalled(bell), readable, "a byte is left");
    assert_eq!(b.recv(&mut room, NOW).unwrap(), 1);
    assert_eq!(machine.signalled(bell), readable, "the end is left");
    assert_eq!(b.recv(&mut room, NOW).unwrap(), 0);
    machine.pass(2_000_000);
    assert_eq!(machine.signalled(bell), 0, "the end was told");
}

#[test]
fn names_and_status_come_through_calls() {
    let net = program(open_machine(), 1, 8192);
    let mut found = [IpAddr::from([0; 4]); 4];
    assert_eq!(net.resolve("localhost", &mut found).unwrap(), 2);
    assert_eq!(found[0], IpAddr::from([127, 0, 0, 1]));
    assert_eq!(net.resolve("localhost", &mut found[..1]).unwrap(), 1);
    let refused = net.resolve("example.org", &mut found).unwrap_err();
    assert_eq!(refused, Error::Net(NetError::NetworkDown));
    let status = net.status().unwrap();
    assert_eq!(
        (status.mtu, status.link_up, status.ipv4),
        (1500, false, None)
    );
}

#[test]
fn a_client_without_rules_is_refused_and_told_so() {
    let machine = machine(Rules::new(), Limits::default(), ServiceLimits::default());
    let net = program(machine, 1, 8192);
    let socket = net
        .socket(Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    assert_eq!(
        socket.bind(at(80)).unwrap_err(),
        Error::Net(NetError::Access)
    );
    assert_eq!(
        socket.connect(at(80)).unwrap_err(),
        Error::Net(NetError::Access)
    );
}

#[test]
fn closing_answers_those_who_wait_and_a_client_that_is_gone_takes_its_sockets_along() {
    let machine = open_machine();
    let net = program(machine, 1, 8192);
    let [a, b] = pair(net, 80);
    let own = program(machine, 2, 8192);
    let cap = b.cap();
    let reader = thread::spawn(move || {
        let socket = Socket::from_cap(own, cap);
        let result = socket.recv(&mut [0; 1], WAIT);
        std::mem::forget(socket);
        result
    });
    machine.pass(20_000_000);
    thread::sleep(std::time::Duration::from_millis(100));
    b.close().unwrap();
    assert_eq!(
        reader.join().unwrap().unwrap_err(),
        Error::Net(NetError::Aborted)
    );
    // Socket a, and the buffer.
    assert_eq!(machine.client_gone(1), 2);
    assert_eq!(a.poll().unwrap_err(), Error::Net(NetError::BadSocket));
    assert_eq!(machine.client_gone(1), 0);
}
