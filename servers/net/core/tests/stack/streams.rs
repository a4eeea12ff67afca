//! TCP: connecting, waiting for connections, moving bytes.

use gritos_net_api::{Domain, IpProtocol, NetError, Readiness, SocketOption, SocketType};

use crate::sim::{A, B, CLIENT, World, address, receive, send, tcp, text};

/// Bytes that repeat nowhere near.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Moves `data` from one end to the other and compares it.
fn transfer(world: &mut World, data: &[u8]) {
    let (client, server, _) = world.connection(9);
    let (mut sent, mut got) = (0, Vec::new());
    let mut room = vec![0; 70_000];
    for _ in 0..2_000_000 {
        if sent < data.len() {
            match send(&mut world.a, client, &data[sent..]) {
                Ok(count) => sent += count,
                Err(NetError::WouldBlock) => {}
                Err(other) => panic!("{other}"),
            }
            if sent == data.len() {
                world
                    .a
                    .shutdown(client, gritos_net_api::ShutdownHow::Send)
                    .unwrap();
            }
        }
        match receive(&mut world.b, server, &mut room) {
            Ok(received) if received.bytes == 0 => break,
            Ok(received) => got.extend_from_slice(&room[..received.bytes]),
            Err(NetError::WouldBlock) => {}
            Err(other) => panic!("{other}"),
        }
        world.step();
    }
    assert!(
        got == data,
        "{} of {} bytes, or others",
        got.len(),
        data.len()
    );
}

#[test]
fn bytes_arrive_as_they_were_sent() {
    transfer(&mut World::new(), &pattern(1_000_000));
}

#[test]
fn bytes_arrive_over_a_wire_that_loses_doubles_and_reorders() {
    let mut world = World::new();
    let (faults, data) = (world.faults.clone(), pattern(300_000));
    {
        let mut faults = faults.borrow_mut();
        (faults.loss, faults.double, faults.late) = (50, 50, 100);
    }
    transfer(&mut world, &data);
}

#[test]
fn an_echo_comes_back_over_ipv6() {
    let mut world = World::new();
    let listener = world
        .b
        .socket(CLIENT, Domain::Inet6, SocketType::Stream, IpProtocol::Tcp)
        .unwrap();
    world.b.bind(listener, address("[::]:7")).unwrap();
    world.b.listen(listener, 1).unwrap();
    let client = world
        .a
        .socket(CLIENT, Domain::Inet6, SocketType::Stream, IpProtocol::Tcp)
        .unwrap();
    world.a.connect(client, address("[fd00::2]:7")).unwrap();
    world.wait(|w| w.a.connected(client)).unwrap();
    let (server, from) = world.wait(|w| w.b.accept(listener)).unwrap();
    assert_eq!(from.ip(), "fd00::1".parse::<std::net::IpAddr>().unwrap());
    send(&mut world.a, client, b"over six").unwrap();
    let heard = world.wait(|w| text(&mut w.b, server)).unwrap();
    send(&mut world.b, server, heard.as_bytes()).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, client)).unwrap(), "over six");
}

#[test]
fn a_listener_of_both_families_takes_ipv4_and_one_of_ipv4_refuses_ipv6() {
    let mut world = World::new();
    let both = world
        .b
        .socket(CLIENT, Domain::Inet6, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    world.b.bind(both, address("[::]:80")).unwrap();
    world.b.listen(both, 2).unwrap();
    let four = tcp(&mut world.b);
    world.b.bind(four, address("0.0.0.0:81")).unwrap();
    world.b.listen(four, 2).unwrap();

    let client = tcp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:80")))
        .unwrap();
    world.wait(|w| w.a.connected(client)).unwrap();
    let (_, from) = world.wait(|w| w.b.accept(both)).unwrap();
    assert_eq!(from.ip(), A.parse::<std::net::IpAddr>().unwrap());

    let six = world
        .a
        .socket(CLIENT, Domain::Inet6, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    world.a.connect(six, address("[fd00::2]:81")).unwrap();
    // The machine below answers before the listener can say no: the connection is
    // reset, at once or right behind the handshake.
    let outcome = world.wait(|w| w.a.connected(six));
    if outcome.is_ok() {
        assert_eq!(world.wait(|w| text(&mut w.a, six)), Err(NetError::Reset));
    } else {
        assert_eq!(outcome, Err(NetError::Refused));
    }
    assert_eq!(world.b.accept(four), Err(NetError::WouldBlock));
}

#[test]
fn the_machine_talks_to_itself() {
    for (listen, to, domain) in [
        ("127.0.0.1:5000", "127.0.0.1:5000", Domain::Inet),
        ("[::1]:5000", "[::1]:5000", Domain::Inet6),
        ("0.0.0.0:5000", "10.0.0.1:5000", Domain::Inet),
        ("[::]:5000", "[fd00::1]:5000", Domain::Inet6),
    ] {
        let mut world = World::new();
        let listener = world
            .a
            .socket(CLIENT, domain, SocketType::Stream, IpProtocol::Any)
            .unwrap();
        world.a.bind(listener, address(listen)).unwrap();
        world.a.listen(listener, 1).unwrap();
        let client = world
            .a
            .socket(CLIENT, domain, SocketType::Stream, IpProtocol::Any)
            .unwrap();
        world.a.connect(client, address(to)).unwrap();
        world.wait(|w| w.a.connected(client)).unwrap();
        let (server, _) = world.wait(|w| w.a.accept(listener)).unwrap();
        send(&mut world.a, client, b"inside").unwrap();
        assert_eq!(world.wait(|w| text(&mut w.a, server)).unwrap(), "inside");
        assert!(
            world.ends[0].outgoing.borrow().is_empty(),
            "{to}: a frame left the machine"
        );
    }
}

#[test]
fn the_backlog_queues_and_what_exceeds_it_gets_in_later() {
    let mut world = World::new();
    let listener = tcp(&mut world.b);
    world.b.bind(listener, address("0.0.0.0:80")).unwrap();
    world.b.listen(listener, 3).unwrap();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let client = tcp(&mut world.a);
            world
                .a
                .connect(client, address(&format!("{B}:80")))
                .unwrap();
            client
        })
        .collect();
    world.pass(500_000_000);
    let connected = |world: &mut World| {
        let all = clients.iter();
        all.filter(|client| world.a.connected(**client).is_ok())
            .count()
    };
    assert_eq!(connected(&mut world), 3, "the queue holds three");
    // The others keep asking, and get in as those before them are taken.
    for _ in 0..5 {
        world.wait(|w| w.b.accept(listener)).unwrap();
    }
    world.pass(500_000_000);
    assert_eq!(connected(&mut world), 5);
    assert_eq!(world.b.accept(listener), Err(NetError::WouldBlock));
}

