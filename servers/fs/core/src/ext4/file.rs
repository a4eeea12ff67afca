//! The contents of files.
//!
//! Contents are not in the journal. They are written to their blocks before the commit
//! that makes those blocks the file's, so that no file ever shows what a block held
//! before.

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::extents::{Extent, Mapped};
use crate::block::{BlockDevice, SECTOR_BYTES};

/// Bytes of a sector, as an offset.
const SECTOR: u64 = SECTOR_BYTES as u64;
/// Most bytes that are written in one step of a transaction.
const STEP: usize = 256 * 1024;

impl<D: BlockDevice> Ext4Volume<D> {
    /// Writes bytes from `at` bytes behind the start of a block; the rest of the sectors
    /// that they touch stays.
    fn write_bytes(&mut self, block: u64, at: u64, from: &[u8]) -> Result<(), FsError> {
        let mut done = 0;
        while done < from.len() {
            let here = at + done as u64;
            let skip = (here % SECTOR) as usize;
            let rest = from.get(done..).unwrap_or(&[]);
            let whole = rest.len() / SECTOR_BYTES * SECTOR_BYTES;
            if skip == 0 && whole > 0 {
                self.disk
                    .write(block, here / SECTOR, rest.get(..whole).unwrap_or(&[]))?;
                done += whole;
                continue;
            }
            let mut sector = [0; SECTOR_BYTES];
            self.disk.read(block, here / SECTOR, &mut sector)?;
            let count = (SECTOR_BYTES - skip).min(rest.len());
            if let (Some(to), Some(from)) = (sector.get_mut(skip..skip + count), rest.get(..count))
            {
                to.copy_from_slice(from);
            }
            self.disk.write(block, here / SECTOR, &sector)?;
            done += count;
        }
        Ok(())
    }

    /// What is at a place in a file.
    pub(super) fn map(&mut self, number: u32, index: u32) -> Result<Mapped, FsError> {
        match self
            .inodes
            .get(&number)
            .and_then(|inode| inode.tree.as_ref())
        {
            Some(tree) => Ok(tree.map(index)),
            None => Ok(self.tree(number)?.map(index)),
        }
    }

