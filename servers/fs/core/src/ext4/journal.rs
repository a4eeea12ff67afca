//! The journal: changes of metadata are written here before they are made in place.
//!
//! A commit is all blocks that changed since the last one. What it says becomes true
//! with its last block, which is written when everything else, contents of files too,
//! is durable. Blocks go to their own places later, all at once, when the journal has
//! filled up or nobody else needs it: [`Ext4Volume::checkpoint`].
//! Source: Linux, `Documentation/filesystems/ext4/journal.rst`.

use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_api::FsError;
use smallvec::SmallVec;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{be32, part, put, put_be32};
use super::extents::Mapped;
use super::superblock;
use crate::block::{BlockDevice, Extent, SECTOR_BYTES};

pub(super) const MAGIC: u32 = 0xc03b_3998;
/// Kinds of blocks.
pub(super) const DESCRIPTOR: u32 = 1;
pub(super) const COMMIT: u32 = 2;
const SUPER_1: u32 = 3;
const SUPER_2: u32 = 4;
pub(super) const REVOKE: u32 = 5;

/// Marks of a block in a descriptor.
pub(super) const ESCAPED: u32 = 1;
pub(super) const SAME_UUID: u32 = 2;
pub(super) const LAST: u32 = 8;

/// Features of a journal that must be understood.
pub(super) const HAS_REVOKES: u32 = 1;

/// Bytes of the head of a block, and of what names one block in a descriptor.
pub(super) const HEAD: usize = 12;
const TAG: usize = 8;
const UUID: usize = 16;

const AT_SEQUENCE: usize = 0x18;
const AT_START: usize = 0x1c;
const AT_FEATURES: usize = 0x24;

/// Fewest blocks of a journal: a transaction has a quarter of them, and one operation
/// more.
const MIN_BLOCKS: u32 = 1000;
/// Blocks of metadata that may wait for their own places, in memory.
const MAX_WAITING: usize = 512;
/// Bytes of the block that ends a commit which mean something: one sector, which is
/// written whole or not at all.
const COMMIT_BYTES: usize = SECTOR_BYTES;

/// Where the journal is, and how far it is written.
pub(super) struct Log {
    /// Its superblock.
    pub(super) raw: Vec<u8>,
    /// Its blocks: first in the journal, first on the disk, how many.
    map: Vec<(u32, u64, u32)>,
    pub(super) first: u32,
    pub(super) end: u32,
    /// Where the next commit begins.
    head: u32,
    /// Blocks since the oldest commit whose blocks are not at their places.
    used: u32,
    /// Number of the next commit.
    pub(super) sequence: u32,
}

impl Log {
    /// A block of the journal, on the disk.
    pub(super) fn place(&self, index: u32) -> Result<u64, FsError> {
        let after = self.map.partition_point(|run| run.0 <= index);
        let run = after.checked_sub(1).and_then(|at| self.map.get(at));
        match run {
            Some((first, start, count)) if index - first < *count => {
                Ok(start + u64::from(index - first))
            }
            _ => Err(FsError::Corrupted),
        }
    }

    pub(super) const fn next(&self, index: u32) -> u32 {
        if index + 1 >= self.end {
            self.first
        } else {
            index + 1
        }
    }

    pub(super) fn start(&self) -> u32 {
        be32(&self.raw, AT_START)
    }

    pub(super) const fn blocks(&self) -> u32 {
        self.end - self.first
    }
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Finds the journal.
    pub(super) fn open_log(&mut self) -> Result<Log, FsError> {
        let number = self.sb.journal;
        let unit = self.sb.block_bytes;
        let inode = self.any_inode(number)?;
        if !inode.is_regular() || !inode.is_plain() {
            return Err(FsError::Corrupted);
        }
        let blocks = inode.size / unit as u64;
        let mut map = Vec::new();
        let mut index = 0;
        while u64::from(index) < blocks {
            match self.tree(number)?.map(index) {
                Mapped::Blocks {
                    start,
                    count,
                    written: true,
                } => {
                    let count = u64::from(count).min(blocks - u64::from(index)) as u32;
                    map.push((index, start, count));
                    index += count;
                }
                _ => return Err(FsError::Corrupted),
            }
        }
        let mut raw = vec![0; unit];
        self.disk
            .read(map.first().ok_or(FsError::Corrupted)?.1, 0, &mut raw)?;
        let kind = be32(&raw, 4);
        let (end, first) = (be32(&raw, 0x10), be32(&raw, 0x14));
        let sane = be32(&raw, 0) == MAGIC
            && (kind == SUPER_1 || kind == SUPER_2)
            && be32(&raw, 0xc) as usize == unit
            && u64::from(end) <= blocks
            && first >= 1
            && end
                .checked_sub(first)
                .is_some_and(|count| count >= MIN_BLOCKS);
        if !sane {
            return Err(FsError::Corrupted);
        }
        let log = Log {
            sequence: be32(&raw, AT_SEQUENCE),
            head: first,
            used: 0,
            map,
            first,
            end,
            raw,
        };
        if log.start() != 0 && !(first..end).contains(&log.start()) {
            return Err(FsError::Corrupted);
        }
        for (_, start, count) in &log.map {
            let zone = (*start, start + u64::from(*count));
            let at = self.zones.partition_point(|other| other.0 < zone.0);
            self.zones.insert(at, zone);
        }
        Ok(log)
    }

