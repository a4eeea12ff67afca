//! A cache of blocks that writes back.
//!
//! A write stays in memory until a flush, or until its block has to make room. A flush
//! writes everything that is dirty and then flushes the device; so no write ever moves
//! across a flush, which is all the order that file systems rely on. A block whose
//! write failed stays dirty: the error is reported, and the next flush tries again.
//!
//! What is missing is read with its neighbours: those that are asked for in the same
//! request, and more when requests follow one another.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::block::{BlockDevice, BlockError, Extent, Geometry, SECTOR_BYTES, sectors_of};
use crate::numbers::NumberMap;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 4096;
/// Sectors of a block.
const SECTORS: usize = BLOCK_BYTES / SECTOR_BYTES;
/// Requests of this many blocks go past the cache, which they would only sweep clean.
const BULK_BLOCKS: usize = 64;
/// Most blocks that one read from the device joins.
const JOINED_BLOCKS: usize = 64;
/// Blocks that are read at once when requests follow one another.
const AHEAD_BLOCKS: u64 = 16;

struct Slot {
    block: u64,
    data: Box<[u8; BLOCK_BYTES]>,
    /// Sectors that hold what the device holds, or newer.
    valid: u8,
    /// Sectors that are newer than the device's.
    dirty: u8,
    /// Used since the hand passed.
    used: bool,
}

/// What a cache has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Blocks found in memory.
    pub hits: u64,
    /// Blocks read from the device.
    pub misses: u64,
    /// Blocks written to the device.
    pub written: u64,
    /// Flushes of the device.
    pub flushes: u64,
}

/// A device behind a cache of bounded size.
pub struct Cache<D> {
    device: D,
    geometry: Geometry,
    capacity: usize,
    slots: Vec<Slot>,
    places: NumberMap<u64, usize>,
    /// Blocks with dirty sectors.
    dirty: BTreeSet<u64>,
    hand: usize,
    /// Something was written to the device since its last flush.
    unflushed: bool,
    /// Where the next request begins if requests follow one another.
    expected: u64,
    /// For requests of several blocks; as large as the largest so far.
    joined: Vec<u8>,
    statistics: CacheStatistics,
}

impl<D: BlockDevice> Cache<D> {
    /// Puts a cache of `bytes` (at least eight blocks) before a device.
    pub fn new(device: D, bytes: usize) -> Self {
        Self {
            geometry: device.geometry(),
            device,
            capacity: (bytes / BLOCK_BYTES).max(8),
            slots: Vec::new(),
            places: NumberMap::default(),
            dirty: BTreeSet::new(),
            hand: 0,
            unflushed: false,
            expected: 0,
            joined: Vec::new(),
            statistics: CacheStatistics::default(),
        }
    }

    /// What it has done so far.
    pub const fn statistics(&self) -> CacheStatistics {
        self.statistics
    }

