//! Folders: names in blocks, one after another or below an index ([`super::index`]).

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{le16, le32, part, put32};
use super::extents::{Extent, Mapped};
use super::inode::INDEXED;
use super::names;
use crate::block::BlockDevice;

/// Where a name was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) at: usize,
    pub(super) inode: u32,
    pub(super) kind: u8,
}

/// What the work on a folder needs to know of it.
#[derive(Clone, Copy)]
pub(super) struct Folder {
    pub(super) number: u32,
    pub(super) seed: u32,
    pub(super) blocks: u32,
    pub(super) indexed: bool,
}

impl<D: BlockDevice> Ext4Volume<D> {
    pub(super) fn look_at(&mut self, number: u32) -> Result<Folder, FsError> {
        let block = self.sb.block_bytes as u64;
        let inode = self.folder(number)?;
        let blocks = inode.size / block;
        if inode.size % block != 0 || blocks == 0 || blocks > u64::from(u32::MAX / 2) {
            return Err(FsError::Corrupted);
        }
        Ok(Folder {
            number,
            seed: inode.seed,
            blocks: blocks as u32,
            indexed: inode.flags & INDEXED != 0,
        })
    }

    /// Where the entries of a block end: behind them may be a sum.
    pub(super) const fn entries_end(&self) -> usize {
        self.sb.block_bytes - if self.sums.on { 12 } else { 0 }
    }

    /// A block of a folder, on the disk.
    pub(super) fn folder_block(&mut self, folder: Folder, index: u32) -> Result<u64, FsError> {
        if index >= folder.blocks {
            return Err(FsError::Corrupted);
        }
        match self.map(folder.number, index)? {
            Mapped::Blocks {
                start,
                written: true,
                ..
            } => Ok(start),
            _ => Err(FsError::Corrupted),
        }
    }

    /// Looks for a name in one block.
    pub(super) fn find_in(
        &mut self,
        folder: Folder,
        block: u64,
        name: &[u8],
    ) -> Result<Option<Place>, FsError> {
        let end = self.entries_end();
        let data = self.block(block, Kind::Folder(folder.seed))?;
        let found = names::find(data, end, name)?;
        Ok(found.map(|found| Place {
            block,
            at: found.at,
            inode: found.inode,
            kind: found.kind,
        }))
    }

