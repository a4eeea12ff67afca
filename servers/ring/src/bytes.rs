//! Rings of bytes: a stream in shared memory.
//!
//! They lie in memory as rings of entries of one byte, and wait and wake like them. Bytes go in and out by
//! the piece. Neither side keeps the memory: whoever serves others may find at every use that it is gone.

use crate::{
    ALIGNMENT, CONSUMED, CONSUMER_WAKE, ENTRIES, Memory, PRODUCED, PRODUCER_WAKE, RingError, passed,
};

/// Most bytes that a ring holds.
pub const BYTE_CAPACITY_LIMIT: u32 = 1 << 23;

/// Bytes of memory that a ring of `capacity` bytes takes; `None` if the capacity is no power of two from
/// [`ALIGNMENT`] to [`BYTE_CAPACITY_LIMIT`].
#[must_use]
pub const fn byte_ring_bytes(capacity: u32) -> Option<usize> {
    let possible = capacity.is_power_of_two()
        && capacity >= ALIGNMENT as u32
        && capacity <= BYTE_CAPACITY_LIMIT;
    if possible {
        Some(ENTRIES + capacity as usize)
    } else {
        None
    }
}

/// The largest capacity of a ring in so many bytes; `None` if they are too few.
#[must_use]
pub const fn byte_capacity(bytes: usize) -> Option<u32> {
    let Some(room) = bytes.checked_sub(ENTRIES) else {
        return None;
    };
    if room < ALIGNMENT {
        return None;
    }
    let limit = BYTE_CAPACITY_LIMIT as usize;
    let room = if room > limit { limit } else { room };
    Some(1 << room.ilog2())
}

/// Where a ring lies, checked once. Memory that has become smaller since answers `Gone`.
#[derive(Clone, Copy, Debug)]
struct Span {
    offset: usize,
    capacity: u32,
}

impl Span {
    fn new(memory: &impl Memory, offset: usize, capacity: u32) -> Result<Self, RingError> {
        let bytes = byte_ring_bytes(capacity).ok_or(RingError::Layout)?;
        let end = offset.checked_add(bytes).ok_or(RingError::Layout)?;
        if !offset.is_multiple_of(ALIGNMENT) || end > memory.len() {
            return Err(RingError::Layout);
        }
        Ok(Self { offset, capacity })
    }

    /// Where byte `number` of the stream lies, and how many bytes there are up to the end of the ring.
    const fn place(&self, number: u32) -> (usize, usize) {
        let at = number & (self.capacity - 1);
        (
            self.offset + ENTRIES + at as usize,
            (self.capacity - at) as usize,
        )
    }
}

/// The side that puts bytes in.
#[derive(Clone, Copy, Debug)]
pub struct ByteProducer {
    span: Span,
    published: u32,
    /// Released bytes, as far as the other side was believed.
    released: u32,
}

impl ByteProducer {
    /// The ring of `capacity` bytes at `offset`, which is empty.
    ///
    /// # Errors
    /// `Layout`.
    pub fn new(memory: &impl Memory, offset: usize, capacity: u32) -> Result<Self, RingError> {
        Ok(Self {
            span: Span::new(memory, offset, capacity)?,
            published: 0,
            released: 0,
        })
    }

    /// Bytes that the ring can hold.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.span.capacity
    }

    /// Looks how far the other side is; returns how many bytes there is room for.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn room(&mut self, memory: &impl Memory) -> Result<u32, RingError> {
        let released = memory.load(self.span.offset + CONSUMED)?;
        let used = self.published.wrapping_sub(self.released);
        let progress = released.wrapping_sub(self.released);
        if progress > used {
            return Err(RingError::Corrupt);
        }
        self.released = released;
        Ok(self.span.capacity - (used - progress))
    }

    /// Writes bytes `ahead` of what is published. The other side does not see them before
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// `Full` if they go beyond the room that was last seen, `Gone`.
    pub fn put(&self, memory: &impl Memory, ahead: usize, from: &[u8]) -> Result<(), RingError> {
        let used = self.published.wrapping_sub(self.released) as usize;
        let fits = ahead
            .checked_add(from.len())
            .is_some_and(|end| end <= self.span.capacity as usize - used);
        if !fits {
            return Err(RingError::Full);
        }
        let (place, straight) = self.span.place(self.published.wrapping_add(ahead as u32));
        let (first, second) = from.split_at(from.len().min(straight));
        memory.write(place, first)?;
        if !second.is_empty() {
            memory.write(self.span.place(0).0, second)?;
        }
        Ok(())
    }

    /// Lets the other side see the next `count` bytes, all of which were [put](Self::put). Says whether it
    /// waits and is to be signalled.
    ///
    /// # Errors
    /// `Full` if there was no room for so many, `Gone`.
    pub fn publish(&mut self, memory: &impl Memory, count: u32) -> Result<bool, RingError> {
        if count == 0 {
            return Ok(false);
        }
        let old = self.published;
        if count > self.span.capacity - old.wrapping_sub(self.released) {
            return Err(RingError::Full);
        }
        self.published = old.wrapping_add(count);
        memory.store(self.span.offset + PRODUCED, self.published)?;
        // As in `Producer::publish`.
        memory.fence();
        let wanted = memory.load(self.span.offset + CONSUMER_WAKE)?;
        Ok(passed(wanted, old, self.published))
    }

    /// Asks for a signal once there is room for `room` bytes (at least one, at most the capacity). Says
    /// whether to wait for it: if not, there is that much room already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, memory: &impl Memory, room: u32) -> Result<bool, RingError> {
        let room = room.clamp(1, self.span.capacity);
        let used = self.published.wrapping_sub(self.released);
        let missing = (used + room).saturating_sub(self.span.capacity);
        let wanted = self.released.wrapping_add(missing).wrapping_sub(1);
        memory.store(self.span.offset + PRODUCER_WAKE, wanted)?;
        memory.fence();
        Ok(self.room(memory)? < room)
    }
}

