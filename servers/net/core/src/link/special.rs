//! Segments that the stack does not get as they came: with data and the end of a stream, and resets.
//!
//! smoltcp 0.14 measures a segment by its data: one whose data it has already is old, and its FIN is lost with it; and
//! it forgets the FIN of one that comes too early. So a peer that sends its last segment once more, as it was, would
//! never be heard to the end. The stack gets such a segment as two: the data, and the end alone, which it takes
//! wherever it fits.
//!
//! It also ends a connection for a reset anywhere in the window, which is 2^16 guesses or so for somebody who sees
//! nothing of it. Only one with the very number that comes next is meant (RFC 5961, "Blind Reset Attack Using the RST
//! Bit"): what becomes of another is here, when it is one is known to [`crate::sets`].

use super::HEADER_BYTES;
use super::checksum::{Segment, segment};

/// Bits of the flags of a segment (RFC 9293, "Header Format").
const FIN: u8 = 1;
const SYN: u8 = 1 << 1;
const RST: u8 = 1 << 2;
const ACK: u8 = 1 << 4;
/// How far an acknowledgement lies beyond everything that was sent, and yet on the same side of it.
const BEYOND: u32 = 1 << 29;
/// Where number, length and flags lie in a segment.
const SEQUENCE: usize = 4;
const OFFSET: usize = 12;
const ACKNOWLEDGEMENT: usize = 8;
const FLAGS: usize = 13;
/// Where the flags lie in a frame whose packet is IPv4 without options.
const PLAIN_FLAGS: usize = HEADER_BYTES + 20 + FLAGS;

/// A segment with data and FIN in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Where the segment begins.
    start: usize,
    /// Where its data lies.
    data: usize,
    end: usize,
}

/// A segment that needs care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// It has data and the end of a stream.
    End(End),
    /// It is a reset.
    Reset(Reset),
}

/// A reset in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reset {
    /// Where the segment begins.
    start: usize,
    /// Its number.
    pub(crate) number: u32,
}

/// Numbers of a segment that was sent: its own, and the one that the peer is to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
}

/// The numbers of a segment at `start` of a frame, unless it acknowledges nothing or is a reset.
pub(super) fn numbers(frame: &[u8], start: usize) -> Option<Numbers> {
    let segment = frame.get(start..)?.first_chunk::<20>()?;
    let word = |at: usize| {
        let [a, b, c, d] = [
            segment[at],
            segment[at + 1],
            segment[at + 2],
            segment[at + 3],
        ];
        u32::from_be_bytes([a, b, c, d])
    };
    (segment[FLAGS] & (ACK | RST) == ACK).then(|| Numbers {
        sequence: word(SEQUENCE),
        acknowledged: word(ACKNOWLEDGEMENT),
    })
}

/// Whether [`find`] may find something in a frame whose packet is IPv4 without options, and TCP.
pub(super) fn may_have(frame: &[u8]) -> bool {
    frame
        .get(PLAIN_FLAGS)
        .is_some_and(|flags| flags & (FIN | RST) != 0)
}

/// The segment in a frame that needs care, if it has one.
pub(super) fn find(frame: &[u8]) -> Option<Special> {
    let Segment::At { start, end, .. } = segment(frame) else {
        return None;
    };
    let flags = frame.get(start + FLAGS)?;
    if flags & RST != 0 {
        let number = frame.get(start + SEQUENCE..)?.first_chunk::<4>()?;
        let number = u32::from_be_bytes(*number);
        return Some(Special::Reset(Reset { start, number }));
    }
    let header = usize::from(*frame.get(start + OFFSET)? >> 4) * 4;
    let data = start + header;
    let fits = header >= 20 && data < end && flags & (FIN | SYN) == FIN;
    fits.then_some(Special::End(End { start, data, end }))
}

/// Makes a reset an acknowledgement of what was never sent, which is answered with the number that comes next, once
/// a second at most. `sent` was sent last.
pub(super) fn doubt(frame: &mut [u8], reset: Reset, sent: Numbers) {
    let Some(segment) = frame.get_mut(reset.start..) else {
        return;
    };
    if let Some(flags) = segment.get_mut(FLAGS) {
        *flags = ACK;
    }
    let place = segment.get_mut(ACKNOWLEDGEMENT..ACKNOWLEDGEMENT + 4);
    if let Some(place) = place {
        let never = sent.sequence.wrapping_add(BEYOND);
        place.copy_from_slice(&never.to_be_bytes());
    }
}

/// Leaves of a frame the segment without its FIN.
pub(super) fn keep_data(frame: &mut [u8], end: End) {
    if let Some(flags) = frame.get_mut(end.start + FLAGS) {
        *flags &= !FIN;
    }
}

