//! What the two sides say.

use crate::wire::{self, encode};

/// What the host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromHost<'a> {
    /// Is anybody there?
    Hello,
    /// Change to so many baud.
    Speed(u32),
    /// An image of so many bytes with this CRC-32C follows.
    Begin {
        /// Bytes of the image.
        bytes: u32,
        /// CRC-32C of them.
        crc: u32,
    },
    /// A piece of it.
    Data {
        /// Where it lies in the image.
        offset: u32,
        /// At most [`PIECE_BYTES`](crate::PIECE_BYTES).
        bytes: &'a [u8],
    },
    /// Start the image with this CRC-32C.
    Start(u32),
}

/// What the board says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromBoard {
    /// It waits for an image.
    Ready {
        /// Version of the protocol.
        version: u32,
        /// Most bytes of an image.
        room: u32,
    },
    /// Everything up to here has arrived.
    Accepted(u32),
    /// Something arrived damaged.
    Damaged,
    /// It cannot do that.
    Refused(Refusal),
    /// The image runs.
    Started,
    /// From now on it listens at so many baud.
    Changing(u32),
}

/// Why the board refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Refusal {
    /// The image is empty or does not fit.
    Size = 1,
    /// There was no `Begin`, or the image is not complete.
    Incomplete = 2,
    /// What arrived is not what was announced.
    Checksum = 3,
    /// The serial line cannot be that fast or slow.
    Speed = 4,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::Size, Self::Incomplete, Self::Checksum, Self::Speed];
}

impl FromHost<'_> {
    /// Writes it as a frame.
    pub fn send(&self, emit: impl FnMut(u8)) {
        match *self {
            Self::Hello => encode(b'H', [&[], &[]], emit),
            Self::Speed(baud) => encode(b'V', [&baud.to_le_bytes(), &[]], emit),
            Self::Begin { bytes, crc } => {
                encode(b'B', [&bytes.to_le_bytes(), &crc.to_le_bytes()], emit);
            }
            Self::Data { offset, bytes } => encode(b'D', [&offset.to_le_bytes(), bytes], emit),
            Self::Start(crc) => encode(b'S', [&crc.to_le_bytes(), &[]], emit),
        }
    }
}

impl<'a> FromHost<'a> {
    /// Reads a frame; `None` if it is no message.
    #[must_use]
    pub fn parse(kind: u8, payload: &'a [u8]) -> Option<Self> {
        Some(match (kind, payload.len()) {
            (b'H', 0) => Self::Hello,
            (b'V', 4) => Self::Speed(word(payload, 0)?),
            (b'B', 8) => Self::Begin {
                bytes: word(payload, 0)?,
                crc: word(payload, 4)?,
            },
            (b'D', 5..=wire::PAYLOAD_LIMIT) => Self::Data {
                offset: word(payload, 0)?,
                bytes: payload.get(4..)?,
            },
            (b'S', 4) => Self::Start(word(payload, 0)?),
            _ => return None,
        })
    }
}

impl FromBoard {
    /// Writes it as a frame.
    pub fn send(&self, emit: impl FnMut(u8)) {
        let (kind, values) = match *self {
            Self::Ready { version, room } => (b'r', [Some(version), Some(room)]),
            Self::Accepted(offset) => (b'a', [Some(offset), None]),
            Self::Damaged => (b'd', [None, None]),
            Self::Refused(why) => (b'n', [Some(why as u32), None]),
            Self::Started => (b's', [None, None]),
            Self::Changing(baud) => (b'v', [Some(baud), None]),
        };
        let bytes = values.map(|value| value.unwrap_or(0).to_le_bytes());
        let part = |i: usize| {
            let has = values.get(i).is_some_and(Option::is_some);
            bytes.get(i).filter(|_| has).map_or(&[][..], |b| b)
        };
        encode(kind, [part(0), part(1)], emit);
    }

    /// Reads a frame; `None` if it is no message.
    #[must_use]
    pub fn parse(kind: u8, payload: &[u8]) -> Option<Self> {
        Some(match (kind, payload.len()) {
            (b'r', 8) => Self::Ready {
                version: word(payload, 0)?,
                room: word(payload, 4)?,
            },
            (b'a', 4) => Self::Accepted(word(payload, 0)?),
            (b'd', 0) => Self::Damaged,
            (b'n', 4) => {
                let why = word(payload, 0)?;
                Self::Refused(Refusal::ALL.into_iter().find(|r| *r as u32 == why)?)
            }
            (b's', 0) => Self::Started,
            (b'v', 4) => Self::Changing(word(payload, 0)?),
            _ => return None,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{FromBoard, FromHost, Refusal};
    use crate::wire::{Decoder, Event};
    use std::vec::Vec;

    #[test]
    fn messages_survive_the_line() {
        let from_host = [
            FromHost::Hello,
            FromHost::Speed(921_600),
            FromHost::Begin { bytes: 5, crc: 7 },
            FromHost::Data {
                offset: 9,
                bytes: &[0xa5, 0x5a, 1],
            },
            FromHost::Start(0xdead_beef),
        ];
        for message in from_host {
            let (mut decoder, mut bytes, mut seen) = (Decoder::new(), Vec::new(), 0);
            message.send(|byte| bytes.push(byte));
            for byte in bytes {
                if let Some(Event::Frame(kind, payload)) = decoder.push(byte) {
                    assert_eq!(FromHost::parse(kind, payload), Some(message));
                    seen += 1;
                }
            }
            assert_eq!(seen, 1);
        }
        let from_board = [
            FromBoard::Ready {
                version: 1,
                room: 64 << 20,
            },
            FromBoard::Accepted(4096),
            FromBoard::Damaged,
            FromBoard::Refused(Refusal::Checksum),
            FromBoard::Started,
            FromBoard::Changing(115_200),
        ];
        for message in from_board {
            let (mut decoder, mut bytes, mut seen) = (Decoder::new(), Vec::new(), 0);
            message.send(|byte| bytes.push(byte));
            for byte in bytes {
                if let Some(Event::Frame(kind, payload)) = decoder.push(byte) {
                    assert_eq!(FromBoard::parse(kind, payload), Some(message));
                    seen += 1;
                }
            }
            assert_eq!(seen, 1);
        }
    }

    #[test]
    fn frames_of_another_form_are_no_messages() {
        assert_eq!(
            FromHost::parse(b'D', &[0; 4]),
            None,
            "a piece without bytes"
        );
        assert_eq!(FromHost::parse(b'B', &[0; 7]), None);
        assert_eq!(FromHost::parse(b'?', &[]), None);
        assert_eq!(
            FromBoard::parse(b'n', &[9, 0, 0, 0]),
            None,
            "no such reason"
        );
    }
}
