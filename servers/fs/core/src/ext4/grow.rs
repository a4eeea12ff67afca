//! Growing into a partition that is larger than the file system, which a card's is when
//! its image was made for a smaller one.
//!
//! All of it is one commit: descriptors of the new groups, the end of the old last one, the
//! superblock, copies of them in old groups, and what the resize inode says of the blocks
//! that were reserved for descriptors. New groups have their maps and tables at their own
//! start, and are marked as never used, so that nothing of them is written but the last
//! map. Copies in new groups are written before the commit, where nothing is yet.
//!
//! - [`plan`]: how large, and whether that can be; it changes nothing;
//! - [`reserved`]: the blocks that `mke2fs -E resize=` has set aside.
//!
//! Not here: growing beyond what was set aside, volumes without checksums (their new tables
//! would have to be written), other people's volumes.
//! Source: Linux, `Documentation/filesystems/ext4/blockgroup.rst` and `special_inodes.rst`.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{le16, le32, part, put, put16, put32};
use super::checksum::{START, crc};
use super::device::Disk;
use super::groups::{BLOCKS_UNUSED, Group};
use super::superblock::Superblock;
use crate::block::BlockDevice;

mod plan;
mod reserved;

/// Label of the volumes that grow: of those that come with an image of a card or a disk.
pub const LABEL: &[u8] = b"gritos-data";

/// What a volume has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Bytes that it had.
    pub from: u64,
    /// Bytes that it has.
    pub to: u64,
}

/// Why a volume did not grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowError {
    /// It is not as an image of a card has it; nothing was changed.
    Odd(&'static str),
    /// The device failed, or a block that is needed is damaged. Memory and device may
    /// differ: the volume has to be mounted anew.
    Device(FsError),
}

impl fmt::Display for GrowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Odd(what) => f.write_str(what),
            Self::Device(error) => write!(f, "the device: {error:?}"),
        }
    }
}

impl core::error::Error for GrowError {}

impl From<FsError> for GrowError {
    fn from(error: FsError) -> Self {
        Self::Device(error)
    }
}

/// How many sectors a volume that wants to grow can have at most; nothing for a device
/// without such a volume. Writes nothing.
pub fn limit<D: BlockDevice>(device: D) -> Option<u64> {
    let (_, sb) = Disk::open(device, true).ok()?;
    let sectors = (sb.block_bytes / crate::block::SECTOR_BYTES) as u64;
    is_ours(&sb).then(|| plan::most_blocks(&sb).saturating_mul(sectors))
}

