//! Groups: how many blocks and inodes are in use, and where the maps are that say which.
//! Source: Linux, `Documentation/filesystems/ext4/group_descr.rst` and `bitmaps.rst`.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::{Kind, Sums};
use super::bytes::{le16, le32, part, put16, put32};
use super::checksum::crc;
use super::superblock::Superblock;
use crate::block::BlockDevice;

pub(super) const INODES_UNUSED: u16 = 1;
pub(super) const BLOCKS_UNUSED: u16 = 2;
pub(super) const TABLE_ZEROED: u16 = 4;

/// A group, decoded.
pub(super) struct Group {
    raw: Box<[u8]>,
    pub(super) block_map: u64,
    pub(super) inode_map: u64,
    pub(super) table: u64,
    pub(super) free_blocks: u32,
    pub(super) free_inodes: u32,
    pub(super) folders: u32,
    /// Inodes at the end of the table that were never used.
    pub(super) unused: u32,
    pub(super) flags: u16,
    pub(super) blocks_changed: bool,
    pub(super) inodes_changed: bool,
    /// Blocks that are not to be given out, once somebody asked.
    pub(super) busy: Option<Box<[u64]>>,
    /// Where to look for free blocks and inodes first.
    pub(super) next_block: u32,
    pub(super) next_inode: u32,
}

/// Numbers of groups: a card has a thousand, of which few change between two commits.
#[derive(Default)]
pub(super) struct GroupSet(Vec<u64>);

impl GroupSet {
    pub(super) fn insert(&mut self, number: u32) {
        let at = number as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (number % 64);
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    fn first(&self) -> Option<u32> {
        let at = self.0.iter().position(|word| *word != 0)?;
        let bit = self.0.get(at)?.trailing_zeros();
        Some(at as u32 * 64 + bit)
    }
}

impl Group {
    /// Reads a descriptor.
    pub(super) fn parse(raw: &[u8], number: u32, sb: &Superblock) -> Result<Self, FsError> {
        let wide = raw.len() >= 64;
        let block = |low, high| {
            let high = if wide { le32(raw, high) } else { 0 };
            u64::from(le32(raw, low)) | u64::from(high) << 32
        };
        let count = |low, high| {
            let high = if wide { le16(raw, high) } else { 0 };
            u32::from(le16(raw, low)) | u32::from(high) << 16
        };
        let group = Self {
            block_map: block(0, 0x20),
            inode_map: block(4, 0x24),
            table: block(8, 0x28),
            free_blocks: count(0xc, 0x2c),
            free_inodes: count(0xe, 0x2e),
            folders: count(0x10, 0x30),
            unused: count(0x1c, 0x32),
            flags: le16(raw, 0x12),
            blocks_changed: false,
            inodes_changed: false,
            busy: None,
            next_block: 0,
            next_inode: 0,
            raw: raw.into(),
        };
        let inside = |from: u64, count: u64| {
            from > sb.first_block && from.saturating_add(count) <= sb.blocks
        };
        let fits = inside(group.block_map, 1)
            && inside(group.inode_map, 1)
            && inside(group.table, sb.table_blocks())
            && group.free_blocks <= sb.blocks_in(number)
            && group.free_inodes <= sb.inodes_per_group
            && group.unused <= sb.inodes_per_group
            && (!sb.sums || le16(raw, 0x1e) == sum_of(raw, number, sb.seed));
        if fits {
            Ok(group)
        } else {
            Err(FsError::Corrupted)
        }
    }

    /// A group that nobody has used: its maps and its table begin at block `own`, and have
    /// never been written.
    ///
    /// # Errors
    /// `Corrupted` if it does not fit.
    pub(super) fn unused(number: u32, own: u64, sb: &Superblock) -> Result<Self, FsError> {
        let taken = own - sb.group_start(number) + 2 + sb.table_blocks();
        let free = u64::from(sb.blocks_in(number)).checked_sub(taken);
        let mut raw = vec![0; sb.descriptor_bytes];
        let places = [own, own + 1, own + 2];
        for (place, at) in places.into_iter().zip([0, 4, 8]) {
            put32(&mut raw, at, place as u32);
            if raw.len() >= 64 {
                put32(&mut raw, at + 0x20, (place >> 32) as u32);
            }
        }
        let blocks = free.ok_or(FsError::Corrupted)? as u32;
        let inodes = sb.inodes_per_group;
        for (count, low, high) in [
            (blocks, 0xc, 0x2c),
            (inodes, 0xe, 0x2e),
            (inodes, 0x1c, 0x32),
        ] {
            put16(&mut raw, low, count as u16);
            if raw.len() >= 64 {
                put16(&mut raw, high, (count >> 16) as u16);
            }
        }
        put16(&mut raw, 0x12, BLOCKS_UNUSED | INODES_UNUSED);
        let sum = sum_of(&raw, number, sb.seed);
        put16(&mut raw, 0x1e, sum);
        Self::parse(&raw, number, sb)
    }

