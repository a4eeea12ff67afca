//! The text that went out last, for those who show it elsewhere.
//!
//! It never keeps a writer waiting: who looks too late misses what was overwritten, and sees by its position that
//! it did. Serial frames are for the host, not for eyes, and are left out.

use alloc::collections::VecDeque;

/// Bytes that are kept: two screens full.
pub const HISTORY_BYTES: usize = 8 << 10;
/// First byte of a frame (`docs/reference/serial-frames.md`); its last is a line feed.
const FRAME: u8 = 0x1e;

/// The end of what was sent.
#[derive(Debug)]
pub struct History {
    bytes: VecDeque<u8>,
    /// Position behind the last byte.
    end: u64,
    in_frame: bool,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: VecDeque::with_capacity(HISTORY_BYTES),
            end: 0,
            in_frame: false,
        }
    }

    /// Notes a byte that was sent.
    pub fn push(&mut self, byte: u8) {
        if self.in_frame || byte == FRAME {
            self.in_frame = byte != b'\n';
            return;
        }
        if self.bytes.len() >= HISTORY_BYTES {
            self.bytes.pop_front();
        }
        self.bytes.push_back(byte);
        self.end += 1;
    }

    /// Position behind the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Copies text from position `from` on, or from the oldest that is kept: how many bytes, and the position
    /// behind them. Of a position that is not reached yet there is none.
    pub fn read(&self, from: u64, into: &mut [u8]) -> (usize, u64) {
        let oldest = self.end - self.bytes.len() as u64;
        let from = from.clamp(oldest, self.end);
        // At most what is kept, which fits.
        let skip = (from - oldest) as usize;
        let mut count = 0;
        for (to, byte) in into.iter_mut().zip(self.bytes.iter().skip(skip)) {
            *to = *byte;
            count += 1;
        }
        (count, from + count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{HISTORY_BYTES, History};

    fn of(text: &[u8]) -> History {
        let mut history = History::new();
        text.iter().for_each(|byte| history.push(*byte));
        history
    }

    fn read(history: &History, from: u64) -> (Vec<u8>, u64) {
        let mut into = [0; 5];
        let (count, next) = history.read(from, &mut into);
        (into[..count].to_vec(), next)
    }

    use alloc::vec::Vec;

    #[test]
    fn text_is_read_in_pieces_from_any_position() {
        let history = of(b"over the hills");
        assert_eq!(read(&history, 0), (b"over ".to_vec(), 5));
        assert_eq!(read(&history, 11), (b"lls".to_vec(), 14));
        assert_eq!(read(&history, 14), (Vec::new(), 14));
        assert_eq!(read(&history, u64::MAX), (Vec::new(), 14));
    }

    #[test]
    fn the_oldest_goes_first_and_the_position_tells() {
        let mut history = of(&[b'x'; HISTORY_BYTES]);
        b"abc".iter().for_each(|byte| history.push(*byte));
        assert_eq!(history.end(), HISTORY_BYTES as u64 + 3);
        assert_eq!(read(&history, 0), (b"xxxxx".to_vec(), 8), "three are gone");
        let last = HISTORY_BYTES as u64;
        assert_eq!(read(&history, last), (b"abc".to_vec(), last + 3));
    }

    #[test]
    fn frames_are_no_text() {
        let history = of(b"a\x1eO:000::00\r\nb\x1eX\x1eY\nc");
        assert_eq!(read(&history, 0).0, b"abc");
    }
}
