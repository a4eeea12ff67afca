//! The kernel's translation tables: the linear map, and the window for devices and for booting.
//!
//! `reset.s` leaves the image mapped and the window nearly empty. [`BootTables`] adds to both tables
//! while the kernel boots; when it is gone nothing maps a kernel table any more, and the kernel's
//! half of the address space never changes again. That half is global, so it outlives every switch
//! of address spaces.
//!
//! Invalid entries become valid here, which takes a barrier and no TLB maintenance; the other
//! direction happens once, in [`BootTables::close`] (Arm ARM, D8 "TLB maintenance requirements").

use core::{arch::asm, ptr};

use aarch64_cpu::asm::barrier;

use super::layout::{
    BLOCK, BLOCK_TYPE, CONSTANT, DATA, DEVICE, IMAGE_SLOT, LINEAR_BASE, PAGE, PAGE_TYPE, TABLE,
    UART_SLOT, WINDOW_BASE, level1_index, level2_index, level3_index,
};
use gritos_kernel_core::memory_map::{Level, Region, blocks};

/// Physical memory that the linear map reaches: 64 GiB.
pub(crate) const LINEAR_LIMIT: u64 = 64 << 30;

/// Physical address bits of a table descriptor.
const TABLE_ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// How the window shows memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Registers, for good.
    Device,
    /// Memory to read, until boot ends.
    Constant,
    /// Memory to write, until boot ends.
    Data,
}

/// The window has no room left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowFull;

/// A translation table, reached through the window.
#[derive(Clone, Copy)]
struct Table(*mut u64);

impl Table {
    fn get(self, index: usize) -> u64 {
        // SAFETY: `BootTables` makes tables only of mapped, page-sized, page-aligned memory that is
        // nobody else's; the mask keeps the index inside.
        unsafe { self.0.add(index & 511).read_volatile() }
    }

    fn set(self, index: usize, entry: u64) {
        // SAFETY: as in `get`. What the entry maps is decided by the callers, which map only
        // devices, memory without Rust objects in it, or memory to read.
        unsafe { self.0.add(index & 511).write_volatile(entry) }
    }
}

/// The kernel's tables while they can be changed.
pub(crate) struct BootTables {
    root: Table,
    window: Table,
    /// Slots below are devices'.
    device_end: usize,
    /// Slots from here on are memory, to be closed.
    memory_start: usize,
}

impl BootTables {
    /// Takes over the tables that `reset.s` built.
    ///
    /// # Safety
    ///
    /// Only once, on tables as `reset.s` left them, for an image loaded at `load`.
    pub(crate) unsafe fn new(load: u64) -> Self {
        let physical =
            |symbol: *const u8| load + (symbol.addr() - super::layout::KERNEL_BASE) as u64;
        let root = physical(&raw const __root_table);
        let window = physical(&raw const __window_table);
        // The reset code shows the block around the window table, and the next one.
        let shown = window & !(BLOCK as u64 - 1);
        let table = |address: u64| {
            let offset = (address - shown) as usize;
            Table(ptr::with_exposed_provenance_mut(
                WINDOW_BASE + IMAGE_SLOT * BLOCK + offset,
            ))
        };
        let (root, window) = (table(root), table(window));
        Self {
            root,
            window,
            device_end: UART_SLOT + 1,
            memory_start: IMAGE_SLOT,
        }
    }

    /// Shows `region` through the window and returns where.
    #[inline(never)]
    pub(crate) fn show(&mut self, region: Region, how: Show) -> Result<*mut u8, WindowFull> {
        let first = region.start & !(BLOCK as u64 - 1);
        let count = (region.end - first).div_ceil(BLOCK as u64) as usize;
        if count > self.memory_start - self.device_end {
            return Err(WindowFull);
        }
        let (slot, attributes) = if how == Show::Device {
            self.device_end += count;
            (self.device_end - count, DEVICE)
        } else {
            self.memory_start -= count;
            (
                self.memory_start,
                if how == Show::Data { DATA } else { CONSTANT },
            )
        };
        for index in 0..count {
            let block = first + (index * BLOCK) as u64;
            self.window
                .set(slot + index, block | attributes | BLOCK_TYPE);
        }
        publish();
        let offset = (region.start - first) as usize;
        Ok(ptr::with_exposed_provenance_mut(
            WINDOW_BASE + slot * BLOCK + offset,
        ))
    }

    /// Maps `free`, whole pages below [`LINEAR_LIMIT`], into the linear map, with tables from `pool`.
    ///
    /// # Panics
    ///
    /// If the pool is smaller than [`tables_needed`](gritos_kernel_core::memory_map::tables_needed) says.
    ///
    /// # Safety
    ///
    /// `free` holds no Rust object, nor does `pool`, which is outside `free` and stays reserved.
    #[inline(never)]
    pub(crate) unsafe fn map_linear(
        &mut self,
        free: &[Region],
        pool: Region,
    ) -> Result<(), WindowFull> {
        let shown = self.show(pool, Show::Data)?;
        let mut pool = Pool {
            start: pool.start,
            shown,
            pages: pool.size() / PAGE as u64,
            used: 0,
        };
        for block in free.iter().flat_map(|&region| blocks(region)) {
            let address = LINEAR_BASE + block.start as usize;
            let entry = block.start | DATA;
            if block.level == Level::One {
                self.root.set(level1_index(address), entry | BLOCK_TYPE);
                continue;
            }
            let level2 = pool.table_below(self.root, level1_index(address));
            if block.level == Level::Two {
                level2.set(level2_index(address), entry | BLOCK_TYPE);
                continue;
            }
            let level3 = pool.table_below(level2, level2_index(address));
            level3.set(level3_index(address), entry | PAGE_TYPE);
        }
        publish();
        Ok(())
    }

    /// Ends booting: takes all memory out of the window, the tables themselves last.
    pub(crate) fn close(self) {
        for slot in self.memory_start..512 {
            // The write that takes the window table away still goes through it.
            self.window.set(slot, 0);
        }
        // SAFETY: invalidates cached translations and touches no memory; not `nomem`, so that the
        // writes above come first and no access through the window is moved across.
        unsafe {
            asm!(
                "dsb ishst",
                "tlbi vmalle1",
                "dsb nsh",
                "isb",
                options(nostack, preserves_flags)
            );
        }
    }
}

/// Zeroed pages for tables.
struct Pool {
    start: u64,
    shown: *mut u8,
    pages: u64,
    used: u64,
}

impl Pool {
    /// Returns the table that entry `index` of `table` points to, a new one if it is empty.
    #[inline(never)]
    fn table_below(&mut self, table: Table, index: usize) -> Table {
        let mut entry = table.get(index);
        let fresh = entry == 0;
        if fresh {
            assert!(
                self.used < self.pages,
                "tables_needed counted too few tables"
            );
            entry = (self.start + self.used * PAGE as u64) | TABLE;
            self.used += 1;
        }
        let offset = ((entry & TABLE_ADDRESS) - self.start) as usize;
        // SAFETY: the entry was made here, so it lies in the pool, which is shown as a whole.
        let below = unsafe { self.shown.add(offset) };
        if fresh {
            // SAFETY: a page of the pool, used for the first time.
            unsafe { below.write_bytes(0, PAGE) };
            table.set(index, entry);
        }
        Table(below.cast())
    }
}

/// Makes new entries visible to the table walker before the next access.
fn publish() {
    barrier::dsb(barrier::ISHST);
    barrier::isb(barrier::SY);
}

unsafe extern "C" {
    safe static __root_table: u8;
    safe static __window_table: u8;
}
