//! Bytes as a script of what peers, time and a program do to a stack: for fuzzers.
//!
//! A byte says what comes next, those behind it how. Most frames are nearly right: TCP segments carry the numbers that
//! the stack's own last segment at that port asked for, and checksums are mended, so that what is wrong is not dropped
//! at the first look. Whatever the script, the stack goes on, its frames are well formed, and everything that a program
//! held is given back in the end.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::SocketAddr;

use gritos_net_api::{Domain, IpProtocol, ShutdownHow, SocketType};
use smoltcp::wire::{
    Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol as Carried, Ipv4Address, Ipv4Packet,
    Ipv6Packet, TcpPacket, TcpSeqNumber, UdpPacket,
};

use crate::{Config, FrameDevice, Limits, Rule, Rules, SocketId, Stack};

/// Most steps of a script.
const STEPS: usize = 400;
/// Bytes of the headers in front of a TCP segment, and of one with one option.
const AHEAD: usize = 34;
const SEGMENT: usize = 24;
/// Most frames that are kept until the stack takes them.
const FRAMES: usize = 64;
const OWN: [u8; 4] = [10, 0, 0, 2];
const PEER: [u8; 4] = [10, 0, 0, 1];
const CLIENT: u32 = 0x8000_0001;
/// Few, so that at the end all of it can be asked for: as many sockets as there is memory for.
const LIMITS: Limits = Limits {
    sockets: 24,
    client_sockets: 16,
    bytes: (24 * 64) << 10,
    client_bytes: (16 * 64) << 10,
};
const MILLISECOND: u64 = 1_000_000;

/// The wire, and the numbers that the stack's last segment at each of its ports had: its next, and the one it wants.
#[derive(Debug, Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    numbers: BTreeMap<(u16, u16), (TcpSeqNumber, TcpSeqNumber)>,
    last: Option<(u16, u16)>,
}

#[derive(Clone, Debug, Default)]
struct End(Rc<RefCell<Wire>>);

impl FrameDevice for End {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 2]
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn link_up(&self) -> bool {
        true
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let bytes = self.0.borrow_mut().incoming.pop_front()?;
        let to = frame.get_mut(..bytes.len())?;
        to.copy_from_slice(&bytes);
        Some(bytes.len())
    }

    fn can_send(&mut self) -> bool {
        true
    }

    fn send(&mut self, frame: &[u8]) {
        assert!((14..=1514).contains(&frame.len()), "{} bytes", frame.len());
        self.0.borrow_mut().look(frame);
    }
}

impl Wire {
    /// Looks at a frame of the stack's.
    fn look(&mut self, frame: &[u8]) {
        let kind = frame.get(12..14);
        if kind == Some(&[8, 6]) && frame.get(38..42) == Some(&PEER) {
            // Somebody asks for the peer, who is there.
            let mut answer = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6];
            answer.extend([0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1]);
            answer.extend(PEER.into_iter().chain([2, 0, 0, 0, 0, 2]).chain(OWN));
            self.incoming.push_back(answer);
        }
        if kind != Some(&[8, 0]) {
            return;
        }
        let packet = frame.get(14..).map(Ipv4Packet::new_checked);
        let Some(Ok(packet)) = packet else {
            panic!("no packet of IPv4: {frame:02x?}");
        };
        assert!(packet.verify_checksum(), "a wrong checksum: {frame:02x?}");
        if packet.next_header() != Carried::Tcp {
            return;
        }
        let ends = (packet.src_addr().into(), packet.dst_addr().into());
        let Ok(segment) = TcpPacket::new_checked(packet.payload()) else {
            panic!("no segment: {frame:02x?}");
        };
        assert!(segment.verify_checksum(&ends.0, &ends.1), "{frame:02x?}");
        let place = (segment.src_port(), segment.dst_port());
        let next = segment.seq_number() + segment.segment_len();
        self.numbers.insert(place, (next, segment.ack_number()));
        self.last = Some(place);
    }
}

struct Play<I> {
    script: I,
    end: End,
    stack: Stack<End>,
    sockets: Vec<SocketId>,
    now_ns: u64,
    played: Played,
}

/// What a program came to in a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Connections that were accepted.
    pub accepted: usize,
    /// Bytes that were received.
    pub received: usize,
}

/// Plays a script.
///
/// # Panics
/// When the stack does what it must not.
pub fn play(script: &[u8]) -> Played {
    let end = End::default();
    let mut play = Play {
        script: script.iter().copied(),
        stack: stack(&end),
        end,
        sockets: Vec::new(),
        now_ns: MILLISECOND,
        played: Played::default(),
    };
    play.open();
    for _ in 0..STEPS {
        let Some(what) = play.script.next() else {
            break;
        };
        play.step(what);
        play.turn();
    }
    play.close();
    play.played
}

fn stack(end: &End) -> Stack<End> {
    let config = Config {
        dhcp: true,
        slaac: true,
        addresses: vec![(OWN.into(), 24), ([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), 64)],
        ..Config::default()
    };
    let mut rules = Rules::new();
    rules.allow_all(Rule::ANY);
    Stack::new(end.clone(), config, LIMITS, rules, &mut [5; 32], 0)
}

