//! Inodes that are to lose blocks, listed on the disk until they have: those without a
//! name that are open, and those whose blocks are so scattered that giving them up takes
//! more than one transaction. After a crash the next mount finishes the work.

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{le32, put32};
use crate::block::BlockDevice;

/// Extents that are given up in one transaction.
const AT_ONCE: usize = 64;

impl<D: BlockDevice> Ext4Volume<D> {
    /// Puts an inode in front of the list.
    pub(super) fn list_orphan(&mut self, number: u32) -> Result<(), FsError> {
        if self.orphans.contains(&number) {
            return Ok(());
        }
        let next = self.orphans.last().copied().unwrap_or(0);
        self.inode_mut(number)?.deleted = next;
        self.orphans.push(number);
        self.super_dirty = true;
        Ok(())
    }

    fn unlist_orphan(&mut self, number: u32) -> Result<(), FsError> {
        let Some(at) = self.orphans.iter().rposition(|other| *other == number) else {
            return Ok(());
        };
        let next = at
            .checked_sub(1)
            .and_then(|at| self.orphans.get(at).copied())
            .unwrap_or(0);
        match self.orphans.get(at + 1).copied() {
            Some(before) => self.inode_mut(before)?.deleted = next,
            None => self.super_dirty = true,
        }
        self.inode_mut(number)?.deleted = 0;
        self.orphans.remove(at);
        Ok(())
    }

    /// Frees what a file has beyond `size` blocks.
    pub(super) fn give_up_blocks(&mut self, number: u32, size: u32) -> Result<(), FsError> {
        if self.tree(number)?.len() <= AT_ONCE {
            self.cut_tree(number, size, usize::MAX)?;
            return Ok(());
        }
        let listed = self.orphans.contains(&number);
        self.list_orphan(number)?;
        while !self.cut_tree(number, size, AT_ONCE)? {
            self.begin()?;
        }
        if !listed {
            self.unlist_orphan(number)?;
        }
        Ok(())
    }

    /// Frees an inode without a name that nobody uses.
    pub(super) fn reap(&mut self, number: u32) -> Result<(), FsError> {
        let inode = self.any_inode(number)?;
        let (plain, sectors) = (inode.is_plain(), inode.sectors);
        let attributes = inode.attribute_block();
        if plain {
            self.give_up_blocks(number, 0)?;
        } else if sectors > 0 && attributes == 0 {
            return Err(FsError::NotSupported);
        }
        if attributes != 0 {
            self.drop_attributes(attributes)?;
        }
        self.unlist_orphan(number)?;
        self.free_inode(number)
    }

    /// Extended attributes are shared by inodes that have the same; the last one frees
    /// them.
    fn drop_attributes(&mut self, block: u64) -> Result<(), FsError> {
        const AT_COUNT: usize = 4;
        const AT_SUM: usize = 0x10;
        if !self.are_for_files(block, 1) {
            return Err(FsError::Corrupted);
        }
        let users = le32(self.block(block, Kind::Attributes)?, AT_COUNT);
        if users <= 1 {
            self.block_gone(block);
            return self.free_blocks(block, 1, false);
        }
        let sums = self.sums;
        let data = self.block_mut(block, Kind::Attributes)?;
        put32(data, AT_COUNT, users - 1);
        if sums.on {
            put32(data, AT_SUM, 0);
            let sum = super::checksum::crc(sums.seed, &block.to_le_bytes());
            let sum = super::checksum::crc(sum, data);
            put32(data, AT_SUM, sum);
        }
        Ok(())
    }

    /// Finishes what a crash interrupted.
    pub(super) fn finish_orphans(&mut self, first: u32) -> Result<(), FsError> {
        let mut number = first;
        while number != 0 {
            if self.orphans.contains(&number) || self.orphans.len() > 1 << 20 {
                return Err(FsError::Corrupted);
            }
            self.orphans.insert(0, number);
            number = self.any_inode(number)?.deleted;
        }
        while let Some(number) = self.orphans.last().copied() {
            self.begin()?;
            let inode = self.any_inode(number)?;
            if inode.links == 0 {
                self.reap(number)?;
            } else {
                let blocks = inode.size.div_ceil(self.sb.block_bytes as u64);
                self.give_up_blocks(number, blocks.min(u64::from(u32::MAX)) as u32)?;
                self.unlist_orphan(number)?;
            }
        }
        Ok(())
    }
}