/// The side that takes bytes out.
#[derive(Clone, Copy, Debug)]
pub struct ByteConsumer {
    span: Span,
    released: u32,
    /// Published bytes, as far as the other side was believed.
    published: u32,
}

impl ByteConsumer {
    /// The ring of `capacity` bytes at `offset`, which is empty.
    ///
    /// # Errors
    /// `Layout`.
    pub fn new(memory: &impl Memory, offset: usize, capacity: u32) -> Result<Self, RingError> {
        Ok(Self {
            span: Span::new(memory, offset, capacity)?,
            released: 0,
            published: 0,
        })
    }

    /// Bytes that the ring can hold.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.span.capacity
    }

    /// Looks how far the other side is; returns how many bytes can be taken. Never more than the capacity.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn filled(&mut self, memory: &impl Memory) -> Result<u32, RingError> {
        let published = memory.load(self.span.offset + PRODUCED)?;
        let known = self.published.wrapping_sub(self.released);
        if published.wrapping_sub(self.published) > self.span.capacity - known {
            return Err(RingError::Corrupt);
        }
        self.published = published;
        Ok(published.wrapping_sub(self.released))
    }

    /// Copies bytes `ahead` of what is released, as they are at this moment.
    ///
    /// # Errors
    /// `Full` if they go beyond what was last seen, `Gone`.
    pub fn get(&self, memory: &impl Memory, ahead: usize, to: &mut [u8]) -> Result<(), RingError> {
        let filled = self.published.wrapping_sub(self.released) as usize;
        let there = ahead.checked_add(to.len()).is_some_and(|end| end <= filled);
        if !there {
            return Err(RingError::Full);
        }
        let (place, straight) = self.span.place(self.released.wrapping_add(ahead as u32));
        let straight = to.len().min(straight);
        let (first, second) = to.split_at_mut(straight);
        memory.read(place, first)?;
        if !second.is_empty() {
            memory.read(self.span.place(0).0, second)?;
        }
        Ok(())
    }

    /// Gives the room of the next `count` bytes back. Says whether the other side waits for room and is to
    /// be signalled.
    ///
    /// # Errors
    /// `Full` if so many were not there, `Gone`.
    pub fn release(&mut self, memory: &impl Memory, count: u32) -> Result<bool, RingError> {
        if count == 0 {
            return Ok(false);
        }
        let old = self.released;
        if count > self.published.wrapping_sub(old) {
            return Err(RingError::Full);
        }
        self.released = old.wrapping_add(count);
        memory.store(self.span.offset + CONSUMED, self.released)?;
        // As in `Producer::publish`.
        memory.fence();
        let wanted = memory.load(self.span.offset + PRODUCER_WAKE)?;
        Ok(passed(wanted, old, self.released))
    }

    /// Asks for a signal once `count` bytes wait (at least one, at most the capacity). Says whether to wait
    /// for it: if not, that many are there already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, memory: &impl Memory, count: u32) -> Result<bool, RingError> {
        let count = count.clamp(1, self.span.capacity);
        let wanted = self.released.wrapping_add(count).wrapping_sub(1);
        memory.store(self.span.offset + CONSUMER_WAKE, wanted)?;
        memory.fence();
        Ok(self.filled(memory)? < count)
    }
}
