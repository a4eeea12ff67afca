//! Bounded rings of fixed-size entries in memory that two processes share.
//!
//! One side is the [`Producer`], the other the [`Consumer`]; neither trusts the
//! other, and neither can make the other wait, loop or read outside of the
//! ring. What a side must remember it remembers in memory of its own: from the
//! shared memory it takes only the other's counter and the entries. A counter
//! that the other side cannot have reached is refused ([`RingError::Corrupt`]);
//! entries are copied out before anybody looks at them; a consumer sees no more
//! than a ring full between two calls of [`Consumer::refresh`].
//!
//! Entries become visible in batches ([`Producer::publish`]) and go back in
//! batches ([`Consumer::release`]). Whether a batch is worth a signal is up to
//! the side that waits: it stores the count at which it wants one
//! ([`Consumer::arm`], [`Producer::arm`]), the other compares. A side that is
//! busy is therefore never signalled, and a side that sleeps is woken once.
//!
//! ```text
//! offset   written by   what
//! 0        producer     entries published since the beginning, 32 bits
//! 4        producer     count of released entries beyond which it wants a signal
//! 64       consumer     entries released since the beginning, 32 bits
//! 68       consumer     count of published entries beyond which it wants a signal
//! 128      producer     the entries; number n lies at n modulo the capacity
//! ```
//!
//! All zero is an empty ring: the first entry published and the first released
//! are signalled. After [`reset`] it is the first published alone. Counters wrap.
//!
//! [`ByteProducer`] and [`ByteConsumer`] are the same for streams of bytes.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "host"))]
extern crate std;

mod bytes;
mod consumer;
#[cfg(any(test, feature = "host"))]
pub mod host;
mod memory;
mod producer;
#[cfg(feature = "sys")]
mod sys;

pub use bytes::{BYTE_CAPACITY_LIMIT, ByteConsumer, ByteProducer, byte_capacity, byte_ring_bytes};
pub use consumer::Consumer;
pub use memory::{Gone, Memory};
pub use producer::Producer;

/// Most entries of a ring.
pub const CAPACITY_LIMIT: u32 = 1 << 16;
/// A ring begins at a multiple of this.
pub const ALIGNMENT: usize = 64;

const PRODUCED: usize = 0;
const PRODUCER_WAKE: usize = 4;
const CONSUMED: usize = 64;
const CONSUMER_WAKE: usize = 68;
const ENTRIES: usize = 128;
/// Bytes that memory loads and stores at once.
const WORD: usize = 4;

/// Why an operation on a ring failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The memory is no longer there: the other side is gone or took it away.
    Gone,
    /// The other side's counter has a value that it cannot have reached.
    Corrupt,
    /// The ring would not lie in its memory, begins at an offset that is no
    /// multiple of [`ALIGNMENT`], or its capacity is no power of two up to
    /// [`CAPACITY_LIMIT`].
    Layout,
    /// There is no room for another entry.
    Full,
}

impl From<Gone> for RingError {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Gone => "the shared memory is gone",
            Self::Corrupt => "the other side's counter is impossible",
            Self::Layout => "the ring does not fit its memory",
            Self::Full => "the ring is full",
        })
    }
}

impl core::error::Error for RingError {}

/// Bytes of a ring of `capacity` entries of `entry_bytes` each, a multiple of
/// [`ALIGNMENT`]; `None` if the capacity is not possible.
#[must_use]
pub const fn ring_bytes(capacity: u32, entry_bytes: usize) -> Option<usize> {
    if !capacity.is_power_of_two() || capacity > CAPACITY_LIMIT {
        return None;
    }
    match (capacity as usize).checked_mul(entry_bytes) {
        Some(bytes) => match bytes.checked_add(ENTRIES) {
            Some(bytes) => bytes.checked_next_multiple_of(ALIGNMENT),
            None => None,
        },
        None => None,
    }
}

