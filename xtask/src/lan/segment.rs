//! A TCP segment (RFC 9293, 3.1).

use etherparse::{IpNumber, TcpHeader};

use super::{GUEST, PEER, packet};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// What a segment says; lengths and checksums follow from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    /// Only with [`ACK`] in `flags`.
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// As it stands, before it is scaled.
    pub(crate) window: u16,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Segment {
    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence numbers that it takes.
    pub(crate) fn length(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.data.len() as u32 + flags
    }

    /// The sequence number behind it.
    pub(crate) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length())
    }

    /// The value of an option of two bytes, such as the largest segment (2), or of one (3, the scale).
    pub(crate) fn option(&self, kind: u8) -> Option<u16> {
        let mut options = self.options.as_slice();
        loop {
            match options {
                [1, rest @ ..] => options = rest,
                [found, 4, high, low, ..] if *found == kind => {
                    return Some(u16::from_be_bytes([*high, *low]));
                }
                [found, 3, value, ..] if *found == kind => return Some(u16::from(*value)),
                [0, ..] | [] | [_] => return None,
                [_, length, ..] => options = options.get(usize::from(*length).max(2)..)?,
            }
        }
    }

    /// The segment from the peer to the guest, within a frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source, self.destination, self.seq, self.window);
        header.acknowledgment_number = self.ack;
        header.fin = self.has(FIN);
        header.syn = self.has(SYN);
        header.rst = self.has(RST);
        header.psh = self.has(PSH);
        header.ack = self.has(ACK);
        // At most 40 bytes are given.
        let _ = header.set_options_raw(&self.options);
        let sum = header.calc_checksum_ipv4_raw(PEER, GUEST, &self.data);
        header.checksum = sum.unwrap_or(0);
        let bytes = [&header.to_bytes()[..], &self.data].concat();
        packet::ipv4(PEER, IpNumber::TCP, &bytes)
    }

    /// The segment in a frame of the guest's to the peer.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let (protocol, payload) = packet::ipv4_payload(frame)?;
        if protocol != IpNumber::TCP {
            return None;
        }
        let (header, data) = TcpHeader::from_slice(payload).ok()?;
        let flags = [
            (header.fin, FIN),
            (header.syn, SYN),
            (header.rst, RST),
            (header.psh, PSH),
            (header.ack, ACK),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        Some(Self {
            source: header.source_port,
            destination: header.destination_port,
            seq: header.sequence_number,
            ack: header.acknowledgment_number,
            flags: flags.fold(0, |all, (_, flag)| all | flag),
            window: header.window_size,
            options: header.options.as_slice().to_vec(),
            data: data.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ACK, SYN, Segment};

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let segment = Segment {
            source: 7,
            destination: 9,
            seq: u32::MAX,
            ack: 5,
            flags: SYN | ACK,
            window: 100,
            options: vec![2, 4, 5, 180, 1, 3, 3, 7],
            data: b"text".to_vec(),
        };
        assert_eq!(Segment::of(&segment.frame()), Some(segment.clone()));
        assert_eq!(
            (segment.option(2), segment.option(3), segment.option(4)),
            (Some(1460), Some(7), None)
        );
        assert_eq!(segment.end(), 4);
    }
}
