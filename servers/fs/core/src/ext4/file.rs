//! The contents of files.
//!
//! Contents are not in the journal. They are written to their blocks before the commit
//! that makes those blocks the file's, so that no file ever shows what a block held
//! before.

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::extents::{Extent, Mapped};
use super::inode::Inode;
use crate::block::{BlockDevice, SECTOR_BYTES};
use crate::volume::Source;

/// Bytes of a sector, as an offset.
const SECTOR: u64 = SECTOR_BYTES as u64;
/// Most bytes that are written in one step of a transaction.
const STEP: u64 = 256 * 1024;

/// Part of what is to be written.
#[derive(Clone, Copy)]
struct Part<'a> {
    source: &'a Source<'a>,
    /// Where in it this begins.
    start: u64,
    length: u64,
}

impl Part<'_> {
    /// What comes behind so many bytes.
    const fn behind(self, bytes: u64) -> Self {
        Self {
            start: self.start + bytes,
            length: self.length.saturating_sub(bytes),
            ..self
        }
    }

    /// So many bytes at most.
    fn first(self, bytes: u64) -> Self {
        Self {
            length: self.length.min(bytes),
            ..self
        }
    }

    /// Puts bytes from `at` on into their place.
    fn copy(self, at: u64, to: &mut [u8]) -> Result<(), FsError> {
        if (self.source)(self.start + at, to) {
            Ok(())
        } else {
            Err(FsError::BadBuffer)
        }
    }
}

/// What one look at an inode tells of the place where reading begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    size: u64,
    /// What is there, if the tree of extents is in memory.
    mapped: Option<Mapped>,
}

impl Start {
    /// At block `index` of a file.
    pub(super) fn of(inode: &Inode, index: u64) -> Self {
        let tree = inode.tree.as_ref();
        Self {
            size: inode.size,
            mapped: tree.and_then(|tree| Some(tree.map(u32::try_from(index).ok()?))),
        }
    }
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Writes bytes from `at` bytes behind the start of a block; the rest of the sectors
    /// that they touch stays.
    fn write_bytes(&mut self, block: u64, at: u64, from: Part<'_>) -> Result<(), FsError> {
        let mut done = 0;
        while done < from.length {
            let here = at + done;
            let skip = here % SECTOR;
            let rest = from.length - done;
            let whole = rest / SECTOR;
            if skip == 0 && whole > 0 {
                self.write_sectors(block, here / SECTOR, whole, from.behind(done))?;
                done += whole * SECTOR;
                continue;
            }
            let mut sector = [0; SECTOR_BYTES];
            self.disk.read(block, here / SECTOR, &mut sector)?;
            let count = (SECTOR - skip).min(rest);
            let to = sector.get_mut(skip as usize..(skip + count) as usize);
            from.copy(done, to.unwrap_or(&mut []))?;
            self.disk.write(block, here / SECTOR, &sector)?;
            done += count;
        }
        Ok(())
    }

    /// Writes whole sectors, `skip` of them behind the start of a block.
    fn write_sectors(
        &mut self,
        block: u64,
        skip: u64,
        count: u64,
        from: Part<'_>,
    ) -> Result<(), FsError> {
        let mut done = 0;
        self.disk.write_with(block, skip, count, &mut |to| {
            let at = done;
            done += to.len() as u64;
            from.copy(at, to).is_ok()
        })
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
        let start = Start::of(self.any_inode(number)?, offset / unit);
        self.hand_out_from(number, start, offset, length, take)
    }

