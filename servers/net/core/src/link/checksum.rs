//! Checksums of TCP segments, and of IPv4 headers that arrive (RFC 9293, "Header Format"; RFC 1071).
//!
//! The stack below adds 16 bits at a time, over every byte that comes and goes. Here it is 64, which is
//! what most of a transfer's instructions depend on. Segments in IPv4 fragments cannot be checked before
//! they are put together, and are dropped: TCP avoids them.

use super::HEADER_BYTES;

const TCP: u8 = 6;
/// Where the checksum lies in a segment.
const FIELD: usize = 16;
/// Bytes of a segment's shortest header.
const TCP_HEADER: usize = 20;

/// What a frame has to do with TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Nothing.
    None,
    /// It has a part of a segment, or less than it says.
    Broken,
    /// A segment lies at `start..end`; `pseudo` is the sum of its pseudo header.
    At {
        start: usize,
        end: usize,
        pseudo: u64,
    },
}

/// Whether a frame that arrived has no TCP segment with a wrong checksum.
pub(super) fn is_right(frame: &[u8]) -> bool {
    match segment(frame) {
        Segment::None => true,
        Segment::Broken => false,
        Segment::At { start, end, pseudo } => {
            let bytes = frame.get(start..end).unwrap_or(&[]);
            fold(pseudo + sum(bytes)) == 0xffff
        }
    }
}

/// The same as [`is_right`] and [`is_header_right`] of a frame that has a whole IPv4 packet, and no options in its
/// header, as most of a transfer's have. Any other is wrong.
pub(super) fn is_plain_right(frame: &[u8]) -> bool {
    let packet = frame.get(HEADER_BYTES..).unwrap_or(&[]);
    let Some((header, _)) = packet.split_first_chunk::<20>() else {
        return false;
    };
    let word = |at: usize| {
        let [a, b, c, d] = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        u64::from(u32::from_ne_bytes([a, b, c, d]))
    };
    let addresses = word(12) + word(16);
    let whole = word(0) + word(4) + word(8) + addresses;
    if header[0] != 0x45 || fold(whole) != 0xffff {
        return false;
    }
    if header[9] != TCP {
        return true;
    }
    let end = u16::from_be_bytes([header[2], header[3]]);
    let Some(segment) = packet.get(header.len()..end.into()) else {
        return false;
    };
    let length = (segment.len() as u16).to_be();
    let pseudo = addresses + u64::from(u16::from_ne_bytes([0, TCP])) + u64::from(length);
    segment.len() >= TCP_HEADER && fold(pseudo + sum(segment)) == 0xffff
}

/// Whether a frame that arrived has no IPv4 header with a wrong checksum. One that is no header at all is
/// the stack's to refuse.
pub(super) fn is_header_right(frame: &[u8]) -> bool {
    let packet = frame.get(HEADER_BYTES..).unwrap_or(&[]);
    if frame.get(12..HEADER_BYTES) != Some(&[0x08, 0x00]) {
        return true;
    }
    let words = packet.first().map_or(0, |first| first & 0xf);
    let header = packet.get(..usize::from(words) * 4);
    header.is_none_or(|header| header.is_empty() || fold(sum(header)) == 0xffff)
}

/// Puts the checksum into a frame to be sent, if it has a TCP segment; where that begins.
pub(super) fn fill(frame: &mut [u8]) -> Option<usize> {
    let Segment::At { start, end, pseudo } = segment(frame) else {
        return None;
    };
    if let Some(field) = frame.get_mut(start + FIELD..start + FIELD + 2) {
        field.fill(0);
    }
    let bytes = frame.get(start..end).unwrap_or(&[]);
    let checksum = !fold(pseudo + sum(bytes));
    if let Some(field) = frame.get_mut(start + FIELD..start + FIELD + 2) {
        field.copy_from_slice(&checksum.to_ne_bytes());
    }
    Some(start)
}

/// Where a frame has a segment.
pub(super) fn segment(frame: &[u8]) -> Segment {
    let packet = frame.get(HEADER_BYTES..).unwrap_or(&[]);
    let found = match frame.get(12..HEADER_BYTES) {
        Some([0x08, 0x00]) => in_ipv4(packet),
        Some([0x86, 0xdd]) => in_ipv6(packet),
        _ => return Segment::None,
    };
    match found {
        Segment::At { start, end, pseudo } => Segment::At {
            start: start + HEADER_BYTES,
            end: end + HEADER_BYTES,
            pseudo,
        },
        other => other,
    }
}

