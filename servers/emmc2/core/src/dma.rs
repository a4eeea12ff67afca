//! Blocks that the controller moves by itself: ADMA2.
//!
//! The controller reads a table of descriptors, each an address and a length, and then the memory that they name. SDHC
//! spec, "Advanced DMA": 32-bit ADMA2, "Descriptor Table". What is told to the controller are *its* addresses; what
//! they are, and what caches have to do before and after, the machine's side says with [`Dma`].
//!
//! Deliberately not here: SDMA, whose transfers stop at every boundary of a buffer, and 64-bit addresses.

use core::fmt;

use gritos_ring::Memory;

use crate::{BLOCK_BYTES, Window};

/// Bytes that a table needs at most.
const DESCRIPTOR_BYTES: usize = 8 * DESCRIPTORS;
/// Bytes of memory for a table, and a block for the first trial behind it.
pub const TABLE_BYTES: usize = TRIAL_AT + BLOCK_BYTES;
/// Where that block lies.
const TRIAL_AT: usize = DESCRIPTOR_BYTES.next_multiple_of(LINE);
/// Bytes of one descriptor's memory: the length has 16 bits, in which 0 would be 64 KiB.
const PIECE: usize = 32 << 10;
/// Descriptors of a job of the greatest length.
const DESCRIPTORS: usize = (crate::REQUEST_BLOCKS as usize * BLOCK_BYTES).div_ceil(PIECE);
/// Where memory begins and what is moved ends: at a multiple of this, so that no cache line has bytes of both the
/// controller and a processor. Larger lines than these are not known.
const LINE: usize = 128;

/// "Descriptor Table": the descriptor counts, is the last, and moves data.
const VALID: u32 = 1 << 0;
const END: u32 = 1 << 1;
const TRANSFER: u32 = 2 << 4;

/// What the controller can reach by itself, and what it takes.
pub struct Dma<M> {
    /// Memory for a table, at least [`TABLE_BYTES`] of it, in which the controller sees what the processor writes
    /// once [`give`](Self::give) was called for anything.
    pub table: M,
    /// What of all memory the controller sees.
    pub window: Window,
    /// The physical address of a memory.
    pub physical: fn(&M) -> u64,
    /// Called before the controller reads or writes so many bytes at an offset: everything written before is seen
    /// by it, and no cache writes there any more.
    pub give: fn(&M, usize, usize),
    /// Called after it wrote them: no cache holds what was there before.
    pub take: fn(&M, usize, usize),
}

impl<M> fmt::Debug for Dma<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dma").finish_non_exhaustive()
    }
}

impl<M: Memory> Dma<M> {
    /// Writes the table for `bytes` bytes at `offset` of `memory`, and gives both to the controller: its address of
    /// the table. `None` if it cannot move them, and nothing was given to it.
    pub(crate) fn prepare(&self, memory: &M, offset: usize, bytes: usize) -> Option<u32> {
        let whole = offset.is_multiple_of(LINE) && bytes.is_multiple_of(LINE);
        if !whole || bytes == 0 || bytes > DESCRIPTORS * PIECE {
            return None;
        }
        let first = self.address(memory, offset, bytes)?;
        let table = self.address(&self.table, 0, DESCRIPTOR_BYTES)?;
        if !table.is_multiple_of(8) || !first.is_multiple_of(4) {
            return None;
        }
        for (index, start) in (0..bytes).step_by(PIECE).enumerate() {
            let length = (bytes - start).min(PIECE);
            let end = if start + length == bytes { END } else { 0 };
            // Both fit: a piece has less than 64 KiB, and all of it has an address of 32 bits.
            let attributes = (length as u32) << 16 | TRANSFER | end | VALID;
            let address = first.checked_add(start as u32)?;
            self.table.store(8 * index, attributes).ok()?;
            self.table.store(8 * index + 4, address).ok()?;
        }
        (self.give)(memory, offset, bytes);
        Some(table)
    }

    /// As [`prepare`](Self::prepare), for a block behind the table that is to become `expected` and is not before.
    pub(crate) fn prepare_trial(&self, expected: &[u8; BLOCK_BYTES]) -> Option<u32> {
        let before = expected.map(|byte| !byte);
        self.table.write(TRIAL_AT, &before).ok()?;
        self.prepare(&self.table, TRIAL_AT, BLOCK_BYTES)
    }

    /// The controller is done with that block.
    pub(crate) fn took_trial(&self) {
        (self.take)(&self.table, TRIAL_AT, BLOCK_BYTES);
    }

    /// Whether it has become what was expected.
    pub(crate) fn trial_is(&self, expected: &[u8; BLOCK_BYTES]) -> bool {
        let mut found = [0; BLOCK_BYTES];
        self.table.read(TRIAL_AT, &mut found).is_ok() && found == *expected
    }

    /// The controller's address of bytes of a memory, if it reaches all of them.
    fn address(&self, memory: &M, offset: usize, bytes: usize) -> Option<u32> {
        let physical = (self.physical)(memory).checked_add(offset as u64)?;
        self.window.address(physical, bytes as u64)
    }
}