    /// The device; what is dirty is not on it.
    pub const fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Bytes that are only in memory.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty.len() * BLOCK_BYTES
    }

    /// Sectors that block `block` has on this device: all, except for the last block.
    fn extent(&self, block: u64) -> usize {
        let first = block * SECTORS as u64;
        self.geometry
            .sectors
            .saturating_sub(first)
            .min(SECTORS as u64) as usize
    }

    /// The slot of a block, empty if it was not there.
    fn slot(&mut self, block: u64) -> Result<usize, BlockError> {
        match self.places.get(&block) {
            Some(place) => Ok(*place),
            None => self.new_slot(block),
        }
    }

    #[cold]
    fn new_slot(&mut self, block: u64) -> Result<usize, BlockError> {
        let place = if self.slots.len() < self.capacity {
            self.slots.push(Slot {
                block,
                data: Box::new([0; BLOCK_BYTES]),
                valid: 0,
                dirty: 0,
                used: false,
            });
            self.slots.len() - 1
        } else {
            let place = self.victim()?;
            if let Some(slot) = self.slots.get_mut(place) {
                self.places.remove(&slot.block);
                slot.block = block;
                slot.valid = 0;
                slot.used = false;
            }
            place
        };
        self.places.insert(block, place);
        Ok(place)
    }

    /// A slot that may be used for another block: the next that was not used since
    /// the hand passed it last. If it is dirty, everything dirty is written.
    fn victim(&mut self) -> Result<usize, BlockError> {
        // Twice around finds one, since the first round clears every mark.
        for _ in 0..2 * self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(slot) = self.slots.get_mut(self.hand)
                && !core::mem::take(&mut slot.used)
            {
                if slot.dirty != 0 {
                    self.put_out(&[], false)?;
                }
                return Ok(self.hand);
            }
        }
        Err(BlockError::Io)
    }

    /// Writes to the device what is dirty, and `more`, of which nothing is dirty; if
    /// `durable`, that and everything before it is durable afterwards. If it fails, what is
    /// dirty stays so.
    fn put_out(&mut self, more: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        let mut all: SmallVec<[Extent<'_>; 8]> = SmallVec::new();
        for block in &self.dirty {
            let extent = self.extent(*block);
            let place = self.places.get(block);
            let Some(slot) = place.and_then(|place| self.slots.get(*place)) else {
                continue;
            };
            let mut at = 0;
            while let Some((from, count)) = next_run(slot.dirty, at, extent) {
                let bytes = from * SECTOR_BYTES..(from + count) * SECTOR_BYTES;
                all.push(Extent {
                    sector: block * SECTORS as u64 + from as u64,
                    bytes: slot.data.get(bytes).unwrap_or(&[]),
                });
                at = from + count;
            }
        }
        all.extend_from_slice(more);
        let flushes = durable && (self.unflushed || !all.is_empty());
        self.unflushed |= !all.is_empty();
        if flushes || !all.is_empty() {
            self.device.write_all(&all, flushes)?;
        }
        drop(all);
        if flushes {
            self.statistics.flushes += 1;
            self.unflushed = false;
        }
        while let Some(block) = self.dirty.pop_first() {
            let place = self.places.get(&block);
            if let Some(slot) = place.and_then(|place| self.slots.get_mut(*place)) {
                slot.dirty = 0;
                self.statistics.written += 1;
            }
        }
        Ok(())
    }

    /// Has the wanted sectors of a block in memory; returns its slot. `end` is the block
    /// behind those that the request is about.
    fn wanted(&mut self, block: u64, wanted: u8, end: u64) -> Result<usize, BlockError> {
        if let Some(place) = self.places.get(&block).copied()
            && let Some(slot) = self.slots.get_mut(place)
            && slot.valid != 0
        {
            slot.used = true;
            if wanted & !slot.valid == 0 {
                self.statistics.hits += 1;
                return Ok(place);
            }
            return self.complete(place);
        }
        self.fetch(block, end)?;
        self.slot(block)
    }

    /// Reads those sectors of a block that are missing.
    fn complete(&mut self, place: usize) -> Result<usize, BlockError> {
        let slot = self.slots.get_mut(place).ok_or(BlockError::Io)?;
        self.statistics.misses += 1;
        let first = slot.block * SECTORS as u64;
        let extent = (self.geometry.sectors - first).min(SECTORS as u64) as usize;
        let mut at = 0;
        while let Some((from, count)) = next_run(!slot.valid, at, extent) {
            let bytes = from * SECTOR_BYTES..(from + count) * SECTOR_BYTES;
            let data = slot.data.get_mut(bytes).unwrap_or(&mut []);
            self.device.read(first + from as u64, data)?;
            at = from + count;
        }
        slot.valid = mask(0, extent);
        Ok(place)
    }

    /// Reads a block that is not there, and those behind it that are missing too.
    fn fetch(&mut self, block: u64, end: u64) -> Result<(), BlockError> {
        let ahead = if block == self.expected {
            end.max(block + AHEAD_BLOCKS)
        } else {
            end
        };
        let most = (self.capacity as u64 / 4).clamp(1, JOINED_BLOCKS as u64);
        let last = self.geometry.sectors.div_ceil(SECTORS as u64);
        let limit = ahead.min(block + most).min(last);
        let mut until = block + 1;
        while until < limit && !self.places.contains_key(&until) {
            until += 1;
        }
        if until - block > 1 && self.fetch_run(block, until).is_ok() {
            return Ok(());
        }
        let place = self.slot(block)?;
        let extent = self.extent(block);
        let slot = self.slots.get_mut(place).ok_or(BlockError::Io)?;
        let data = slot.data.get_mut(..extent * SECTOR_BYTES);
        self.statistics.misses += 1;
        self.device
            .read(block * SECTORS as u64, data.unwrap_or(&mut []))?;
        slot.valid = mask(0, extent);
        slot.used = true;
        Ok(())
    }

    /// Reads several blocks in one request. If that fails, the one that is wanted may
    /// still be read by itself.
    fn fetch_run(&mut self, first: u64, until: u64) -> Result<(), BlockError> {
        let start = first * SECTORS as u64;
        let end = (until * SECTORS as u64).min(self.geometry.sectors);
        let mut joined = core::mem::take(&mut self.joined);
        joined.resize((end - start) as usize * SECTOR_BYTES, 0);
        let result = self.device.read(start, &mut joined).and_then(|()| {
            // The first one last: to make room for the others it could be forgotten again.
            for (index, data) in joined.chunks(BLOCK_BYTES).enumerate().rev() {
                let place = self.slot(first + index as u64)?;
                let slot = self.slots.get_mut(place).ok_or(BlockError::Io)?;
                if let Some(to) = slot.data.get_mut(..data.len()) {
                    to.copy_from_slice(data);
                }
                slot.valid = mask(0, data.len() / SECTOR_BYTES);
                // What comes in long runs is not likely to be read twice.
                slot.used = until - first < AHEAD_BLOCKS;
                self.statistics.misses += 1;
            }
            Ok(())
        });
        self.joined = joined;
        result
    }

    /// Calls `take` with what is dirty in a range of sectors: where, and what.
    fn each_dirty(&self, sector: u64, count: u64, mut take: impl FnMut(u64, &[u8])) {
        let end = sector + count;
        for block in sector / SECTORS as u64..end.div_ceil(SECTORS as u64) {
            let Some(slot) = self.places.get(&block).and_then(|at| self.slots.get(*at)) else {
                continue;
            };
            for at in (0..SECTORS).filter(|at| slot.dirty & 1 << at != 0) {
                let here = block * SECTORS as u64 + at as u64;
                let data = slot.data.get(at * SECTOR_BYTES..(at + 1) * SECTOR_BYTES);
                if let Some(data) = data.filter(|_| (sector..end).contains(&here)) {
                    take(here, data);
                }
            }
        }
    }

    /// Reads past the cache; what is in it is newer.
    fn read_bulk(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        self.device.read(sector, into)?;
        self.statistics.misses += (into.len() / BLOCK_BYTES) as u64;
        let count = (into.len() / SECTOR_BYTES) as u64;
        self.each_dirty(sector, count, |at, data| {
            let start = (at - sector) as usize * SECTOR_BYTES;
            if let Some(to) = into.get_mut(start..start + SECTOR_BYTES) {
                to.copy_from_slice(data);
            }
        });
        Ok(())
    }

    /// Writes past the cache, which forgets what it had of the range.
    fn write_bulk(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.unflushed = true;
        self.device.write(sector, from)?;
        self.forget(sector, from.len());
        Ok(())
    }

    /// Forgets what it has of so many bytes from `sector` on: the device has newer ones.
    fn forget(&mut self, sector: u64, bytes: usize) {
        self.statistics.written += (bytes / BLOCK_BYTES) as u64;
        let end = sector + (bytes / SECTOR_BYTES) as u64;
        for block in sector / SECTORS as u64..end.div_ceil(SECTORS as u64) {
            let Some(place) = self.places.get(&block) else {
                continue;
            };
            let Some(slot) = self.slots.get_mut(*place) else {
                continue;
            };
            let first = block * SECTORS as u64;
            let low = sector.saturating_sub(first).min(SECTORS as u64) as usize;
            let high = end.saturating_sub(first).min(SECTORS as u64) as usize;
            let gone = mask(low, high - low);
            slot.valid &= !gone;
            slot.dirty &= !gone;
            if slot.dirty == 0 {
                self.dirty.remove(&block);
            }
        }
    }
}