fn in_ipv4(packet: &[u8]) -> Segment {
    let Some(header) = packet.first_chunk::<20>() else {
        return Segment::None;
    };
    if header[9] != TCP || header[0] >> 4 != 4 {
        return Segment::None;
    }
    // More fragments, or not the first.
    if header[6] & 0x3f != 0 || header[7] != 0 {
        return Segment::Broken;
    }
    let start = usize::from(header[0] & 0xf) * 4;
    let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
    place(packet, start, end, &header[12..20])
}

fn in_ipv6(packet: &[u8]) -> Segment {
    let Some(header) = packet.first_chunk::<40>() else {
        return Segment::None;
    };
    let end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (mut next, mut start) = (header[6], 40);
    // Options that every router looks at may stand in between (RFC 8200, "Hop-by-Hop Options Header").
    if next == 0 {
        let Some(&[kind, length, ..]) = packet.get(start..) else {
            return Segment::None;
        };
        next = kind;
        start += 8 + usize::from(length) * 8;
    }
    if next != TCP || header[0] >> 4 != 6 {
        return Segment::None;
    }
    place(packet, start, end, &header[8..40])
}

fn place(packet: &[u8], start: usize, end: usize, addresses: &[u8]) -> Segment {
    if start < 20 || end > packet.len() || end < start + TCP_HEADER {
        return Segment::Broken;
    }
    // A packet has less than 64 KiB.
    let length = (end - start) as u16;
    let rest = u64::from(u16::from_ne_bytes([0, TCP])) + u64::from(length.to_be());
    Segment::At {
        start,
        end,
        pseudo: sum(addresses) + rest,
    }
}

/// The sum of 16-bit words as they lie in memory; an odd byte counts as one with a zero behind it.
/// Not folded: bytes of a frame never overflow it.
fn sum(bytes: &[u8]) -> u64 {
    // What a word of eight bytes carries over counts as one: so it does in every shorter word.
    let (blocks, mut rest) = bytes.as_chunks::<256>();
    let mut total = 0;
    for block in blocks {
        total = add(total, block.as_chunks().0);
    }
    if let Some((block, others)) = rest.split_first_chunk::<128>() {
        total = add(total, block.as_chunks().0);
        rest = others;
    }
    if let Some((block, others)) = rest.split_first_chunk::<64>() {
        total = add(total, block.as_chunks().0);
        rest = others;
    }
    let (blocks, rest) = rest.as_chunks::<16>();
    for block in blocks {
        total = add(total, block.as_chunks().0);
    }
    (total & 0xffff_ffff) + (total >> 32) + pairs(rest)
}

/// Adds words, and what they carry over. Written so that one addition with carry is all that a word takes.
#[inline(always)]
fn add(mut total: u64, words: &[[u8; 8]]) -> u64 {
    let mut carry = false;
    for word in words {
        let (sum, one) = total.overflowing_add(u64::from_ne_bytes(*word));
        let (sum, other) = sum.overflowing_add(carry.into());
        (total, carry) = (sum, one | other);
    }
    let (sum, carry) = total.overflowing_add(carry.into());
    // A sum that is carried over leaves zero.
    sum + u64::from(carry)
}