/// Whether a volume has the label of those that grow.
fn is_ours(sb: &Superblock) -> bool {
    let label = part(sb.raw(), 0x78, 0x88);
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(16);
    label.get(..end) == Some(LABEL)
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Grows to the end of the device, if the volume is one that wants to and there is
    /// something to gain.
    ///
    /// # Errors
    /// [`GrowError::Odd`]: it is as before and can be used; [`GrowError::Device`]: it cannot.
    pub fn grow(&mut self) -> Result<Option<Grown>, GrowError> {
        if self.read_only || self.failed || !is_ours(&self.sb) {
            return Ok(None);
        }
        let Some(next) = plan::plan(&self.sb, self.disk.sectors())? else {
            return Ok(None);
        };
        let reserved = self.check_reserved()?;
        self.check_commit(&next)?;
        self.commit()?;
        self.checkpoint()?;
        let unit = self.sb.block_bytes as u64;
        let grown = Grown {
            from: self.sb.blocks * unit,
            to: next.blocks * unit,
        };
        let result = self
            .become_larger(next, reserved)
            .and_then(|()| self.commit())
            .and_then(|()| self.checkpoint());
        if let Err(error) = result {
            self.failed = true;
            return Err(error.into());
        }
        Ok(Some(grown))
    }

    /// Whether all that changes fits into one commit.
    fn check_commit(&self, next: &Superblock) -> Result<(), GrowError> {
        let copies = self.sb.backups(1, self.sb.groups).count() as u64;
        // Superblock, resize inode and its block, two maps; descriptors, reserved or not; in
        // each group with copies these, and its map.
        let blocks = 5 + self.sb.backup_blocks + copies * (2 + next.descriptor_blocks());
        let room = self.log.as_ref().map_or(0, |log| log.blocks() / 2);
        if blocks > u64::from(room) {
            return Err(GrowError::Odd("its journal is too small"));
        }
        Ok(())
    }

    /// Changes all that changes, in memory; writes to where nothing was.
    fn become_larger(
        &mut self,
        next: Superblock,
        reserved: Option<reserved::Reserved>,
    ) -> Result<(), FsError> {
        self.write_maps_with_copies()?;
        let old = core::mem::replace(&mut self.sb, next);
        self.super_dirty = true;
        self.extend_last(&old)?;
        for number in old.groups..self.sb.groups {
            let own = self.sb.group_start(number) + self.sb.backup_blocks_of(number);
            let group = Group::unused(number, own, &self.sb)?;
            self.free_blocks += u64::from(group.free_blocks);
            self.free_inodes += group.free_inodes;
            self.groups.push(group);
            self.changed_groups.insert(number);
        }
        self.find_zones();
        if self.sb.groups > old.groups {
            // Others expect that the last group's map is there.
            self.load_busy(self.sb.groups - 1)?;
        }
        if let Some(reserved) = reserved {
            self.use_reserved(&old, reserved)?;
        }
        self.store_groups()?;
        self.write_backups(&old)
    }

    /// Has a map in each group with copies. Linux makes up those that are missing from how
    /// many blocks of descriptors there are and how many are reserved; when it has replayed a
    /// growth, it goes on with the old number of the ones and the new number of the others.
    fn write_maps_with_copies(&mut self) -> Result<(), FsError> {
        let numbers: Vec<u32> = self.sb.backups(1, self.sb.groups).collect();
        for number in numbers {
            if self.group(number)?.flags & BLOCKS_UNUSED != 0 {
                self.load_busy(number)?;
            }
        }
        Ok(())
    }

    /// Gives the last group the blocks that it lacked.
    fn extend_last(&mut self, old: &Superblock) -> Result<(), FsError> {
        let last = old.groups - 1;
        let before = old.blocks_in(last);
        let more = self.sb.blocks_in(last) - before;
        if more == 0 {
            return Ok(());
        }
        if self.group(last)?.flags & BLOCKS_UNUSED != 0 {
            self.group_mut(last)?.free_blocks += more;
            self.free_blocks += u64::from(more);
            return Ok(());
        }
        // In the map, what is not there counts as used.
        let start = old.group_start(last) + u64::from(before);
        self.free_blocks(start, more, true)
    }

    /// Brings the copies of superblock and descriptors up to date: in old groups with the
    /// commit, in new ones at once.
    fn write_backups(&mut self, old: &Superblock) -> Result<(), FsError> {
        let unit = self.sb.block_bytes;
        let descriptors = self.sb.descriptor_blocks();
        let current = self.superblock_now();
        let mut whole = vec![0; unit];
        for index in 0..descriptors {
            let block = self.sb.first_block + 1 + index;
            whole.extend_from_slice(self.block(block, Kind::Table)?);
        }
        let numbers: Vec<u32> = self.sb.backups(1, self.sb.groups).collect();
        for number in numbers {
            put(&mut whole, 0, &copy_for(number, &current, self.sums.on));
            let start = self.sb.group_start(number);
            if number >= old.groups {
                self.disk.write_past(start, &whole)?;
                continue;
            }
            for (block, bytes) in (start..).zip(whole.chunks(unit)) {
                put(self.block_new(block, Kind::Table), 0, bytes);
            }
        }
        Ok(())
    }
}

/// A superblock as its copy in a group is: the journal is the original's business.
fn copy_for(group: u32, current: &[u8], sums: bool) -> Vec<u8> {
    const RECOVER: u32 = 4;
    const CLEAN: u16 = 1;
    let mut copy = current.to_vec();
    put16(&mut copy, 0x5a, group as u16);
    put16(&mut copy, 0x3a, le16(current, 0x3a) & !CLEAN);
    put32(&mut copy, 0x60, le32(current, 0x60) & !RECOVER);
    if sums {
        let sum = crc(START, part(&copy, 0, 0x3fc));
        put32(&mut copy, 0x3fc, sum);
    }
    copy
}
