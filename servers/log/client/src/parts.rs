//! Text in parts that fit a message.

use core::fmt;

use gritos_log_api::{MAX_PART, MAX_TEXT};

const PART: usize = MAX_PART as usize;

/// Collects text and gives it on in parts, as `append` takes them.
pub struct Parts<F> {
    /// Takes a part and whether it is the last. Whether it was taken.
    send: F,
    part: [u8; PART],
    filled: usize,
    sent: usize,
    failed: bool,
}

impl<F> fmt::Debug for Parts<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl<F: FnMut(&[u8], bool) -> bool> Parts<F> {
    /// Gives parts to `send`.
    pub const fn new(send: F) -> Self {
        Self {
            send,
            part: [0; PART],
            filled: 0,
            sent: 0,
            failed: false,
        }
    }

    fn give(&mut self, last: bool) {
        let part = self.part.get(..self.filled).unwrap_or(&self.part);
        self.failed |= !(self.send)(part, last);
        self.sent += self.filled;
        self.filled = 0;
    }

    /// Gives the last part, unless an earlier one was not taken.
    pub fn finish(mut self) {
        if !self.failed {
            self.give(true);
        }
    }
}

impl<F: FnMut(&[u8], bool) -> bool> fmt::Write for Parts<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            // A full part goes out when more follows, so that the last one is never empty.
            if self.filled == PART {
                self.give(false);
            }
            // What the log would cut is not worth a message.
            if self.failed || self.sent >= MAX_TEXT as usize {
                return Err(fmt::Error);
            }
            if let Some(place) = self.part.get_mut(self.filled) {
                *place = byte;
            }
            self.filled += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, PART, Parts};
    use core::fmt::Write;
    use std::string::String;
    use std::vec::Vec;

    fn sent(text: &str, takes: usize) -> Vec<(String, bool)> {
        let mut sent = Vec::new();
        let mut parts = Parts::new(|part, last| {
            sent.push((String::from_utf8(part.to_vec()).unwrap(), last));
            sent.len() <= takes
        });
        let _ = parts.write_str(text);
        parts.finish();
        sent
    }

    #[test]
    fn only_the_last_part_is_short_and_marked() {
        assert_eq!(sent("", 9), [(String::new(), true)]);
        let exact = "x".repeat(PART);
        assert_eq!(sent(&exact, 9), [(exact.clone(), true)]);
        let more = exact.clone() + "y";
        assert_eq!(sent(&more, 9), [(exact, false), ("y".into(), true)]);
    }

    #[test]
    fn too_long_a_text_ends_and_so_does_one_that_nobody_takes() {
        let long = "z".repeat(5000);
        let parts = sent(&long, 99);
        let bytes: usize = parts.iter().map(|(part, _)| part.len()).sum();
        assert!(bytes >= MAX_TEXT as usize && bytes < MAX_TEXT as usize + 2 * PART);
        assert!(parts.last().unwrap().1);
        assert_eq!(sent(&long, 2).len(), 3);
    }
}
