//! Limits and rules.

use gritos_net_api::{Domain, IpProtocol, NetError, SocketOption, SocketType};
use gritos_net_core::{Limits, Rule, RuleError, Rules};

use crate::sim::{B, CLIENT, World, address, open_rules, send_to, tcp, udp};

const OTHER: u32 = 0x8000_0002;

#[test]
fn sockets_are_limited_per_client_and_altogether() {
    let limits = Limits {
        sockets: 5,
        client_sockets: 3,
        ..Limits::default()
    };
    let mut world = World::with(0, limits, open_rules());
    let mut make = |client| {
        let stack = &mut world.a;
        stack.socket(client, Domain::Inet, SocketType::Stream, IpProtocol::Any)
    };
    let first = make(CLIENT).unwrap();
    make(CLIENT).unwrap();
    make(CLIENT).unwrap();
    assert_eq!(make(CLIENT), Err(NetError::ClientLimit));
    make(OTHER).unwrap();
    make(OTHER).unwrap();
    assert_eq!(make(OTHER), Err(NetError::ServerLimit));
    world.a.close(first).unwrap();
    let again = world
        .a
        .socket(CLIENT, Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    assert_ne!(again, first, "a number is not used again at once");
    assert_eq!(world.a.close(first), Err(NetError::BadSocket));
}

#[test]
fn memory_is_limited_per_client() {
    let limits = Limits {
        client_bytes: 200_000,
        ..Limits::default()
    };
    let mut world = World::with(0, limits, open_rules());
    let mut opened = 0;
    let error = loop {
        let socket = udp(&mut world.a);
        match send_to(&mut world.a, socket, b"x", &format!("{B}:9")) {
            Ok(_) => opened += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((opened, error), (3, NetError::NoBuffers));
    let large = tcp(&mut world.a);
    world
        .a
        .set_option(large, SocketOption::ReceiveBuffer, 1 << 20)
        .unwrap();
    world.a.bind(large, address("0.0.0.0:80")).unwrap();
    assert_eq!(world.a.listen(large, 1), Err(NetError::NoBuffers));
}

#[test]
fn what_no_rule_allows_is_refused() {
    let mut rules = Rules::new();
    for text in [
        "listen/tcp *:80",
        "connect/tcp 10.0.0.0/24:1-1023",
        "connect/udp [fd00::]/64:53",
    ] {
        rules.allow(CLIENT, Rule::parse(text).unwrap());
    }
    let mut world = World::with(0, Limits::default(), rules);
    let stack = &mut world.a;
    let web = tcp(stack);
    assert_eq!(
        stack.bind(web, address("0.0.0.0:81")),
        Err(NetError::Access)
    );
    stack.bind(web, address("0.0.0.0:80")).unwrap();
    stack.listen(web, 1).unwrap();
    let client = tcp(stack);
    assert_eq!(
        stack.connect(client, address(&format!("{B}:1024"))),
        Err(NetError::Access)
    );
    stack
        .connect(client, address(&format!("{B}:1023")))
        .unwrap();
    let hidden = tcp(stack);
    assert_eq!(
        stack.listen(hidden, 1),
        Err(NetError::Access),
        "a port of the server's choice"
    );
    let message = udp(stack);
    assert_eq!(
        send_to(stack, message, b"x", &format!("{B}:53")),
        Err(NetError::Access)
    );
    assert_eq!(
        stack.resolve(CLIENT, b"example.org").err(),
        Some(NetError::Access)
    );
    let foreign = stack
        .socket(OTHER, Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    assert_eq!(
        stack.connect(foreign, address(&format!("{B}:80"))),
        Err(NetError::Access)
    );
}

#[test]
fn rules_are_read_strictly() {
    for good in [
        "any",
        "ping",
        "resolve",
        "listen *",
        "connect 10.0.0.1",
        "connect/udp [::1]:5-6",
        "connect ::1",
    ] {
        assert!(Rule::parse(good).is_ok(), "{good}");
    }
    for (bad, error) in [
        ("", RuleError::Action),
        ("lisen *", RuleError::Action),
        ("connect 10.0.0", RuleError::Network),
        ("connect 10.0.0.0/33", RuleError::Network),
        ("connect * extra", RuleError::Network),
        ("connect *:70000", RuleError::Ports),
        ("connect *:9-1", RuleError::Ports),
        ("connect *:", RuleError::Ports),
    ] {
        assert_eq!(Rule::parse(bad), Err(error), "{bad}");
    }
    let everywhere = Rule::parse("connect 0.0.0.0/0").unwrap();
    assert!(everywhere.allows(gritos_net_core::Action::ConnectTcp, address("9.9.9.9:1")));
    assert!(!everywhere.allows(gritos_net_core::Action::ConnectTcp, address("[::1]:1")));
}

#[test]
fn protocols_have_to_fit() {
    let mut world = World::new();
    for (domain, kind, protocol) in [
        (Domain::Inet, SocketType::Stream, IpProtocol::Udp),
        (Domain::Inet, SocketType::Datagram, IpProtocol::Icmp),
        (Domain::Inet, SocketType::Raw, IpProtocol::Any),
        (Domain::Inet, SocketType::Raw, IpProtocol::Icmpv6),
    ] {
        let made = world.a.socket(CLIENT, domain, kind, protocol);
        assert_eq!(made, Err(NetError::ProtocolNotSupported));
    }
}