    /// Looks for a name.
    pub(super) fn find_name(
        &mut self,
        folder: Folder,
        name: &[u8],
    ) -> Result<Option<Place>, FsError> {
        if folder.indexed {
            return self.find_indexed(folder, name);
        }
        for index in 0..folder.blocks {
            let block = self.folder_block(folder, index)?;
            if let Some(found) = self.find_in(folder, block, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Adds a name that is not there.
    ///
    /// # Errors
    /// `NoSpace`; nothing changed then.
    pub(super) fn add_name(
        &mut self,
        number: u32,
        name: &[u8],
        inode: u32,
        kind: u8,
    ) -> Result<(), FsError> {
        let folder = self.look_at(number)?;
        if folder.indexed {
            return self.add_indexed(folder, name, inode, kind);
        }
        for index in 0..folder.blocks {
            let block = self.folder_block(folder, index)?;
            if self.add_in(folder, block, name, inode, kind)? {
                return Ok(());
            }
        }
        if folder.blocks == 1 && self.sb.indexes {
            return self.start_index(folder, name, inode, kind);
        }
        let added = self.grow_folder(folder, 1)?;
        let end = self.entries_end();
        for (_, block) in added {
            let data = self.block_new(block, Kind::Folder(folder.seed));
            names::write(data, 0, end, inode, kind, name);
        }
        Ok(())
    }

    /// Adds a name to a block, if it has room.
    pub(super) fn add_in(
        &mut self,
        folder: Folder,
        block: u64,
        name: &[u8],
        inode: u32,
        kind: u8,
    ) -> Result<bool, FsError> {
        let end = self.entries_end();
        let holds = Kind::Folder(folder.seed);
        let room = names::room(self.block(block, holds)?, end, names::size_of(name.len()))?;
        let Some(place) = room else {
            return Ok(false);
        };
        names::insert(self.block_mut(block, holds)?, place, inode, kind, name);
        Ok(true)
    }

    pub(super) fn remove_name(&mut self, folder: Folder, place: Place) -> Result<(), FsError> {
        let end = self.entries_end();
        let data = self.block_mut(place.block, Kind::Folder(folder.seed))?;
        names::remove(data, end, place.at)
    }

    /// Adds blocks at the end of a folder, as places in it and on the disk. They hold
    /// nothing of use yet.
    ///
    /// # Errors
    /// `NoSpace`; nothing changed then.
    pub(super) fn grow_folder(
        &mut self,
        folder: Folder,
        count: u32,
    ) -> Result<Vec<(u32, u64)>, FsError> {
        let mut added = Vec::new();
        for index in folder.blocks..folder.blocks + count {
            let goal = self.goal(folder.number, index)?;
            let result = self.take_blocks(goal, 1).and_then(|(start, _)| {
                let extent = Extent {
                    first: index,
                    count: 1,
                    start,
                    written: true,
                };
                match self.add_extent(folder.number, extent) {
                    Ok(()) => Ok(start),
                    Err(error) => {
                        self.free_blocks(start, 1, true)?;
                        Err(error)
                    }
                }
            });
            match result {
                Ok(start) => added.push((index, start)),
                Err(error) => {
                    self.cut_tree(folder.number, folder.blocks, usize::MAX)?;
                    return Err(error);
                }
            }
        }
        let bytes = u64::from(folder.blocks + count) * self.sb.block_bytes as u64;
        self.inode_mut(folder.number)?.size = bytes;
        Ok(added)
    }

    /// Where a block of a file would best be.
    pub(super) fn goal(&mut self, number: u32, index: u32) -> Result<u64, FsError> {
        let before = match index.checked_sub(1) {
            Some(before) => self.tree(number)?.map(before),
            None => Mapped::Hole(1),
        };
        Ok(match before {
            Mapped::Blocks { start, .. } => start + 1,
            Mapped::Hole(_) => {
                let group = (number - 1) / self.sb.inodes_per_group;
                self.sb.group_start(group)
            }
        })
    }

    /// Makes the first block of a new folder.
    pub(super) fn start_folder(&mut self, number: u32, above: u32) -> Result<(), FsError> {
        let seed = self.any_inode(number)?.seed;
        let folder = Folder {
            number,
            seed,
            blocks: 0,
            indexed: false,
        };
        let end = self.entries_end();
        for (_, block) in self.grow_folder(folder, 1)? {
            let data = self.block_new(block, Kind::Folder(seed));
            names::write(data, 0, 12, number, names::FOLDER, b".");
            names::write(data, 12, end, above, names::FOLDER, b"..");
        }
        Ok(())
    }

    /// Where a folder says which folder holds it.
    pub(super) fn above_place(&mut self, folder: Folder) -> Result<(u64, Kind), FsError> {
        let block = self.folder_block(folder, 0)?;
        let kind = if folder.indexed {
            Kind::Index(folder.seed)
        } else {
            Kind::Folder(folder.seed)
        };
        let data = self.block(block, kind)?;
        if le16(data, 4) != 12 || part(data, 18, 22) != [2, names::FOLDER, b'.', b'.'] {
            return Err(FsError::Corrupted);
        }
        Ok((block, kind))
    }

    pub(super) fn set_above(&mut self, place: (u64, Kind), above: u32) -> Result<(), FsError> {
        put32(self.block_mut(place.0, place.1)?, 12, above);
        Ok(())
    }

    /// The blocks that hold names, in order of their hashes if there is an index.
    pub(super) fn name_blocks(&mut self, folder: Folder) -> Result<Vec<u64>, FsError> {
        if folder.indexed {
            return self.indexed_blocks(folder);
        }
        (0..folder.blocks)
            .map(|index| self.folder_block(folder, index))
            .collect()
    }

    pub(super) fn is_empty(&mut self, folder: Folder) -> Result<bool, FsError> {
        let end = self.entries_end();
        for block in self.name_blocks(folder)? {
            for name in names::names(self.block(block, Kind::Folder(folder.seed))?, end) {
                if !matches!(name?.name, b"." | b"..") {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What `..` of a folder says, for the folder's own use.
    pub(super) fn first_words(data: &[u8]) -> (u32, u32) {
        (le32(data, 0), le32(data, 12))
    }
}
