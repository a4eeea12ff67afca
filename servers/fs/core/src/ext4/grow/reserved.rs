//! Blocks that `mke2fs -E resize=` sets aside for descriptors, behind those that are in
//! use. Until then they belong to the resize inode, each as a block of pointers: to the
//! blocks that are set aside for its copies. The inode's doubly indirect block points to
//! them all, by their position among the descriptors.

use alloc::vec::Vec;

use super::GrowError;
use super::plan::{has_resize_inode, reserved};
use crate::block::{BlockDevice, SECTOR_BYTES};
use crate::ext4::Ext4Volume;
use crate::ext4::buffers::Kind;
use crate::ext4::bytes::{le32, put32};
use crate::ext4::superblock::Superblock;
use gritos_fs_api::FsError;

/// The resize inode.
const RESIZE: u32 = 7;
/// Its pointer to the doubly indirect block, the only one in use.
const DOUBLY: usize = 13;

const ODD: GrowError = GrowError::Odd("the resize inode is not as it should be");

/// What was found to be in order.
pub(super) struct Reserved {
    /// The doubly indirect block.
    pointers: u64,
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Checks that all that is set aside is as the superblock says; nothing if there is
    /// nothing. What will change is in memory afterwards.
    pub(super) fn check_reserved(&mut self) -> Result<Option<Reserved>, GrowError> {
        let count = reserved(&self.sb);
        if !has_resize_inode(&self.sb) || count == 0 {
            return Ok(None);
        }
        let copies: Vec<u32> = self.sb.backups(1, self.sb.groups).collect();
        let inode = self.any_inode(RESIZE)?;
        let field = inode.blocks_field();
        let pointers = u64::from(le32(field, 4 * DOUBLY));
        let others = (0..15).filter(|at| *at != DOUBLY);
        let alone = others.clone().all(|at| le32(field, 4 * at) == 0);
        let sectors = inode.sectors;
        if !alone || !inode.is_regular() || inode.links != 1 || inode.flags != 0 {
            return Err(ODD);
        }
        if sectors != sectors_with(&self.sb, copies.len()) || !self.are_for_files(pointers, 1) {
            return Err(ODD);
        }
        let first = self.sb.descriptor_blocks();
        for index in first..first + count {
            let block = self.sb.first_block + 1 + index;
            let at = self.entry(index);
            if u64::from(le32(self.block(pointers, Kind::Table)?, at)) != block {
                return Err(ODD);
            }
            let size = u64::from(self.sb.blocks_per_group);
            let data = self.block(block, Kind::Table)?;
            let mut found = data.chunks(4).map(|word| u64::from(le32(word, 0)));
            let expected = copies.iter().map(|group| block + u64::from(*group) * size);
            if !expected.eq(found.by_ref().take(copies.len())) || found.any(|word| word != 0) {
                return Err(ODD);
            }
        }
        Ok(Some(Reserved { pointers }))
    }

    /// Takes what becomes descriptors from the resize inode, and gives it what is set
    /// aside in new groups.
    pub(super) fn use_reserved(
        &mut self,
        old: &Superblock,
        Reserved { pointers }: Reserved,
    ) -> Result<(), FsError> {
        let (first, now) = (old.descriptor_blocks(), self.sb.descriptor_blocks());
        for index in first..now {
            let at = self.entry(index);
            put32(self.block_mut(pointers, Kind::Table)?, at, 0);
            // Zero, but for the descriptors that come there.
            self.block_new(self.sb.first_block + 1 + index, Kind::Table);
        }
        let before = old.backups(1, old.groups).count();
        let added: Vec<u32> = self.sb.backups(old.groups, self.sb.groups).collect();
        if !added.is_empty() {
            for index in now..now + reserved(&self.sb) {
                let block = self.sb.first_block + 1 + index;
                let size = u64::from(self.sb.blocks_per_group);
                let data = self.block_mut(block, Kind::Table)?;
                for (at, group) in (before..).zip(&added) {
                    put32(data, 4 * at, (block + u64::from(*group) * size) as u32);
                }
            }
        }
        let sectors = sectors_with(&self.sb, before + added.len());
        self.inode_mut(RESIZE)?.sectors = sectors;
        Ok(())
    }

    /// Where the doubly indirect block points to the descriptors' block of an index.
    const fn entry(&self, index: u64) -> usize {
        (index % (self.sb.block_bytes as u64 / 4)) as usize * 4
    }
}

/// Sectors of the resize inode: its block of pointers, and all that is set aside.
fn sectors_with(sb: &Superblock, copies: usize) -> u64 {
    let blocks = 1 + reserved(sb) * (1 + copies as u64);
    blocks * (sb.block_bytes / SECTOR_BYTES) as u64
}
