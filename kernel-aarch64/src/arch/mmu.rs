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
use tock_registers::{
    interfaces::{Readable, Writeable},
    registers::ReadWrite,
};

/// Physical memory that the linear map reaches: 64 GiB.
pub(crate) const LINEAR_LIMIT: u64 = 64 << 30;

/// Physical addresses that the window shows: 44 bits, as many as the Cortex-A72 has.
const PHYSICAL_LIMIT: u64 = 1 << 44;

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

/// The window has no room left, or an address is beyond what a descriptor holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unshowable;

/// A translation table, reached through the window. What its entries map is decided by
/// [`BootTables`]: devices, memory without Rust objects in it, or memory to read.
#[derive(Clone, Copy)]
struct Table(&'static [ReadWrite<u64>; 512]);

impl Table {
    /// The table at `shown`.
    ///
    /// # Safety
    ///
    /// `shown` must be a page of memory in the window that is a table and nothing else.
    unsafe fn at(shown: *mut u8) -> Self {
        // SAFETY: mapped and page-aligned, as the caller says; entries are plain numbers, accessed
        // through shared references with volatile loads and stores.
        Self(unsafe { &*shown.cast() })
    }

    fn get(self, index: usize) -> u64 {
        self.0[index & 511].get()
    }

    fn set(self, index: usize, entry: u64) {
        self.0[index & 511].set(entry);
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
            let shown = WINDOW_BASE + IMAGE_SLOT * BLOCK + offset;
            // SAFETY: the reset code shows it there, and nobody else knows.
            unsafe { Table::at(ptr::with_exposed_provenance_mut(shown)) }
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
    pub(crate) fn show(&mut self, region: Region, how: Show) -> Result<*mut u8, Unshowable> {
        let first = region.start & !(BLOCK as u64 - 1);
        let count = (region.end - first).div_ceil(BLOCK as u64) as usize;
        if region.end > PHYSICAL_LIMIT || count > self.memory_start - self.device_end {
            return Err(Unshowable);
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
    ) -> Result<(), Unshowable> {
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
        // SAFETY: that page, which only tables point to.
        unsafe { Table::at(below) }
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
