//! The side that puts entries in.

use crate::{CONSUMED, CONSUMER_WAKE, Memory, PRODUCED, PRODUCER_WAKE, Place, RingError, passed};

/// The side of a ring that puts entries of `N` bytes in.
#[derive(Debug)]
pub struct Producer<M, const N: usize> {
    place: Place<M, N>,
    /// Entries written, published or not.
    written: u32,
    published: u32,
    /// Released entries, as far as the other side was believed.
    released: u32,
}

impl<M: Memory, const N: usize> Producer<M, N> {
    /// The ring of `capacity` entries at `offset`, which is empty.
    ///
    /// # Errors
    /// `Layout`.
    pub fn new(memory: M, offset: usize, capacity: u32) -> Result<Self, RingError> {
        Ok(Self {
            place: Place::new(memory, offset, capacity)?,
            written: 0,
            published: 0,
            released: 0,
        })
    }

    /// Entries in the ring, as far as is known without looking.
    #[must_use]
    pub const fn used(&self) -> u32 {
        self.written.wrapping_sub(self.released)
    }

    /// Looks how far the other side is; returns how many entries there is room
    /// for.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn refresh(&mut self) -> Result<u32, RingError> {
        let released = self.place.load(CONSUMED)?;
        let progress = released.wrapping_sub(self.released);
        if progress > self.published.wrapping_sub(self.released) {
            return Err(RingError::Corrupt);
        }
        self.released = released;
        Ok(self.place.capacity - self.used())
    }

    /// Writes an entry behind the others. The other side does not see it before
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// `Full`, `Gone`, `Corrupt`.
    pub fn push(&mut self, entry: &[u8; N]) -> Result<(), RingError> {
        if self.used() >= self.place.capacity && self.refresh()? == 0 {
            return Err(RingError::Full);
        }
        self.place.write(self.written, entry)?;
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    /// Lets the other side see all entries written so far. Says whether it
    /// waits and is to be signalled.
    ///
    /// # Errors
    /// `Gone`.
    pub fn publish(&mut self) -> Result<bool, RingError> {
        let old = self.published;
        if old == self.written {
            return Ok(false);
        }
        self.place.store(PRODUCED, self.written)?;
        self.published = self.written;
        // Either the other side, having said that it waits, sees the new
        // counter, or we see that it waits.
        self.place.memory.fence();
        let wanted = self.place.load(CONSUMER_WAKE)?;
        Ok(passed(wanted, old, self.published))
    }

    /// Asks for a signal once there is room for `room` entries (at least one,
    /// at most the capacity). Says whether to wait for it: if not, there is
    /// that much room already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, room: u32) -> Result<bool, RingError> {
        let room = room.clamp(1, self.place.capacity);
        let missing = (self.used() + room).saturating_sub(self.place.capacity);
        // Beyond this count, `missing` have been released.
        let wanted = self.released.wrapping_add(missing).wrapping_sub(1);
        self.place.store(PRODUCER_WAKE, wanted)?;
        self.place.memory.fence();
        Ok(self.refresh()? < room)
    }
}
