//! Frames: lines that a program on the target writes for a program on the host,
//! through a serial line that carries other text as well.
//!
//! ```text
//! RS channel ':' length ':' payload ':' crc LF
//! ```
//!
//! RS is the byte 0x1e, which ordinary text does not contain; *channel* one
//! letter ([`Channel`]); *length* the number of characters of the payload as it
//! travels, in hexadecimal; *payload* printable ASCII, any other byte and `%`
//! escaped as `%` and two hexadecimal digits; *crc* the CRC-32C of everything
//! between RS and the last colon, in eight hexadecimal digits. A carriage
//! return before the line feed is ignored.
//!
//! A frame that other text breaks into is recognised as damaged, and the next
//! RS begins afresh. `docs/reference/serial-frames.md` is the normative text.

use crate::boot_image::crc32c;

/// First byte of a frame (ASCII "record separator").
pub const START: u8 = 0x1e;
/// Most bytes of a payload before escaping.
pub const PAYLOAD_LIMIT: usize = 1024;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Events of a test run.
    Test = b'T',
    /// Results of a benchmark.
    Bench = b'B',
    /// Records of the log.
    Log = b'L',
    /// Output of a command, byte for byte.
    Output = b'O',
    /// Status of a command or of the system.
    Status = b'S',
    /// The host asks the shell to do something.
    Request = b'X',
    /// The host asks the console whether it is alive.
    Probe = b'P',
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 7] = [
        Self::Test,
        Self::Bench,
        Self::Log,
        Self::Output,
        Self::Status,
        Self::Request,
        Self::Probe,
    ];

    /// Decodes the letter of a channel.
    #[must_use]
    pub const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'T' => Self::Test,
            b'B' => Self::Bench,
            b'L' => Self::Log,
            b'O' => Self::Output,
            b'S' => Self::Status,
            b'X' => Self::Request,
            b'P' => Self::Probe,
            _ => return None,
        })
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte <= b'~' && byte != b'%'
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn hex_digit(value: u32, place: u32) -> u8 {
    HEX.get((value >> (4 * place) & 0xf) as usize)
        .copied()
        .unwrap_or(b'0')
}

/// Writes `payload` byte by byte to `emit`, as one frame if it has at most
/// [`PAYLOAD_LIMIT`] bytes, else as several.
pub fn encode(channel: Channel, payload: &[u8], mut emit: impl FnMut(u8)) {
    if payload.is_empty() {
        return encode_one(channel, payload, &mut emit);
    }
    for part in payload.chunks(PAYLOAD_LIMIT) {
        encode_one(channel, part, &mut emit);
    }
}

fn encode_one(channel: Channel, payload: &[u8], emit: &mut impl FnMut(u8)) {
    let escapes = payload.iter().filter(|&&b| !is_plain(b)).count();
    // At most 3 * PAYLOAD_LIMIT: three digits are enough.
    let length = (payload.len() + 2 * escapes) as u32;
    let mut crc = 0;
    emit(START);
    let mut put = |byte| {
        crc = crc32c(crc, &[byte]);
        emit(byte);
    };
    put(channel as u8);
    put(b':');
    for place in (0..3).rev() {
        put(hex_digit(length, place));
    }
    put(b':');
    for &byte in payload {
        if is_plain(byte) {
            put(byte);
        } else {
            put(b'%');
            put(hex_digit(byte.into(), 1));
            put(hex_digit(byte.into(), 0));
        }
    }
    emit(b':');
    for place in (0..8).rev() {
        emit(hex_digit(crc, place));
    }
    emit(b'\n');
}

/// What a byte completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The byte belongs to no frame.
    Text(u8),
    /// An intact frame with its payload as it was given to [`encode`].
    Frame(Channel, &'a [u8]),
    /// What began as a frame is none; its bytes are lost. If the byte that
    /// showed this is [`START`], the next frame has begun.
    Damaged,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Text,
    Channel,
    Colon(Channel),
    Length(Channel),
    Payload(Channel, Escape),
    Crc(Channel, u32),
    End(Channel),
}

