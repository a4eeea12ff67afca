//! UDP and ICMP echo.

use gritos_net_api::{Domain, IpProtocol, NetError, SocketType};

use crate::sim::{A, B, CLIENT, World, address, receive, send, send_to, text, udp};

#[test]
fn messages_keep_their_bounds_and_say_who_sent_them() {
    let mut world = World::new();
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    let client = udp(&mut world.a);
    send_to(&mut world.a, client, b"one", &format!("{B}:53")).unwrap();
    send_to(&mut world.a, client, b"", &format!("{B}:53")).unwrap();
    send_to(&mut world.a, client, b"three", &format!("{B}:53")).unwrap();
    let mut room = [0; 4];
    let first = world
        .wait(|w| receive(&mut w.b, server, &mut room))
        .unwrap();
    assert_eq!((first.bytes, first.from.ip()), (3, A.parse().unwrap()));
    assert_eq!(first.from, {
        let port = world.a.local_address(client).unwrap().port();
        address(&format!("{A}:{port}"))
    });
    assert_eq!(
        world
            .wait(|w| receive(&mut w.b, server, &mut room))
            .unwrap()
            .bytes,
        0
    );
    let cut = world
        .wait(|w| receive(&mut w.b, server, &mut room))
        .unwrap();
    assert_eq!((cut.bytes, &room), (4, b"thre"));
    assert_eq!(
        receive(&mut world.b, server, &mut room),
        Err(NetError::WouldBlock)
    );
}

#[test]
fn a_port_is_free_as_soon_as_its_socket_is_closed() {
    let mut world = World::new();
    for _ in 0..3 {
        // No turn of the stack comes between.
        let socket = udp(&mut world.a);
        world.a.bind(socket, address("0.0.0.0:53")).unwrap();
        world.a.close(socket).unwrap();
    }
    // What was sent is delivered all the same, and then the port is free.
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:54")).unwrap();
    let socket = udp(&mut world.a);
    world.a.bind(socket, address("0.0.0.0:53")).unwrap();
    send_to(&mut world.a, socket, b"last words", &format!("{B}:54")).unwrap();
    world.a.close(socket).unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.b, server)).unwrap(),
        "last words"
    );
    let socket = udp(&mut world.a);
    world.a.bind(socket, address("0.0.0.0:53")).unwrap();
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut world = World::new();
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    world
        .b
        .connect(server, address(&format!("{A}:1000")))
        .unwrap();
    let (stranger, peer) = (udp(&mut world.a), udp(&mut world.a));
    world.a.bind(peer, address("0.0.0.0:1000")).unwrap();
    send_to(&mut world.a, stranger, b"stranger", &format!("{B}:53")).unwrap();
    send_to(&mut world.a, peer, b"peer", &format!("{B}:53")).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.b, server)).unwrap(), "peer");
    send(&mut world.b, server, b"back").unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, peer)).unwrap(), "back");
}

#[test]
fn a_closed_port_is_reported_to_a_connected_socket() {
    let mut world = World::new();
    let client = udp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:99")))
        .unwrap();
    send(&mut world.a, client, b"hello?").unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.a, client)),
        Err(NetError::Refused)
    );
    assert_eq!(
        text(&mut world.a, client),
        Err(NetError::WouldBlock),
        "told once"
    );
}

#[test]
fn large_messages_travel_in_fragments_up_to_a_limit() {
    let mut world = World::new();
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    let client = udp(&mut world.a);
    let message: Vec<u8> = (0..7000_u32).map(|i| (i % 251) as u8).collect();
    send_to(&mut world.a, client, &message, &format!("{B}:53")).unwrap();
    let mut room = vec![0; 9000];
    let got = world
        .wait(|w| receive(&mut w.b, server, &mut room))
        .unwrap();
    assert!(room[..got.bytes] == message[..]);
    let too_large = send_to(&mut world.a, client, &[0; 9000], &format!("{B}:53"));
    assert_eq!(too_large, Err(NetError::MessageTooLarge));
}

#[test]
fn wrong_destinations_have_errors_of_their_own() {
    let mut world = World::new();
    let client = udp(&mut world.a);
    let stack = &mut world.a;
    assert_eq!(
        send(stack, client, b"x"),
        Err(NetError::DestinationRequired)
    );
    for (to, error) in [
        ("[fd00::2]:1", NetError::FamilyNotSupported),
        ("8.8.8.8:53", NetError::NetworkUnreachable),
        ("0.0.0.0:53", NetError::AddressNotAvailable),
        ("10.0.0.2:0", NetError::AddressNotAvailable),
        ("127.0.0.9:1", NetError::NetworkUnreachable),
    ] {
        assert_eq!(send_to(stack, client, b"x", to), Err(error), "{to}");
    }
    assert_eq!(
        stack.bind(client, address("10.0.0.9:1")).err(),
        Some(NetError::AddressNotAvailable)
    );
    let other = udp(stack);
    stack.bind(other, address("0.0.0.0:1")).unwrap();
    assert_eq!(
        stack.bind(other, address("0.0.0.0:2")),
        Err(NetError::Invalid)
    );
    let third = udp(stack);
    assert_eq!(
        stack.bind(third, address("10.0.0.1:1")),
        Err(NetError::AddressInUse)
    );
}

#[test]
fn ping_is_answered_in_both_families_and_inside() {
    let mut world = World::new();
    for (domain, protocol, to, request, reply) in [
        (Domain::Inet, IpProtocol::Icmp, "10.0.0.2:0", 8, 0),
        (Domain::Inet6, IpProtocol::Icmpv6, "[fd00::2]:0", 128, 129),
        (Domain::Inet, IpProtocol::Icmp, "127.0.0.1:0", 8, 0),
        (Domain::Inet6, IpProtocol::Icmpv6, "[::1]:0", 128, 129),
    ] {
        let socket = world
            .a
            .socket(CLIENT, domain, SocketType::Raw, protocol)
            .unwrap();
        let mut message = *b"\0\0\0\0\0\0\0\x05payload";
        message[0] = request;
        send_to(&mut world.a, socket, &message, to).unwrap();
        let mut room = [0; 100];
        let mut got = 0;
        // Inside of the machine the request comes past as well.
        while got == 0 || room[0] == request {
            got = world
                .wait(|w| receive(&mut w.a, socket, &mut room))
                .unwrap()
                .bytes;
        }
        assert_eq!(
            (room[0], room[7], &room[8..got]),
            (reply, 5, &b"payload"[..]),
            "{to}"
        );
        message[0] = 5;
        let forged = send_to(&mut world.a, socket, &message, to);
        assert_eq!(forged, Err(NetError::NotPermitted));
        world.a.close(socket).unwrap();
    }
}
