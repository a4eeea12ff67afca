//! What was printed, until the log and the console have read it.

use gritos_idl_runtime::Bytes;

/// Bytes that are kept; what is older is lost.
pub(crate) const RING: usize = 4 << 10;
/// Most bytes of a piece.
const PIECE: usize = 61;
/// Most bytes of a piece for the console.
pub(crate) const SHOWN: usize = 56;

// Marks in the ring: what follows tells of a failure, or does not. Text has neither.
const FAILURE: u8 = 1;
const ORDINARY: u8 = 2;

/// A ring of text, each byte of which tells of a failure or does not.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: [u8; RING],
    read: usize,
    /// What is before this is on the console.
    shown: usize,
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
            shown: 0,
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
        // All at a time, for nobody else runs meanwhile.
        for part in text.split(|&byte| byte <= ORDINARY) {
            self.append(part);
        }
    }

    /// Adds text without marks; of more than the ring holds, the end.
    fn append(&mut self, text: &[u8]) {
        let text = text.get(text.len().saturating_sub(RING)..).unwrap_or(text);
        let used = self.written.wrapping_sub(self.read);
        // What is dropped may have marks among it.
        let end = self
            .read
            .wrapping_add((used + text.len()).saturating_sub(RING));
        while end.wrapping_sub(self.read) as isize > 0 && self.next().is_some() {}
        let unseen = self.written.wrapping_sub(self.shown) + text.len();
        self.shown = self.shown.wrapping_add(unseen.saturating_sub(RING));
        let start = self.written % RING;
        let (head, tail) = text.split_at(text.len().min(RING - start));
        let places = self.bytes.get_mut(start..start + head.len());
        places
            .into_iter()
            .for_each(|places| places.copy_from_slice(head));
        let places = self.bytes.get_mut(..tail.len());
        places
            .into_iter()
            .for_each(|places| places.copy_from_slice(tail));
        self.written = self.written.wrapping_add(text.len());
    }

    fn put(&mut self, byte: u8) {
        if self.written.wrapping_sub(self.read) == RING {
            self.next();
        }
        if self.written.wrapping_sub(self.shown) == RING {
            self.shown = self.shown.wrapping_add(1);
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

    /// Takes a piece for the console, which is empty if it has everything.
    pub(crate) fn show(&mut self) -> Bytes<SHOWN> {
        let mut text = [0; SHOWN];
        let mut count = 0;
        while let Some(place) = text.get_mut(count) {
            if self.shown == self.written {
                break;
            }
            let byte = self.bytes.get(self.shown % RING).copied().unwrap_or(0);
            self.shown = self.shown.wrapping_add(1);
            if byte > ORDINARY {
                *place = byte;
                count += 1;
            }
        }
        Bytes::new(text.get(..count).unwrap_or(&[])).unwrap_or_default()
    }

    /// Everything so far was shown.
    pub(crate) const fn set_shown(&mut self) {
        self.shown = self.written;
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
    fn the_console_reads_the_same_text_without_its_marks() {
        let mut ring = Ring::new();
        ring.push(false, b"shown already");
        ring.set_shown();
        let long = "0123456789".repeat(20);
        for (failure, text) in [(true, "a"), (false, "b"), (true, &long)] {
            ring.push(failure, text.as_bytes());
        }
        let mut shown = Vec::new();
        while let text = ring.show()
            && !text.is_empty()
        {
            shown.extend(text.to_vec());
        }
        assert_eq!(shown, format!("ab{long}").into_bytes());
        // The log has not read anything of it yet.
        assert_eq!(all(&mut ring).len(), 4);
        ring.push(false, &[b'x'; RING]);
        ring.push(false, b"yz");
        let mut shown = Vec::new();
        while let text = ring.show()
            && !text.is_empty()
        {
            shown.extend(text.to_vec());
        }
        assert!(shown.ends_with(b"xyz") && shown.len() >= RING - 2);
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
