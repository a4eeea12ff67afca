//! Packets around what a peer says.

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, NetSlice, SlicedPacket,
    UdpHeader,
};

use super::{GUEST, GUEST_MAC, PEER, PEER_MAC};

/// Bytes before the packet.
pub(crate) const ETHERNET_BYTES: usize = 14;
const HOPS: u8 = 64;

/// A frame from the peer's hardware to the guest's.
pub(crate) fn frame(kind: EtherType, payload: &[u8]) -> Vec<u8> {
    frame_to(GUEST_MAC, kind, payload)
}

/// A frame from the peer's hardware.
pub(crate) fn frame_to(destination: [u8; 6], kind: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header {
        source: PEER_MAC,
        destination,
        ether_type: kind,
    };
    [&header.to_bytes()[..], payload].concat()
}

/// An IPv4 packet from `source` to the guest, within a frame.
pub(crate) fn ipv4(source: [u8; 4], protocol: IpNumber, payload: &[u8]) -> Vec<u8> {
    let mut header = ipv4_header(source, protocol, payload.len());
    header.header_checksum = header.calc_header_checksum();
    let packet = [&header.to_bytes()[..], payload].concat();
    frame(EtherType::IPV4, &packet)
}

fn ipv4_header(source: [u8; 4], protocol: IpNumber, bytes: usize) -> Ipv4Header {
    Ipv4Header {
        total_len: (Ipv4Header::MIN_LEN + bytes) as u16,
        time_to_live: HOPS,
        protocol,
        source,
        destination: GUEST,
        ..Ipv4Header::default()
    }
}

/// A fragment of the packet `id` that begins at `at`, a multiple of 8.
pub(crate) fn fragment(
    id: u16,
    protocol: IpNumber,
    at: usize,
    part: &[u8],
    is_last: bool,
) -> Vec<u8> {
    let mut header = ipv4_header(PEER, protocol, part.len());
    header.identification = id;
    header.more_fragments = !is_last;
    header.fragment_offset = IpFragOffset::try_new((at / 8) as u16).unwrap_or(IpFragOffset::ZERO);
    header.header_checksum = header.calc_header_checksum();
    let packet = [&header.to_bytes()[..], part].concat();
    frame(EtherType::IPV4, &packet)
}

/// A message by UDP to the guest, within a frame.
pub(crate) fn udp(source: ([u8; 4], u16), port: u16, payload: &[u8]) -> Vec<u8> {
    let bytes = udp_datagram(source, (GUEST, port), payload);
    ipv4(source.0, IpNumber::UDP, &bytes)
}

/// A message with its header.
pub(crate) fn udp_datagram(source: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut header = UdpHeader {
        source_port: source.1,
        destination_port: to.1,
        length: (8 + payload.len()) as u16,
        checksum: 0,
    };
    let sum = header.calc_checksum_ipv4_raw(source.0, to.0, payload);
    // Payloads here are short.
    header.checksum = sum.unwrap_or(0);
    [&header.to_bytes()[..], payload].concat()
}

/// Protocol and payload of an IPv4 packet of the guest's that is no fragment.
pub(crate) fn ipv4_payload(frame: &[u8]) -> Option<(IpNumber, &[u8])> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(NetSlice::Ipv4(ip)) = packet.net else {
        return None;
    };
    if ip.is_payload_fragmented() {
        return None;
    }
    let payload = ip.payload();
    Some((payload.ip_number, payload.payload))
}

/// Ports and payload of a message of the guest's to `port` by UDP.
pub(crate) fn udp_to(frame: &[u8], port: u16) -> Option<(u16, Vec<u8>)> {
    let (protocol, payload) = ipv4_payload(frame)?;
    if protocol != IpNumber::UDP {
        return None;
    }
    let (header, data) = UdpHeader::from_slice(payload).ok()?;
    (header.destination_port == port).then(|| (header.source_port, data.to_vec()))
}

/// Bytes of an ARP packet for Ethernet and IPv4 (RFC 826).
pub(crate) fn arp(
    operation: u16,
    sender: ([u8; 6], [u8; 4]),
    target: ([u8; 6], [u8; 4]),
) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4];
    bytes.extend(operation.to_be_bytes());
    for (mac, ip) in [sender, target] {
        bytes.extend(mac);
        bytes.extend(ip);
    }
    bytes
}

/// The answer to a question of the guest's for another machine's hardware address.
pub(super) fn arp_answer(question: &[u8]) -> Option<Vec<u8>> {
    let arp_bytes = question.get(ETHERNET_BYTES..ETHERNET_BYTES + 28)?;
    let is_request = arp_bytes[6..8] == [0, 1];
    let wanted: [u8; 4] = arp_bytes[24..28].try_into().ok()?;
    let asker: [u8; 4] = arp_bytes[14..18].try_into().ok()?;
    let is_other = wanted != GUEST && wanted[..3] == PEER[..3];
    (is_request && is_other).then(|| {
        let answer = arp(2, (PEER_MAC, wanted), (GUEST_MAC, asker));
        frame(EtherType::ARP, &answer)
    })
}
