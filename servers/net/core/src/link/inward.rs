//! Frames that this machine sends to itself: what neighbours would say, said by nobody outside.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags,
    NdiscRepr,
};

use super::HEADER_BYTES;

/// Type of `ICMPv6` messages that ask for a neighbour.
const SOLICITATION: u8 = 135;

/// The answer to a request for a neighbour that is this machine itself. The stack would not answer for `::1`.
pub(super) fn answer_own(request: &[u8], mac: [u8; 6], own: &[IpAddr]) -> Option<Vec<u8>> {
    let ip = asked_for(request).filter(|ip| own.contains(ip))?;
    answer_for(request, ip, mac)
}

/// The neighbour that a frame asks for.
pub(super) fn asked_for(frame: &[u8]) -> Option<IpAddr> {
    let packet = frame.get(HEADER_BYTES..)?;
    match *frame.get(12..HEADER_BYTES)?.first_chunk::<2>()? {
        [0x08, 0x06] if packet.get(6..8)? == [0, 1] => {
            let octets = packet.get(24..)?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*octets).into())
        }
        [0x86, 0xdd] => {
            let is_request =
                *packet.get(6)? == u8::from(IpProtocol::Icmpv6) && *packet.get(40)? == SOLICITATION;
            let target = packet.get(48..)?.first_chunk::<16>()?;
            is_request.then(|| Ipv6Addr::from(*target).into())
        }
        _ => None,
    }
}

/// The answer to a request of this machine for the neighbour `ip`, which says that it is at `at`.
pub(super) fn answer_for(request: &[u8], ip: IpAddr, at: [u8; 6]) -> Option<Vec<u8>> {
    let mac = *request.get(6..)?.first_chunk::<6>()?;
    let packet = request.get(HEADER_BYTES..)?;
    let from = match ip {
        IpAddr::V4(_) => Ipv4Addr::from(*packet.get(14..)?.first_chunk::<4>()?).into(),
        IpAddr::V6(_) => Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?).into(),
    };
    answer((ip, at), (from, mac))
}

/// What tells the stack where an address of this machine's own is.
pub(super) fn introduce(ip: IpAddr, mac: [u8; 6]) -> Option<Vec<u8>> {
    answer((ip, mac), (ip, mac))
}

/// A neighbour's answer to this machine; either has an address and a hardware address.
fn answer(neighbour: (IpAddr, [u8; 6]), to: (IpAddr, [u8; 6])) -> Option<Vec<u8>> {
    let (at, mac) = (EthernetAddress(neighbour.1), EthernetAddress(to.1));
    match (neighbour.0, to.0) {
        (IpAddr::V4(ip), IpAddr::V4(to)) => Some(reply((ip, at), (to, mac))),
        (IpAddr::V6(ip), IpAddr::V6(to)) => Some(advertise((ip, at), (to, mac))),
        _ => None,
    }
}

fn reply(neighbour: (Ipv4Addr, EthernetAddress), to: (Ipv4Addr, EthernetAddress)) -> Vec<u8> {
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: neighbour.1,
        source_protocol_addr: neighbour.0,
        target_hardware_addr: to.1,
        target_protocol_addr: to.0,
    };
    let mut bytes = vec![0; HEADER_BYTES + arp.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    let ethernet = EthernetRepr {
        src_addr: neighbour.1,
        dst_addr: to.1,
        ethertype: EthernetProtocol::Arp,
    };
    ethernet.emit(&mut frame);
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

fn advertise(neighbour: (Ipv6Addr, EthernetAddress), to: (Ipv6Addr, EthernetAddress)) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: neighbour.0,
        lladdr: Some(neighbour.1.into()),
    });
    let ip = Ipv6Repr {
        src_addr: neighbour.0,
        dst_addr: to.0,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: 255,
    };
    let ethernet = EthernetRepr {
        src_addr: neighbour.1,
        dst_addr: to.1,
        ethertype: EthernetProtocol::Ipv6,
    };
    let mut bytes = vec![0; HEADER_BYTES + ip.buffer_len() + message.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
    message.emit(
        &neighbour.0,
        &to.0,
        &mut icmp,
        &ChecksumCapabilities::default(),
    );
    bytes
}
