//! Blocks of metadata in memory.
//!
//! A block that changes stays here until its change is in the journal, and then until
//! it is written to its own place, which happens for all of them at once. Checksums
//! are checked when a block is read and computed when it goes to the journal, not with
//! each change.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::bytes::{le16, le32, part, put32};
use super::checksum::crc;
use crate::block::BlockDevice;
use crate::numbers::NumberMap;

/// What a block holds: nobody may take it for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not known yet: it came from the journal.
    Unknown,
    /// The superblock and what is beside it.
    Superblock,
    /// Group descriptors, or parts of the table of inodes: they have sums of their own.
    Table,
    /// Which blocks of a group are in use.
    Blocks(u32),
    /// Which inodes of a group are in use.
    Inodes(u32),
    /// Names; the sum starts with the seed of the folder's inode.
    Folder(u32),
    /// A node of a folder's index; likewise.
    Index(u32),
    /// A node of a file's extents; likewise.
    Extents(u32),
    /// Extended attributes.
    Attributes,
}

struct Buffer {
    data: Box<[u8]>,
    kind: Kind,
    /// It is in the journal, and newer than at its own place.
    logged: bool,
    /// Used since the last round of forgetting.
    used: bool,
}

#[derive(Default)]
pub(super) struct Buffers {
    map: NumberMap<u64, Buffer>,
    /// Blocks that changed since the last commit.
    dirty: BTreeSet<u64>,
    logged: usize,
    /// How many there are when some are forgotten next.
    trim_at: usize,
    /// Counts changes.
    pub(super) changes: u64,
}

/// Blocks that are kept; beyond that those are forgotten that were not used lately.
const KEPT: usize = 768;

impl Buffers {
    pub(super) fn dirty(&self) -> &BTreeSet<u64> {
        &self.dirty
    }

    /// Blocks that cannot be forgotten before they are at their places.
    pub(super) const fn logged(&self) -> usize {
        self.logged
    }

    pub(super) fn data(&self, block: u64) -> &[u8] {
        self.map.get(&block).map_or(&[], |buffer| &buffer.data)
    }

    /// Changes a block that is dirty already.
    pub(super) fn patch(&mut self, block: u64, change: impl FnOnce(&mut [u8])) {
        if let Some(buffer) = self.map.get_mut(&block) {
            change(&mut buffer.data);
        }
    }

    /// Takes in a block that was found in the journal.
    pub(super) fn replayed(&mut self, block: u64, data: Vec<u8>) {
        let buffer = Buffer {
            data: data.into_boxed_slice(),
            kind: Kind::Unknown,
            logged: true,
            used: true,
        };
        let old = self.map.insert(block, buffer);
        self.logged += usize::from(old.is_none_or(|old| !old.logged));
    }

    /// What was dirty is in the journal now.
    pub(super) fn committed(&mut self) {
        for block in core::mem::take(&mut self.dirty) {
            if let Some(buffer) = self.map.get_mut(&block)
                && !core::mem::replace(&mut buffer.logged, true)
            {
                self.logged += 1;
            }
        }
    }

    /// Blocks whose newest contents are only in the journal, in order.
    pub(super) fn logged_blocks(&self) -> Vec<u64> {
        let logged = self.map.iter().filter(|(_, buffer)| buffer.logged);
        let mut blocks: Vec<u64> = logged.map(|(block, _)| *block).collect();
        blocks.sort_unstable();
        blocks
    }

    /// All are at their places now.
    pub(super) fn all_home(&mut self) {
        for buffer in self.map.values_mut() {
            buffer.logged = false;
        }
        self.logged = 0;
    }

    /// Forgets all that was read from its own place.
    pub(super) fn forget_clean(&mut self) {
        self.map.retain(|_, buffer| buffer.logged);
    }

    /// Forgets some of what can be read again.
    pub(super) fn trim(&mut self) {
        if self.map.len() <= KEPT.max(self.trim_at) {
            return;
        }
        let dirty = &self.dirty;
        self.map.retain(|block, buffer| {
            core::mem::take(&mut buffer.used) || buffer.logged || dirty.contains(block)
        });
        // What cannot be forgotten is not looked at each time.
        self.trim_at = self.map.len() + KEPT / 4;
    }
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Brings a block into memory.
    fn load(&mut self, block: u64, kind: Kind) -> Result<&mut Buffer, FsError> {
        // Looked up twice, since a borrow that is returned lasts for the function.
        if !self.buffers.map.contains_key(&block) {
            if block >= self.sb.blocks {
                return Err(FsError::Corrupted);
            }
            let mut data = vec![0; self.sb.block_bytes];
            self.disk.read(block, 0, &mut data)?;
            let buffer = Buffer {
                data: data.into_boxed_slice(),
                kind: Kind::Unknown,
                logged: false,
                used: true,
            };
            self.buffers.map.insert(block, buffer);
        }
        let buffer = self.buffers.map.get_mut(&block).ok_or(FsError::Io)?;
        if buffer.kind == Kind::Unknown && self.sums.fit(&buffer.data, kind, &self.groups) {
            buffer.kind = kind;
        }
        buffer.used = true;
        if buffer.kind == kind {
            Ok(buffer)
        } else {
            Err(FsError::Corrupted)
        }
    }