    pub(super) fn blocks_fit(&self, sums: Sums, map: &[u8]) -> bool {
        self.flags & BLOCKS_UNUSED != 0 || self.map_sum(sums, map, 0x18, 0x38)
    }

    pub(super) fn inodes_fit(&self, sums: Sums, map: &[u8]) -> bool {
        self.flags & INODES_UNUSED != 0 || self.map_sum(sums, map, 0x1a, 0x3a)
    }

    fn map_sum(&self, sums: Sums, map: &[u8], low: usize, high: usize) -> bool {
        let bytes = if low == 0x18 {
            sums.block_map_bytes
        } else {
            sums.inode_map_bytes
        };
        let sum = crc(sums.seed, part(map, 0, bytes));
        le16(&self.raw, low) == sum as u16
            && (self.raw.len() < 64 || le16(&self.raw, high) == (sum >> 16) as u16)
    }

    fn set_map_sum(&mut self, sums: Sums, map: &[u8], low: usize, high: usize) {
        let bytes = if low == 0x18 {
            sums.block_map_bytes
        } else {
            sums.inode_map_bytes
        };
        let sum = crc(sums.seed, part(map, 0, bytes));
        put16(&mut self.raw, low, sum as u16);
        if self.raw.len() >= 64 {
            put16(&mut self.raw, high, (sum >> 16) as u16);
        }
    }

    fn encode(&mut self, number: u32, sums: Sums) -> &[u8] {
        let wide = self.raw.len() >= 64;
        let raw = &mut self.raw;
        for (value, low, high) in [
            (self.free_blocks, 0xc, 0x2c),
            (self.free_inodes, 0xe, 0x2e),
            (self.folders, 0x10, 0x30),
            (self.unused, 0x1c, 0x32),
        ] {
            put16(raw, low, value as u16);
            if wide {
                put16(raw, high, (value >> 16) as u16);
            }
        }
        put16(raw, 0x12, self.flags);
        if sums.on {
            let sum = sum_of(raw, number, sums.seed);
            put16(raw, 0x1e, sum);
        }
        raw
    }
}

fn sum_of(raw: &[u8], number: u32, seed: u32) -> u16 {
    let sum = crc(seed, &number.to_le_bytes());
    let sum = crc(crc(sum, part(raw, 0, 0x1e)), &[0; 2]);
    crc(sum, part(raw, 0x20, raw.len())) as u16
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Reads the descriptors of the first groups.
    pub(super) fn read_groups(&mut self, count: u32) -> Result<(), FsError> {
        let bytes = self.sb.descriptor_bytes;
        let per_block = (self.sb.block_bytes / bytes) as u32;
        let mut groups = Vec::new();
        for number in 0..count {
            let block = self.sb.first_block + 1 + u64::from(number / per_block);
            let at = (number % per_block) as usize * bytes;
            let raw: Vec<u8> = part(self.block(block, Kind::Table)?, at, at + bytes).to_vec();
            groups.push(Group::parse(&raw, number, &self.sb)?);
        }
        self.free_blocks = groups
            .iter()
            .map(|group| u64::from(group.free_blocks))
            .sum();
        self.free_inodes = groups.iter().map(|group| group.free_inodes).sum();
        self.groups = groups;
        self.find_zones();
        Ok(())
    }

    /// Notes where the file system's own blocks are; what was noted before stays.
    pub(super) fn find_zones(&mut self) {
        let mut zones = core::mem::take(&mut self.zones);
        for (number, group) in (0..).zip(&self.groups) {
            if self.sb.has_backup(number) {
                let start = self.sb.group_start(number);
                zones.push((start, start + self.sb.backup_blocks));
            }
            zones.push((group.block_map, group.block_map + 1));
            zones.push((group.inode_map, group.inode_map + 1));
            zones.push((group.table, group.table + self.sb.table_blocks()));
        }
        zones.sort_unstable();
        for (start, end) in zones {
            match self.zones.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => self.zones.push((start, end)),
            }
        }
    }