impl<I: Iterator<Item = u8>> Play<I> {
    fn byte(&mut self) -> u8 {
        self.script.next().unwrap_or(0)
    }

    /// Sockets of each kind, which stay.
    fn open(&mut self) {
        for (kind, port) in [(SocketType::Stream, 80), (SocketType::Datagram, 53)] {
            if let Ok(id) = self
                .stack
                .socket(CLIENT, Domain::Inet6, kind, IpProtocol::Any)
            {
                let at = SocketAddr::from(([0_u16; 8], port));
                let _ = self.stack.bind(id, at);
                let _ = self.stack.listen(id, 4);
                self.sockets.push(id);
            }
        }
        let ping = self
            .stack
            .socket(CLIENT, Domain::Inet, SocketType::Raw, IpProtocol::Icmp);
        self.sockets.extend(ping);
    }

    fn step(&mut self, what: u8) {
        match what >> 5 {
            0 => self.now_ns += MILLISECOND << (what & 15),
            1 | 2 => self.program(what & 31),
            3 => self.anything(what),
            4 => self.datagram(what),
            _ => self.segment(what),
        }
    }

    fn turn(&mut self) {
        self.stack.turn(self.now_ns);
        let next = self.stack.next_turn_ns();
        assert!(next.is_none_or(|at| at >= self.now_ns), "due in the past");
    }

    /// What a program does with one of its sockets. That it may be refused is all the same.
    fn program(&mut self, what: u8) {
        let place = usize::from(self.byte());
        let id = self.sockets.get(place % self.sockets.len().max(1)).copied();
        let Some(id) = id else { return };
        let mut room = [0; 300];
        match what & 7 {
            0 => {
                let made =
                    self.stack
                        .socket(CLIENT, Domain::Inet, SocketType::Stream, IpProtocol::Any);
                if let Ok(id) = made {
                    let _ = self.stack.connect(id, SocketAddr::from((PEER, 9)));
                    self.sockets.push(id);
                }
            }
            1 => {
                if let Ok((accepted, _)) = self.stack.accept(id) {
                    self.sockets.push(accepted);
                    self.played.accepted += 1;
                }
            }
            2 => {
                let _ = self.stack.send(id, &mut &room[..], 0, None);
            }
            3 => {
                let to = SocketAddr::from((PEER, u16::from(what)));
                let _ = self.stack.send(id, &mut &room[..40], 0, Some(to));
            }
            4 | 5 => {
                let received = self.stack.receive(id, &mut &mut room[..], 0, what & 8 != 0);
                self.played.received += received.map_or(0, |received| received.bytes);
            }
            6 => {
                let _ = self.stack.shutdown(id, ShutdownHow::Send);
            }
            _ if self.sockets.len() > 3 => {
                let _ = self.stack.close(id);
                self.sockets.retain(|other| *other != id);
            }
            _ => {}
        }
    }

