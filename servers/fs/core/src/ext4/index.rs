//! Indexes of folders: from hashes of names to the blocks that hold them.
//!
//! The first block of such a folder is the root of the index; below it are blocks of
//! names, or one level of nodes and then those. An entry says with which hash a block
//! begins; if its lowest bit is set, the block before it has names with that hash too.
//! Source: Linux, `Documentation/filesystems/ext4/directory.rst`, "Hash Tree Directories".

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::{Kind, index_shape};
use super::bytes::{le16, le32, put, put16, put32};
use super::folder::{Folder, Place};
use super::hash::Hasher;
use super::inode::INDEXED;
use super::names;
use crate::block::BlockDevice;

/// Where the root has its hash function, and how many levels of nodes.
const AT_VERSION: usize = 0x1c;
const AT_LEVELS: usize = 0x1e;
const ROOT_COUNTS: usize = 0x20;
const NODE_COUNTS: usize = 8;

/// A node on the way to a block of names, and which of its entries leads there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    block: u64,
    counts: usize,
    at: usize,
}

/// The way from the root to a block of names.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) hasher: Hasher,
    steps: Vec<Step>,
    /// The block of names, in the folder.
    pub(super) leaf: u32,
}

fn count(data: &[u8], counts: usize) -> usize {
    usize::from(le16(data, counts + 2))
}

/// The hash with which an entry's block begins; the first has none.
fn hash_of(data: &[u8], counts: usize, at: usize) -> u32 {
    if at == 0 {
        0
    } else {
        le32(data, counts + 8 * at)
    }
}

fn block_of(data: &[u8], counts: usize, at: usize) -> u32 {
    le32(data, counts + 8 * at + 4) & 0x0fff_ffff
}

