//! Listing folders, with positions that stay good while entries come and go.
//!
//! A folder is listed in the order of the hashes of its names, whether it has an index
//! or not, and a position is such a hash: neither changes when the folder does.

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::folder::Folder;
use super::hash::Hasher;
use super::names;
use crate::block::BlockDevice;
use crate::volume::Entry;

/// An entry, and its place in the order.
type Found = (u64, u32, u8, Vec<u8>);

fn key(hasher: &Hasher, name: &[u8]) -> u64 {
    let (major, minor) = hasher.hash(name);
    // 0 is the start.
    (u64::from(major >> 1) << 32 | u64::from(minor)).max(1)
}

impl<D: BlockDevice> Ext4Volume<D> {
    pub(super) fn list(
        &mut self,
        number: u32,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        let folder = self.look_at(number)?;
        let mut found = Vec::new();
        if !folder.indexed {
            let hasher = self.sb.hasher;
            for block in self.name_blocks(folder)? {
                self.gather(folder, block, &hasher, position, &mut found)?;
            }
            return self.hand_out(found, take).map(drop);
        }
        let mut path = self.path_to(folder, |_| ((position >> 32) as u32) << 1)?;
        let hasher = path.hasher;
        for _ in 0..folder.blocks {
            let block = self.folder_block(folder, path.leaf)?;
            self.gather(folder, block, &hasher, position, &mut found)?;
            match self.next_leaf(folder, &mut path)? {
                // Names with one hash are in two blocks: they belong together.
                Some(hash) if hash & 1 == 1 => {}
                Some(_) => {
                    if !self.hand_out(core::mem::take(&mut found), take)? {
                        return Ok(());
                    }
                }
                None => return self.hand_out(found, take).map(drop),
            }
        }
        // An index that leads somewhere twice leads nowhere.
        Err(FsError::Corrupted)
    }

    fn gather(
        &mut self,
        folder: Folder,
        block: u64,
        hasher: &Hasher,
        position: u64,
        to: &mut Vec<Found>,
    ) -> Result<(), FsError> {
        let end = self.entries_end();
        for name in names::names(self.block(block, Kind::Folder(folder.seed))?, end) {
            let name = name?;
            if matches!(name.name, b"." | b"..") {
                continue;
            }
            let key = key(hasher, name.name);
            if key > position {
                to.push((key, name.inode, name.kind, name.name.to_vec()));
            }
        }
        Ok(())
    }

    /// Whether more are wanted.
    fn hand_out(
        &mut self,
        mut found: Vec<Found>,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<bool, FsError> {
        found.sort_unstable_by_key(|(key, ..)| *key);
        for (next, inode, kind, name) in found {
            let kind = match names::kind_of(kind) {
                Some(kind) => kind,
                None => self.inode(inode)?.kind(),
            };
            let node = u64::from(inode);
            if !take(Entry {
                node,
                kind,
                name,
                next,
            }) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