#[derive(Clone, Copy, Debug)]
enum Escape {
    No,
    First,
    Second(u8),
}

/// Finds the frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// CRC-32C so far; while the digits of the CRC arrive, what is left of it.
    crc: u32,
    /// Characters of the payload yet to come; while the length arrives, its
    /// value so far.
    left: usize,
    /// Digits of the number that is arriving.
    digits: u32,
    payload: [u8; PAYLOAD_LIMIT],
    len: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Text,
            crc: 0,
            left: 0,
            digits: 0,
            payload: [0; PAYLOAD_LIMIT],
            len: 0,
        }
    }

    /// Takes the next byte; `None` while a frame is incomplete.
    pub fn push(&mut self, byte: u8) -> Option<Event<'_>> {
        if byte == START {
            let damaged = !matches!(self.state, State::Text);
            self.state = State::Channel;
            (self.crc, self.left, self.digits, self.len) = (0, 0, 0, 0);
            return damaged.then_some(Event::Damaged);
        }
        if matches!(self.state, State::Text) {
            return Some(Event::Text(byte));
        }
        match self.step(byte) {
            Some(State::Text) => {
                let State::End(channel) = self.state else {
                    return None;
                };
                self.state = State::Text;
                self.payload
                    .get(..self.len)
                    .map(|payload| Event::Frame(channel, payload))
            }
            Some(next) => {
                self.state = next;
                None
            }
            None => {
                self.state = State::Text;
                Some(Event::Damaged)
            }
        }
    }

    /// The state after `byte`, which is `Text` only after a whole frame; `None`
    /// if `byte` cannot stand here.
    fn step(&mut self, byte: u8) -> Option<State> {
        if matches!(
            self.state,
            State::Channel | State::Colon(_) | State::Length(_)
        ) || (matches!(self.state, State::Payload(..)) && self.left > 0)
        {
            self.crc = crc32c(self.crc, &[byte]);
        }
        match self.state {
            State::Text => None,
            State::Channel => Channel::from_letter(byte).map(State::Colon),
            State::Colon(channel) => (byte == b':').then_some(State::Length(channel)),
            State::Length(channel) if byte == b':' && self.digits > 0 => {
                Some(State::Payload(channel, Escape::No))
            }
            State::Length(channel) => {
                self.digits += 1;
                self.left = self.left << 4 | usize::from(hex_value(byte)?);
                (self.digits <= 3 && self.left <= 3 * PAYLOAD_LIMIT)
                    .then_some(State::Length(channel))
            }
            State::Payload(channel, Escape::No) if self.left == 0 => {
                self.digits = 0;
                (byte == b':').then_some(State::Crc(channel, 0))
            }
            State::Payload(channel, escape) => {
                self.left = self.left.checked_sub(1)?;
                let escape = self.payload_byte(byte, escape)?;
                Some(State::Payload(channel, escape))
            }
            State::Crc(channel, crc) => {
                self.digits += 1;
                let crc = crc << 4 | u32::from(hex_value(byte)?);
                match self.digits {
                    8 => (crc == self.crc).then_some(State::End(channel)),
                    _ => Some(State::Crc(channel, crc)),
                }
            }
            State::End(channel) => match byte {
                b'\r' => Some(State::End(channel)),
                b'\n' => Some(State::Text),
                _ => None,
            },
        }
    }

    fn payload_byte(&mut self, byte: u8, escape: Escape) -> Option<Escape> {
        let value = match escape {
            Escape::No if byte == b'%' => return Some(Escape::First),
            Escape::No if is_plain(byte) => byte,
            Escape::No => return None,
            Escape::First => return hex_value(byte).map(Escape::Second),
            Escape::Second(high) => high << 4 | hex_value(byte)?,
        };
        *self.payload.get_mut(self.len)? = value;
        self.len += 1;
        Some(Escape::No)
    }
}

#[cfg(test)]
mod tests;
