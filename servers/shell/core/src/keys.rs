//! Bytes of a terminal as keys.

/// A key, or a combination that stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character that can be shown.
    Char(char),
    /// Return.
    Enter,
    /// Tab.
    Tab,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// To the start of the line.
    Home,
    /// To the end of the line.
    End,
    /// A word to the left: Alt-B, Ctrl-Left.
    WordLeft,
    /// A word to the right: Alt-F, Ctrl-Right.
    WordRight,
    /// Cuts the word to the left: Ctrl-W, Alt-Backspace.
    CutWordLeft,
    /// Cuts the word to the right: Alt-D.
    CutWordRight,
    /// Cuts to the start: Ctrl-U.
    CutToStart,
    /// Cuts to the end: Ctrl-K.
    CutToEnd,
    /// Inserts what was cut: Ctrl-Y.
    Yank,
    /// Swaps the two characters around the cursor: Ctrl-T.
    Swap,
    /// Searches the history: Ctrl-R.
    Search,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-L.
    Redraw,
    /// Ctrl-G, or Escape twice.
    Cancel,
}

/// Most bytes of an escape sequence; what is longer is none.
const SEQUENCE_LIMIT: usize = 32;

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Plain,
    /// A carriage return came: a line feed right behind it is part of it.
    Return,
    /// Escape.
    Escape,
    /// `ESC [` or `ESC O`, with first and last parameter, and bytes so far.
    Sequence([u16; 2], usize),
    /// A character in several bytes: those so far, how many there are, and how many there must be.
    Utf8([u8; 4], usize, usize),
}

/// Makes keys of bytes.
#[derive(Clone, Debug, Default)]
pub struct Keys(State);