    /// Says in the journal where it begins, durably; an empty one begins nowhere.
    pub(super) fn write_log_start(&mut self, in_use: bool) -> Result<(), FsError> {
        let Some(log) = self.log.as_mut() else {
            return Ok(());
        };
        put_be32(&mut log.raw, 4, SUPER_2);
        put_be32(&mut log.raw, AT_SEQUENCE, log.sequence);
        put_be32(&mut log.raw, AT_START, if in_use { log.head } else { 0 });
        put_be32(&mut log.raw, AT_FEATURES, 0);
        put_be32(&mut log.raw, AT_FEATURES + 4, HAS_REVOKES);
        put_be32(&mut log.raw, AT_FEATURES + 8, 0);
        // Without those features there are no sums, and nothing else here means anything.
        if let Some(unused) = log.raw.get_mut(0x50..0x100) {
            unused.fill(0);
        }
        let place = log.place(0)?;
        let extent = Extent {
            sector: self.disk.sector(place),
            bytes: &log.raw,
        };
        self.disk.write_durably(&[extent])
    }

    /// Has room for one more operation in the transaction.
    pub(super) fn begin(&mut self) -> Result<(), FsError> {
        if self.failed {
            return Err(FsError::Io);
        }
        let limit = self
            .log
            .as_ref()
            .map_or(0, |log| log.blocks() / 4)
            .min(MAX_WAITING as u32);
        let blocks = self.buffers.dirty().len() + self.table_blocks.len() + self.tree_blocks;
        if blocks >= limit as usize {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// `Io`: if nothing of the commit can be durable, it can be tried again; else this is
    /// the end of writing.
    pub(super) fn commit(&mut self) -> Result<(), FsError> {
        if self.failed {
            return Err(FsError::Io);
        }
        self.store_inodes()?;
        self.store_groups()?;
        self.store_superblock()?;
        if self.buffers.dirty().is_empty() && self.revoked.is_empty() {
            return self.disk.flush();
        }
        let blocks: Vec<u64> = self.buffers.dirty().iter().copied().collect();
        for block in &blocks {
            self.seal(*block);
        }
        let Some(log) = self.log.as_ref() else {
            return Err(FsError::ReadOnly);
        };
        let unit = self.sb.block_bytes;
        let tags = (unit - HEAD - UUID) / TAG;
        let needed = blocks.len()
            + blocks.len().div_ceil(tags)
            + self.revoked.len().div_ceil((unit - HEAD - 4) / 4)
            + 1;
        if needed > (log.blocks() - log.used) as usize {
            // Such a transaction is not begun.
            self.failed = true;
            return Err(FsError::Io);
        }
        let head = self.write_log(&blocks, tags)?;
        // From here on nobody knows whether the commit counts, unless this succeeds.
        self.failed = true;
        self.write_commit(head)?;
        self.failed = false;
        if let Some(log) = self.log.as_mut() {
            log.head = log.next(head);
            log.used += needed as u32;
            log.sequence = log.sequence.wrapping_add(1);
        }
        self.buffers.committed();
        self.revoked.clear();
        self.reuse_freed();
        self.buffers.trim();
        let full = self
            .log
            .as_ref()
            .is_some_and(|log| log.used > log.blocks() / 2);
        if full || self.buffers.logged() > MAX_WAITING {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Brings the superblock's block up to date, if it says something else now.
    fn store_superblock(&mut self) -> Result<(), FsError> {
        if !core::mem::take(&mut self.super_dirty) {
            return Ok(());
        }
        let (block, at) = self.sb.place();
        let bytes = self.superblock_now();
        put(self.block_mut(block, Kind::Superblock)?, at, &bytes);
        Ok(())
    }

    pub(super) fn superblock_now(&mut self) -> Vec<u8> {
        let orphan = self.orphans.last().copied().unwrap_or(0);
        let seconds = (self.time() / 1_000_000_000) as u32;
        self.sb
            .encode(orphan, self.free_blocks, self.free_inodes, seconds)
            .to_vec()
    }

    /// Makes all of a commit durable but its end, and contents of files with it; returns
    /// where the end belongs.
    fn write_log(&mut self, blocks: &[u64], tags: usize) -> Result<u32, FsError> {
        let unit = self.sb.block_bytes;
        let log = self.log.as_ref().ok_or(FsError::ReadOnly)?;
        let uuid = part(&log.raw, 0x30, 0x40);
        // What is not in memory as it belongs there, in the order in which it is used.
        let mut made: SmallVec<[Vec<u8>; 1]> = SmallVec::new();
        let revoked: Vec<u64> = self.revoked.iter().copied().collect();
        for some in revoked.chunks((unit - HEAD - 4) / 4) {
            let mut block = head(unit, REVOKE, log.sequence);
            put_be32(&mut block, HEAD, (HEAD + 4 + 4 * some.len()) as u32);
            for (index, number) in some.iter().enumerate() {
                put_be32(&mut block, HEAD + 4 + 4 * index, *number as u32);
            }
            made.push(block);
        }
        for some in blocks.chunks(tags) {
            let mut block = head(unit, DESCRIPTOR, log.sequence);
            let mut escaped: Vec<Vec<u8>> = Vec::new();
            let mut at = HEAD;
            for (index, number) in some.iter().enumerate() {
                let data = self.buffers.data(*number);
                let is_escaped = be32(data, 0) == MAGIC;
                let mark = |is: bool, mark: u32| if is { mark } else { 0 };
                let marks = mark(is_escaped, ESCAPED)
                    | mark(index > 0, SAME_UUID)
                    | mark(index + 1 == some.len(), LAST);
                put_be32(&mut block, at, *number as u32);
                put_be32(&mut block, at + 4, marks);
                at += TAG;
                if index == 0 {
                    put(&mut block, at, uuid);
                    at += UUID;
                }
                if is_escaped {
                    let mut data = data.to_vec();
                    put_be32(&mut data, 0, 0);
                    escaped.push(data);
                }
            }
            made.push(block);
            made.extend(escaped);
        }
        let mut made = made.iter().map(Vec::as_slice);
        let mut at = log.head;
        let mut extents: SmallVec<[Extent<'_>; 8]> = SmallVec::new();
        let mut add = |bytes| {
            let sector = self.disk.sector(log.place(at)?);
            extents.push(Extent { sector, bytes });
            at = log.next(at);
            Ok::<(), FsError>(())
        };
        let revokes = revoked.len().div_ceil((unit - HEAD - 4) / 4);
        made.by_ref().take(revokes).try_for_each(&mut add)?;
        for some in blocks.chunks(tags) {
            made.by_ref().take(1).try_for_each(&mut add)?;
            for number in some {
                let data = self.buffers.data(*number);
                match be32(data, 0) {
                    MAGIC => made.by_ref().take(1).try_for_each(&mut add)?,
                    _ => add(data)?,
                }
            }
        }
        self.disk.write_durably(&extents)?;
        Ok(at)
    }

    /// Makes the end of a commit durable.
    fn write_commit(&mut self, at: u32) -> Result<(), FsError> {
        let now = self.time();
        let log = self.log.as_ref().ok_or(FsError::ReadOnly)?;
        let mut block = [0; COMMIT_BYTES];
        put_head(&mut block, COMMIT, log.sequence);
        put(&mut block, 0x30, &(now / 1_000_000_000).to_be_bytes());
        put_be32(&mut block, 0x38, (now % 1_000_000_000) as u32);
        let sector = self.disk.sector(log.place(at)?);
        let bytes = &block;
        self.disk.write_durably(&[Extent { sector, bytes }])
    }

    /// Writes to their own places what is in the journal, which is empty afterwards.
    /// Nothing may be uncommitted.
    ///
    /// # Errors
    /// `Io`; it can be tried again.
    pub(super) fn checkpoint(&mut self) -> Result<(), FsError> {
        let (superblock, at) = self.sb.place();
        let blocks = self.buffers.logged_blocks();
        let others = blocks.iter().filter(|block| **block != superblock);
        let extents: Vec<Extent<'_>> = others
            .map(|block| Extent {
                sector: self.disk.sector(*block),
                bytes: self.buffers.data(*block),
            })
            .collect();
        self.disk.write_durably(&extents)?;
        // Last: one that names groups which are not there yet is refused by others before
        // they look at the journal.
        if blocks.contains(&superblock) {
            let bytes: Vec<u8> =
                part(self.buffers.data(superblock), at, at + superblock::BYTES).to_vec();
            self.disk.write_superblock(&bytes)?;
        }
        self.write_log_start(true)?;
        if let Some(log) = self.log.as_mut() {
            log.used = 0;
        }
        self.buffers.all_home();
        Ok(())
    }
}

fn head(unit: usize, kind: u32, sequence: u32) -> Vec<u8> {
    let mut block = vec![0; unit];
    put_head(&mut block, kind, sequence);
    block
}

fn put_head(block: &mut [u8], kind: u32, sequence: u32) {
    put_be32(block, 0, MAGIC);
    put_be32(block, 4, kind);
    put_be32(block, 8, sequence);
}
