//! Which slots a side has, so that the other cannot give one back twice or one
//! that it never had.

use gritos_ethernet_api::MAX_SLOTS;
use gritos_ring::RingError;

const WORDS: usize = MAX_SLOTS as usize / 64;

/// A set of slot numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    words: [u64; WORDS],
    end: u16,
    count: u16,
}

impl Slots {
    /// None of `end` slots.
    pub(crate) const fn none(end: u16) -> Self {
        Self {
            words: [0; WORDS],
            end,
            count: 0,
        }
    }

    /// All of `end` slots.
    pub(crate) fn all(end: u16) -> Self {
        let mut slots = Self::none(end);
        for slot in 0..end {
            // Each is in range and comes once.
            let _ = slots.insert(slot);
        }
        slots
    }

    pub(crate) const fn count(&self) -> u16 {
        self.count
    }

    /// How many numbers there are.
    pub(crate) const fn end(&self) -> u16 {
        self.end
    }

    fn word(&mut self, slot: u16) -> Result<(&mut u64, u64), RingError> {
        if slot >= self.end {
            return Err(RingError::Corrupt);
        }
        let word = self.words.get_mut(usize::from(slot) / 64);
        Ok((word.ok_or(RingError::Corrupt)?, 1 << (slot % 64)))
    }

    /// Adds a slot; `Corrupt` if there is none of this number or it is in the
    /// set.
    pub(crate) fn insert(&mut self, slot: u16) -> Result<(), RingError> {
        let (word, bit) = self.word(slot)?;
        if *word & bit != 0 {
            return Err(RingError::Corrupt);
        }
        *word |= bit;
        self.count += 1;
        Ok(())
    }

    /// Removes a slot; `Corrupt` if it is not in the set.
    pub(crate) fn remove(&mut self, slot: u16) -> Result<(), RingError> {
        let (word, bit) = self.word(slot)?;
        if *word & bit == 0 {
            return Err(RingError::Corrupt);
        }
        *word &= !bit;
        self.count -= 1;
        Ok(())
    }

    /// Removes the slot with the lowest number.
    pub(crate) fn take(&mut self) -> Option<u16> {
        let index = self.words.iter().position(|&word| word != 0)?;
        let word = self.words.get_mut(index)?;
        let bit = word.trailing_zeros();
        *word &= *word - 1;
        self.count -= 1;
        // There are 256 slots at most.
        Some((index * 64) as u16 + bit as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use gritos_ring::RingError;

    #[test]
    fn each_slot_is_there_once_or_not() {
        let mut slots = Slots::all(130);
        assert_eq!(slots.count(), 130);
        assert_eq!(slots.take(), Some(0));
        assert_eq!(slots.remove(0), Err(RingError::Corrupt));
        assert_eq!(slots.insert(129), Err(RingError::Corrupt));
        slots.remove(129).unwrap();
        slots.insert(129).unwrap();
        for beyond in [130, 256, u16::MAX] {
            assert_eq!(slots.insert(beyond), Err(RingError::Corrupt));
            assert_eq!(slots.remove(beyond), Err(RingError::Corrupt));
        }
        for slot in 1..130 {
            assert_eq!(slots.take(), Some(slot));
        }
        assert_eq!((slots.take(), slots.count()), (None, 0));
    }
}