impl<D: BlockDevice> BlockDevice for Cache<D> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        let count = sectors_of(self.geometry, sector, into.len())?;
        if into.len() >= BULK_BLOCKS * BLOCK_BYTES {
            return self.read_bulk(sector, into);
        }
        let mut done = 0;
        self.read_with(sector, count, &mut |bytes| {
            if let Some(to) = into.get_mut(done..done + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            done += bytes.len();
            true
        })
    }

    fn read_with(
        &mut self,
        sector: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BlockError> {
        let end = sector.checked_add(count).ok_or(BlockError::OutOfRange)?;
        if end > self.geometry.sectors {
            return Err(BlockError::OutOfRange);
        }
        let end_block = end.div_ceil(SECTORS as u64);
        let mut at = sector;
        while at < end {
            let (block, low, count) = piece(at, end - at);
            let place = self.wanted(block, mask(low, count), end_block)?;
            let bytes = low * SECTOR_BYTES..(low + count) * SECTOR_BYTES;
            let slot = self.slots.get(place).ok_or(BlockError::Io)?;
            if !take(slot.data.get(bytes).ok_or(BlockError::Io)?) {
                break;
            }
            at += count as u64;
        }
        self.expected = end_block;
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let count = sectors_of(self.geometry, sector, from.len())?;
        if self.geometry.read_only {
            return Err(BlockError::ReadOnly);
        }
        if from.len() >= BULK_BLOCKS * BLOCK_BYTES {
            return self.write_bulk(sector, from);
        }
        let mut rest = from;
        self.write_with(sector, count, &mut |to| {
            let (now, later) = rest.split_at(to.len().min(rest.len()));
            rest = later;
            to.copy_from_slice(now);
            true
        })?;
        Ok(())
    }

    fn write_with(
        &mut self,
        sector: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<u64, BlockError> {
        let end = sector.checked_add(count).ok_or(BlockError::OutOfRange)?;
        if end > self.geometry.sectors {
            return Err(BlockError::OutOfRange);
        }
        if self.geometry.read_only {
            return Err(BlockError::ReadOnly);
        }
        let mut at = sector;
        while at < end {
            let (block, low, count) = piece(at, end - at);
            let place = self.slot(block)?;
            let slot = self.slots.get_mut(place).ok_or(BlockError::Io)?;
            let bytes = low * SECTOR_BYTES..(low + count) * SECTOR_BYTES;
            let changed = mask(low, count);
            slot.used = true;
            if !fill(slot.data.get_mut(bytes).ok_or(BlockError::Io)?) {
                // What was in between is read again, unless it is nowhere else.
                slot.valid &= !(changed & !slot.dirty);
                break;
            }
            if slot.dirty == 0 {
                self.dirty.insert(block);
            }
            slot.dirty |= changed;
            slot.valid |= changed;
            at += count as u64;
        }
        Ok(at - sector)
    }

    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry, sector, from.len())?;
        if self.geometry.read_only {
            return Err(BlockError::ReadOnly);
        }
        self.write_bulk(sector, from)
    }

    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        for extent in extents {
            sectors_of(self.geometry, extent.sector, extent.bytes.len())?;
        }
        if self.geometry.read_only && !extents.is_empty() {
            return Err(BlockError::ReadOnly);
        }
        // First, since what it has of them is older. If they cannot be written, their owner
        // writes them again.
        for extent in extents {
            self.forget(extent.sector, extent.bytes.len());
        }
        if durable {
            return self.put_out(extents, true);
        }
        self.unflushed |= !extents.is_empty();
        self.device.write_all(extents, false)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.put_out(&[], true)
    }
}

/// The first part of a request that lies in one block: the block, its first sector
/// in it, and how many.
const fn piece(sector: u64, rest: u64) -> (u64, usize, usize) {
    let low = (sector % SECTORS as u64) as usize;
    let room = SECTORS - low;
    let count = if rest < room as u64 {
        rest as usize
    } else {
        room
    };
    (sector / SECTORS as u64, low, count)
}

/// `count` bits from `low` on.
const fn mask(low: usize, count: usize) -> u8 {
    (((1u16 << count) - 1) << low) as u8
}

/// The next set bits from `at` on, as first and count, among the lowest `limit`.
fn next_run(bits: u8, at: usize, limit: usize) -> Option<(usize, usize)> {
    let from = (at..limit).find(|i| bits & 1 << i != 0)?;
    let count = (from..limit).take_while(|i| bits & 1 << i != 0).count();
    Some((from, count))
}