/// The sum of a few bytes.
fn pairs(bytes: &[u8]) -> u64 {
    let (longer, rest) = bytes.as_chunks::<4>();
    let (words, rest) = rest.as_chunks::<2>();
    let mut total = 0;
    for word in longer {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    for word in words {
        total += u64::from(u16::from_ne_bytes(*word));
    }
    if let [last] = rest {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    total
}

/// The sum as 16 bits, carries added again.
const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::{fill, fold, is_header_right, is_plain_right, is_right, sum};
    use alloc::vec::Vec;

    /// An IPv4 frame with a segment of so many bytes.
    fn frame(payload: usize) -> Vec<u8> {
        let mut frame = alloc::vec![0; 14 + 20 + 20 + payload];
        frame[12] = 8;
        frame[14] = 0x45;
        let length = (40 + payload) as u16;
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        frame[23] = 6;
        for (at, byte) in (1..).zip(&mut frame[26..34]) {
            *byte = at;
        }
        for (at, byte) in (3_u32..).zip(&mut frame[54..]) {
            *byte = (at * 37) as u8;
        }
        frame
    }

    #[test]
    fn the_sum_is_that_of_its_words_one_by_one() {
        let bytes: Vec<u8> = (0..3000_u32).map(|at| (at * at % 253) as u8).collect();
        for length in (0..100).chain([1459, 1460, 3000]) {
            let simple: u64 = bytes[..length]
                .chunks(2)
                .map(|pair| u64::from(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
                .sum();
            assert_eq!(fold(sum(&bytes[..length])), fold(simple), "{length}");
            // Wherever it lies.
            for shift in 1..9 {
                let mut moved = alloc::vec![0; shift];
                moved.extend_from_slice(&bytes[..length]);
                assert_eq!(fold(sum(&moved[shift..])), fold(simple), "{length} {shift}");
            }
        }
    }

    #[test]
    fn what_is_filled_is_right_and_any_other_bit_is_wrong() {
        for payload in [0, 1, 2, 31, 32, 33, 1460] {
            let mut frame = frame(payload);
            fill(&mut frame);
            assert!(is_right(&frame), "{payload}");
            for at in [26, 33, 34, 47, frame.len() - 1] {
                let mut other = frame.clone();
                other[at] ^= 0x10;
                assert!(!is_right(&other), "{payload} {at}");
            }
        }
    }

    #[test]
    fn a_known_segment_has_its_known_checksum() {
        // 192.168.0.1:1234 to 192.168.0.2:80, SYN; worked out by hand.
        let mut frame = frame(0);
        frame[26..34].copy_from_slice(&[192, 168, 0, 1, 192, 168, 0, 2]);
        frame[34..54].copy_from_slice(&[
            0x04, 0xd2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0, 0, 0, 0, 0,
        ]);
        fill(&mut frame);
        let words = [
            0xc0a8_u32, 1, 0xc0a8, 2, 6, 20, 0x04d2, 80, 1, 0x5002, 0x2000,
        ];
        let mut total: u32 = words.iter().sum();
        total = (total >> 16) + (total & 0xffff);
        assert_eq!(frame[50..52], (!(total as u16)).to_be_bytes());
    }

    #[test]
    fn a_header_is_right_with_its_checksum_only() {
        let mut good = frame(40);
        let sum = !fold(sum(&good[14..34]));
        good[24..26].copy_from_slice(&sum.to_ne_bytes());
        assert!(is_header_right(&good));
        for at in 14..34 {
            let mut other = good.clone();
            other[at] ^= 0x20;
            // The first byte says how long it is.
            assert!(at == 14 || !is_header_right(&other), "{at}");
        }
        for end in 0..34 {
            is_header_right(&good[..end]);
        }
    }

    #[test]
    fn plain_frames_are_right_when_all_are() {
        let refill = |frame: &mut Vec<u8>| {
            frame[24..26].fill(0);
            let sum = !fold(sum(&frame[14..34]));
            frame[24..26].copy_from_slice(&sum.to_ne_bytes());
        };
        let mut right = 0;
        for protocol in [6, 17] {
            let mut good = frame(101);
            good[23] = protocol;
            fill(&mut good);
            refill(&mut good);
            assert!(is_plain_right(&good));
            for at in 15..good.len() {
                for value in [0, 1, 6, 17, 20, 0x28, 0x45, 0x8f, 0xff] {
                    let mut other = good.clone();
                    other[at] = value;
                    // What the head of a frame says beforehand.
                    other[20] &= 0x40;
                    other[21] = 0;
                    // With a header that is wrong, and with one that lies.
                    for _ in 0..2 {
                        let all = is_header_right(&other) && is_right(&other);
                        assert_eq!(is_plain_right(&other), all, "{at} {value}");
                        right += u32::from(all);
                        refill(&mut other);
                    }
                }
            }
            for end in 0..good.len() {
                is_plain_right(&good[..end]);
            }
        }
        assert!(right > 100, "{right}");
    }

    #[test]
    fn frames_that_lie_are_wrong_and_do_no_harm() {
        let mut good = frame(100);
        fill(&mut good);
        for end in 0..good.len() {
            // Whatever is cut off is noticed, unless not even the header is whole.
            assert_eq!(is_right(&good[..end]), end < 34, "{end}");
        }
        for at in 12..34 {
            for value in 0..=255 {
                let mut other = good.clone();
                other[at] = value;
                is_right(&other);
                fill(&mut other);
            }
        }
        let mut fragment = good.clone();
        fragment[20] = 0x20;
        assert!(!is_right(&fragment));
    }
}
