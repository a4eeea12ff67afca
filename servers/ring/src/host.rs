//! Ring memory on the heap, for tests on a host.

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicU32, Ordering, fence},
};
#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering, fence},
};

use std::vec::Vec;

use crate::{Gone, Memory};

const WORD: usize = 4;

/// Memory that several threads share and that can be taken away.
///
/// Bytes are kept in words of 32 bits: two threads do not write bytes of the
/// same word at a time, or one of the writes may be lost.
#[derive(Clone, Debug)]
pub struct HostMemory {
    words: Arc<Vec<AtomicU32>>,
    gone: Arc<AtomicU32>,
}

impl HostMemory {
    /// So many zeroed bytes, rounded up to a multiple of 4.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let words = (0..bytes.div_ceil(WORD)).map(|_| AtomicU32::new(0));
        Self {
            words: Arc::new(words.collect()),
            gone: Arc::new(AtomicU32::new(0)),
        }
    }

    /// Makes every access fail from now on, as when the owner unmaps.
    pub fn take_away(&self) {
        self.gone.store(1, Ordering::Release);
    }

    fn word(&self, index: usize) -> Result<&AtomicU32, Gone> {
        if self.gone.load(Ordering::Acquire) != 0 {
            return Err(Gone);
        }
        self.words.get(index).ok_or(Gone)
    }
}

impl Memory for HostMemory {
    fn len(&self) -> usize {
        self.words.len() * WORD
    }

    fn load(&self, offset: usize) -> Result<u32, Gone> {
        Ok(self.word(offset / WORD)?.load(Ordering::Acquire))
    }

    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        self.word(offset / WORD)?.store(value, Ordering::Release);
        Ok(())
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        let mut at = offset;
        let mut rest = to;
        while !rest.is_empty() {
            let skip = at % WORD;
            let count = rest.len().min(WORD - skip);
            let bytes = self.word(at / WORD)?.load(Ordering::Relaxed).to_le_bytes();
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&bytes[skip..skip + count]);
            rest = later;
            at += count;
        }
        Ok(())
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        let mut at = offset;
        let mut rest = from;
        while !rest.is_empty() {
            let skip = at % WORD;
            let count = rest.len().min(WORD - skip);
            let word = self.word(at / WORD)?;
            let mut bytes = [0; WORD];
            if count < WORD {
                bytes = word.load(Ordering::Relaxed).to_le_bytes();
            }
            let (now, later) = rest.split_at(count);
            bytes[skip..skip + count].copy_from_slice(now);
            word.store(u32::from_le_bytes(bytes), Ordering::Relaxed);
            rest = later;
            at += count;
        }
        Ok(())
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::HostMemory;
    use crate::{Gone, Memory};

    #[test]
    fn bytes_lie_where_they_were_written() {
        let memory = HostMemory::new(16);
        memory.write(3, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
        let mut out = [9; 9];
        memory.read(2, &mut out).unwrap();
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(memory.load(4), Ok(u32::from_le_bytes([2, 3, 4, 5])));
        assert_eq!(memory.write(14, &[0; 4]), Err(Gone));
        memory.take_away();
        assert_eq!(memory.load(0), Err(Gone));
    }
}
