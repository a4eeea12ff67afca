//! Frames.
//!
//! ```text
//! a5 5a  kind  length (2)  check  payload (length)  crc (4)
//! ```
//!
//! Numbers are little endian. *check* makes the sum of kind, both bytes of the length and itself 0xff, so
//! that a damaged length does not swallow what follows; *crc* is the CRC-32C of everything from kind on.

use gritos_abi::boot_image::crc32c;

use crate::PIECE_BYTES;

const SYNC: [u8; 2] = [0xa5, 0x5a];
/// Most bytes of a payload: a piece and its offset.
pub const PAYLOAD_LIMIT: usize = PIECE_BYTES + 4;

/// Writes a frame byte by byte. Of a payload of several parts one follows the other; what is beyond
/// [`PAYLOAD_LIMIT`] is left out.
pub fn encode(kind: u8, parts: [&[u8]; 2], mut emit: impl FnMut(u8)) {
    let payload = || parts.into_iter().flatten().take(PAYLOAD_LIMIT).copied();
    // At most PAYLOAD_LIMIT.
    let length = (payload().count() as u16).to_le_bytes();
    let check = 0xff_u8
        .wrapping_sub(kind)
        .wrapping_sub(length[0])
        .wrapping_sub(length[1]);
    SYNC.into_iter().for_each(&mut emit);
    let mut crc = 0;
    for byte in [kind, length[0], length[1], check]
        .into_iter()
        .chain(payload())
    {
        crc = crc32c(crc, &[byte]);
        emit(byte);
    }
    crc.to_le_bytes().into_iter().for_each(emit);
}

/// What a byte completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The byte belongs to no frame.
    Other(u8),
    /// An intact frame.
    Frame(u8, &'a [u8]),
    /// What looked like a frame is none.
    Damaged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    /// The first byte of the mark was seen.
    Mark,
    Header(usize),
    Payload(usize),
    Crc(usize),
}

/// Finds frames in what arrives.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    header: [u8; 4],
    payload: [u8; PAYLOAD_LIMIT],
    length: usize,
    crc: u32,
    found: [u8; 4],
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Outside of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Outside,
            header: [0; 4],
            payload: [0; PAYLOAD_LIMIT],
            length: 0,
            crc: 0,
            found: [0; 4],
        }
    }

    /// Whether a frame has begun.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !matches!(self.state, State::Outside)
    }

    /// Forgets a frame that has begun.
    pub const fn reset(&mut self) {
        self.state = State::Outside;
    }

    /// Takes a byte.
    pub fn push(&mut self, byte: u8) -> Option<Event<'_>> {
        match self.state {
            State::Outside if byte == SYNC[0] => {
                self.state = State::Mark;
                None
            }
            State::Outside => Some(Event::Other(byte)),
            State::Mark if byte == SYNC[1] => {
                (self.state, self.crc) = (State::Header(0), 0);
                None
            }
            State::Mark if byte == SYNC[0] => None,
            State::Mark => {
                self.state = State::Outside;
                Some(Event::Other(byte))
            }
            State::Header(at) => self.header(at, byte),
            State::Payload(at) => {
                self.crc = crc32c(self.crc, &[byte]);
                if let Some(place) = self.payload.get_mut(at) {
                    *place = byte;
                }
                self.state = if at + 1 < self.length {
                    State::Payload(at + 1)
                } else {
                    State::Crc(0)
                };
                None
            }
            State::Crc(at) => self.check(at, byte),
        }
    }

    fn header(&mut self, at: usize, byte: u8) -> Option<Event<'_>> {
        self.crc = crc32c(self.crc, &[byte]);
        if let Some(place) = self.header.get_mut(at) {
            *place = byte;
        }
        if at < 3 {
            self.state = State::Header(at + 1);
            return None;
        }
        let sum = self.header.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b));
        self.length = usize::from(u16::from_le_bytes([self.header[1], self.header[2]]));
        if sum != 0xff || self.length > PAYLOAD_LIMIT {
            self.state = State::Outside;
            return Some(Event::Damaged);
        }
        self.state = if self.length == 0 {
            State::Crc(0)
        } else {
            State::Payload(0)
        };
        None
    }

    fn check(&mut self, at: usize, byte: u8) -> Option<Event<'_>> {
        if let Some(place) = self.found.get_mut(at) {
            *place = byte;
        }
        if at < 3 {
            self.state = State::Crc(at + 1);
            return None;
        }
        self.state = State::Outside;
        if u32::from_le_bytes(self.found) != self.crc {
            return Some(Event::Damaged);
        }
        let payload = self.payload.get(..self.length).unwrap_or(&[]);
        Some(Event::Frame(self.header[0], payload))
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Event, PAYLOAD_LIMIT, encode};
    use std::vec::Vec;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(kind, [payload, &[]], |byte| bytes.push(byte));
        bytes
    }

    /// Frames and damage in `bytes`.
    fn decode(bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, usize) {
        let (mut decoder, mut frames, mut damaged) = (Decoder::new(), Vec::new(), 0);
        for &byte in bytes {
            match decoder.push(byte) {
                Some(Event::Frame(kind, payload)) => frames.push((kind, payload.to_vec())),
                Some(Event::Damaged) => damaged += 1,
                _ => {}
            }
        }
        (frames, damaged)
    }

    #[test]
    fn what_is_encoded_is_decoded_wherever_it_lies() {
        let long: Vec<u8> = (0..PAYLOAD_LIMIT).map(|i| i as u8).collect();
        let mut bytes = b"text \xa5\xa5".to_vec();
        for payload in [&[][..], b"\xa5\x5a\xa5\x5a", &long] {
            bytes.extend(frame(b'D', payload));
            bytes.extend(b"\r\nnoise");
        }
        let (frames, damaged) = decode(&bytes);
        assert_eq!(damaged, 0);
        let payloads: Vec<_> = frames.iter().map(|(_, payload)| payload.len()).collect();
        assert_eq!(payloads, [0, 4, PAYLOAD_LIMIT]);
        assert!(frames[2].1 == long && frames.iter().all(|(kind, _)| *kind == b'D'));
    }

    #[test]
    fn no_flipped_bit_passes_for_a_frame_and_the_next_one_is_found() {
        let good = frame(b'A', b"some payload");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.extend(&good);
            let (frames, _) = decode(&bytes);
            assert!(frames.len() <= 1, "bit {bit}");
            assert!(frames.iter().all(|(_, payload)| payload == b"some payload"));
            // At the latest the frame after the next.
            bytes.extend(&good);
            bytes.extend(&good);
            assert!(!decode(&bytes).0.is_empty(), "bit {bit}");
        }
    }

    #[test]
    fn a_lost_or_an_inserted_byte_is_damage() {
        let good = frame(b'A', b"some payload");
        for at in 2..good.len() - 1 {
            let mut bytes = good.clone();
            bytes.remove(at);
            bytes.extend(&good);
            bytes.extend(&good);
            let (frames, damaged) = decode(&bytes);
            assert!(damaged > 0 && !frames.is_empty(), "{at}");
        }
    }
}