    /// The contents of a block of metadata.
    pub(super) fn block(&mut self, block: u64, kind: Kind) -> Result<&[u8], FsError> {
        Ok(&self.load(block, kind)?.data)
    }

    /// The same, to be changed.
    pub(super) fn block_mut(&mut self, block: u64, kind: Kind) -> Result<&mut [u8], FsError> {
        self.load(block, kind)?;
        self.buffers.changes += 1;
        self.buffers.dirty.insert(block);
        let buffer = self.buffers.map.get_mut(&block).ok_or(FsError::Io)?;
        Ok(&mut buffer.data)
    }

    /// A block that becomes one of metadata; it is zero.
    pub(super) fn block_new(&mut self, block: u64, kind: Kind) -> &mut [u8] {
        let fresh = Buffer {
            data: vec![0; self.sb.block_bytes].into_boxed_slice(),
            kind,
            logged: false,
            used: true,
        };
        self.buffers.changes += 1;
        self.buffers.dirty.insert(block);
        let buffer = self.buffers.map.entry(block).or_insert(fresh);
        buffer.kind = kind;
        buffer.data.fill(0);
        &mut buffer.data
    }

    /// A block is none of metadata any more: what the journal has of it must not be
    /// replayed over what comes there.
    pub(super) fn block_gone(&mut self, block: u64) {
        self.buffers.changes += 1;
        self.buffers.dirty.remove(&block);
        if let Some(buffer) = self.buffers.map.remove(&block)
            && buffer.logged
        {
            self.buffers.logged -= 1;
            self.revoked.insert(block);
        }
    }

    /// Computes the sum of a block that goes to the journal.
    pub(super) fn seal(&mut self, block: u64) {
        if let Some(buffer) = self.buffers.map.get_mut(&block) {
            self.sums.seal(&mut buffer.data, buffer.kind);
        }
    }
}

/// Whether there are checksums, and where the sums of the volume start.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) on: bool,
    pub(super) seed: u32,
    /// Bytes of the maps of blocks and inodes that are summed.
    pub(super) block_map_bytes: usize,
    pub(super) inode_map_bytes: usize,
    /// Units of 512 bytes in a block.
    pub(super) block_sectors: u64,
}

impl Sums {
    /// The seed of an inode's own sums.
    pub(super) fn of_inode(self, inode: u32, generation: u32) -> u32 {
        let seed = crc(self.seed, &inode.to_le_bytes());
        crc(seed, &generation.to_le_bytes())
    }

    fn fit(self, data: &[u8], kind: Kind, groups: &[super::groups::Group]) -> bool {
        if !self.on {
            return true;
        }
        let group = |group: u32| groups.get(group as usize);
        match kind {
            Kind::Blocks(number) => group(number).is_some_and(|group| group.blocks_fit(self, data)),
            Kind::Inodes(number) => group(number).is_some_and(|group| group.inodes_fit(self, data)),
            Kind::Unknown | Kind::Superblock | Kind::Table | Kind::Attributes => true,
            Kind::Folder(_) | Kind::Index(_) | Kind::Extents(_) => {
                place(data, kind).is_some_and(|at| le32(data, at) == self.sum(data, kind, at))
            }
        }
    }

    fn seal(self, data: &mut [u8], kind: Kind) {
        if self.on
            && let Some(at) = place(data, kind)
        {
            if let Kind::Folder(_) = kind {
                // The sum is in an entry without a name.
                put32(data, at - 8, 0);
                put32(data, at - 4, 12 | 0xde << 24);
            }
            let sum = self.sum(data, kind, at);
            put32(data, at, sum);
        }
    }

    fn sum(self, data: &[u8], kind: Kind, at: usize) -> u32 {
        match kind {
            Kind::Folder(seed) => crc(seed, part(data, 0, at - 8)),
            Kind::Extents(seed) => crc(seed, part(data, 0, at)),
            Kind::Index(seed) => {
                let (counts, _) = index_shape(data);
                let used = counts + 8 * usize::from(le16(data, counts + 2));
                let sum = crc(seed, part(data, 0, used));
                // The word before the sum, and the sum as zero.
                crc(crc(sum, part(data, at - 4, at)), &[0; 4])
            }
            _ => 0,
        }
    }
}

/// Where the counts of a node of an index are, and how many entries it can have.
pub(super) fn index_shape(data: &[u8]) -> (usize, usize) {
    // The root begins with the entry of `.`, other nodes with one of the whole block.
    let counts = if usize::from(le16(data, 4)) == data.len() {
        8
    } else {
        0x20
    };
    (counts, usize::from(le16(data, counts)))
}

/// Where the sum of a block is.
fn place(data: &[u8], kind: Kind) -> Option<usize> {
    match kind {
        Kind::Folder(_) => data.len().checked_sub(4),
        Kind::Index(_) => {
            let (counts, limit) = index_shape(data);
            let at = counts + 8 * limit + 4;
            let used = usize::from(le16(data, counts + 2));
            (at + 4 <= data.len() && used <= limit).then_some(at)
        }
        Kind::Extents(_) => {
            let at = 12 + 12 * usize::from(le16(data, 4));
            (at + 4 <= data.len()).then_some(at)
        }
        _ => None,
    }
}
