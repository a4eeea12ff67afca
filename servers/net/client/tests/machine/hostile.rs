//! Clients that lie.

use std::thread;

use gritos_base_api::{BufferAccess, SessionClient};
use gritos_idl_runtime::{
    Address, Buffer, Cap, Error, Incoming, Outgoing, Rights, Transport, WireError,
};
use gritos_net_api::{
    Domain, IpProtocol, MessageFlags, NetError, Socket, SocketAddress, SocketClient, SocketType,
    Sockets, SocketsClient,
};
use gritos_net_core::host::{Held, HostMemory, Machine};
use gritos_net_core::{Generator, Limits, Rule, Rules, ServiceLimits};

use crate::common::{MEMORY_RIGHTS, machine, open_machine, program};

const WAIT: MessageFlags = MessageFlags::empty();

/// A session without the library, and a buffer of 4096 bytes.
fn raw(machine: &Machine, number: u32) -> (Address, Address, HostMemory) {
    let session = machine.session(number);
    let memory = HostMemory::new(4096);
    let object = machine.hold(Held::Memory(memory, MEMORY_RIGHTS));
    let mut client = SessionClient::new(Cap::new(session), machine.caller());
    let access = BufferAccess::READ | BufferAccess::WRITE;
    let reply = client.register(Cap::with_rights(object, MEMORY_RIGHTS), access);
    (session, reply.unwrap().buffer.address(), memory)
}

fn udp_socket(machine: &Machine, session: Address) -> Cap<Socket> {
    let mut client = SocketsClient::<_>::new(Cap::<Sockets>::new(session), machine.caller());
    client
        .socket(Domain::Inet, SocketType::Datagram, IpProtocol::Any)
        .unwrap()
}

#[test]
fn ranges_that_lie_outside_or_overflow_are_refused() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    let socket = udp_socket(machine, session);
    let mut client = SocketClient::new(socket, machine.caller());
    let good = Buffer::registered(buffer, 0, 64);
    for (offset, length) in [
        (4096, 1),
        (0, 4097),
        (1, 4096),
        (u64::MAX - 1, 1),
        (1 << 40, 1 << 40),
    ] {
        let bad = Buffer::registered(buffer, offset, length);
        assert_eq!(
            client.bind(bad).unwrap_err(),
            Error::Server(NetError::Invalid)
        );
        let sent = client.sendto(bad, good, WAIT).unwrap_err();
        assert!(matches!(sent, Error::Server(_)), "{sent:?}");
        let heard = client.recv(bad, MessageFlags::DONT_WAIT).unwrap_err();
        assert_eq!(heard, Error::Server(NetError::Invalid));
    }
    let wraps = Buffer::registered(buffer, u64::MAX, 2);
    assert_eq!(
        client.bind(wraps).unwrap_err(),
        Error::Refused(WireError::BadLength)
    );
    let short = Buffer::registered(buffer, 0, SocketAddressSize - 1);
    assert_eq!(
        client.getsockname(short).unwrap_err(),
        Error::Server(NetError::Invalid)
    );
}

#[expect(non_upper_case_globals, reason = "reads as the size it is")]
const SocketAddressSize: u64 = <SocketAddress as gritos_idl_runtime::Wire>::SIZE as u64;

#[test]
fn who_may_not_see_the_sockets_of_others_does_not() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    udp_socket(machine, session);
    let mut client = SocketsClient::<_>::new(Cap::<Sockets>::new(session), machine.caller());
    let answer = client.list(0, Buffer::registered(buffer, 0, 4096));
    assert_eq!(answer.unwrap_err(), Error::Refused(WireError::MissingRight));
}

#[test]
fn capabilities_of_the_wrong_kind_are_refused() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    let socket = udp_socket(machine, session);
    let bell = machine.hold(Held::Notification);
    let mut client = SocketClient::new(socket, machine.caller());
    // A session, a socket and a notification where a buffer should be.
    for wrong in [session, socket.address(), bell] {
        let refused = client.bind(Buffer::registered(wrong, 0, 64)).unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    }
    // A buffer where a socket should be, and a session.
    let mut confused = SocketClient::new(Cap::new(buffer), machine.caller());
    assert_eq!(
        confused.close().unwrap_err(),
        Error::Server(NetError::BadSocket)
    );
    let mut confused = SocketClient::new(Cap::new(session), machine.caller());
    assert_eq!(
        confused.close().unwrap_err(),
        Error::Refused(WireError::WrongBadge)
    );
    let mut confused = SocketsClient::new(Cap::new(socket.address()), machine.caller());
    let made = confused.socket(Domain::Inet, SocketType::Stream, IpProtocol::Any);
    assert_eq!(made.unwrap_err(), Error::Refused(WireError::WrongBadge));
}

#[test]
fn a_socket_may_be_handed_out_for_receiving_only() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    let socket = udp_socket(machine, session);
    let Some(badge) = badge_of(machine, socket.address()) else {
        panic!("a socket has a badge");
    };
    let narrowed = machine.hold(Held::Server {
        badge,
        rights: Rights::SEND | Socket::RECEIVE_DATA,
    });
    let mut client = SocketClient::new(Cap::new(narrowed), machine.caller());
    let range = Buffer::registered(buffer, 0, 64);
    assert_eq!(
        client.send(range, WAIT).unwrap_err(),
        Error::Refused(WireError::MissingRight)
    );
    assert_eq!(
        client.bind(range).unwrap_err(),
        Error::Refused(WireError::MissingRight)
    );
    let empty = client.recv(range, MessageFlags::DONT_WAIT).unwrap_err();
    assert_eq!(empty, Error::Server(NetError::WouldBlock));
}

