//! Changes of the tree: names that come, go and move, and the nodes behind them.
//!
//! Each change first looks at everything that it needs, then changes it: what can go wrong
//! in the second part is a broken device or a damaged volume.

use gritos_fs_api::FsError;

use super::buffers::Kind;
use super::folder::Place;
use super::{Ext4Volume, names, number};
use crate::block::BlockDevice;
use crate::volume::NodeId;

/// Most folders in a folder before they are not counted any more, and most names of a file.
const MAX_LINKS: u16 = 65_000;

impl<D: BlockDevice> Ext4Volume<D> {
    /// Does something to the tree. If it fails in the middle, which only a broken device
    /// or a damaged volume brings about, that is the end of writing: what is durable is
    /// whole, and stays so.
    pub(super) fn change<R>(
        &mut self,
        f: impl Fn(&mut Self) -> Result<R, FsError>,
    ) -> Result<R, FsError> {
        self.begin()?;
        let before = self.buffers.changes;
        let mut result = f(self);
        if matches!(result, Err(FsError::NoSpace)) && !self.freed.is_empty() {
            // What was freed can be used after a commit.
            self.commit()?;
            result = f(self);
        }
        if let Err(FsError::Io | FsError::Corrupted | FsError::NotSupported) = result
            && self.buffers.changes != before
        {
            self.failed = true;
        }
        result
    }

    /// A folder that still has a name.
    pub(super) fn living(&mut self, dir: NodeId) -> Result<u32, FsError> {
        let number = number(dir)?;
        if self.folder(number)?.links == 0 {
            return Err(FsError::NotFound);
        }
        Ok(number)
    }

    pub(super) fn find(&mut self, dir: u32, name: &[u8]) -> Result<Place, FsError> {
        let folder = self.look_at(dir)?;
        self.find_name(folder, name)?.ok_or(FsError::NotFound)
    }

    /// Makes a node and its name.
    pub(super) fn make(
        &mut self,
        dir: NodeId,
        name: &[u8],
        mode: u32,
        folder: bool,
    ) -> Result<NodeId, FsError> {
        let dir = self.living(dir)?;
        let above = self.look_at(dir)?;
        if self.find_name(above, name)?.is_some() {
            return Err(FsError::Exists);
        }
        let made = self.new_inode(dir, mode, folder)?;
        let kind = if folder { names::FOLDER } else { names::FILE };
        let mut result = if folder {
            self.start_folder(made, dir)
        } else {
            Ok(())
        };
        if result.is_ok() {
            result = self.add_name(dir, name, made, kind);
        }
        if let Err(error) = result {
            if folder {
                self.cut_tree(made, 0, usize::MAX)?;
            }
            self.free_inode(made)?;
            return Err(error);
        }
        if folder {
            self.count_link(dir, true)?;
        }
        self.touch(dir)?;
        Ok(u64::from(made))
    }

    /// Makes a symbolic link and its name.
    pub(super) fn make_link(
        &mut self,
        dir: NodeId,
        name: &[u8],
        target: &[u8],
    ) -> Result<NodeId, FsError> {
        let dir = self.living(dir)?;
        let above = self.look_at(dir)?;
        if self.find_name(above, name)?.is_some() {
            return Err(FsError::Exists);
        }
        let made = self.new_link(dir, target)?;
        if let Err(error) = self.add_name(dir, name, made, names::LINK) {
            if self.inode(made)?.is_plain() {
                self.cut_tree(made, 0, usize::MAX)?;
            }
            self.free_inode(made)?;
            return Err(error);
        }
        self.touch(dir)?;
        Ok(u64::from(made))
    }

    /// Gives a node one more name.
    pub(super) fn add_link(
        &mut self,
        dir: NodeId,
        name: &[u8],
        node: NodeId,
    ) -> Result<(), FsError> {
        let dir = self.living(dir)?;
        let above = self.look_at(dir)?;
        if self.find_name(above, name)?.is_some() {
            return Err(FsError::Exists);
        }
        let node = number(node)?;
        let inode = self.inode(node)?;
        if inode.is_folder() {
            return Err(FsError::NotPermitted);
        }
        match inode.links {
            0 => return Err(FsError::NotFound),
            MAX_LINKS.. => return Err(FsError::TooManyLinks),
            _ => {}
        }
        let kind = names::number_of(inode.mode);
        let (block, _) = self.inode_place(node)?;
        self.block(block, Kind::Table)?;
        self.add_name(dir, name, node, kind)?;
        let now = self.time();
        let inode = self.inode_mut(node)?;
        inode.links += 1;
        inode.changed_ns = now;
        self.touch(dir)
    }

