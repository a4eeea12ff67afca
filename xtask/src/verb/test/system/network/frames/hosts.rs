//! What machines say about themselves: addresses, fragments, names, leases.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use etherparse::checksum::Sum16BitWords;
use etherparse::{EtherType, IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber, SlicedPacket};

use super::super::Guest;
use super::{QUIET, ready};
use crate::lan::packet::{self, ETHERNET_BYTES};
use crate::lan::{Answers, GUEST, GUEST_MAC, Lan, NAME_SERVER, PATIENCE, PEER, PEER_MAC, dhcp};

const PAUSE: Duration = Duration::from_millis(10);

/// An echo request (`true`) or reply of ICMP.
fn echo(is_request: bool, id: u16, data: &[u8]) -> Vec<u8> {
    let header = IcmpEchoHeader { id, seq: 1 };
    let kind = if is_request {
        Icmpv4Type::EchoRequest(header)
    } else {
        Icmpv4Type::EchoReply(header)
    };
    let header = Icmpv4Header::with_checksum(kind, data);
    [&header.to_bytes()[..], data].concat()
}

/// Whether the guest answers the echo request `id`, and with which data.
fn echoed(lan: &Lan, id: u16) -> Option<Vec<u8>> {
    lan.find(QUIET * 4, |frame| {
        let (protocol, bytes) = packet::ipv4_payload(frame)?;
        let is_ours = protocol == IpNumber::ICMP
            && bytes.first() == Some(&0)
            && bytes.get(4..6) == Some(&id.to_be_bytes());
        is_ours.then(|| bytes[8..].to_vec())
    })
}

pub(super) fn fragments(guest: &mut Guest<'_>) -> Result<()> {
    let lan = ready(guest)?;
    let data: Vec<u8> = (0..1200_u16).map(|n| n as u8).collect();
    let whole = |id| echo(true, id, &data);
    let part = |id: u16, from: usize, to: usize, last: bool| {
        packet::fragment(id, IpNumber::ICMP, from, &whole(id)[from..to], last)
    };
    lan.send(&packet::ipv4(PEER, IpNumber::ICMP, &whole(1)));
    ensure!(echoed(lan, 1).as_deref() == Some(&data), "in one piece");
    // In order, and in no order, one of them twice.
    let end = data.len() + 8;
    for (id, order) in [(2, [0, 1, 1, 2]), (3, [2, 0, 0, 1])] {
        for piece in order {
            let (from, to) = [(0, 400), (400, 800), (800, end)][piece];
            lan.send(&part(id, from, to, to == end));
        }
        let answer = echoed(lan, id);
        ensure!(answer.as_deref() == Some(&data), "{order:?}: {answer:?}");
    }
    // One is missing; one reaches beyond what a packet can hold; one is no multiple of eight.
    lan.send(&part(4, 0, 400, false));
    lan.send(&part(4, 800, end, true));
    lan.send(&packet::fragment(
        5,
        IpNumber::ICMP,
        65_528,
        &[0; 400],
        true,
    ));
    lan.send(&packet::fragment(
        5,
        IpNumber::ICMP,
        0,
        &whole(5)[..401],
        false,
    ));
    for id in [4, 5] {
        ensure!(echoed(lan, id).is_none(), "an answer to a part of {id}");
    }
    // More beginnings than there is room for: whole packets are answered all the same.
    for id in 100..200 {
        lan.send(&part(id, 0, 400, false));
    }
    lan.send(&packet::ipv4(PEER, IpNumber::ICMP, &whole(6)));
    ensure!(echoed(lan, 6).as_deref() == Some(&data), "after the flood");
    Ok(())
}

/// The guest's address of its own hardware (RFC 4291, appendix A).
const LINK_LOCAL: [u8; 16] = [
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56,
];
const PEER_LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

/// Where those listen whose address ends so (RFC 4291, 2.7.1), and the hardware's address of that (RFC 2464, 7).
const SOLICITED: [u8; 16] = [
    0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56,
];
const SOLICITED_MAC: [u8; 6] = [0x33, 0x33, 0xff, 0x12, 0x34, 0x56];