/// The last entry whose hash is not larger.
fn search(data: &[u8], counts: usize, hash: u32) -> usize {
    let (mut low, mut high) = (1, count(data, counts));
    while low < high {
        let middle = usize::midpoint(low, high);
        if hash_of(data, counts, middle) > hash {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low - 1
}

/// Puts an entry in behind another one.
fn insert(data: &mut [u8], counts: usize, after: usize, hash: u32, block: u32) {
    let used = count(data, counts);
    let from = counts + 8 * (after + 1);
    data.copy_within(from..counts + 8 * used, from + 8);
    put32(data, from, hash);
    put32(data, from + 4, block);
    put16(data, counts + 2, used as u16 + 1);
}

impl<D: BlockDevice> Ext4Volume<D> {
    const fn limit(&self, counts: usize) -> usize {
        (self.sb.block_bytes - counts - if self.sums.on { 8 } else { 0 }) / 8
    }

    /// A node, if it makes sense.
    fn node(&mut self, folder: Folder, index: u32, counts: usize) -> Result<(u64, &[u8]), FsError> {
        let limit = self.limit(counts);
        let block = self.folder_block(folder, index)?;
        let data = self.block(block, Kind::Index(folder.seed))?;
        if index_shape(data) != (counts, limit) || !(1..=limit).contains(&count(data, counts)) {
            return Err(FsError::Corrupted);
        }
        Ok((block, data))
    }

    /// The way to the first block that can hold names with a hash.
    pub(super) fn path_to(
        &mut self,
        folder: Folder,
        hash: impl FnOnce(&Hasher) -> u32,
    ) -> Result<Path, FsError> {
        let mut hasher = self.sb.hasher;
        let (block, data) = self.node(folder, 0, ROOT_COUNTS)?;
        let version = data.get(AT_VERSION).copied().unwrap_or(0xff);
        let levels = data.get(AT_LEVELS).copied().unwrap_or(0xff);
        if version > 2 || levels > 1 || le32(data, 0x18) != 0 {
            return Err(FsError::NotSupported);
        }
        hasher.version = version;
        let hash = hash(&hasher);
        let at = search(data, ROOT_COUNTS, hash);
        let mut leaf = block_of(data, ROOT_COUNTS, at);
        let mut steps = Vec::with_capacity(2);
        steps.push(Step {
            block,
            counts: ROOT_COUNTS,
            at,
        });
        if levels == 1 {
            let (block, data) = self.node(folder, leaf, NODE_COUNTS)?;
            let at = search(data, NODE_COUNTS, hash);
            leaf = block_of(data, NODE_COUNTS, at);
            steps.push(Step {
                block,
                counts: NODE_COUNTS,
                at,
            });
        }
        Ok(Path {
            hasher,
            steps,
            leaf,
        })
    }

    /// Goes to the next block of names; returns the hash with which it begins, nothing
    /// at the end.
    pub(super) fn next_leaf(
        &mut self,
        folder: Folder,
        path: &mut Path,
    ) -> Result<Option<u32>, FsError> {
        let kind = Kind::Index(folder.seed);
        for level in (0..path.steps.len()).rev() {
            let Some(step) = path.steps.get_mut(level) else {
                break;
            };
            let data = self.block(step.block, kind)?;
            if step.at + 1 >= count(data, step.counts) {
                continue;
            }
            step.at += 1;
            let hash = hash_of(data, step.counts, step.at);
            path.leaf = block_of(data, step.counts, step.at);
            if level + 1 < path.steps.len() {
                let (block, data) = self.node(folder, path.leaf, NODE_COUNTS)?;
                path.leaf = block_of(data, NODE_COUNTS, 0);
                if let Some(below) = path.steps.get_mut(level + 1) {
                    *below = Step {
                        block,
                        counts: NODE_COUNTS,
                        at: 0,
                    };
                }
            }
            return Ok(Some(hash));
        }
        Ok(None)
    }

    pub(super) fn find_indexed(
        &mut self,
        folder: Folder,
        name: &[u8],
    ) -> Result<Option<Place>, FsError> {
        let mut wanted = 0;
        let mut path = self.path_to(folder, |hasher| {
            wanted = hasher.hash(name).0;
            wanted
        })?;
        loop {
            let block = self.folder_block(folder, path.leaf)?;
            if let Some(found) = self.find_in(folder, block, name)? {
                return Ok(Some(found));
            }
            match self.next_leaf(folder, &mut path)? {
                Some(hash) if hash == wanted | 1 => {}
                _ => return Ok(None),
            }
        }
    }

    /// All blocks of names, in order.
    pub(super) fn indexed_blocks(&mut self, folder: Folder) -> Result<Vec<u64>, FsError> {
        let mut path = self.path_to(folder, |_| 0)?;
        let mut blocks = Vec::new();
        loop {
            blocks.push(self.folder_block(folder, path.leaf)?);
            // An index that leads somewhere twice leads nowhere.
            if blocks.len() > folder.blocks as usize {
                return Err(FsError::Corrupted);
            }
            if self.next_leaf(folder, &mut path)?.is_none() {
                return Ok(blocks);
            }
        }
    }

    pub(super) fn add_indexed(
        &mut self,
        folder: Folder,
        name: &[u8],
        inode: u32,
        kind: u8,
    ) -> Result<(), FsError> {
        let mut hash = 0;
        let path = self.path_to(folder, |hasher| {
            hash = hasher.hash(name).0;
            hash
        })?;
        let leaf = self.folder_block(folder, path.leaf)?;
        if self.add_in(folder, leaf, name, inode, kind)? {
            return Ok(());
        }
        let full = |volume: &mut Self, step: Step| -> Result<bool, FsError> {
            let limit = volume.limit(step.counts);
            Ok(count(
                volume.block(step.block, Kind::Index(folder.seed))?,
                step.counts,
            ) >= limit)
        };
        let (root, below) = (path.steps.first().copied(), path.steps.get(1).copied());
        let last = below.or(root).ok_or(FsError::Corrupted)?;
        let crowded = full(self, last)?;
        if crowded && below.is_some() && full(self, root.ok_or(FsError::Corrupted)?)? {
            return Err(FsError::NoSpace);
        }
        let mut added = self.grow_folder(folder, 1 + u32::from(crowded))?;
        let mut path = path;
        if crowded && let Some(node) = added.pop() {
            self.make_room(folder, &mut path, node)?;
        }
        let new = added.pop().ok_or(FsError::Io)?;
        let target = self.split(folder, &path, leaf, new, hash)?;
        if self.add_in(folder, target, name, inode, kind)? {
            Ok(())
        } else {
            Err(FsError::Corrupted)
        }
    }

    /// Makes room for one more entry in the last node of a path, by a new node.
    fn make_room(
        &mut self,
        folder: Folder,
        path: &mut Path,
        new: (u32, u64),
    ) -> Result<(), FsError> {
        let kind = Kind::Index(folder.seed);
        let limit = self.limit(NODE_COUNTS);
        let size = self.sb.block_bytes;
        let last = path.steps.last().copied().ok_or(FsError::Corrupted)?;
        let data = self.block(last.block, kind)?;
        let used = count(data, last.counts);
        // All entries of a root, the upper half of those of another node.
        let from = if path.steps.len() == 1 { 0 } else { used / 2 };
        let hash = hash_of(data, last.counts, from);
        let moved: Vec<u8> = data
            .get(last.counts + 8 * from..last.counts + 8 * used)
            .unwrap_or(&[])
            .to_vec();
        let node = self.block_new(new.1, kind);
        put16(node, 4, size as u16);
        put(node, NODE_COUNTS, &moved);
        put16(node, NODE_COUNTS, limit as u16);
        put16(node, NODE_COUNTS + 2, (used - from) as u16);
        let step = Step {
            block: new.1,
            counts: NODE_COUNTS,
            at: last.at.saturating_sub(from),
        };
        let data = self.block_mut(last.block, kind)?;
        if from == 0 {
            put16(data, last.counts + 2, 1);
            put32(data, last.counts + 4, new.0);
            put(data, AT_LEVELS, &[1]);
            if let Some(root) = path.steps.first_mut() {
                root.at = 0;
            }
            path.steps.push(step);
            return Ok(());
        }
        put16(data, last.counts + 2, from as u16);
        let root = path.steps.first_mut().ok_or(FsError::Corrupted)?;
        insert(
            self.block_mut(root.block, kind)?,
            root.counts,
            root.at,
            hash,
            new.0,
        );
        if last.at >= from {
            root.at += 1;
            if let Some(last) = path.steps.last_mut() {
                *last = step;
            }
        }
        Ok(())
    }

    /// Moves half of a block's names to a new one; returns which of them is for a hash.
    fn split(
        &mut self,
        folder: Folder,
        path: &Path,
        leaf: u64,
        new: (u32, u64),
        hash: u32,
    ) -> Result<u64, FsError> {
        let kind = Kind::Folder(folder.seed);
        let end = self.entries_end();
        let old: Vec<u8> = self.block(leaf, kind)?.to_vec();
        let mut all = Vec::new();
        for name in names::names(&old, end) {
            let name = name?;
            all.push((path.hasher.hash(name.name).0, name));
        }
        all.sort_by_key(|(hash, _)| *hash);
        let half: usize = all
            .iter()
            .map(|(_, name)| names::size_of(name.name.len()))
            .sum::<usize>()
            / 2;
        let mut size = 0;
        let cut = all.iter().position(|(_, name)| {
            size += names::size_of(name.name.len());
            size > half
        });
        let cut = cut
            .unwrap_or(0)
            .clamp(1, all.len().saturating_sub(1).max(1));
        let (left, right) = all.split_at_checked(cut).ok_or(FsError::Corrupted)?;
        let first = right.first().ok_or(FsError::Corrupted)?.0;
        let shared = left.last().is_some_and(|(hash, _)| *hash == first);
        fill(self.block_mut(leaf, kind)?, end, left);
        fill(self.block_new(new.1, kind), end, right);
        let step = path.steps.last().copied().ok_or(FsError::Corrupted)?;
        let node = self.block_mut(step.block, Kind::Index(folder.seed))?;
        insert(node, step.counts, step.at, first | u32::from(shared), new.0);
        Ok(if hash >= first { new.1 } else { leaf })
    }

    /// Gives a folder of one full block an index, and adds a name.
    pub(super) fn start_index(
        &mut self,
        folder: Folder,
        name: &[u8],
        inode: u32,
        kind: u8,
    ) -> Result<(), FsError> {
        let (root, holds) = self.above_place(folder)?;
        let end = self.entries_end();
        let limit = self.limit(ROOT_COUNTS);
        let size = self.sb.block_bytes;
        let old: Vec<u8> = self.block(root, holds)?.to_vec();
        let mut others = Vec::new();
        for name in names::names(&old, end) {
            let name = name?;
            if name.at > 12 {
                others.push((0, name));
            }
        }
        let added = self.grow_folder(folder, 1)?;
        let (index, block) = added.first().copied().ok_or(FsError::Io)?;
        fill(self.block_new(block, holds), end, &others);
        let (own, above) = Self::first_words(&old);
        let version = if self.sb.hasher.version > 2 {
            1
        } else {
            self.sb.hasher.version
        };
        let data = self.block_new(root, Kind::Index(folder.seed));
        names::write(data, 0, 12, own, names::FOLDER, b".");
        names::write(data, 12, size, above, names::FOLDER, b"..");
        put(data, AT_VERSION, &[version, 8, 0, 0]);
        put16(data, ROOT_COUNTS, limit as u16);
        put16(data, ROOT_COUNTS + 2, 1);
        put32(data, ROOT_COUNTS + 4, index);
        self.inode_mut(folder.number)?.flags |= INDEXED;
        let folder = self.look_at(folder.number)?;
        // Without space for the name the folder is as good as before.
        self.add_indexed(folder, name, inode, kind)
    }
}

/// Writes names into a block, one behind the other.
fn fill(data: &mut [u8], end: usize, all: &[(u32, names::Name<'_>)]) {
    data.fill(0);
    if all.is_empty() {
        names::write(data, 0, end, 0, 0, b"");
    }
    let mut at = 0;
    for (index, (_, name)) in all.iter().enumerate() {
        let to = if index + 1 == all.len() {
            end
        } else {
            at + names::size_of(name.name.len())
        };
        names::write(data, at, to, name.inode, name.kind, name.name);
        at = to;
    }
}
