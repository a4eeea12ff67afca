//! Text on its way to become a record.

use alloc::vec::Vec;

use gritos_log_api::MAX_TEXT;

/// What a client has written of its next record.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    text: Vec<u8>,
}

impl Draft {
    /// Adds a part. What is beyond [`MAX_TEXT`], or finds no memory, is cut; control characters become `?`.
    pub fn push(&mut self, part: &[u8]) {
        let room = (MAX_TEXT as usize).saturating_sub(self.text.len());
        let part = part.get(..room).unwrap_or(part);
        if self.text.try_reserve(part.len()).is_err() {
            return;
        }
        self.text.extend(
            part.iter()
                .map(|&byte| if is_shown(byte) { byte } else { b'?' }),
        );
    }

    /// The text without line ends at its end.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.text.trim_ascii_end()
    }

    /// Forgets the text and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
    }
}

/// Whether a byte may be shown on a terminal as it is.
#[must_use]
pub const fn is_shown(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || matches!(byte, b'\n' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use gritos_log_api::MAX_TEXT;

    #[test]
    fn parts_add_up_and_tricks_on_terminals_do_not() {
        let mut draft = Draft::default();
        draft.push(b"red: \x1b[31m");
        draft.push("\täö\r\n\n".as_bytes());
        assert_eq!(draft.text(), "red: ?[31m\täö?".as_bytes());
        draft.clear();
        assert_eq!(draft.text(), b"");
    }

    #[test]
    fn a_text_has_an_end() {
        let mut draft = Draft::default();
        for _ in 0..100 {
            draft.push(&[b'x'; 61]);
        }
        assert_eq!(draft.text().len(), MAX_TEXT as usize);
    }
}
