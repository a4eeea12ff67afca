//! Records in fixed memory.
//!
//! Two rings: the texts, byte behind byte, and what is known about each. A record is found by its number at once,
//! because numbers have no gaps; the oldest go when either ring is full.

use alloc::collections::VecDeque;

use gritos_log_api::Level;

/// Most records that are kept.
pub const RECORD_LIMIT: usize = 2048;
/// Most bytes of text that are kept.
pub const TEXT_BYTES: usize = 128 << 10;

/// A record without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was written, in nanoseconds since the machine started.
    pub time: u64,
    /// Badge of who wrote it.
    pub client: u32,
    /// Bytes of its text.
    pub length: u16,
    /// Its level.
    pub level: Level,
}

/// The records.
#[derive(Clone, Debug)]
pub struct Store {
    /// Each with the position of its text, counted over all texts there ever were.
    records: VecDeque<(u64, Record)>,
    texts: VecDeque<u8>,
    /// Position of the first byte of `texts`.
    position: u64,
    /// Number of the oldest record, if there is one; else of the next.
    oldest: u64,
    dropped: u64,
}

impl Store {
    /// An empty store whose first record gets the number `first`.
    #[must_use]
    pub const fn new(first: u64) -> Self {
        Self {
            records: VecDeque::new(),
            texts: VecDeque::new(),
            position: 0,
            oldest: first,
            dropped: 0,
        }
    }

    /// Adds a record, whose length is that of `text`. Without memory for it, it is dropped like an old one.
    pub fn push(&mut self, record: Record, text: &[u8]) {
        let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
        while self.records.len() >= RECORD_LIMIT || self.texts.len() + text.len() > TEXT_BYTES {
            if !self.drop_oldest() {
                break;
            }
        }
        // The rings grow as they are used, up to their limits.
        while self.records.try_reserve(1).is_err() || self.texts.try_reserve(text.len()).is_err() {
            if !self.drop_oldest() {
                self.dropped = self.dropped.saturating_add(1);
                return;
            }
        }
        let at = self.position + self.texts.len() as u64;
        let length = text.len() as u16;
        self.texts.extend(text);
        self.records.push_back((at, Record { length, ..record }));
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, record)) = self.records.pop_front() else {
            return false;
        };
        let length = usize::from(record.length).min(self.texts.len());
        self.texts.drain(..length);
        self.position += length as u64;
        self.oldest = self.oldest.saturating_add(1);
        self.dropped = self.dropped.saturating_add(1);
        true
    }

    /// The first record behind number `after` that `wanted` accepts, and its number.
    #[must_use]
    pub fn next(&self, after: u64, wanted: impl Fn(&Record) -> bool) -> Option<(u64, Record)> {
        let from = after.saturating_add(1).max(self.oldest);
        let skip = usize::try_from(from - self.oldest).ok()?;
        let behind = self.records.range(skip.min(self.records.len())..);
        behind
            .zip(from..)
            .map(|((_, record), number)| (number, *record))
            .find(|(_, record)| wanted(record))
    }

    /// Copies text of record `number` from byte `offset` on into `into`. How many bytes; `None` without such a record.
    #[must_use]
    pub fn text(&self, number: u64, offset: usize, into: &mut [u8]) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        let (at, record) = self.records.get(index)?;
        let length = usize::from(record.length);
        let offset = offset.min(length);
        let first = usize::try_from(at.checked_sub(self.position)?).ok()? + offset;
        let count = (length - offset).min(into.len());
        let source = self.texts.range(first..first + count);
        into.iter_mut()
            .zip(source)
            .for_each(|(to, from)| *to = *from);
        Some(count)
    }

    /// Number of the newest record; before the first, the number before its.
    #[must_use]
    pub fn newest(&self) -> u64 {
        (self.oldest + self.records.len() as u64).saturating_sub(1)
    }

    /// How many records there are, and how many were dropped.
    #[must_use]
    pub fn counts(&self) -> (u32, u64) {
        (self.records.len() as u32, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{RECORD_LIMIT, Record, Store, TEXT_BYTES};
    use gritos_log_api::Level;

    fn record(client: u32) -> Record {
        Record {
            time: 0,
            client,
            length: 0,
            level: Level::Info,
        }
    }

    fn all(store: &Store, client: u32) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut after = 0;
        while let Some((number, record)) = store.next(after, |r| client == 0 || r.client == client)
        {
            let mut text = [0; 2000];
            let count = store.text(number, 0, &mut text).unwrap();
            assert_eq!(count, usize::from(record.length));
            found.push((number, text[..count].to_vec()));
            after = number;
        }
        found
    }

    #[test]
    fn records_come_back_in_order_with_their_texts() {
        let mut store = Store::new(1);
        assert_eq!((store.newest(), store.next(0, |_| true)), (0, None));
        for (client, text) in [(1, "one"), (2, ""), (1, "three")] {
            store.push(record(client), text.as_bytes());
        }
        let numbered = |number, text: &str| (number, text.as_bytes().to_vec());
        assert_eq!(all(&store, 1), [numbered(1, "one"), numbered(3, "three")]);
        assert_eq!(all(&store, 0).len(), 3);
        assert_eq!((store.newest(), store.counts()), (3, (3, 0)));
        let mut part = [0; 2];
        assert_eq!((store.text(3, 3, &mut part), &part), (Some(2), b"ee"));
        assert_eq!(store.text(3, 99, &mut part), Some(0));
        for absent in [0, 4, u64::MAX] {
            assert_eq!(store.text(absent, 0, &mut part), None);
            assert!(store.next(absent.max(3), |_| true).is_none());
        }
    }

    #[test]
    fn the_oldest_go_when_either_ring_is_full() {
        let mut store = Store::new(1);
        for number in 0..RECORD_LIMIT + 10 {
            store.push(record(1), alloc::format!("{number}").as_bytes());
        }
        assert_eq!(store.counts(), (RECORD_LIMIT as u32, 10));
        assert_eq!(all(&store, 0)[0], (11, b"10".to_vec()));
        let long = [b'x'; 1024];
        for _ in 0..TEXT_BYTES / 1024 + 5 {
            store.push(record(2), &long);
        }
        let left = all(&store, 0);
        assert_eq!(left.len(), TEXT_BYTES / 1024);
        assert!(left.iter().all(|(_, text)| text == &long));
    }
}
