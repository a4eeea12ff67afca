//! A cache of blocks that writes back.
//!
//! A write stays in memory until a flush, or until its block has to make room. A flush
//! writes everything that is dirty and then flushes the device; so no write ever moves
//! across a flush, which is all the order that file systems rely on. A block whose
//! write failed stays dirty: the error is reported, and the next flush tries again.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::block::{BlockDevice, BlockError, Geometry, SECTOR_BYTES, sectors_of};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 4096;
/// Sectors of a block.
const SECTORS: usize = BLOCK_BYTES / SECTOR_BYTES;
/// All sectors of a block.
const ALL: u8 = 0xff;
/// Requests of this many blocks go past the cache, which they would only sweep clean.
const BULK_BLOCKS: usize = 64;
/// Most blocks that one write to the device joins.
const JOINED_BLOCKS: usize = 64;

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
    places: BTreeMap<u64, usize>,
    hand: usize,
    dirty: usize,
    /// Something was written to the device since its last flush.
    unflushed: bool,
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
            places: BTreeMap::new(),
            hand: 0,
            dirty: 0,
            unflushed: false,
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
    pub const fn dirty_bytes(&self) -> usize {
        self.dirty * BLOCK_BYTES
    }

    /// Sectors that block `block` has on this device: all, except for the last block.
    fn extent(&self, block: u64) -> usize {
        let first = block * SECTORS as u64;
        (self.geometry.sectors - first).min(SECTORS as u64) as usize
    }

    /// The slot of a block, empty if it was not there.
    fn slot(&mut self, block: u64) -> Result<usize, BlockError> {
        if let Some(&place) = self.places.get(&block) {
            return Ok(place);
        }
        let fresh = Slot {
            block,
            data: Box::new([0; BLOCK_BYTES]),
            valid: 0,
            dirty: 0,
            used: false,
        };
        let place = if self.slots.len() < self.capacity {
            self.slots.push(fresh);
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
                    self.write_back()?;
                }
                return Ok(self.hand);
            }
        }
        Err(BlockError::Io)
    }

    /// Writes everything dirty to the device, in order and joined.
    fn write_back(&mut self) -> Result<(), BlockError> {
        if self.dirty == 0 {
            return Ok(());
        }
        let mut run: Vec<usize> = Vec::with_capacity(JOINED_BLOCKS);
        let places: Vec<usize> = self.places.values().copied().collect();
        for place in places {
            let Some(slot) = self.slots.get(place) else {
                continue;
            };
            if slot.dirty == 0 {
                continue;
            }
            let joins = run
                .last()
                .and_then(|last| self.slots.get(*last))
                .is_some_and(|last| {
                    last.block + 1 == slot.block
                        && last.dirty == ALL
                        && slot.dirty == ALL
                        && run.len() < JOINED_BLOCKS
                });
            if !joins {
                self.write_run(&run)?;
                run.clear();
            }
            run.push(place);
        }
        self.write_run(&run)
    }

    /// Writes neighbouring blocks: whole ones in one request, a single one by its
    /// dirty sectors.
    fn write_run(&mut self, run: &[usize]) -> Result<(), BlockError> {
        let Some(first) = run.first().and_then(|place| self.slots.get(*place)) else {
            return Ok(());
        };
        let sector = first.block * SECTORS as u64;
        let extent = self.extent(first.block);
        self.unflushed = true;
        if run.len() > 1 {
            let mut joined = Vec::with_capacity(run.len() * BLOCK_BYTES);
            for slot in run.iter().filter_map(|place| self.slots.get(*place)) {
                joined.extend_from_slice(&slot.data[..]);
            }
            self.device.write(sector, &joined)?;
        } else {
            for (at, count) in runs(first.dirty, extent) {
                let bytes = at * SECTOR_BYTES..(at + count) * SECTOR_BYTES;
                let data = first.data.get(bytes).unwrap_or(&[]);
                self.device.write(sector + at as u64, data)?;
            }
        }
        for place in run {
            if let Some(slot) = self.slots.get_mut(*place) {
                slot.dirty = 0;
                self.dirty -= 1;
                self.statistics.written += 1;
            }
        }
        Ok(())
    }

    /// Reads those of the wanted sectors that are not valid yet.
    fn fill(&mut self, place: usize, wanted: u8) -> Result<(), BlockError> {
        let Some(slot) = self.slots.get_mut(place) else {
            return Err(BlockError::Io);
        };
        slot.used = true;
        if wanted & !slot.valid == 0 {
            self.statistics.hits += 1;
            return Ok(());
        }
        self.statistics.misses += 1;
        let first = slot.block * SECTORS as u64;
        let extent = (self.geometry.sectors - first).min(SECTORS as u64) as usize;
        if slot.valid == 0 {
            // The rest of the block is likely to be wanted too.
            let data = slot.data.get_mut(..extent * SECTOR_BYTES);
            self.device.read(first, data.unwrap_or(&mut []))?;
            slot.valid = mask(0, extent);
            return Ok(());
        }
        for (at, count) in runs(!slot.valid, extent) {
            let bytes = at * SECTOR_BYTES..(at + count) * SECTOR_BYTES;
            let data = slot.data.get_mut(bytes).unwrap_or(&mut []);
            self.device.read(first + at as u64, data)?;
        }
        slot.valid = mask(0, extent);
        Ok(())
    }

    /// Reads past the cache; what is in it is newer.
    fn read_bulk(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        self.device.read(sector, into)?;
        self.statistics.misses += (into.len() / BLOCK_BYTES) as u64;
        let end = sector + (into.len() / SECTOR_BYTES) as u64;
        let blocks = sector / SECTORS as u64..end.div_ceil(SECTORS as u64);
        for (&block, &place) in self.places.range(blocks) {
            let Some(slot) = self.slots.get(place).filter(|slot| slot.dirty != 0) else {
                continue;
            };
            for at in (0..SECTORS).filter(|at| slot.dirty & 1 << at != 0) {
                let from = slot.data.get(at * SECTOR_BYTES..(at + 1) * SECTOR_BYTES);
                let offset = (block * SECTORS as u64 + at as u64).checked_sub(sector);
                let to = offset.and_then(|offset| {
                    let start = offset as usize * SECTOR_BYTES;
                    into.get_mut(start..start + SECTOR_BYTES)
                });
                if let (Some(to), Some(from)) = (to, from) {
                    to.copy_from_slice(from);
                }
            }
        }
        Ok(())
    }

    /// Writes past the cache, which forgets what it had of the range.
    fn write_bulk(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.unflushed = true;
        self.device.write(sector, from)?;
        self.statistics.written += (from.len() / BLOCK_BYTES) as u64;
        let end = sector + (from.len() / SECTOR_BYTES) as u64;
        let blocks = sector / SECTORS as u64..end.div_ceil(SECTORS as u64);
        for (&block, &place) in self.places.range(blocks) {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            let first = block * SECTORS as u64;
            let low = sector.saturating_sub(first).min(SECTORS as u64) as usize;
            let high = end.saturating_sub(first).min(SECTORS as u64) as usize;
            let gone = mask(low, high - low);
            slot.valid &= !gone;
            if slot.dirty != 0 {
                slot.dirty &= !gone;
                self.dirty -= usize::from(slot.dirty == 0);
            }
        }
        Ok(())
    }
}

