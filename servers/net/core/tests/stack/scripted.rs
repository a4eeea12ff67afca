//! A peer that sends exactly the frames that a test says, over IPv4 and IPv6.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use gritos_net_api::{Domain, IpProtocol, NetError, SocketType};
use gritos_net_core::{Config, FrameDevice, Limits, SocketId, Stack};

use crate::sim::{CLIENT, address, open_rules};

/// Hardware addresses of the machine and its peer.
const MACHINE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// The peer's first number.
const FIRST: u32 = 0xffff_fff0;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;

#[derive(Clone, Default)]
struct Wire {
    to_machine: Frames,
    to_peer: Frames,
}

impl FrameDevice for Wire {
    fn mac(&self) -> [u8; 6] {
        MACHINE
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let bytes = self.to_machine.borrow_mut().pop_front()?;
        frame[..bytes.len()].copy_from_slice(&bytes);
        Some(bytes.len())
    }
    fn can_send(&mut self) -> bool {
        true
    }
    fn send(&mut self, frame: &[u8]) {
        self.to_peer.borrow_mut().push_back(frame.to_vec());
    }
}

/// A TCP segment as the peer gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    sequence: u32,
    acknowledges: u32,
    flags: u8,
}

struct Script {
    wire: Wire,
    machine: Stack<Wire>,
    now: u64,
    /// What the machine sent last, as the peer acknowledges it.
    heard: u32,
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum()
}

fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut total: u32 = parts.iter().map(|part| sum(part)).sum();
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    (!(total as u16)).to_be_bytes()
}

/// A message of `ICMPv6` of the peer, in a frame.
fn icmpv6(from: &str, to: &str, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let (from, to) = (octets(from), octets(to));
    let mut message = message.to_vec();
    let length = (message.len() as u32).to_be_bytes();
    let check = checksum(&[&from, &to, &length, &[0, 0, 0, 58], &message]);
    message[2..4].copy_from_slice(&check);
    let mut frame = [&MACHINE[..], &PEER, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    frame.extend_from_slice(&length[2..]);
    frame.extend_from_slice(&[58, hop_limit]);
    frame.extend_from_slice(&[&from[..], &to, &message].concat());
    frame
}

/// Asks who has an address, with the peer's own.
fn solicitation(target: &str) -> Vec<u8> {
    let target = target.parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, &[1, 1], &PEER].concat()
}

impl Script {
    fn new(config: Config) -> Self {
        let wire = Wire::default();
        let (limits, rules) = (Limits::default(), open_rules());
        let machine = Stack::new(wire.clone(), config, limits, rules, &mut [3; 32], 0);
        let mut script = Self {
            wire,
            machine,
            now: 1_000_000,
            heard: 0,
        };
        script.pass(50_000_000);
        script
    }

    /// A machine with fixed addresses.
    fn fixed() -> Self {
        Self::new(Config {
            addresses: vec![
                ("10.0.0.1".parse().unwrap(), 24),
                ("fd00::1".parse().unwrap(), 64),
            ],
            ..Config::default()
        })
    }

    fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        while self.now < end {
            self.machine.turn(self.now);
            self.now += 1_000_000;
        }
    }

    /// The peer sends a frame; what the machine says to that within some time.
    fn send(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.wire.to_peer.borrow_mut().clear();
        self.wire.to_machine.borrow_mut().push_back(frame);
        self.pass(40_000_000);
        self.wire.to_peer.borrow_mut().drain(..).collect()
    }

    /// A segment of the peer, numbered from the end of its handshake.
    fn frame(&self, at: u32, flags: u8, data: &[u8]) -> Vec<u8> {
        let number = FIRST.wrapping_add(at);
        let mut tcp = [&[0x12, 0x34, 0, 80][..], &number.to_be_bytes()].concat();
        tcp.extend_from_slice(&self.heard.to_be_bytes());
        tcp.extend_from_slice(&[0x50, flags, 0x40, 0, 0, 0, 0, 0]);
        tcp.extend_from_slice(data);
        let addresses = [10, 0, 0, 9, 10, 0, 0, 1];
        let length = (tcp.len() as u16).to_be_bytes();
        let check = checksum(&[&addresses, &[0, 6], &length, &tcp]);
        tcp[16..18].copy_from_slice(&check);
        let total = (20 + tcp.len() as u16).to_be_bytes();
        let mut ip = [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, 6, 0, 0]].concat();
        ip.extend_from_slice(&addresses);
        let check = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&check);
        [&MACHINE[..], &PEER, &[8, 0], &ip, &tcp].concat()
    }

    /// The peer sends a segment; what the machine says to that.
    fn segment(&mut self, at: u32, flags: u8, data: &[u8]) -> Vec<Segment> {
        let answers = self.send(self.frame(at, flags, data));
        let segments = answers.iter().filter(|frame| frame[12..14] == [8, 0]);
        let word = |bytes: &[u8]| u32::from_be_bytes(*bytes.first_chunk().unwrap());
        let of = |frame: &Vec<u8>| Segment {
            sequence: word(&frame[38..]),
            acknowledges: word(&frame[42..]).wrapping_sub(FIRST),
            flags: frame[47],
        };
        segments.map(of).collect()
    }

    /// A connection of the peer to a service of the machine.
    fn accept(&mut self) -> SocketId {
        let listener =
            self.machine
                .socket(CLIENT, Domain::Inet, SocketType::Stream, IpProtocol::Any);
        let listener = listener.unwrap();
        self.machine.bind(listener, address("0.0.0.0:80")).unwrap();
        self.machine.listen(listener, 4).unwrap();
        // So it knows where the peer is.
        let mut arp = [&[0xff; 6][..], &PEER, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
        arp.extend_from_slice(&[&PEER[..], &[10, 0, 0, 9], &[0; 6], &[10, 0, 0, 1]].concat());
        self.send(arp);
        let answers = self.segment(u32::MAX, SYN, b"");
        assert_eq!(answers[0].flags, SYN | ACK, "{answers:?}");
        self.heard = answers[0].sequence.wrapping_add(1);
        self.segment(0, ACK, b"");
        let (socket, _) = self.machine.accept(listener).unwrap();
        socket
    }

    /// What the machine can read of a stream now.
    fn read(&mut self, socket: SocketId) -> Result<String, NetError> {
        let mut room = [0; 64];
        let received = self.machine.receive(socket, &mut &mut room[..], 0, false)?;
        Ok(String::from_utf8_lossy(&room[..received.bytes]).into_owned())
    }
}

#[test]
fn a_last_segment_that_came_too_early_is_taken_as_it_was() {
    let mut script = Script::fixed();
    let socket = script.accept();
    script.segment(5, ACK | FIN, b"world");
    assert_eq!(script.read(socket), Err(NetError::WouldBlock));
    let answers = script.segment(0, ACK | PSH, b"hello");
    assert_eq!(script.read(socket).unwrap(), "helloworld");
    assert_eq!(
        script.read(socket),
        Err(NetError::WouldBlock),
        "no end so far"
    );
    assert_eq!(answers.last().unwrap().acknowledges, 10);
    // The peer, which knows of one segment only, sends it again as a whole.
    let answers = script.segment(5, ACK | FIN, b"world");
    assert_eq!(script.read(socket).unwrap(), "", "the end");
    assert_eq!(answers.last().unwrap().acknowledges, 11);
}

#[test]
fn a_last_segment_that_comes_twice_ends_the_stream_once() {
    let mut script = Script::fixed();
    let socket = script.accept();
    for _ in 0..2 {
        let answers = script.segment(0, ACK | FIN, b"all");
        assert_eq!(answers.last().unwrap().acknowledges, 4);
    }
    // One that overlaps what is there, too.
    let answers = script.segment(1, ACK | FIN, b"ll");
    assert_eq!(answers.last().unwrap().acknowledges, 4);
    assert_eq!(script.read(socket).unwrap(), "all");
    assert_eq!(script.read(socket).unwrap(), "");
    // It can still answer.
    script
        .machine
        .send(socket, &mut &b"yes"[..], 0, None)
        .unwrap();
    script.pass(10_000_000);
    let sent = script.wire.to_peer.borrow().back().unwrap().clone();
    assert!(sent.ends_with(b"yes"));
    assert_eq!(sent[47] & RST, 0);
}

#[test]
fn only_a_reset_with_the_number_that_comes_next_is_believed() {
    let mut script = Script::fixed();
    let socket = script.accept();
    // Data that the machine has not acknowledged when the reset comes.
    script.segment(0, ACK | PSH, b"hello");
    for (at, answered) in [(6, true), (1000, false), (4, false), (0x8000_0000, false)] {
        let answers = script.segment(at, RST, b"");
        assert_eq!(!answers.is_empty(), answered, "{at} {answers:?}");
        // A second later one may be answered again.
        script.pass(1_100_000_000);
        let answers = script.segment(at, RST | ACK, b"");
        let in_window = at == 6 || at == 1000;
        assert_eq!(answers.len(), usize::from(in_window), "{at} {answers:?}");
        for answer in answers {
            assert_eq!((answer.acknowledges, answer.flags), (5, ACK), "{at}");
        }
    }
    assert_eq!(script.read(socket).unwrap(), "hello");
    assert_eq!(script.read(socket), Err(NetError::WouldBlock));
    // The peer answers what was said to it, if it has really given up.
    script.segment(5, RST, b"");
    assert_eq!(script.read(socket), Err(NetError::Reset));
}

