//! Pages for the queues of virtio devices.
//!
//! One memory object per component, mapped at addresses of its own, from which
//! queues are made by the page. A queue that is dropped gives its pages back.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

use gritos_abi::Status;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use crate::cap::{Cap, MemoryObject};
use crate::dma::WINDOW_BASE;
use crate::environment;
use crate::error::{Error, Operation};
use crate::invoke::Permissions;
use crate::thread::PAGE_BYTES;

/// Where the pages are mapped.
const POOL_BASE: u64 = 0x2_0000_0000;
/// Most pages of the pool.
const PAGE_LIMIT: usize = 64;
const PAGE: usize = PAGE_BYTES as usize;

/// Physical address of the first page; 0 while there is none.
static PHYSICAL: AtomicU64 = AtomicU64::new(0);
/// Pages that are in use, or that do not exist.
static USED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Makes the pages of `memory`, 64 at most, available for queues. Only once.
///
/// # Errors
/// `MissingRight` if the component has no right to physical addresses,
/// `AddressInUse` the second time, and those of [`environment::map`].
pub fn provide(memory: Cap<MemoryObject>) -> Result<(), Error> {
    let info = memory.info()?;
    let physical = memory.physical_address()?;
    let pages = usize::try_from(info.size).unwrap_or(usize::MAX) / PAGE;
    if pages == 0 || physical == 0 {
        return Err(Error::local(Status::InvalidArgument, Operation::Load));
    }
    environment::map(memory, POOL_BASE, Permissions::ReadWrite)?;
    PHYSICAL.store(physical, Ordering::Relaxed);
    USED.store(!mask(0, pages.min(PAGE_LIMIT)), Ordering::Release);
    Ok(())
}

/// Bits of `count` pages from `first` on.
const fn mask(first: usize, count: usize) -> u64 {
    let ones = if count >= PAGE_LIMIT {
        u64::MAX
    } else {
        (1 << count) - 1
    };
    ones << first
}

/// Marks so many free pages as used; returns the first.
fn take(count: usize) -> Option<usize> {
    loop {
        let used = USED.load(Ordering::Acquire);
        let last = PAGE_LIMIT.checked_sub(count)?;
        let first = (0..=last).find(|&first| used & mask(first, count) == 0)?;
        let with = used | mask(first, count);
        let swapped = USED.compare_exchange(used, with, Ordering::AcqRel, Ordering::Relaxed);
        if swapped.is_ok() {
            return Some(first);
        }
    }
}

/// What `virtio-drivers` needs to know of memory.
pub(super) enum Pages {}

// SAFETY: pages are mapped for as long as the component lives, `take` gives
// each out once until it comes back, and they are zeroed here. Buffers are only
// ever ranges of the window, whose physical addresses are a subtraction away.
unsafe impl Hal for Pages {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Some(first) = take(pages) else {
            // Address 0 says that there is no memory.
            return (0, NonNull::dangling());
        };
        let offset = first * PAGE;
        let start: *mut u8 = ptr::with_exposed_provenance_mut(POOL_BASE as usize + offset);
        // SAFETY: the pages are mapped writable and were just taken.
        unsafe { start.write_bytes(0, pages * PAGE) };
        let physical = PHYSICAL.load(Ordering::Relaxed) + offset as u64;
        (physical, NonNull::new(start).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(_physical: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        let first = (start.as_ptr().addr() - POOL_BASE as usize) / PAGE;
        USED.fetch_and(!mask(first, pages), Ordering::AcqRel);
        0
    }

    unsafe fn mmio_phys_to_virt(_physical: PhysAddr, _size: usize) -> NonNull<u8> {
        // Only PCI asks for it.
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().addr() as u64 - WINDOW_BASE
    }

    unsafe fn unshare(_physical: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

#[cfg(test)]
mod tests {
    use super::{USED, mask, take};
    use std::sync::atomic::Ordering;

    #[test]
    fn pages_are_given_out_once_and_in_one_piece() {
        USED.store(!mask(0, 5), Ordering::Release);
        assert_eq!((take(2), take(2)), (Some(0), Some(2)));
        assert_eq!(take(2), None, "one is left");
        assert_eq!(take(65), None);
        USED.fetch_and(!mask(0, 2), Ordering::AcqRel);
        assert_eq!(
            (take(1), take(1), take(1), take(1)),
            (Some(0), Some(1), Some(4), None)
        );
    }
}
