//! The host's question whether the console is alive: one fixed frame among the input.
//!
//! It is answered by the console itself, whatever the reader is busy with, and never reaches the reader. Every other byte
//! does, in its place.

/// The question: an empty frame of channel `P` (`docs/reference/serial-frames.md`).
pub const PROBE: [u8; 17] = *b"\x1eP:000::0c054730\n";

/// Watches input for [`PROBE`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    matched: usize,
}

impl Probe {
    /// Takes the next byte of the input and gives what is not part of a question to `pass`: a byte that might be is
    /// kept until one arrives that does not go on as the question does. Whether a question is complete.
    pub fn push(&mut self, byte: u8, mut pass: impl FnMut(u8)) -> bool {
        if PROBE.get(self.matched) != Some(&byte) {
            PROBE.iter().take(self.matched).for_each(|&b| pass(b));
            self.matched = 0;
            if PROBE.first() != Some(&byte) {
                pass(byte);
                return false;
            }
        }
        self.matched += 1;
        if self.matched < PROBE.len() {
            return false;
        }
        self.matched = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{PROBE, Probe};
    use gritos_abi::frame::{Channel, encode};

    fn run(input: &[u8]) -> (Vec<u8>, usize) {
        let (mut probe, mut passed) = (Probe::default(), Vec::new());
        let asked = input
            .iter()
            .filter(|&&byte| probe.push(byte, |b| passed.push(b)))
            .count();
        (passed, asked)
    }

    #[test]
    fn the_question_is_what_the_encoder_makes_of_it() {
        let mut frame = Vec::new();
        encode(Channel::Probe, b"", |byte| frame.push(byte));
        assert_eq!(frame, PROBE);
    }

    #[test]
    fn questions_are_taken_out_and_everything_else_passes_in_order() {
        let mut input = b"ab".to_vec();
        input.extend(PROBE);
        input.extend(b"c\x1e\x1eP:0x");
        input.extend(&PROBE[..9]);
        input.extend(PROBE);
        input.push(b'd');
        let (passed, asked) = run(&input);
        let mut wanted = b"abc\x1e\x1eP:0x".to_vec();
        wanted.extend(&PROBE[..9]);
        wanted.push(b'd');
        assert_eq!((passed, asked), (wanted, 2));
    }
}