/// A message of `ICMPv6` from the peer to those who may be the guest, within a frame.
fn icmpv6(hops: u8, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = Sum16BitWords::new()
        .add_16bytes(PEER_LINK_LOCAL)
        .add_16bytes(SOLICITED)
        .add_4bytes((message.len() as u32).to_be_bytes())
        .add_2bytes([0, 58])
        .add_slice(&message);
    message[2..4].copy_from_slice(&sum.ones_complement().to_ne_bytes());
    let mut bytes = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, hops];
    bytes.extend(PEER_LINK_LOCAL);
    bytes.extend(SOLICITED);
    bytes.extend(message);
    packet::frame_to(SOLICITED_MAC, EtherType::IPV6, &bytes)
}

/// A neighbor solicitation or advertisement (RFC 4861, 4.3 and 4.4) about the guest's address.
fn neighbor(kind: u8, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(LINK_LOCAL);
    message.extend(options);
    message
}

/// The hardware address that the guest says it has, if it says so.
fn advertised(lan: &Lan) -> Option<[u8; 6]> {
    lan.find(QUIET, |frame| {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let message = packet.net?.ipv6_ref()?.payload().payload;
        let is_ours = message.first() == Some(&136) && message.get(8..24) == Some(&LINK_LOCAL);
        if !is_ours {
            return None;
        }
        match message.get(24..32)? {
            [2, 1, mac @ ..] => mac.try_into().ok(),
            _ => None,
        }
    })
}

/// Others that say they have the guest's address change nothing.
pub(super) fn conflicts(guest: &mut Guest<'_>) -> Result<()> {
    let lan = ready(guest)?;
    let own = |operation, target| {
        let bytes = packet::arp(operation, (PEER_MAC, GUEST), target);
        packet::frame_to([255; 6], EtherType::ARP, &bytes)
    };
    for operation in [1, 2] {
        lan.send(&own(operation, ([0; 6], GUEST)));
        lan.send(&own(operation, (GUEST_MAC, GUEST)));
    }
    let question = packet::arp(1, (PEER_MAC, PEER), ([0; 6], GUEST));
    // Malformed: other lengths, an operation that does not exist, a part only.
    for (at, value) in [(0, 9), (2, 9), (4, 5), (5, 16), (7, 9)] {
        let mut bad = question.clone();
        bad[at] = value;
        lan.send(&packet::frame(EtherType::ARP, &bad));
    }
    for length in 0..question.len() {
        lan.send(&packet::frame(EtherType::ARP, &question[..length]));
    }
    lan.clear();
    let answered = |lan: &Lan| {
        lan.find(QUIET, |frame| {
            let arp = frame.get(ETHERNET_BYTES..)?;
            let is_answer = frame.get(12..14) == Some(&[8, 6]) && arp.get(6..8) == Some(&[0, 2]);
            is_answer.then(|| arp[8..18].to_vec())
        })
    };
    ensure!(answered(lan).is_none(), "an answer to what is malformed");
    lan.send(&packet::frame_to([255; 6], EtherType::ARP, &question));
    let expected = [&GUEST_MAC[..], &GUEST].concat();
    ensure!(answered(lan) == Some(expected), "no answer to ARP");

    let asked = neighbor(135, 0, &[&[1, 1], &PEER_MAC[..]].concat());
    lan.send(&icmpv6(255, &asked));
    ensure!(advertised(lan) == Some(GUEST_MAC), "no neighbor");
    // Somebody else says it is theirs; a question from afar; options of no length, or too long.
    lan.send(&icmpv6(
        255,
        &neighbor(136, 0x20, &[&[2, 1], &PEER_MAC[..]].concat()),
    ));
    lan.send(&icmpv6(254, &asked));
    lan.send(&icmpv6(255, &neighbor(135, 0, &[1, 0, 0, 0, 0, 0, 0, 0])));
    lan.send(&icmpv6(255, &neighbor(135, 0, &[1, 9, 0, 0, 0, 0, 0, 0])));
    ensure!(advertised(lan).is_none(), "an answer to what is malformed");
    lan.send(&icmpv6(255, &asked));
    ensure!(advertised(lan) == Some(GUEST_MAC), "no neighbor any more");

    // And it goes on talking to others.
    let (ran, ()) = guest.with_peer("ping 10.0.2.2 1", |lan| {
        let (id, data) = lan.expect("an echo request", |frame| {
            let (protocol, bytes) = packet::ipv4_payload(frame)?;
            let is_request = protocol == IpNumber::ICMP && bytes.first() == Some(&8);
            is_request.then(|| (bytes[4..8].to_vec(), bytes[8..].to_vec()))
        })?;
        let mut answer = echo(false, u16::from_be_bytes([id[0], id[1]]), &data);
        // The number is the guest's.
        answer[6..8].copy_from_slice(&id[2..4]);
        answer[2..4].fill(0);
        let sum = Sum16BitWords::new().add_slice(&answer).ones_complement();
        answer[2..4].copy_from_slice(&sum.to_ne_bytes());
        lan.send(&packet::ipv4(PEER, IpNumber::ICMP, &answer));
        Ok(())
    })?;
    ensure!(ran.stdout.contains("1 sent, 1 received"), "{ran:?}");
    Ok(())
}

