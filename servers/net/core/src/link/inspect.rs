//! What the link looks at in frames that arrive. Nothing here trusts a length.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::HEADER_BYTES;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP: [u8; 2] = [0x08, 0x06];
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What a frame is, as far as the link cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Source and destination, if it is an IP packet; of ARP who asks or answers, and whom.
    pub(crate) addresses: Option<(IpAddr, IpAddr)>,
    /// What it carries.
    pub(crate) transport: Transport,
    /// It asks for a TCP connection.
    opens: bool,
    /// It says that a packet from here did not arrive.
    pub(crate) unreachable: Option<Unreachable>,
}

/// What a frame carries, as far as it tells whom it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transport {
    #[default]
    Other,
    /// A segment between these ports.
    Tcp { from: u16, to: u16 },
    /// A message to this port.
    Udp { to: u16 },
    /// What neighbours and routers say of themselves.
    Neighbour,
}

/// Protocol of a packet that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A packet from here that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable {
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The host is there, but nobody listens at the port.
    pub(crate) port_closed: bool,
}

impl Seen {
    /// The port with which it asks for a TCP connection.
    pub(crate) const fn opens_port(&self) -> Option<u16> {
        match self.transport {
            Transport::Tcp { to, .. } if self.opens => Some(to),
            _ => None,
        }
    }

    fn carries(&mut self, protocol: u8, payload: &[u8]) {
        let Some((from, to)) = ports(payload) else {
            return;
        };
        self.transport = match protocol {
            TCP => Transport::Tcp { from, to },
            UDP => Transport::Udp { to },
            _ => return,
        };
        self.opens = protocol == TCP && opens(payload);
    }

    /// Whether no honest neighbour sends this: it comes from or goes to what is
    /// inside of a machine only, or comes from an address of this one.
    pub(crate) fn is_forged(&self, own: &[IpAddr]) -> bool {
        self.addresses.is_some_and(|(source, destination)| {
            source.is_loopback() || destination.is_loopback() || own.contains(&source)
        })
    }
}

/// What says who a frame is from and for: in IPv4 without options, whole, and either UDP or a segment that asks for
/// no connection. Frames of which it is the same are [seen](inspect) as the same. Most of a transfer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Protocol, its type in front.
    protocol: [u8; 3],
    /// Source and destination.
    addresses: [u8; 8],
    ports: [u8; 4],
}

impl Head {
    /// The head of a frame, if it is of this kind.
    #[inline]
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let bytes = frame.first_chunk::<38>()?;
        let protocol = [bytes[12], bytes[13], bytes[23]];
        let whole = [bytes[20] & 0xbf, bytes[21]] == [0; 2];
        let plain = bytes[14] == 0x45 && protocol.starts_with(&IPV4) && whole;
        let known = match bytes[23] {
            UDP => true,
            TCP => frame.get(34..).is_some_and(|segment| !opens(segment)),
            _ => false,
        };
        (plain && known).then_some(Self {
            protocol,
            addresses: *bytes[26..].first_chunk()?,
            ports: *bytes[34..].first_chunk()?,
        })
    }
}

/// Looks at a frame.
pub(crate) fn inspect(frame: &[u8]) -> Seen {
    let packet = frame.get(HEADER_BYTES..).unwrap_or(&[]);
    match frame.get(12..HEADER_BYTES) {
        Some(kind) if kind == IPV4 => inspect_ipv4(packet),
        Some(kind) if kind == IPV6 => inspect_ipv6(packet),
        Some(kind) if kind == ARP => Some(Seen {
            addresses: arp(packet),
            transport: Transport::Neighbour,
            ..Seen::default()
        }),
        _ => None,
    }
    .unwrap_or_default()
}

/// The addresses between which an ARP packet goes (RFC 826).
fn arp(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let packet = packet.first_chunk::<28>()?;
    let address = |at: usize| {
        let octets = packet.get(at..at + 4)?.first_chunk::<4>()?;
        Some(IpAddr::from(Ipv4Addr::from(*octets)))
    };
    Some((address(14)?, address(24)?))
}

fn inspect_ipv4(packet: &[u8]) -> Option<Seen> {
    let (protocol, source, destination, payload) = ipv4(packet)?;
    let mut seen = Seen {
        addresses: Some((source, destination)),
        ..Seen::default()
    };
    match protocol {
        TCP | UDP => seen.carries(protocol, payload),
        // Destination unreachable; the code says what of it.
        ICMP if payload.first() == Some(&3) => {
            let quoted = payload.get(8..).and_then(ipv4);
            seen.unreachable = unreachable(quoted, payload.get(1) == Some(&3));
        }
        _ => {}
    }
    Some(seen)
}

fn inspect_ipv6(packet: &[u8]) -> Option<Seen> {
    let (protocol, source, destination, payload) = ipv6(packet)?;
    let mut seen = Seen {
        addresses: Some((source, destination)),
        ..Seen::default()
    };
    match protocol {
        TCP | UDP => seen.carries(protocol, payload),
        ICMPV6 if matches!(payload.first(), Some(133..=137)) => {
            seen.transport = Transport::Neighbour;
        }
        ICMPV6 if payload.first() == Some(&1) => {
            let quoted = payload.get(8..).and_then(ipv6);
            seen.unreachable = unreachable(quoted, payload.get(1) == Some(&4));
        }
        _ => {}
    }
    Some(seen)
}