impl<D: BlockDevice> BlockDevice for Cache<D> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry, sector, into.len())?;
        if into.len() >= BULK_BLOCKS * BLOCK_BYTES {
            return self.read_bulk(sector, into);
        }
        let mut at = sector;
        let mut rest = into;
        while !rest.is_empty() {
            let (block, low, count) = piece(at, rest.len());
            let (now, later) = rest.split_at_mut(count * SECTOR_BYTES);
            let place = self.slot(block)?;
            self.fill(place, mask(low, count))?;
            let bytes = low * SECTOR_BYTES..(low + count) * SECTOR_BYTES;
            let slot = self.slots.get(place).ok_or(BlockError::Io)?;
            now.copy_from_slice(slot.data.get(bytes).ok_or(BlockError::Io)?);
            at += count as u64;
            rest = later;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry, sector, from.len())?;
        if self.geometry.read_only {
            return Err(BlockError::ReadOnly);
        }
        if from.len() >= BULK_BLOCKS * BLOCK_BYTES {
            return self.write_bulk(sector, from);
        }
        let mut at = sector;
        let mut rest = from;
        while !rest.is_empty() {
            let (block, low, count) = piece(at, rest.len());
            let (now, later) = rest.split_at(count * SECTOR_BYTES);
            let place = self.slot(block)?;
            let slot = self.slots.get_mut(place).ok_or(BlockError::Io)?;
            let bytes = low * SECTOR_BYTES..(low + count) * SECTOR_BYTES;
            slot.data
                .get_mut(bytes)
                .ok_or(BlockError::Io)?
                .copy_from_slice(now);
            self.dirty += usize::from(slot.dirty == 0);
            slot.dirty |= mask(low, count);
            slot.valid |= mask(low, count);
            slot.used = true;
            at += count as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry, sector, from.len())?;
        if self.geometry.read_only {
            return Err(BlockError::ReadOnly);
        }
        self.write_bulk(sector, from)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.write_back()?;
        if self.unflushed {
            self.device.flush()?;
            self.statistics.flushes += 1;
            self.unflushed = false;
        }
        Ok(())
    }
}

/// The first part of a request that lies in one block: the block, its first sector
/// in it, and how many.
fn piece(sector: u64, bytes: usize) -> (u64, usize, usize) {
    let low = (sector % SECTORS as u64) as usize;
    let count = (bytes / SECTOR_BYTES).min(SECTORS - low);
    (sector / SECTORS as u64, low, count)
}

/// `count` bits from `low` on.
const fn mask(low: usize, count: usize) -> u8 {
    (((1u16 << count) - 1) << low) as u8
}

/// Where bits are set, as first and count, among the lowest `limit`.
fn runs(bits: u8, limit: usize) -> Vec<(usize, usize)> {
    let mut found = vec![];
    let mut at = 0;
    while at < limit {
        let count = (at..limit).take_while(|i| bits & 1 << i != 0).count();
        if count > 0 {
            found.push((at, count));
        }
        at += count + 1;
    }
    found
}