/// An answer that gives the asked name `address`.
fn answer_to(question: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[6..8].copy_from_slice(&[0, 1]);
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    message.extend(address);
    message
}

/// Whether a question is about an IPv4 address.
fn is_about_ipv4(question: &[u8]) -> bool {
    let kind = question
        .len()
        .checked_sub(3)
        .and_then(|at| question.get(at));
    kind == Some(&1)
}

/// Answers a question about IPv4 with `address`, others with nothing.
fn tell(lan: &Lan, port: u16, question: &[u8], address: [u8; 4]) {
    let answer = match is_about_ipv4(question) {
        true => answer_to(question, address),
        false => {
            let mut none = question.to_vec();
            none[2..4].copy_from_slice(&[0x81, 0x80]);
            none
        }
    };
    lan.send(&packet::udp((NAME_SERVER, 53), port, &answer));
}

/// A question of the guest's about an IPv4 address: its port and the message.
fn question(lan: &Lan) -> Result<(u16, Vec<u8>)> {
    lan.expect("a question to the name server", |frame| {
        packet::udp_to(frame, 53).filter(|(_, message)| is_about_ipv4(message))
    })
}

/// Answers what else is asked, until it is quiet.
fn rest(lan: &Lan, address: [u8; 4]) {
    while let Some((port, message)) = lan.find(QUIET, |frame| packet::udp_to(frame, 53)) {
        tell(lan, port, &message, address);
    }
}

pub(super) fn names(guest: &mut Guest<'_>) -> Result<()> {
    const RIGHT: [u8; 4] = [192, 0, 2, 7];
    const WRONG: [u8; 4] = [192, 0, 2, 66];
    // Answers of others, or to other questions.
    let (ran, ()) = guest.with_peer("dns forged.example", |lan| {
        let (port, asked) = question(lan)?;
        let forged = answer_to(&asked, WRONG);
        let with = |at: usize, value: u8| {
            let mut other = forged.clone();
            other[at] ^= value;
            other
        };
        let server = (NAME_SERVER, 53);
        let mut lies = vec![
            packet::udp(server, port, &with(0, 1)),
            packet::udp(server, port, &with(14, 1)),
            packet::udp(server, port, &with(2, 0x80)),
            packet::udp((PEER, 53), port, &forged),
            packet::udp((NAME_SERVER, 54), port, &forged),
            packet::udp(server, port ^ 1, &forged),
        ];
        lies.extend((0..12).map(|length| packet::udp(server, port, &forged[..length])));
        for lie in &lies {
            lan.send(lie);
            // A few at a time: more would be dropped unread.
            std::thread::sleep(PAUSE);
        }
        tell(lan, port, &asked, RIGHT);
        rest(lan, RIGHT);
        Ok(())
    })?;
    ensure!(ran.stdout == "192.0.2.7\n", "{ran:?}");
    // Of the right server, to the right question, and malformed.
    let bad: [fn(&mut Vec<u8>, usize); 6] = [
        |message, at| message[at..at + 2].copy_from_slice(&[0xc0 | (at >> 8) as u8, at as u8]),
        |message, at| message[at] = 0xff,
        |message, at| message[at + 10..at + 12].fill(0xff),
        |message, _| message[6..8].fill(0xff),
        |message, at| message.truncate(at + 5),
        |message, _| message[4..6].fill(0),
    ];
    for (number, spoil) in bad.iter().enumerate() {
        let (ran, ()) = guest.with_peer(&format!("dns bad{number}.example"), |lan| {
            let (port, asked) = question(lan)?;
            let mut message = answer_to(&asked, WRONG);
            spoil(&mut message, asked.len());
            lan.send(&packet::udp((NAME_SERVER, 53), port, &message));
            tell(lan, port, &asked, RIGHT);
            rest(lan, RIGHT);
            Ok(())
        })?;
        let is_right = ran.status == 0 && ran.stdout == "192.0.2.7\n";
        // A count that is too high does not make what is there wrong.
        let is_counted = number == 3 && ran.stdout == "192.0.2.66\n";
        let is_error = ran.status == 1
            && ["No name server", "no such name"]
                .iter()
                .any(|text| ran.stdout.contains(text));
        ensure!(is_right || is_counted || is_error, "{number}: {ran:?}");
    }
    Ok(())
}

