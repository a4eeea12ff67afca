//! What was printed, until the log has read it.

use gritos_idl_runtime::Bytes;

/// Bytes that are kept; what is older is lost.
pub(crate) const RING: usize = 4 << 10;
/// Most bytes of a piece.
const PIECE: usize = 61;

// Marks in the ring: what follows tells of a failure, or does not. Text has neither.
const FAILURE: u8 = 1;
const ORDINARY: u8 = 2;

/// A ring of text, each byte of which tells of a failure or does not.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: [u8; RING],
    read: usize,
    written: usize,
    /// What the next byte written is, and the next read.
    kinds: (bool, bool),
}

impl Ring {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; RING],
            read: 0,
            written: 0,
            kinds: (false, false),
        }
    }

    /// Adds text.
    pub(crate) fn push(&mut self, failure: bool, text: &[u8]) {
        if self.kinds.0 != failure {
            self.kinds.0 = failure;
            self.put(if failure { FAILURE } else { ORDINARY });
        }
        for &byte in text.iter().filter(|&&byte| byte > ORDINARY) {
            self.put(byte);
        }
    }

    fn put(&mut self, byte: u8) {
        if self.written.wrapping_sub(self.read) == RING {
            self.next();
        }
        if let Some(place) = self.bytes.get_mut(self.written % RING) {
            *place = byte;
        }
        self.written = self.written.wrapping_add(1);
    }

    /// Takes the next byte of text; a mark changes what it is.
    fn next(&mut self) -> Option<u8> {
        while self.read != self.written {
            let byte = self.bytes.get(self.read % RING).copied()?;
            self.read = self.read.wrapping_add(1);
            match byte {
                FAILURE => self.kinds.1 = true,
                ORDINARY => self.kinds.1 = false,
                byte => return Some(byte),
            }
        }
        None
    }

    /// Takes a piece: whether it tells of a failure, and the text, which is empty if there is none.
    pub(crate) fn piece(&mut self) -> (bool, Bytes<PIECE>) {
        let mut text = [0; PIECE];
        let mut count = 0;
        let mut failure = false;
        for place in &mut text {
            let before = (self.read, self.kinds.1);
            let Some(byte) = self.next() else { break };
            if count > 0 && self.kinds.1 != failure {
                (self.read, self.kinds.1) = before;
                break;
            }
            failure = self.kinds.1;
            *place = byte;
            count += 1;
        }
        let text = Bytes::new(text.get(..count).unwrap_or(&[]));
        (failure, text.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{RING, Ring};

    fn all(ring: &mut Ring) -> Vec<(bool, String)> {
        let mut pieces: Vec<(bool, String)> = Vec::new();
        loop {
            let (failure, text) = ring.piece();
            if text.is_empty() {
                return pieces;
            }
            let text = String::from_utf8(text.to_vec()).unwrap();
            match pieces.last_mut() {
                Some((kind, so_far)) if *kind == failure => so_far.push_str(&text),
                _ => pieces.push((failure, text)),
            }
        }
    }

    #[test]
    fn pieces_are_of_one_kind_and_nothing_is_lost() {
        let mut ring = Ring::new();
        let long = "0123456789".repeat(20);
        for (failure, text) in [(false, "a"), (true, "b"), (true, "c"), (false, &long)] {
            ring.push(failure, text.as_bytes());
        }
        let wanted = [(false, "a"), (true, "bc"), (false, &long)];
        let wanted = wanted.map(|(failure, text)| (failure, text.to_string()));
        assert_eq!(all(&mut ring), wanted);
        ring.push(true, b"\x01\x02d");
        assert_eq!(all(&mut ring), [(true, "d".to_string())]);
    }

    #[test]
    fn the_newest_stays_and_knows_what_it_is() {
        let mut ring = Ring::new();
        ring.push(true, &[b'x'; RING]);
        ring.push(true, &[b'y'; 100]);
        let left = all(&mut ring);
        assert_eq!(left.len(), 1);
        assert!(left[0].0 && left[0].1.ends_with(&"y".repeat(100)));
        assert!(left[0].1.len() >= RING - 2, "{}", left[0].1.len());
    }
}