/// Protocol, source, destination and payload of a first fragment.
type Packet<'a> = (u8, IpAddr, IpAddr, &'a [u8]);

/// Whether an IPv4 fragment is the last one of its packet; `None` if it is none.
pub(super) fn last_piece(frame: &[u8]) -> Option<bool> {
    let kind = frame.get(12..HEADER_BYTES)?;
    let [high, low] = *frame.get(HEADER_BYTES + 6..)?.first_chunk::<2>()?;
    // The flag for more fragments, and where it lies in the packet.
    let is_piece = kind == IPV4 && (high & 0x3f != 0 || low != 0);
    is_piece.then_some(high & 0x20 == 0)
}

fn ipv4(packet: &[u8]) -> Option<Packet<'_>> {
    let header = packet.first_chunk::<20>()?;
    let words = usize::from(header[0] & 0xf);
    let offset = u16::from_be_bytes([header[6] & 0x1f, header[7]]);
    if header[0] >> 4 != 4 || words < 5 {
        return None;
    }
    let address = |at: usize| {
        let octets = header.get(at..at + 4)?.first_chunk::<4>()?;
        Some(IpAddr::from(Ipv4Addr::from(*octets)))
    };
    let payload = if offset == 0 {
        packet.get(words * 4..).unwrap_or(&[])
    } else {
        &[]
    };
    Some((header[9], address(12)?, address(16)?, payload))
}

fn ipv6(packet: &[u8]) -> Option<Packet<'_>> {
    let header = packet.first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| {
        let octets = header.get(at..at + 16)?.first_chunk::<16>()?;
        Some(IpAddr::from(Ipv6Addr::from(*octets)))
    };
    let (mut protocol, mut payload) = (header[6], packet.get(40..).unwrap_or(&[]));
    // Options that every router looks at may stand in between (RFC 8200, "Hop-by-Hop Options Header").
    if protocol == 0
        && let [next, length, ..] = *payload
    {
        protocol = next;
        payload = payload.get(8 + 8 * usize::from(length)..).unwrap_or(&[]);
    }
    Some((protocol, address(8)?, address(24)?, payload))
}

/// Whether a TCP segment has SYN, and neither ACK nor RST.
fn opens(segment: &[u8]) -> bool {
    segment
        .get(13)
        .is_some_and(|flags| flags & 0b1_0110 == 0b10)
}

fn ports(segment: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *segment.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// What a packet of this machine is that does not arrive because its neighbour is not there.
pub(super) fn lost(frame: &[u8]) -> Option<Unreachable> {
    let packet = frame.get(HEADER_BYTES..)?;
    let quoted = match frame.get(12..HEADER_BYTES)? {
        kind if kind == IPV4 => ipv4(packet),
        kind if kind == IPV6 => ipv6(packet),
        _ => None,
    };
    unreachable(quoted, false)
}

fn unreachable(quoted: Option<Packet<'_>>, port_closed: bool) -> Option<Unreachable> {
    let (protocol, source, destination, segment) = quoted?;
    let protocol = match protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    let (from, to) = ports(segment)?;
    Some(Unreachable {
        protocol,
        local: SocketAddr::new(source, from),
        remote: SocketAddr::new(destination, to),
        port_closed,
    })
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Head, TCP, UDP, inspect};
    use alloc::vec;
    use alloc::vec::Vec;

    /// A frame of 60 bytes with an IPv4 packet.
    fn frame(protocol: u8) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12] = 0x08;
        frame[HEADER_BYTES] = 0x45;
        frame[HEADER_BYTES + 9] = protocol;
        frame[26..38].copy_from_slice(&[10, 0, 2, 2, 10, 0, 2, 15, 0, 7, 0, 80]);
        // ACK.
        frame[47] = 0x10;
        frame
    }

    #[test]
    fn frames_with_the_same_head_are_seen_as_the_same() {
        for protocol in [TCP, UDP] {
            let base = frame(protocol);
            let head = Head::of(&base);
            assert!(head.is_some());
            for at in 0..base.len() {
                for value in 0..=255 {
                    let mut other = base.clone();
                    other[at] = value;
                    if Head::of(&other) == head {
                        assert_eq!(inspect(&other), inspect(&base), "{at} {value}");
                    }
                }
            }
            // What differs in each segment does not matter: identification, TTL, sequence number, payload.
            for at in [18, 22, 38, 59] {
                let mut other = base.clone();
                other[at] ^= 1;
                assert_eq!(Head::of(&other), head, "{at}");
            }
        }
    }

    #[test]
    fn what_needs_a_look_has_no_head() {
        let changed = |at: usize, value: u8| {
            let mut other = frame(TCP);
            other[at] = value;
            Head::of(&other)
        };
        assert_eq!(changed(47, 2), None, "a request for a connection");
        assert_eq!(changed(HEADER_BYTES, 0x46), None, "options");
        assert_eq!(changed(20, 0x20), None, "a fragment");
        assert_eq!(changed(21, 1), None, "a later fragment");
        assert_eq!(changed(HEADER_BYTES + 9, 1), None, "ICMP");
        assert_eq!(changed(12, 0x86), None, "IPv6");
        for end in 0..38 {
            assert_eq!(Head::of(&frame(UDP)[..end]), None);
        }
    }
}