/// The badge behind a capability, as the kernel would show its holder.
fn badge_of(machine: &Machine, address: Address) -> Option<u32> {
    match machine.held(address) {
        Some(Held::Server { badge, .. }) => Some(badge),
        _ => None,
    }
}

#[test]
fn memory_that_goes_away_under_a_caller_that_waits_is_an_error_for_that_caller() {
    let machine = open_machine();
    let (session, buffer, memory) = raw(machine, 1);
    let net = program(machine, 2, 4096);
    let socket = udp_socket(machine, session);
    let server = net.bind_udp("127.0.0.1:53".parse().unwrap()).unwrap();
    let caller = thread::spawn(move || {
        let mut client = SocketClient::new(socket, machine.caller());
        client.recv(Buffer::registered(buffer, 0, 64), WAIT)
    });
    thread::sleep(std::time::Duration::from_millis(100));
    memory.revoke();
    let Some(badge) = badge_of(machine, socket.address()) else {
        panic!("a socket has a badge");
    };
    let own = machine.hold(Held::Server {
        badge,
        rights: Rights::all(),
    });
    let (_, buffer, _) = raw(machine, 3);
    let mut other = SocketClient::new(Cap::<Socket>::new(own), machine.caller());
    other
        .getsockname(Buffer::registered(buffer, 0, 64))
        .unwrap();
    let to = gritos_net_client::Socket::from_cap(net, Cap::new(own))
        .getsockname()
        .unwrap();
    let _ = server.send_to(
        b"x",
        std::net::SocketAddr::from(([127, 0, 0, 1], to.port())),
    );
    assert!(caller.join().unwrap().is_err());
    assert!(net.status().is_ok(), "the server goes on");
}

#[test]
fn memory_that_comes_with_a_call_does_not_outlive_it() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    let socket = udp_socket(machine, session);
    let mut client = SocketClient::new(socket, machine.caller());
    let object = machine.hold(Held::Memory(HostMemory::new(4096), MEMORY_RIGHTS));
    let once = Buffer::memory(Cap::new(object), 0, 64);
    let waits = client.recv(once, WAIT).unwrap_err();
    assert_eq!(waits, Error::Server(NetError::WouldBlock));
    let waits = client
        .recvfrom(Buffer::registered(buffer, 64, 64), once, WAIT)
        .unwrap_err();
    assert_eq!(waits, Error::Server(NetError::WouldBlock));
}

#[test]
fn one_client_that_waits_everywhere_leaves_room_for_others() {
    let mut rules = Rules::new();
    rules.allow_all(Rule::ANY);
    let waiting = ServiceLimits {
        waiting: 3,
        ..ServiceLimits::default()
    };
    let machine = machine(rules, Limits::default(), waiting);
    let greedy = program(machine, 1, 4096);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let socket = greedy.bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
            thread::spawn(move || socket.recv(&mut [0; 1]))
        })
        .collect();
    thread::sleep(std::time::Duration::from_millis(300));
    let socket = greedy.bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = socket.recv(&mut [0; 1]).unwrap_err();
    assert_eq!(
        refused,
        gritos_net_client::Error::Net(NetError::ClientLimit)
    );
    let modest = program(machine, 2, 4096);
    let socket = modest.bind_udp("127.0.0.1:53".parse().unwrap()).unwrap();
    let sender = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(50));
        let from = modest.bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        from.send_to(b"x", "127.0.0.1:53".parse().unwrap()).unwrap();
    });
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    sender.join().unwrap();
    machine.client_gone(1);
    for caller in callers {
        // Its socket is gone, and its buffer.
        let ended = caller.join().unwrap().unwrap_err().net();
        assert!(
            matches!(ended, Some(NetError::Aborted | NetError::BadBuffer)),
            "{ended:?}"
        );
    }
}

#[test]
fn random_messages_do_no_harm() {
    let machine = open_machine();
    let (session, buffer, _) = raw(machine, 1);
    let socket = udp_socket(machine, session);
    let bell = machine.hold(Held::Notification);
    let targets = [session, buffer, socket.address()];
    let sources = [session, buffer, socket.address(), bell, Address(0xdead)];
    let setting = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed: u64 = setting("GRITOS_SEED").unwrap_or(11);
    let mut random = Generator::new(&mut [seed as u8; 32]);
    // More for runs that are longer than the gate's.
    for _ in 0..setting("GRITOS_MESSAGES").unwrap_or(3000) {
        let mut pick = |count: usize| random.any_u64() as usize % count;
        let (target, tag) = (
            targets[pick(3)],
            [pick(24), 0x1001 + pick(4)][pick(2)] as u64,
        );
        // Calls that would wait say so instead: the last word of most is flags.
        let mut words = [0; 8];
        let word_count = pick(9);
        for word in words.iter_mut().take(word_count) {
            *word = [
                pick(64) as u64,
                pick(5000) as u64,
                u64::MAX - pick(9) as u64,
            ][pick(3)];
        }
        let caps: [_; 2] = std::array::from_fn(|_| {
            let source = Cap::<Socket>::new(sources[pick(5)]);
            source.slot(Rights::empty(), false)
        });
        let message = Outgoing {
            cap_count: 2,
            ..Outgoing::with_caps(tag, words, word_count as u32, caps)
        };
        let reply: Incoming = machine
            .caller()
            .call::<2, 4>(target, message, Some(1_000_000));
        let _ = reply;
        if pick(50) == 0 {
            machine.client_gone(1);
        }
    }
    assert!(program(machine, 2, 4096).status().is_ok());
}