/// Makes an empty ring of zeroed or used memory. Whoever owns the memory does
/// this before the other side gets it.
///
/// # Errors
/// `Gone`.
pub fn reset<M: Memory>(memory: &M, offset: usize) -> Result<(), RingError> {
    for word in [PRODUCED, CONSUMED, CONSUMER_WAKE] {
        memory.store(offset + word, 0)?;
    }
    // A count that lies behind: a producer does not wait before it has filled
    // the ring.
    memory.store(offset + PRODUCER_WAKE, u32::MAX)?;
    Ok(())
}

/// A ring's place in its memory, checked.
#[derive(Debug)]
struct Place<M, const N: usize> {
    memory: M,
    offset: usize,
    capacity: u32,
}

impl<M: Memory, const N: usize> Place<M, N> {
    fn new(memory: M, offset: usize, capacity: u32) -> Result<Self, RingError> {
        let bytes = ring_bytes(capacity, N).ok_or(RingError::Layout)?;
        let end = offset.checked_add(bytes).ok_or(RingError::Layout)?;
        if N == 0 || !offset.is_multiple_of(ALIGNMENT) || end > memory.len() {
            return Err(RingError::Layout);
        }
        Ok(Self {
            memory,
            offset,
            capacity,
        })
    }

    #[inline]
    fn load(&self, word: usize) -> Result<u32, Gone> {
        self.memory.load(self.offset + word)
    }

    #[inline]
    fn store(&self, word: usize, value: u32) -> Result<(), Gone> {
        self.memory.store(self.offset + word, value)
    }

    /// Reads entry `number` as it is at this moment.
    #[inline]
    fn read(&self, number: u32) -> Result<[u8; N], Gone> {
        let mut entry = [0; N];
        let offset = self.entry(number);
        if N == WORD {
            // Entries of a word lie at words.
            let word = self.memory.load(offset)?.to_ne_bytes();
            entry.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        } else {
            self.memory.read(offset, &mut entry)?;
        }
        Ok(entry)
    }

    /// Writes entry `number`.
    #[inline]
    fn write(&self, number: u32, entry: &[u8; N]) -> Result<(), Gone> {
        let offset = self.entry(number);
        match entry.first_chunk::<WORD>() {
            Some(word) if N == WORD => self.memory.store(offset, u32::from_ne_bytes(*word)),
            _ => self.memory.write(offset, entry),
        }
    }

    /// Where entry `number` lies.
    #[inline]
    fn entry(&self, number: u32) -> usize {
        self.offset + ENTRIES + (number & (self.capacity - 1)) as usize * N
    }
}

/// Whether a counter that went from `old` to `new` passed `wanted`.
#[inline]
const fn passed(wanted: u32, old: u32, new: u32) -> bool {
    new.wrapping_sub(wanted).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::{passed, ring_bytes};

    #[test]
    fn a_counter_passes_what_lies_between_old_and_new() {
        for base in [0, 7, u32::MAX - 2] {
            let at = |n: u32| base.wrapping_add(n);
            assert!(passed(at(0), at(0), at(1)), "the next one is wanted");
            assert!(!passed(at(0), at(1), at(2)), "it went by before");
            assert!(!passed(at(3), at(0), at(3)), "one more is needed");
            assert!(passed(at(3), at(0), at(4)));
            assert!(!passed(at(0), at(2), at(2)), "nothing moved");
        }
    }

    #[test]
    fn impossible_capacities_have_no_size() {
        assert_eq!(ring_bytes(0, 8), None);
        assert_eq!(ring_bytes(3, 8), None);
        assert_eq!(ring_bytes(1 << 17, 8), None);
        assert_eq!(ring_bytes(1 << 16, usize::MAX), None);
        assert_eq!(ring_bytes(4, 8), Some(192));
        assert_eq!(ring_bytes(8, 8), Some(192));
        assert_eq!(ring_bytes(16, 8), Some(256));
    }
}
