//! The free slots of this component, given out without a lock.
//!
//! Every library that a component links may need a slot: for the answer to a
//! call, for memory it maps, for an object it makes. They all come from here.
//! Runs of up to [`RUN_LIMIT`] neighbours are found with a few instructions and
//! taken by one compare-and-swap, so that threads of a component need not wait
//! for each other.

use core::sync::atomic::{AtomicU64, Ordering};

use gritos_abi::{Address, ObjectType, Status};

use super::{SLOT_LIMIT, Slot};
use crate::cap::{CNode, Cap};
use crate::environment::Environment;
use crate::error::{Error, Operation};

/// Longest run of neighbours.
pub const RUN_LIMIT: u32 = 32;

const WORDS: usize = SLOT_LIMIT as usize / 64;

/// A set bit is a slot that is taken, or not ours.
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(u64::MAX) }; WORDS];

/// Makes the slots `first..end` of the root CNode available, besides those that
/// are already.
pub fn provide(first: u16, end: u16) {
    for index in first..end.min(SLOT_LIMIT) {
        release(index);
    }
}

/// Takes an empty slot.
///
/// # Errors
/// `OutOfRange` if none is left.
pub fn take() -> Result<Slot, Error> {
    take_run(1)
}

/// Takes `count` (1 to [`RUN_LIMIT`]) neighbouring empty slots and returns the
/// first.
///
/// # Errors
/// `OutOfRange` if there is no such run.
pub fn take_run(count: u32) -> Result<Slot, Error> {
    let count = count.clamp(1, RUN_LIMIT);
    for (word, taken) in TAKEN.iter().enumerate() {
        let mut seen = taken.load(Ordering::Relaxed);
        while let Some(bit) = first_run(!seen, count) {
            let run = ((1 << count) - 1) << bit;
            match taken.compare_exchange_weak(
                seen,
                seen | run,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(slot(word as u16 * 64 + bit as u16)),
                Err(now) => seen = now,
            }
        }
    }
    let operation = Operation::Allocate(ObjectType::CNode);
    Err(Error::local(Status::OutOfRange, operation))
}

/// Takes back a slot that is empty again.
pub fn give_back(slot: Slot) {
    release(slot.index());
}

/// Empties a slot, if it is not empty, and takes it back.
///
/// # Errors
/// See [`Slot::delete`]; the slot then stays taken.
pub fn delete(slot: Slot) -> Result<(), Error> {
    slot.delete()?;
    give_back(slot);
    Ok(())
}

/// The slot at `address` of the root CNode.
#[must_use]
pub const fn at(address: Address) -> Slot {
    Slot::new(Environment::CNODE, address)
}

/// The slot in which a capability lies.
#[must_use]
pub const fn of<T, const R: u32>(cap: Cap<T, R>) -> Slot {
    at(cap.address())
}

/// How many slots are free.
#[must_use]
pub fn free() -> u32 {
    TAKEN
        .iter()
        .map(|word| word.load(Ordering::Relaxed).count_zeros())
        .sum()
}

const CNODE: Cap<CNode> = Environment::CNODE;

const fn slot(index: u16) -> Slot {
    Slot::new(CNODE, Address::root(index))
}

fn release(index: u16) {
    if let Some(word) = TAKEN.get(usize::from(index / 64)) {
        word.fetch_and(!(1 << (index % 64)), Ordering::Relaxed);
    }
}

/// Position of the lowest `count` neighbouring ones of `free`.
const fn first_run(free: u64, count: u32) -> Option<u32> {
    // After step i a bit is set where i + 1 ones begin.
    let mut starts = free;
    let mut length = 1;
    while length < count {
        starts &= free >> length;
        length += 1;
    }
    if starts == 0 {
        None
    } else {
        Some(starts.trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::{first_run, free, give_back, provide, take, take_run};

    #[test]
    fn runs_are_found_where_they_fit() {
        assert_eq!(first_run(0b1011_0111, 3), Some(0));
        assert_eq!(first_run(0b1011_0110, 3), None);
        assert_eq!(first_run(0b1111_0110, 3), Some(4));
        assert_eq!(first_run(1 << 63, 1), Some(63));
        assert_eq!(first_run(1 << 63, 2), None);
        assert_eq!(first_run(u64::MAX, 32), Some(0));
    }

    #[test]
    fn what_is_provided_is_given_out_once() {
        provide(60, 70);
        let run = take_run(5).unwrap();
        assert_eq!(run.index(), 64, "a run lies within one word");
        let others: std::vec::Vec<_> = (0..5).map(|_| take().unwrap().index()).collect();
        assert_eq!(others, [60, 61, 62, 63, 69]);
        assert!(take().is_err() && free() == 0);
        give_back(run);
        assert_eq!(take().unwrap().index(), 64);
    }
}