    fn put(&mut self, mut frame: Vec<u8>, spoils: bool, repairs: bool) {
        if spoils {
            let (at, value) = (usize::from(self.byte()), self.byte());
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= value;
            }
        }
        if repairs {
            repair(&mut frame);
        }
        let mut wire = self.end.0.borrow_mut();
        if wire.incoming.len() < FRAMES {
            wire.incoming.push_back(frame);
        }
    }

    /// A frame of any bytes, of a kind that the stack looks at.
    fn anything(&mut self, what: u8) {
        let kinds = [[8, 0], [8, 6], [0x86, 0xdd], [8, 0]];
        let kind = kinds[usize::from(what & 3)];
        let length = usize::from(self.byte());
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, kind[0], kind[1]];
        frame.extend((0..length).map(|_| self.script.next().unwrap_or(0)));
        self.put(frame, false, what & 4 != 0);
    }

    /// A message to one of the stack's ports: of a name server, a DHCP server, or of nobody.
    fn datagram(&mut self, what: u8) {
        let (from, to) = [(53, 53), (67, 68), (9, 53), (53, 40_000)][usize::from(what & 3)];
        let length = usize::from(self.byte());
        let data: Vec<u8> = (0..length).map(|_| self.byte()).collect();
        let mut frame = ahead(Carried::Udp, 8 + length);
        let mut packet = UdpPacket::new_unchecked(frame.get_mut(AHEAD..).unwrap_or(&mut []));
        packet.set_src_port(from);
        packet.set_dst_port(to);
        packet.set_len(8 + length as u16);
        packet.payload_mut().copy_from_slice(&data);
        self.put(frame, what & 4 != 0, true);
    }

    /// A segment with the numbers that are expected, or others near them.
    fn segment(&mut self, what: u8) {
        let (flags, which, length) = (self.byte(), self.byte(), usize::from(self.byte()));
        let known = {
            let wire = self.end.0.borrow();
            let new = (80, 1000 + u16::from(which & 15));
            let place = match which >> 6 {
                0 => Some(new),
                1 => wire.last,
                _ => wire.numbers.keys().nth(usize::from(which & 63)).copied(),
            };
            let place = place.unwrap_or(new);
            let unknown = (TcpSeqNumber(0), TcpSeqNumber(77));
            (place, wire.numbers.get(&place).copied().unwrap_or(unknown))
        };
        let ((to, from), (next, wanted)) = known;
        let off = |byte: u8| usize::from(byte & 15) * 100;
        let mut frame = ahead(Carried::Tcp, SEGMENT + length);
        let mut segment = TcpPacket::new_unchecked(frame.get_mut(AHEAD..).unwrap_or(&mut []));
        segment.set_src_port(from);
        segment.set_dst_port(to);
        segment.set_header_len(SEGMENT as u8);
        segment.clear_flags();
        segment.set_fin(flags & 1 != 0);
        segment.set_syn(flags & 2 != 0);
        segment.set_rst(flags & 4 != 0 && flags & 32 != 0);
        segment.set_psh(flags & 8 != 0);
        segment.set_ack(flags & 16 != 0);
        segment.set_seq_number(match what & 3 {
            0 => wanted + off(flags >> 4),
            1 => wanted - off(flags >> 4),
            _ => wanted,
        });
        segment.set_ack_number(match what & 12 {
            0 => next - off(which),
            _ => next,
        });
        segment.set_window_len(u16::from(flags) << 8 | u16::from(which));
        segment.options_mut().copy_from_slice(&[2, 4, 5, 180]);
        self.put(frame, what & 16 != 0, true);
    }

    /// Everything is given back, whatever has happened.
    fn close(&mut self) {
        self.end.0.borrow_mut().incoming.clear();
        self.stack.client_gone(CLIENT);
        for _ in 0..40 {
            self.now_ns += 10_000 * MILLISECOND;
            self.turn();
        }
        let mut made = 0;
        let most = LIMITS.client_sockets;
        while let Ok(id) =
            self.stack
                .socket(CLIENT, Domain::Inet, SocketType::Datagram, IpProtocol::Any)
        {
            made += 1;
            let bound = self.stack.bind(id, SocketAddr::from(([0; 4], 0)));
            assert!(bound.is_ok(), "socket {made} of {most}: {bound:?}");
        }
        assert_eq!(made, most, "sockets that a client may have");
    }
}

/// Headers in front of `length` bytes of zeros.
fn ahead(protocol: Carried, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.resize(AHEAD + length, 0);
    let mut packet = Ipv4Packet::new_unchecked(frame.get_mut(14..).unwrap_or(&mut []));
    packet.set_version(4);
    packet.set_header_len(20);
    packet.set_total_len((20 + length) as u16);
    packet.set_hop_limit(64);
    packet.set_next_header(protocol);
    packet.set_src_addr(Ipv4Address::from(PEER));
    packet.set_dst_addr(Ipv4Address::from(OWN));
    frame
}

/// Gives a frame the checksums that belong to it: whoever spoils a frame can do that too.
pub fn repair(frame: &mut [u8]) {
    let Some((kind, packet)) = frame
        .get_mut(12..)
        .and_then(|rest| rest.split_first_chunk_mut())
    else {
        return;
    };
    let (source, destination, protocol, payload): (IpAddress, IpAddress, _, _) = match *kind {
        [8, 0] => {
            let Ok(mut packet) = Ipv4Packet::new_checked(packet) else {
                return;
            };
            packet.fill_checksum();
            let ends = (packet.src_addr(), packet.dst_addr());
            // A part of a packet has no checksum of its own.
            if packet.more_frags() || packet.frag_offset() > 0 {
                return;
            }
            let (header, protocol) = (packet.header_len(), packet.next_header());
            let end = packet.total_len();
            let bytes = packet.into_inner();
            let payload = bytes.get_mut(usize::from(header)..usize::from(end));
            (ends.0.into(), ends.1.into(), protocol, payload)
        }
        [0x86, 0xdd] => {
            let Ok(packet) = Ipv6Packet::new_checked(packet) else {
                return;
            };
            let ends = (packet.src_addr(), packet.dst_addr());
            let protocol = packet.next_header();
            let end = packet.total_len();
            let bytes = packet.into_inner();
            (
                ends.0.into(),
                ends.1.into(),
                protocol,
                bytes.get_mut(40..end),
            )
        }
        _ => return,
    };
    let Some(payload) = payload else { return };
    match protocol {
        Carried::Tcp => {
            if let Ok(mut packet) = TcpPacket::new_checked(payload) {
                packet.fill_checksum(&source, &destination);
            }
        }
        Carried::Udp => {
            if let Ok(mut packet) = UdpPacket::new_checked(payload) {
                packet.fill_checksum(&source, &destination);
            }
        }
        Carried::Icmp => {
            if let Ok(mut packet) = Icmpv4Packet::new_checked(payload) {
                packet.fill_checksum();
            }
        }
        Carried::Icmpv6 => {
            if let (IpAddress::Ipv6(source), IpAddress::Ipv6(destination)) = (source, destination)
                && let Ok(mut packet) = Icmpv6Packet::new_checked(payload)
            {
                packet.fill_checksum(&source, &destination);
            }
        }
        _ => {}
    }
}