    /// As [`hand_out_contents`](Self::hand_out_contents), by who has looked at the inode.
    pub(super) fn hand_out_from(
        &mut self,
        number: u32,
        start: Start,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        let unit = self.sb.block_bytes as u64;
        let count = start.size.saturating_sub(offset).min(length);
        let mut first = start.mapped;
        let mut done = 0;
        while done < count {
            let at = offset + done;
            let index = u32::try_from(at / unit).map_err(|_| FsError::Corrupted)?;
            let skip = at % unit;
            let mapped = match first.take() {
                Some(mapped) => mapped,
                None => self.map(number, index)?,
            };
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
        length: u64,
        source: &Source<'_>,
    ) -> Result<u64, FsError> {
        let mut done = 0;
        while done < length {
            let step = Part {
                source,
                start: done,
                length: (length - done).min(STEP),
            };
            match self.write_step(number, offset + done, step) {
                Ok(count) if count == step.length => done += count,
                Ok(count) => return Ok(done + count),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write_step(&mut self, number: u32, offset: u64, from: Part<'_>) -> Result<u64, FsError> {
        self.begin()?;
        let size = self.any_inode(number)?.size;
        self.clear_gap(number, size, offset)?;
        let mut done = 0;
        let result = loop {
            if done == from.length {
                break Ok(());
            }
            match self.write_run(number, offset + done, from.behind(done)) {
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

    /// Writes where a symbolic link leads, in the transaction in which it gets its name.
    pub(super) fn fill_link(&mut self, number: u32, target: &[u8]) -> Result<(), FsError> {
        let length = target.len() as u64;
        let from = Part {
            source: &|at, to| {
                let from = target
                    .get(at as usize..)
                    .and_then(|rest| rest.get(..to.len()));
                from.is_some_and(|from| {
                    to.copy_from_slice(from);
                    true
                })
            },
            start: 0,
            length,
        };
        // It is one block.
        self.write_run(number, 0, from)?;
        self.inode_mut(number)?.size = length;
        Ok(())
    }

    fn written_to(
        &mut self,
        number: u32,
        size: u64,
        offset: u64,
        done: u64,
    ) -> Result<(), FsError> {
        if done == 0 {
            return Ok(());
        }
        let now = self.time();
        let inode = self.inode_mut(number)?;
        inode.touch(now);
        inode.size = size.max(offset + done);
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
            self.write_zeros(start, size % unit, end - size)?;
        }
        Ok(())
    }

    fn write_zeros(&mut self, block: u64, at: u64, count: u64) -> Result<(), FsError> {
        let zeros = Part {
            source: &|_, to| {
                to.fill(0);
                true
            },
            start: 0,
            length: count,
        };
        self.write_bytes(block, at, zeros)
    }

    /// Writes as far as one extent goes, or a new one.
    fn write_run(&mut self, number: u32, offset: u64, from: Part<'_>) -> Result<u64, FsError> {
        let unit = self.sb.block_bytes as u64;
        let index = u32::try_from(offset / unit).map_err(|_| FsError::FileTooLarge)?;
        let skip = offset % unit;
        let want = (skip + from.length).div_ceil(unit) as u32;
        match self.map(number, index)? {
            Mapped::Blocks {
                start,
                count,
                written,
            } => {
                let count = count.min(want);
                let now = from.first(u64::from(count) * unit - skip);
                if written {
                    self.write_bytes(start, skip, now)?;
                } else {
                    self.write_fresh(start, count, skip, now)?;
                    self.mark_written(number, index, count)?;
                }
                Ok(now.length)
            }
            Mapped::Hole(room) => {
                let goal = self.goal(number, index)?;
                let (start, count) = self.take_blocks(goal, want.min(room).min(STEP as u32))?;
                let now = from.first(u64::from(count) * unit - skip);
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
                Ok(now.length)
            }
        }
    }

    /// Writes to blocks whose contents are not the file's: around the bytes come zeros.
    fn write_fresh(
        &mut self,
        start: u64,
        count: u32,
        skip: u64,
        from: Part<'_>,
    ) -> Result<(), FsError> {
        let unit = self.sb.block_bytes as u64;
        let mut block = start;
        let mut rest = from;
        if skip > 0 {
            let now = rest.first(unit - skip);
            self.write_padded(block, skip, now)?;
            rest = rest.behind(now.length);
            block += 1;
        }
        let whole = rest.length / unit;
        if whole > 0 {
            self.write_sectors(block, 0, whole * (unit / SECTOR), rest)?;
            rest = rest.behind(whole * unit);
            block += whole;
        }
        if rest.length > 0 && block < start + u64::from(count) {
            self.write_padded(block, 0, rest)?;
        }
        Ok(())
    }

    fn write_padded(&mut self, block: u64, at: u64, from: Part<'_>) -> Result<(), FsError> {
        let mut whole = [0; 4096];
        let to = whole.get_mut(at as usize..(at + from.length) as usize);
        from.copy(0, to.unwrap_or(&mut []))?;
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
                self.write_zeros(start, size % unit, count)?;
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
