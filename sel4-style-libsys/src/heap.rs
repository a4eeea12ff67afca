//! A heap that grows: memory objects, mapped one behind the other as they are
//! needed.
//!
//! The allocator is `linked_list_allocator`; what is ours is where its memory
//! comes from. Until [`Heap::provide`] was called, allocation fails.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use gritos_abi::Address;

use crate::cap::{AddressSpace, Cap, Untyped};
use crate::environment::Environment;
use crate::error::Error;
use crate::invoke::Permissions;
use crate::memory::map_with_tables;
use crate::slots::{Slot, own};
use crate::thread::PAGE_BYTES;
use crate::{ipc, time};

/// First address of the heap.
pub const HEAP_BASE: u64 = 0x8_0000_0000;
/// One past the last.
pub const HEAP_END: u64 = 0x10_0000_0000;
/// Least bytes by which the heap grows; from four times that on it grows by a
/// quarter.
const GROWTH_BYTES: u64 = 64 << 10;

/// Where a heap takes its memory from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Memory.
    pub untyped: Cap<Untyped>,
    /// The AddressSpace of this program.
    pub space: Cap<AddressSpace>,
    /// First of the empty slots for memory objects.
    pub first_slot: Slot,
    /// How many there are; one stays empty.
    pub slot_count: u16,
}

struct State {
    allocator: linked_list_allocator::Heap,
    source: Option<Source>,
    end: u64,
}

/// A heap, to be made the `#[global_allocator]`.
pub struct Heap {
    locked: AtomicBool,
    state: UnsafeCell<State>,
}

// SAFETY: `state` is only reached through `with`, which lets one thread in at a
// time.
unsafe impl Sync for Heap {}

impl core::fmt::Debug for Heap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Heap")
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Heap {
    /// A heap without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            locked: AtomicBool::new(false),
            state: UnsafeCell::new(State {
                allocator: linked_list_allocator::Heap::empty(),
                source: None,
                end: HEAP_BASE,
            }),
        }
    }

    /// Says where memory comes from.
    pub fn provide(&self, source: Source) {
        self.with(|state| state.source = Some(source));
    }

    /// Takes memory from the component's own, in at most `pieces` pieces. Each
    /// is at least a quarter of what there was before.
    ///
    /// # Errors
    /// When the component has no such run of free slots.
    pub fn provide_own(&self, pieces: u16) -> Result<(), Error> {
        let slot_count = pieces.saturating_add(1);
        self.provide(Source {
            untyped: Environment::MEMORY,
            space: Environment::SPACE,
            first_slot: own::take_run(u32::from(slot_count))?,
            slot_count,
        });
        Ok(())
    }

    /// Bytes in use and bytes mapped.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        self.with(|state| (state.allocator.used(), state.allocator.size()))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        const PAUSE_NANOSECONDS: u64 = 50_000;
        while self.locked.swap(true, Ordering::Acquire) {
            // Sleep rather than spin: the holder may have a lower priority.
            let _ = ipc::sleep_until(time::after(PAUSE_NANOSECONDS));
        }
        // SAFETY: `locked` was false and is now true, so no other reference to
        // the state exists; the borrow ends before it is false again.
        let result = f(unsafe { &mut *self.state.get() });
        self.locked.store(false, Ordering::Release);
        result
    }
}

impl State {
    /// Maps at least so many bytes more, and a quarter of what there is if there
    /// is memory for that.
    fn grow(&mut self, bytes: usize) -> Option<()> {
        let least = (bytes as u64).max(GROWTH_BYTES);
        let wanted = least.max((self.end - HEAP_BASE) / 4);
        self.extend(wanted).or_else(|| self.extend(least))
    }

    fn extend(&mut self, bytes: u64) -> Option<()> {
        let bytes = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let source = self.source.as_mut().filter(|s| s.slot_count > 1)?;
        let start = self.end;
        let end = start.checked_add(bytes).filter(|&end| end <= HEAP_END)?;
        let slot = source.first_slot;
        let memory = source.untyped.create_memory(bytes, slot).ok()?;
        let next = Slot::new(slot.cnode(), Address(slot.address().0 + 1));
        let tables = (source.space, source.untyped, next);
        if map_with_tables(memory, tables, start, Permissions::ReadWrite).is_err() {
            let _ = slot.delete();
            return None;
        }
        source.first_slot = next;
        source.slot_count -= 1;
        self.end = end;
        if start == HEAP_BASE {
            let base = ptr::with_exposed_provenance_mut(start as usize);
            // SAFETY: the range was mapped just now, for good and writable, and
            // nobody else uses addresses of the heap.
            unsafe { self.allocator.init(base, bytes as usize) };
        } else {
            // SAFETY: the bytes behind the heap were mapped just now.
            unsafe { self.allocator.extend(bytes as usize) };
        }
        Some(())
    }
}

// SAFETY: blocks come from `linked_list_allocator`, which hands out disjoint
// memory of the layout asked for, from ranges that stay mapped.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|state| {
            if let Ok(block) = state.allocator.allocate_first_fit(layout) {
                return block.as_ptr();
            }
            // Room for the block, its alignment and the allocator's own needs.
            const OVERHEAD_BYTES: usize = 64;
            let wanted = layout.size() + layout.align() + OVERHEAD_BYTES;
            state
                .grow(wanted)
                .and_then(|()| state.allocator.allocate_first_fit(layout).ok())
                .map_or(ptr::null_mut(), NonNull::as_ptr)
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got `block` from `alloc` with this layout and
            // gives it up.
            self.with(|state| unsafe { state.allocator.deallocate(block, layout) });
        }
    }
}