impl Keys {
    /// Takes a byte; the key that it completes. Bytes that mean nothing are dropped, broken UTF-8 becomes
    /// U+FFFD.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.0) {
            State::Return if byte == b'\n' => None,
            State::Plain | State::Return => self.plain(byte),
            State::Escape => self.escape(byte),
            State::Sequence(parameters, count) => self.sequence(parameters, count, byte),
            State::Utf8(bytes, have, need) => self.utf8(bytes, have, need, byte),
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x07 => Key::Cancel,
            0x08 | 0x7f => Key::Backspace,
            b'\t' => Key::Tab,
            b'\n' => Key::Enter,
            0x0b => Key::CutToEnd,
            0x0c => Key::Redraw,
            b'\r' => {
                self.0 = State::Return;
                Key::Enter
            }
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x12 => Key::Search,
            0x14 => Key::Swap,
            0x15 => Key::CutToStart,
            0x17 => Key::CutWordLeft,
            0x19 => Key::Yank,
            0x1b => {
                self.0 = State::Escape;
                return None;
            }
            0x20..=0x7e => Key::Char(char::from(byte)),
            0xc2..=0xf4 => {
                let need = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    _ => 4,
                };
                self.0 = State::Utf8([byte, 0, 0, 0], 1, need);
                return None;
            }
            0x80.. => Key::Char(char::REPLACEMENT_CHARACTER),
            _ => return None,
        })
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b'[' | b'O' => {
                self.0 = State::Sequence([0; 2], 0);
                return None;
            }
            b'b' | b'B' => Key::WordLeft,
            b'f' | b'F' => Key::WordRight,
            b'd' | b'D' => Key::CutWordRight,
            0x08 | 0x7f => Key::CutWordLeft,
            0x1b => Key::Cancel,
            // A control key behind a lone Escape is itself.
            0..0x20 => return self.plain(byte),
            _ => return None,
        })
    }

    fn sequence(&mut self, mut parameters: [u16; 2], count: usize, byte: u8) -> Option<Key> {
        let [first, last] = &mut parameters;
        match byte {
            b'0'..=b'9' => {
                let digit = u16::from(byte - b'0');
                *last = last.saturating_mul(10).saturating_add(digit);
            }
            b';' => (*first, *last) = (if *first == 0 { *last } else { *first }, 0),
            0x20..0x40 => {}
            0x40..0x7f => return Self::finish(*first, *last, byte),
            _ => return self.plain(byte),
        }
        if count < SEQUENCE_LIMIT {
            self.0 = State::Sequence(parameters, count + 1);
        }
        None
    }

    fn finish(first: u16, last: u16, byte: u8) -> Option<Key> {
        // With a modifier the number of the key comes first, the modifier last.
        let (number, modified) = if first == 0 {
            (last, false)
        } else {
            (first, matches!(last, 3 | 5 | 7))
        };
        Some(match (byte, number) {
            (b'A', _) => Key::Up,
            (b'B', _) => Key::Down,
            (b'C', _) if modified => Key::WordRight,
            (b'C', _) => Key::Right,
            (b'D', _) if modified => Key::WordLeft,
            (b'D', _) => Key::Left,
            (b'H', _) | (b'~', 1 | 7) => Key::Home,
            (b'F', _) | (b'~', 4 | 8) => Key::End,
            (b'~', 3) if modified => Key::CutWordRight,
            (b'~', 3) => Key::Delete,
            (b'M', _) => Key::Enter,
            _ => return None,
        })
    }

    fn utf8(&mut self, mut bytes: [u8; 4], have: usize, need: usize, byte: u8) -> Option<Key> {
        const BROKEN: Key = Key::Char(char::REPLACEMENT_CHARACTER);
        if byte & 0xc0 != 0x80 {
            // What was begun is lost; this byte begins anew, unless that takes the one key there is.
            return match self.plain(byte) {
                Some(Key::Char(_)) | None => Some(BROKEN),
                key => key,
            };
        }
        if let Some(place) = bytes.get_mut(have) {
            *place = byte;
        }
        if have + 1 < need {
            self.0 = State::Utf8(bytes, have + 1, need);
            return None;
        }
        let text = core::str::from_utf8(bytes.get(..need)?);
        let Some(found) = text.ok().and_then(|text| text.chars().next()) else {
            return Some(BROKEN);
        };
        // C1 controls would change the terminal's state.
        (!found.is_control()).then_some(Key::Char(found))
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys};
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|&byte| keys.push(byte)).collect()
    }

    #[test]
    fn cursor_keys_in_every_spelling() {
        assert_eq!(
            keys(b"\x1b[A\x1bOA\x10\x1b[B\x0e\x1b[C\x06\x1b[D\x02"),
            [
                Key::Up,
                Key::Up,
                Key::Up,
                Key::Down,
                Key::Down,
                Key::Right,
                Key::Right,
                Key::Left,
                Key::Left
            ]
        );
        assert_eq!(
            keys(b"\x1b[H\x1b[1~\x1b[7~\x1bOF\x1b[4~\x1b[3~\x1b[3;5~"),
            [
                Key::Home,
                Key::Home,
                Key::Home,
                Key::End,
                Key::End,
                Key::Delete,
                Key::CutWordRight
            ]
        );
        assert_eq!(
            keys(b"\x1b[1;5D\x1b[1;3C\x1bb\x1bf\x1bd\x1b\x7f"),
            [
                Key::WordLeft,
                Key::WordRight,
                Key::WordLeft,
                Key::WordRight,
                Key::CutWordRight,
                Key::CutWordLeft
            ]
        );
    }

    #[test]
    fn a_return_with_its_line_feed_is_one_key() {
        assert_eq!(keys(b"\r\n\r\r\n\n"), [Key::Enter; 4]);
    }

    #[test]
    fn characters_of_several_bytes_and_broken_ones() {
        assert_eq!(
            keys("aé€🦀".as_bytes()),
            ['a', 'é', '€', '🦀'].map(Key::Char)
        );
        assert_eq!(keys(b"\xff\xe2\x82\r"), [Key::Char('\u{fffd}'), Key::Enter]);
        // Neither U+009B nor a surrogate gets through.
        assert_eq!(keys(b"\xc2\x9b\xed\xa0\x80"), [Key::Char('\u{fffd}')]);
    }

    #[test]
    fn sequences_that_mean_nothing_leave_nothing_behind() {
        assert_eq!(keys(b"\x1b[38;2;1;2;3mx"), [Key::Char('x')]);
        assert_eq!(
            keys(b"\x1b[?25hx\x1b[200~y"),
            [Key::Char('x'), Key::Char('y')]
        );
        assert_eq!(keys(b"\x1b[\x03"), [Key::Interrupt]);
        let long = [b"\x1b[".as_slice(), &[b'1'; 500], b"q"].concat();
        assert!(keys(&long).len() < 500);
    }
}