/// Leaves of the same frame the FIN alone; how long it is now. Checksums are not those of what is left.
pub(super) fn keep_end(frame: &mut [u8], end: End) -> Option<usize> {
    *frame.get_mut(end.start + FLAGS)? |= FIN;
    let bytes = (end.end - end.data) as u32;
    let number = frame.get_mut(end.start + SEQUENCE..)?;
    let number = number.first_chunk_mut::<4>()?;
    *number = u32::from_be_bytes(*number)
        .wrapping_add(bytes)
        .to_be_bytes();
    // The packet's length, which counts its own header in IPv4 only.
    let (at, counted) = match frame.get(HEADER_BYTES)? >> 4 {
        4 => (HEADER_BYTES + 2, end.data - HEADER_BYTES),
        _ => (HEADER_BYTES + 4, end.data - HEADER_BYTES - 40),
    };
    let length = frame.get_mut(at..)?.first_chunk_mut::<2>()?;
    *length = (counted as u16).to_be_bytes();
    Some(end.data)
}

#[cfg(test)]
mod tests {
    use super::{
        End, Numbers, Reset, Special, doubt, find, keep_data, keep_end, may_have, numbers,
    };
    use alloc::vec;
    use alloc::vec::Vec;

    /// IPv4, number `0xffff_fffe`, options of 12 bytes, 5 bytes of data, padding of 3.
    fn frame(flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 14 + 20 + 32 + 5 + 3];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&57_u16.to_be_bytes());
        frame[23] = 6;
        frame[38..42].copy_from_slice(&[0xff, 0xff, 0xff, 0xfe]);
        frame[46] = 0x80;
        frame[47] = flags;
        frame[66..71].copy_from_slice(b"hello");
        frame
    }

    fn end_of(frame: &[u8]) -> Option<End> {
        match find(frame)? {
            Special::End(end) => Some(end),
            Special::Reset(_) => None,
        }
    }

    #[test]
    fn a_reset_becomes_an_acknowledgement_of_what_was_never_sent() {
        let mut reset = frame(0x14);
        assert!(may_have(&reset));
        let number = 0xffff_fffe;
        let found = Reset { start: 34, number };
        assert_eq!(find(&reset), Some(Special::Reset(found)));
        assert_eq!(numbers(&reset, 34), None);
        let sent = Numbers {
            sequence: 0xf000_0000,
            acknowledged: 7,
        };
        doubt(&mut reset, found, sent);
        assert_eq!(find(&reset), None);
        let sequence = number;
        let acknowledged = 0x1000_0000;
        let all = Some(Numbers {
            sequence,
            acknowledged,
        });
        assert_eq!(numbers(&reset, 34), all);
    }

    #[test]
    fn a_last_segment_becomes_data_and_an_end() {
        let mut last = frame(0x19);
        assert!(may_have(&last));
        let end = end_of(&last).unwrap();
        keep_data(&mut last, end);
        assert_eq!(last, frame(0x18));
        assert_eq!(find(&last), None);
        let length = keep_end(&mut last, end).unwrap();
        assert_eq!(length, 66);
        assert_eq!(last[16..18], 52_u16.to_be_bytes(), "headers only");
        assert_eq!(last[38..42], 3_u32.to_be_bytes(), "behind the data");
        assert_eq!(last[47], 0x19);
        assert_eq!(find(&last[..length]), None, "no data is left");
    }

    #[test]
    fn the_same_over_ipv6() {
        let four = frame(0x11);
        let mut last = vec![0; 14 + 40];
        last[12..14].copy_from_slice(&[0x86, 0xdd]);
        last[14] = 0x60;
        last[18..20].copy_from_slice(&37_u16.to_be_bytes());
        last[20] = 6;
        last.extend_from_slice(&four[34..]);
        let end = end_of(&last).unwrap();
        let length = keep_end(&mut last, end).unwrap();
        assert_eq!(length, 14 + 40 + 32);
        assert_eq!(last[18..20], 32_u16.to_be_bytes());
        assert_eq!(last[58..62], 3_u32.to_be_bytes());
    }

    #[test]
    fn others_stay_as_they_are() {
        for flags in [0x10, 0x18, 0x13, 0x03] {
            assert_eq!(find(&frame(flags)), None, "{flags:#x}");
        }
        let good = frame(0x11);
        for end in 0..71 {
            assert_eq!(find(&good[..end]), None, "{end}");
        }
        for at in 12..48 {
            for value in 0..=255 {
                let mut other = good.clone();
                other[at] = value;
                if let Some(end) = end_of(&other) {
                    keep_data(&mut other, end);
                    assert!(keep_end(&mut other, end).is_some_and(|length| length >= 54));
                }
            }
        }
    }
}