    /// Hands out bytes that lie `at` bytes behind the start of a block. Returns whether
    /// more are wanted.
    fn hand_out_bytes(
        &mut self,
        block: u64,
        at: u64,
        bytes: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<bool, FsError> {
        let mut skip = (at % SECTOR) as usize;
        let mut left = bytes;
        let mut more = true;
        let count = (at % SECTOR + bytes).div_ceil(SECTOR);
        self.disk
            .read_with(block, at / SECTOR, count, &mut |sectors| {
                let end = (skip as u64 + left).min(sectors.len() as u64) as usize;
                let piece = sectors.get(skip..end).unwrap_or(&[]);
                skip = 0;
                left -= piece.len() as u64;
                more = take(piece);
                more
            })?;
        // A device that is silent has failed.
        if more && left > 0 {
            Err(FsError::Io)
        } else {
            Ok(more)
        }
    }

    /// Hands out what an inode contains, in order; returns how much.
    pub(super) fn hand_out_contents(
        &mut self,
        number: u32,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        let unit = self.sb.block_bytes as u64;
        let count = self
            .any_inode(number)?
            .size
            .saturating_sub(offset)
            .min(length);
        let mut done = 0;
        while done < count {
            let at = offset + done;
            let index = u32::try_from(at / unit).map_err(|_| FsError::Corrupted)?;
            let skip = at % unit;
            let mapped = self.map(number, index)?;
            let blocks = match mapped {
                Mapped::Blocks { count, .. } | Mapped::Hole(count) => u64::from(count),
            };
            let bytes = (blocks * unit - skip).min(count - done);
            let more = match mapped {
                Mapped::Blocks {
                    start,
                    written: true,
                    ..
                } => self.hand_out_bytes(start, skip, bytes, take)?,
                _ => hand_out_zeros(bytes, take),
            };
            done += bytes;
            if !more {
                break;
            }
        }
        Ok(done)
    }

    /// Reads what an inode contains.
    pub(super) fn read_contents(
        &mut self,
        number: u32,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, FsError> {
        let mut done = 0;
        let length = into.len() as u64;
        self.hand_out_contents(number, offset, length, &mut |piece| {
            if let Some(to) = into.get_mut(done..done + piece.len()) {
                to.copy_from_slice(piece);
            }
            done += piece.len();
            true
        })?;
        Ok(done)
    }

    /// Writes to a file, which grows; returns how much.
    ///
    /// # Errors
    /// If nothing was written.
    pub(super) fn write_contents(
        &mut self,
        number: u32,
        offset: u64,
        from: &[u8],
    ) -> Result<usize, FsError> {
        let mut done = 0;
        for step in from.chunks(STEP) {
            match self.write_step(number, offset + done as u64, step) {
                Ok(count) if count == step.len() => done += count,
                Ok(count) => return Ok(done + count),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write_step(&mut self, number: u32, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        self.begin()?;
        let size = self.any_inode(number)?.size;
        self.clear_gap(number, size, offset)?;
        let mut done = 0;
        let result = loop {
            let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) else {
                break Ok(());
            };
            match self.write_run(number, offset + done as u64, rest) {
                Ok(count) => done += count,
                Err(FsError::NoSpace) if !self.freed.is_empty() => {
                    self.written_to(number, size, offset, done)?;
                    self.commit()?;
                }
                Err(error) => break Err(error),
            }
        };
        self.written_to(number, size, offset, done)?;
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    fn written_to(
        &mut self,
        number: u32,
        size: u64,
        offset: u64,
        done: usize,
    ) -> Result<(), FsError> {
        if done == 0 {
            return Ok(());
        }
        let now = self.time();
        let inode = self.inode_mut(number)?;
        inode.touch(now);
        inode.size = size.max(offset + done as u64);
        Ok(())
    }

    /// What is written beyond the end leaves a gap that reads as zeros, in the last
    /// block too: a crash may have left something there.
    fn clear_gap(&mut self, number: u32, size: u64, offset: u64) -> Result<(), FsError> {
        let unit = self.sb.block_bytes as u64;
        let end = size.next_multiple_of(unit).min(offset);
        if end <= size {
            return Ok(());
        }
        let index = u32::try_from(size / unit).map_err(|_| FsError::FileTooLarge)?;
        if let Mapped::Blocks {
            start,
            written: true,
            ..
        } = self.map(number, index)?
        {
            self.write_zeros(start, size % unit, (end - size) as usize)?;
        }
        Ok(())
    }

    fn write_zeros(&mut self, block: u64, at: u64, count: usize) -> Result<(), FsError> {
        let zeros = [0; 4096];
        self.write_bytes(block, at, zeros.get(..count).unwrap_or(&zeros))
    }

    /// Writes as far as one extent goes, or a new one.
    fn write_run(&mut self, number: u32, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let unit = self.sb.block_bytes as u64;
        let index = u32::try_from(offset / unit).map_err(|_| FsError::FileTooLarge)?;
        let skip = offset % unit;
        let want = (skip + from.len() as u64).div_ceil(unit) as u32;
        match self.map(number, index)? {
            Mapped::Blocks {
                start,
                count,
                written,
            } => {
                let count = count.min(want);
                let bytes = (u64::from(count) * unit - skip).min(from.len() as u64) as usize;
                let now = from.get(..bytes).unwrap_or(&[]);
                if written {
                    self.write_bytes(start, skip, now)?;
                } else {
                    self.write_fresh(start, count, skip, now)?;
                    self.mark_written(number, index, count)?;
                }
                Ok(bytes)
            }
            Mapped::Hole(room) => {
                let goal = self.goal(number, index)?;
                let (start, count) = self.take_blocks(goal, want.min(room).min(STEP as u32))?;
                let bytes = (u64::from(count) * unit - skip).min(from.len() as u64) as usize;
                let now = from.get(..bytes).unwrap_or(&[]);
                let extent = Extent {
                    first: index,
                    count,
                    start,
                    written: true,
                };
                let result = self
                    .write_fresh(start, count, skip, now)
                    .and_then(|()| self.add_extent(number, extent));
                if let Err(error) = result {
                    self.free_blocks(start, count, true)?;
                    return Err(error);
                }
                Ok(bytes)
            }
        }
    }

    /// Writes to blocks whose contents are not the file's: around the bytes come zeros.
    fn write_fresh(
        &mut self,
        start: u64,
        count: u32,
        skip: u64,
        from: &[u8],
    ) -> Result<(), FsError> {
        let unit = self.sb.block_bytes;
        let mut block = start;
        let mut rest = from;
        if skip > 0 {
            let first = (unit - skip as usize).min(rest.len());
            let (now, later) = rest.split_at(first);
            self.write_padded(block, skip as usize, now)?;
            rest = later;
            block += 1;
        }
        let (whole, tail) = rest.split_at(rest.len() / unit * unit);
        if !whole.is_empty() {
            self.disk.write(block, 0, whole)?;
            block += (whole.len() / unit) as u64;
        }
        if !tail.is_empty() && block < start + u64::from(count) {
            self.write_padded(block, 0, tail)?;
        }
        Ok(())
    }

    fn write_padded(&mut self, block: u64, at: usize, bytes: &[u8]) -> Result<(), FsError> {
        let mut whole = [0; 4096];
        super::bytes::put(&mut whole, at, bytes);
        let unit = self.sb.block_bytes;
        self.disk
            .write(block, 0, whole.get(..unit).unwrap_or(&whole))
    }

    /// Cuts a file or makes it longer.
    pub(super) fn set_size(&mut self, number: u32, size: u64) -> Result<(), FsError> {
        let unit = self.sb.block_bytes as u64;
        let before = self.inode(number)?.size;
        self.tree(number)?;
        if size > before {
            self.clear_gap(number, before, size)?;
        }
        if size < before && !size.is_multiple_of(unit) {
            let index = (size / unit) as u32;
            if let Mapped::Blocks {
                start,
                written: true,
                ..
            } = self.map(number, index)?
            {
                let count = unit - size % unit;
                self.write_zeros(start, size % unit, count as usize)?;
            }
        }
        let now = self.time();
        let inode = self.inode_mut(number)?;
        inode.size = size;
        inode.touch(now);
        if size < before {
            self.give_up_blocks(number, size.div_ceil(unit) as u32)?;
        }
        Ok(())
    }
}

fn hand_out_zeros(bytes: u64, take: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(ZEROS.len() as u64);
        if !take(ZEROS.get(..count as usize).unwrap_or(&ZEROS)) {
            return false;
        }
        left -= count;
    }
    true
}