    /// Counts the `..` of a folder that came or went.
    fn count_link(&mut self, dir: u32, came: bool) -> Result<(), FsError> {
        let inode = self.inode_mut(dir)?;
        inode.links = match (came, inode.links) {
            // 1 says that nobody counts.
            (true, MAX_LINKS..) | (_, 1) => 1,
            (true, links) => links + 1,
            (false, links) => links.saturating_sub(1).max(2),
        };
        Ok(())
    }

    /// Takes a name from a node, and the node out of use if that was the last one.
    fn lose_name(&mut self, number: u32, folder: bool) -> Result<(), FsError> {
        let now = self.time();
        let inode = self.inode_mut(number)?;
        inode.changed_ns = now;
        inode.links = if folder {
            0
        } else {
            inode.links.saturating_sub(1)
        };
        if inode.links > 0 {
            return Ok(());
        }
        if inode.opens > 0 {
            return self.list_orphan(number);
        }
        self.reap(number)
    }

    /// Checks that a node can go: nothing is changed if it cannot.
    fn can_go(&mut self, number: u32) -> Result<bool, FsError> {
        let inode = self.inode(number)?;
        let (folder, plain) = (inode.is_folder(), inode.is_plain());
        if plain {
            self.tree(number)?;
        }
        if folder {
            let look = self.look_at(number)?;
            if !self.is_empty(look)? {
                return Err(FsError::NotEmpty);
            }
        }
        let (block, _) = self.inode_place(number)?;
        self.block(block, Kind::Table)?;
        Ok(folder)
    }

    pub(super) fn remove(&mut self, dir: NodeId, name: &[u8], folder: bool) -> Result<(), FsError> {
        let dir = number(dir)?;
        self.recent.forget(dir, name);
        let place = self.find(dir, name)?;
        if self.can_go(place.inode)? != folder {
            return Err(if folder {
                FsError::NotDirectory
            } else {
                FsError::IsDirectory
            });
        }
        let look = self.look_at(dir)?;
        self.remove_name(look, place)?;
        if folder {
            self.count_link(dir, false)?;
        }
        self.touch(dir)?;
        self.lose_name(place.inode, folder)
    }

    pub(super) fn move_name(
        &mut self,
        from_dir: u32,
        from: &[u8],
        to_dir: u32,
        to: &[u8],
    ) -> Result<(), FsError> {
        self.recent.forget(from_dir, from);
        self.recent.forget(to_dir, to);
        let source = self.find(from_dir, from)?;
        let target = match self.find(to_dir, to) {
            Ok(place) => Some(place),
            Err(FsError::NotFound) => None,
            Err(error) => return Err(error),
        };
        let folder = self.inode(source.inode)?.is_folder();
        let gone = target.filter(|target| target.inode != source.inode);
        if let Some(target) = gone {
            self.can_go(target.inode)?;
        }
        let above = if folder && from_dir != to_dir {
            let look = self.look_at(source.inode)?;
            Some(self.above_place(look)?)
        } else {
            None
        };
        match target {
            Some(target) => {
                let seed = self.look_at(to_dir)?.seed;
                let data = self.block_mut(target.block, Kind::Folder(seed))?;
                names::replace(data, target.at, source.inode, source.kind);
            }
            None => self.add_name(to_dir, to, source.inode, source.kind)?,
        }
        // Names may have moved to make room.
        let source = self.find(from_dir, from)?;
        let look = self.look_at(from_dir)?;
        self.remove_name(look, source)?;
        if let Some(above) = above {
            self.set_above(above, to_dir)?;
            self.count_link(from_dir, false)?;
            self.count_link(to_dir, true)?;
        }
        if folder && gone.is_some() {
            self.count_link(to_dir, false)?;
        }
        self.touch(from_dir)?;
        self.touch(to_dir)?;
        let now = self.time();
        self.inode_mut(source.inode)?.changed_ns = now;
        match gone {
            Some(gone) => self.lose_name(gone.inode, folder),
            None => Ok(()),
        }
    }
}
