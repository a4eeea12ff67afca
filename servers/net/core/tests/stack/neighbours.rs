//! Neighbours that are not there, and those that are.

use gritos_net_api::{Domain, IpProtocol, NetError, SocketType};

use crate::sim::{B, CLIENT, World, address, receive, send, send_to, tcp, text, udp};

/// Somebody who is in the network and answers nothing.
const DEAD: &str = "10.0.0.77";
const SECOND: u64 = 1_000_000_000;

/// Steps for at most so long until `action` says something else than `WOULD_BLOCK`.
fn within<T>(
    world: &mut World,
    ns: u64,
    mut action: impl FnMut(&mut World) -> Result<T, NetError>,
) -> Result<T, NetError> {
    let end = *world.now.borrow() + ns;
    loop {
        match action(world) {
            Err(NetError::WouldBlock) if *world.now.borrow() < end => world.step(),
            other => return other,
        }
    }
}

/// Lets A want something of the dead neighbour, now and for as long as there may be an answer.
fn want_of_the_dead(world: &mut World, connects: bool) {
    if connects {
        let dead = tcp(&mut world.a);
        let to = address(&format!("{DEAD}:80"));
        world.a.connect(dead, to).unwrap();
    } else {
        let dead = udp(&mut world.a);
        send_to(&mut world.a, dead, b"hello?", &format!("{DEAD}:53")).unwrap();
    }
    world.pass(SECOND / 10);
}

#[test]
fn one_who_is_not_there_keeps_nobody_from_reaching_others() {
    for connects in [false, true] {
        let mut world = World::new();
        let server = udp(&mut world.b);
        world.b.bind(server, address("0.0.0.0:53")).unwrap();
        want_of_the_dead(&mut world, connects);
        let client = udp(&mut world.a);
        send_to(&mut world.a, client, b"hello", &format!("{B}:53")).unwrap();
        let heard = within(&mut world, 6 * SECOND, |w| text(&mut w.b, server));
        assert_eq!(heard.as_deref(), Ok("hello"), "connects: {connects}");
    }
}

#[test]
fn a_machine_reaches_itself_at_once_whoever_is_not_there() {
    for to in ["127.0.0.1:53", "[::1]:53", "10.0.0.1:53", "[fd00::1]:53"] {
        let mut world = World::new();
        let family = |socket: &str| match socket.starts_with('[') {
            true => (Domain::Inet6, "[::]:53"),
            false => (Domain::Inet, "0.0.0.0:53"),
        };
        let (domain, any) = family(to);
        let mut socket = || {
            let (kind, protocol) = (SocketType::Datagram, IpProtocol::Any);
            world.a.socket(CLIENT, domain, kind, protocol).unwrap()
        };
        let (server, client) = (socket(), socket());
        world.a.bind(server, address(any)).unwrap();
        // At first, and when what the stack knows of neighbours has grown old.
        for pause in [0, 90 * SECOND] {
            want_of_the_dead(&mut world, true);
            world.pass(pause);
            want_of_the_dead(&mut world, false);
            send_to(&mut world.a, client, b"hello", to).unwrap();
            let heard = within(&mut world, SECOND / 100, |w| text(&mut w.a, server));
            assert_eq!(heard.as_deref(), Ok("hello"), "{to} after {pause} ns");
        }
    }
}

#[test]
fn one_who_comes_late_is_found() {
    for to in [format!("{B}:53"), "[fd00::2]:53".to_string()] {
        let mut world = World::new();
        let socket = |stack: &mut _| {
            let (kind, protocol) = (SocketType::Datagram, IpProtocol::Any);
            gritos_net_core::Stack::socket(stack, CLIENT, Domain::Inet6, kind, protocol).unwrap()
        };
        let (server, client) = (socket(&mut world.b), socket(&mut world.a));
        world.b.bind(server, address("[::]:53")).unwrap();
        world.faults.borrow_mut().loss = 1000;
        for number in 0..20 {
            send_to(&mut world.a, client, &[b'a' + number], &to).unwrap();
            world.pass(SECOND);
        }
        assert_eq!(text(&mut world.b, server), Err(NetError::WouldBlock));
        world.faults.borrow_mut().loss = 0;
        // The first that it can get it gets.
        send_to(&mut world.a, client, b"there?", &to).unwrap();
        let heard = within(&mut world, 3 * SECOND, |w| text(&mut w.b, server));
        assert_eq!(heard.as_deref(), Ok("there?"), "{to}");
    }
}

#[test]
fn a_connection_goes_on_when_its_peer_is_back() {
    let mut world = World::new();
    let (client, server, _) = world.connection(80);
    world.faults.borrow_mut().loss = 1000;
    // For longer than a neighbour is remembered.
    world.pass(65 * SECOND);
    send(&mut world.a, client, b"still there?").unwrap();
    world.pass(20 * SECOND);
    world.faults.borrow_mut().loss = 0;
    let heard = within(&mut world, 40 * SECOND, |w| text(&mut w.b, server));
    assert_eq!(heard.as_deref(), Ok("still there?"));
    let mut room = [0; 1];
    assert_eq!(
        receive(&mut world.a, client, &mut room).err(),
        Some(NetError::WouldBlock)
    );
}
