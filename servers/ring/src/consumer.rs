//! The side that takes entries out.

use crate::{CONSUMED, CONSUMER_WAKE, Memory, PRODUCED, PRODUCER_WAKE, Place, RingError, passed};

/// The side of a ring that takes entries of `N` bytes out.
#[derive(Debug)]
pub struct Consumer<M, const N: usize> {
    place: Place<M, N>,
    /// Entries taken, released or not.
    taken: u32,
    released: u32,
    /// Published entries, as far as the other side was believed.
    published: u32,
}

impl<M: Memory, const N: usize> Consumer<M, N> {
    /// The ring of `capacity` entries at `offset`, which is empty.
    ///
    /// # Errors
    /// `Layout`.
    pub fn new(memory: M, offset: usize, capacity: u32) -> Result<Self, RingError> {
        Ok(Self {
            place: Place::new(memory, offset, capacity)?,
            taken: 0,
            released: 0,
            published: 0,
        })
    }

    /// Looks how far the other side is; returns how many entries can be
    /// [popped](Self::pop) now. Never more than the capacity.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn refresh(&mut self) -> Result<u32, RingError> {
        let published = self.place.load(PRODUCED)?;
        let progress = published.wrapping_sub(self.published);
        let room = self.place.capacity - self.published.wrapping_sub(self.released);
        if progress > room {
            return Err(RingError::Corrupt);
        }
        self.published = published;
        Ok(self.published.wrapping_sub(self.taken))
    }

    /// Takes the next of the entries that [`refresh`](Self::refresh) saw, as the
    /// bytes that it had at this moment.
    ///
    /// # Errors
    /// `Gone`.
    pub fn pop(&mut self) -> Result<Option<[u8; N]>, RingError> {
        if self.taken == self.published {
            return Ok(None);
        }
        let entry = self.place.read(self.taken)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(entry))
    }

    /// Gives the room of all entries taken so far back. Says whether the other
    /// side waits for room and is to be signalled.
    ///
    /// # Errors
    /// `Gone`.
    pub fn release(&mut self) -> Result<bool, RingError> {
        let old = self.released;
        if old == self.taken {
            return Ok(false);
        }
        self.place.store(CONSUMED, self.taken)?;
        self.released = self.taken;
        // As in `Producer::publish`.
        self.place.memory.fence();
        let wanted = self.place.load(PRODUCER_WAKE)?;
        Ok(passed(wanted, old, self.released))
    }

    /// Asks for a signal once `count` entries wait (at least one, at most the
    /// capacity). Says whether to wait for it: if not, that many are there
    /// already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, count: u32) -> Result<bool, RingError> {
        let count = count.clamp(1, self.place.capacity);
        let wanted = self.taken.wrapping_add(count).wrapping_sub(1);
        self.place.store(CONSUMER_WAKE, wanted)?;
        self.place.memory.fence();
        Ok(self.refresh()? < count)
    }

    /// Takes back what was asked for with [`arm`](Self::arm). A signal may be under way already.
    ///
    /// # Errors
    /// `Gone`.
    pub fn disarm(&mut self) -> Result<(), RingError> {
        // A count that lies behind whatever is published from now on.
        let behind = self.taken.wrapping_sub(1);
        Ok(self.place.store(CONSUMER_WAKE, behind)?)
    }
}