#[test]
fn requests_that_are_never_completed_do_not_keep_others_out() {
    let mut world = World::new();
    let listener = tcp(&mut world.b);
    world.b.bind(listener, address("0.0.0.0:80")).unwrap();
    world.b.listen(listener, 2).unwrap();
    world.connection(9);
    for _ in 0..2 {
        let flood = tcp(&mut world.a);
        world.a.connect(flood, address(&format!("{B}:80"))).unwrap();
    }
    // Nothing of what B answers arrives.
    for _ in 0..100 {
        world.step();
        world.ends[0].incoming.borrow_mut().clear();
    }
    world.a.client_gone(CLIENT);
    let client = tcp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:80")))
        .unwrap();
    world.wait(|w| w.a.connected(client)).unwrap();
    world.wait(|w| w.b.accept(listener)).unwrap();
}

#[test]
fn peeking_leaves_bytes_where_they_are() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    send(&mut world.a, client, b"twice").unwrap();
    world.pass(10_000_000);
    let mut room = [0; 10];
    let mut slice = &mut room[..];
    let peeked = world.b.receive(server, &mut slice, 0, true).unwrap();
    assert_eq!((peeked.bytes, &room[..5]), (5, &b"twice"[..]));
    assert_eq!(text(&mut world.b, server).unwrap(), "twice");
}

#[test]
fn readiness_says_what_would_not_wait() {
    let mut world = World::new();
    let (client, server, listener) = world.connection(9);
    assert_eq!(world.b.readiness(server), Ok(Readiness::WRITABLE));
    assert_eq!(world.b.readiness(listener), Ok(Readiness::empty()));
    send(&mut world.a, client, b"x").unwrap();
    world.pass(10_000_000);
    assert_eq!(
        world.b.readiness(server),
        Ok(Readiness::WRITABLE | Readiness::READABLE)
    );
    // Fill everything that can be filled.
    while send(&mut world.a, client, &[0; 5000]) != Err(NetError::WouldBlock) {
        world.step();
    }
    world.pass(1_000_000_000);
    while send(&mut world.a, client, &[0; 5000]) != Err(NetError::WouldBlock) {}
    assert_eq!(world.a.readiness(client), Ok(Readiness::empty()));
}

#[test]
fn options_are_checked_and_read_back() {
    let mut world = World::new();
    let socket = tcp(&mut world.a);
    let stack = &mut world.a;
    stack.set_option(socket, SocketOption::NoDelay, 1).unwrap();
    assert_eq!(stack.option(socket, SocketOption::NoDelay), Ok(1));
    for (option, value, error) in [
        (SocketOption::NoDelay, 2, NetError::Invalid),
        (SocketOption::HopLimit, 0, NetError::Invalid),
        (SocketOption::HopLimit, 256, NetError::Invalid),
        (SocketOption::ReceiveBuffer, 0, NetError::Invalid),
        (SocketOption::ReceiveBuffer, u64::MAX, NetError::Invalid),
        (SocketOption::Type, 1, NetError::NoOption),
        (SocketOption::LastError, 0, NetError::NoOption),
    ] {
        assert_eq!(
            stack.set_option(socket, option, value),
            Err(error),
            "{option:?} {value}"
        );
    }
    stack
        .set_option(socket, SocketOption::KeepAlive, u64::MAX)
        .unwrap();
    assert_eq!(stack.option(socket, SocketOption::Type), Ok(1));
    let (client, ..) = world.connection(9);
    world
        .a
        .set_option(client, SocketOption::KeepAlive, u64::MAX)
        .unwrap();
    assert_eq!(
        world.a.set_option(client, SocketOption::SendBuffer, 4096),
        Err(NetError::Invalid)
    );
    world.pass(1_000_000_000);
}