#[test]
fn a_reset_before_data_was_acknowledged_is_believed() {
    let mut script = Script::fixed();
    let socket = script.accept();
    // Both come before the machine would acknowledge the first.
    for (at, flags, data) in [(0, ACK | PSH, &b"hello"[..]), (5, RST, b"")] {
        let frame = script.frame(at, flags, data);
        script.wire.to_machine.borrow_mut().push_back(frame);
    }
    script.pass(20_000_000);
    assert_eq!(script.read(socket).unwrap(), "hello");
    assert_eq!(script.read(socket), Err(NetError::Reset));
}

#[test]
fn who_asks_an_address_itself_is_answered() {
    let mut script = Script::fixed();
    let ask = |script: &mut Script, to: &str, target: &str, hops: u8| {
        script.send(icmpv6("fd00::9", to, hops, &solicitation(target)))
    };
    let answers = ask(&mut script, "fd00::1", "fd00::1", 255);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = &answers[0];
    assert_eq!(answer[..12], [&PEER[..], &MACHINE].concat());
    // An advertisement that was asked for, of that address, with where it is.
    assert_eq!((answer[54], answer[58] & 0x40), (136, 0x40));
    assert_eq!(answer[62..78], icmpv6("::", "fd00::1", 0, &[0; 8])[38..54]);
    assert_eq!(answer[80..86], MACHINE);
    // As before: who asks everybody.
    let answers = ask(&mut script, "ff02::1:ff00:1", "fd00::1", 255);
    assert_eq!(answers.len(), 1);
    // From beyond a router, for somebody else, and spoiled on the way.
    assert!(ask(&mut script, "fd00::1", "fd00::1", 64).is_empty());
    assert!(ask(&mut script, "fd00::1", "fd00::7", 255).is_empty());
    let mut spoiled = icmpv6("fd00::9", "fd00::1", 255, &solicitation("fd00::1"));
    spoiled[70] ^= 1;
    assert!(script.send(spoiled).is_empty());
}

/// Says that the peer is a router for so many seconds.
fn advertisement(seconds: u16) -> Vec<u8> {
    let lifetime = seconds.to_be_bytes();
    let mut message = [&[134, 0, 0, 0, 64, 0][..], &lifetime, &[0; 8]].concat();
    // A prefix from which addresses are made, for an hour.
    message.extend_from_slice(&[
        3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0,
    ]);
    message.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    icmpv6("fe80::9", "ff02::1", 255, &message)
}

/// Whether the machine sends something that is for far away to the peer.
fn has_route(script: &mut Script) -> bool {
    const OWN: &str = "fe80::ff:fe00:1";
    // So it knows where the peer is.
    let answers = script.send(icmpv6("fe80::9", OWN, 255, &solicitation(OWN)));
    assert_eq!(answers.len(), 1);
    let socket = script
        .machine
        .socket(CLIENT, Domain::Inet6, SocketType::Datagram, IpProtocol::Any)
        .unwrap();
    let far = Some(address("[2001:db8::1]:53"));
    script.wire.to_peer.borrow_mut().clear();
    let _ = script.machine.send(socket, &mut &b"x"[..], 0, far);
    script.pass(40_000_000);
    let sent: Vec<_> = script.wire.to_peer.borrow_mut().drain(..).collect();
    let is_far = |frame: &Vec<u8>| frame[..6] == PEER && frame[38..42] == [0x20, 1, 0x0d, 0xb8];
    let found = sent.iter().any(is_far);
    script.machine.close(socket).unwrap();
    script.pass(20_000_000_000);
    found
}

#[test]
fn a_router_that_says_so_again_stays_one_for_as_long() {
    let mut script = Script::new(Config {
        slaac: true,
        ..Config::default()
    });
    script.send(advertisement(100));
    assert!(has_route(&mut script));
    script.pass(60_000_000_000);
    script.send(advertisement(100));
    // Behind the end of what it said first.
    script.pass(80_000_000_000);
    assert!(has_route(&mut script), "it was renewed");
    script.pass(30_000_000_000);
    assert!(!has_route(&mut script), "and has ended");
    // One that is none any more says so with a lifetime of 0.
    script.send(advertisement(100));
    assert!(has_route(&mut script));
    script.send(advertisement(0));
    script.pass(1_000_000_000);
    assert!(!has_route(&mut script));
}
