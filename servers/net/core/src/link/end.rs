//! Segments with data and the end of a stream.
//!
//! smoltcp 0.14 measures a segment by its data: one whose data it has already is old, and its FIN is lost with it; and
//! it forgets the FIN of one that comes too early. So a peer that sends its last segment once more, as it was, would
//! never be heard to the end. The stack gets such a segment as two: the data, and the end alone, which it takes
//! wherever it fits.

use super::HEADER_BYTES;
use super::checksum::{Segment, segment};

/// Bits of the flags of a segment (RFC 9293, "Header Format").
const FIN: u8 = 1;
const SYN: u8 = 1 << 1;
const RST: u8 = 1 << 2;
/// Where number, length and flags lie in a segment.
const SEQUENCE: usize = 4;
const OFFSET: usize = 12;
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

/// Whether [`find`] may find something in a frame whose packet is IPv4 without options, and TCP.
pub(super) fn may_have(frame: &[u8]) -> bool {
    frame.get(PLAIN_FLAGS).is_some_and(|flags| flags & FIN != 0)
}

/// The segment with data and FIN in a frame, if it has one.
pub(super) fn find(frame: &[u8]) -> Option<End> {
    let Segment::At { start, end, .. } = segment(frame) else {
        return None;
    };
    let header = usize::from(*frame.get(start + OFFSET)? >> 4) * 4;
    let flags = frame.get(start + FLAGS)? & (FIN | SYN | RST);
    let data = start + header;
    let fits = header >= 20 && data < end && flags == FIN;
    fits.then_some(End { start, data, end })
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
    use super::{find, keep_data, keep_end, may_have};
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

    #[test]
    fn a_last_segment_becomes_data_and_an_end() {
        let mut last = frame(0x19);
        assert!(may_have(&last));
        let end = find(&last).unwrap();
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
        let end = find(&last).unwrap();
        let length = keep_end(&mut last, end).unwrap();
        assert_eq!(length, 14 + 40 + 32);
        assert_eq!(last[18..20], 32_u16.to_be_bytes());
        assert_eq!(last[58..62], 3_u32.to_be_bytes());
    }

    #[test]
    fn others_stay_as_they_are() {
        for flags in [0x10, 0x18, 0x13, 0x15, 0x03] {
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
                if let Some(end) = find(&other) {
                    keep_data(&mut other, end);
                    assert!(keep_end(&mut other, end).is_some_and(|length| length >= 54));
                }
            }
        }
    }
}
