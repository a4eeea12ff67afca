//! The server's side of DHCP (RFC 2131), as little as one guest needs.

use etherparse::{EtherType, IpNumber, Ipv4Header, UdpHeader};

use super::{GUEST_MAC, NAME_SERVER, PEER, packet};

/// Kinds of messages (RFC 2132, 9.6).
pub(crate) const DISCOVER: u8 = 1;
pub(crate) const OFFER: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const ACKNOWLEDGE: u8 = 5;
pub(crate) const REFUSE: u8 = 6;

/// Where options begin.
pub(crate) const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const LEASE_SECONDS: u32 = 86_400;

/// A message of the guest's.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: u8,
    /// Its number, and the client's hardware address.
    transaction: [u8; 4],
    client: [u8; 6],
}

/// The message within a datagram, if it is one to a server.
pub(crate) fn request(datagram: &[u8]) -> Option<Request> {
    let (header, message) = UdpHeader::from_slice(datagram).ok()?;
    let is_ours = header.destination_port == SERVER_PORT
        && message.first() == Some(&1)
        && message.get(236..OPTIONS) == Some(&COOKIE);
    if !is_ours {
        return None;
    }
    let mut options = message.get(OPTIONS..)?;
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [53, 1, kind, ..] => {
                return Some(Request {
                    kind: *kind,
                    transaction: message[4..8].try_into().ok()?,
                    client: message[28..34].try_into().ok()?,
                });
            }
            [255, ..] | [] | [_] => return None,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
        }
    }
}

/// The answer to `request` that gives it `address`.
pub(crate) fn answer(request: &Request, kind: u8, address: [u8; 4]) -> Vec<u8> {
    let mut message = vec![0; OPTIONS];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&request.transaction);
    if kind != REFUSE {
        message[16..20].copy_from_slice(&address);
    }
    message[28..34].copy_from_slice(&request.client);
    message[236..OPTIONS].copy_from_slice(&COOKIE);
    message.extend([53, 1, kind, 54, 4]);
    message.extend(PEER);
    if kind != REFUSE {
        message.extend([51, 4]);
        message.extend(LEASE_SECONDS.to_be_bytes());
        message.extend([1, 4, 255, 255, 255, 0, 3, 4]);
        message.extend(PEER);
        message.extend([6, 4]);
        message.extend(NAME_SERVER);
    }
    message.push(255);
    message
}

/// A message of the server's to everybody, within a frame.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let everybody = [255; 4];
    let datagram = packet::udp_datagram((PEER, SERVER_PORT), (everybody, CLIENT_PORT), message);
    let mut header = Ipv4Header {
        total_len: (Ipv4Header::MIN_LEN + datagram.len()) as u16,
        time_to_live: 64,
        protocol: IpNumber::UDP,
        source: PEER,
        destination: everybody,
        ..Ipv4Header::default()
    };
    header.header_checksum = header.calc_header_checksum();
    let bytes = [&header.to_bytes()[..], &datagram].concat();
    packet::frame_to(GUEST_MAC, EtherType::IPV4, &bytes)
}