    /// Whether blocks can be a file's: there are such, and they are none of the file
    /// system's own.
    pub(super) fn are_for_files(&self, start: u64, count: u64) -> bool {
        let end = start.saturating_add(count);
        let after = self.zones.partition_point(|zone| zone.1 <= start);
        start > self.sb.first_block
            && end <= self.sb.blocks
            && self.zones.get(after).is_none_or(|zone| zone.0 >= end)
    }

    pub(super) fn group(&self, number: u32) -> Result<&Group, FsError> {
        self.groups.get(number as usize).ok_or(FsError::Corrupted)
    }

    pub(super) fn group_mut(&mut self, number: u32) -> Result<&mut Group, FsError> {
        let group = self
            .groups
            .get_mut(number as usize)
            .ok_or(FsError::Corrupted)?;
        self.changed_groups.insert(number);
        Ok(group)
    }

    pub(super) fn group_mut_quiet(&mut self, number: u32) -> Result<&mut Group, FsError> {
        self.groups
            .get_mut(number as usize)
            .ok_or(FsError::Corrupted)
    }

    /// Brings what changed into the blocks of descriptors.
    pub(super) fn store_groups(&mut self) -> Result<(), FsError> {
        let bytes = self.sb.descriptor_bytes;
        let per_block = (self.sb.block_bytes / bytes) as u32;
        while let Some(number) = self.changed_groups.first() {
            let block = self.sb.first_block + 1 + u64::from(number / per_block);
            let at = (number % per_block) as usize * bytes;
            self.block_mut(block, Kind::Table)?;
            if self.sums.on {
                self.sum_maps(number)?;
            }
            let sums = self.sums;
            let raw = self.group_mut_quiet(number)?.encode(number, sums).to_vec();
            super::bytes::put(self.block_mut(block, Kind::Table)?, at, &raw);
            self.changed_groups.remove(number);
        }
        Ok(())
    }

    fn sum_maps(&mut self, number: u32) -> Result<(), FsError> {
        let group = self
            .groups
            .get_mut(number as usize)
            .ok_or(FsError::Corrupted)?;
        if core::mem::take(&mut group.blocks_changed) {
            group.set_map_sum(self.sums, self.buffers.data(group.block_map), 0x18, 0x38);
        }
        if core::mem::take(&mut group.inodes_changed) {
            group.set_map_sum(self.sums, self.buffers.data(group.inode_map), 0x1a, 0x3a);
        }
        Ok(())
    }

    /// Where an inode lies: a block, and the first byte in it.
    pub(super) fn inode_place(&self, inode: u32) -> Result<(u64, usize), FsError> {
        if inode == 0 || inode > self.sb.inodes {
            return Err(FsError::Corrupted);
        }
        let index = (inode - 1) % self.sb.inodes_per_group;
        let group = self.group((inode - 1) / self.sb.inodes_per_group)?;
        let byte = u64::from(index) * self.sb.inode_bytes as u64;
        let block = self.sb.block_bytes as u64;
        Ok((group.table + byte / block, (byte % block) as usize))
    }
}

impl Superblock {
    pub(super) const fn table_blocks(&self) -> u64 {
        (self.inodes_per_group as u64 * self.inode_bytes as u64).div_ceil(self.block_bytes as u64)
    }

    pub(super) const fn group_start(&self, number: u32) -> u64 {
        self.first_block + number as u64 * self.blocks_per_group as u64
    }

    /// Blocks that a group has: all, except for the last group.
    pub(super) fn blocks_in(&self, number: u32) -> u32 {
        let rest = self.blocks.saturating_sub(self.group_start(number));
        rest.min(u64::from(self.blocks_per_group)) as u32
    }

    /// The group of a block, and which one it is there; of the last block for others.
    pub(super) fn group_of(&self, block: u64) -> (u32, u32) {
        let block = block.clamp(self.first_block, self.blocks - 1) - self.first_block;
        let size = u64::from(self.blocks_per_group);
        ((block / size) as u32, (block % size) as u32)
    }
}