/// The next message of the guest's to a DHCP server.
fn asks(lan: &Lan, kind: u8) -> Result<dhcp::Request> {
    lan.expect(&format!("DHCP message {kind}"), |frame| {
        let (_, payload) = packet::ipv4_payload(frame)?;
        dhcp::request(payload).filter(|request| request.kind == kind)
    })
}

/// Malformed and foreign messages beside the right one, for each step.
fn lies(lan: &Lan, right: &[u8]) {
    let mut bad: Vec<Vec<u8>> = Vec::new();
    let mut change = |at: usize, value: u8| {
        let mut other = right.to_vec();
        other[at] ^= value;
        bad.push(other);
    };
    // No answer, another kind of hardware, another transaction, another client, no options.
    for (at, value) in [(0, 3), (1, 7), (2, 4), (4, 1), (28, 1), (236, 1)] {
        change(at, value);
    }
    let mut endless = right[..dhcp::OPTIONS].to_vec();
    endless.extend([53, 200, dhcp::OFFER]);
    bad.push(endless);
    bad.extend(
        (0..right.len())
            .step_by(7)
            .map(|length| right[..length].to_vec()),
    );
    for message in bad {
        // Another address, so that it shows if one of them is believed.
        let mut message = message;
        if let Some(address) = message.get_mut(16..20) {
            address.copy_from_slice(&[10, 0, 2, 66]);
        }
        // A message cut between options, with its kind before, is one: it is left out.
        let is_whole = message.len() >= dhcp::OPTIONS + 3 && message[..3] == right[..3];
        if !is_whole || message[4..8] != right[4..8] || message[28..34] != right[28..34] {
            lan.send(&dhcp::frame(&message));
        }
    }
}

pub(super) fn leases(guest: &mut Guest<'_>) -> Result<()> {
    let by_itself = |dhcp| Answers { arp: true, dhcp };
    guest.lan()?.answer(by_itself(false));
    guest.boot()?;
    let lan = guest.lan()?;
    lan.clear();
    let begun = Instant::now();
    let mut refused = false;
    loop {
        let request = asks(lan, dhcp::DISCOVER)?;
        let offer = dhcp::answer(&request, dhcp::OFFER, GUEST);
        lies(lan, &offer);
        lan.send(&dhcp::frame(&offer));
        let request = asks(lan, dhcp::REQUEST)?;
        let kind = if refused {
            dhcp::ACKNOWLEDGE
        } else {
            dhcp::REFUSE
        };
        let answer = dhcp::answer(&request, kind, GUEST);
        lies(lan, &answer);
        lan.send(&dhcp::frame(&answer));
        if refused {
            break;
        }
        refused = true;
        ensure!(begun.elapsed() < PATIENCE, "no lease");
    }
    let shown = guest.expect("ip -w", "10.0.2.15/24")?;
    ensure!(shown.contains("10.0.2.3"), "{shown}");
    guest.lan()?.answer(by_itself(true));
    Ok(())
}
