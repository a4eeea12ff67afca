//! Frames that this machine sends to itself.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

use super::HEADER_BYTES;

/// Type of `ICMPv6` messages that ask for a neighbour.
const SOLICITATION: u8 = 135;

/// Whether a frame is to this machine: by its hardware address, or because it
/// asks with ARP for an address of this machine, which the stack answers itself.
pub(super) fn is_for_inside(frame: &[u8], mac: [u8; 6], own: &[IpAddr]) -> bool {
    let Some(header) = frame.first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    if header.starts_with(&mac) {
        return true;
    }
    let asked = frame
        .get(HEADER_BYTES + 24..)
        .and_then(<[u8]>::first_chunk::<4>);
    let is_arp = header.ends_with(&[0x08, 0x06]);
    is_arp && asked.is_some_and(|asked| own.contains(&Ipv4Addr::from(*asked).into()))
}

/// The answer to a request for the neighbour behind an IPv6 address that is this
/// machine's own. The stack would not answer for `::1`.
pub(super) fn advertisement(frame: &[u8], mac: [u8; 6], own: &[IpAddr]) -> Option<Vec<u8>> {
    let packet = frame.get(HEADER_BYTES..)?;
    let is_request = frame.get(12..14)? == [0x86, 0xdd]
        && *packet.get(6)? == u8::from(IpProtocol::Icmpv6)
        && *packet.get(40)? == SOLICITATION;
    if !is_request {
        return None;
    }
    let source = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
    let target = Ipv6Addr::from(*packet.get(48..)?.first_chunk::<16>()?);
    own.contains(&target.into())
        .then(|| advertise(target, source, EthernetAddress(mac)))
}

fn advertise(target: Ipv6Addr, to: Ipv6Addr, mac: EthernetAddress) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: target,
        lladdr: Some(mac.into()),
    });
    let ip = Ipv6Repr {
        src_addr: target,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: 255,
    };
    let ethernet = EthernetRepr {
        src_addr: mac,
        dst_addr: mac,
        ethertype: EthernetProtocol::Ipv6,
    };
    let mut bytes = vec![0; HEADER_BYTES + ip.buffer_len() + message.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
    message.emit(&target, &to, &mut icmp, &ChecksumCapabilities::default());
    bytes
}
