//! Where the contents of a file are: its extents, in memory, and as a tree of blocks.
//!
//! In memory it is a list of leaves. On the disk the leaves hang below the inode, or
//! below nodes that are written anew when leaves come or go. Blocks for all of them are
//! taken when they become necessary, so that a commit never lacks space.
//! Source: Linux, `Documentation/filesystems/ext4/ifork.rst`.

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{le16, le32, put16, put32};
use crate::block::BlockDevice;

const MAGIC: u16 = 0xf30a;
const HEAD: usize = 12;
const ENTRY: usize = 12;
/// Extents, or nodes, that fit in an inode.
const IN_INODE: usize = 4;
/// Most blocks of an extent; one that is not written counts from there.
const MAX_LENGTH: u32 = 32_768;
/// Levels of nodes below an inode that are read. What is written has two at most.
const MAX_DEPTH: u16 = 5;
/// Most extents of a file that are kept in memory.
const MAX_EXTENTS: usize = 400_000;

/// Neighbouring blocks of a file that are neighbours on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first of them, in the file.
    pub(super) first: u32,
    pub(super) count: u32,
    /// The first of them, on the disk.
    pub(super) start: u64,
    /// They were written; else they read as zeros.
    pub(super) written: bool,
}

impl Extent {
    const fn end(&self) -> u32 {
        self.first + self.count
    }

    /// Whether another one continues it.
    fn joins(&self, next: &Self) -> bool {
        self.end() == next.first
            && self.start + u64::from(self.count) == next.start
            && self.written == next.written
            && self.count + next.count
                <= if self.written {
                    MAX_LENGTH
                } else {
                    MAX_LENGTH - 1
                }
    }
}

#[derive(Debug, Default)]
struct Leaf {
    /// Where it is on the disk; nowhere if it is in the inode.
    block: Option<u64>,
    extents: Vec<Extent>,
    dirty: bool,
}

/// The extents of a file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// In order, at least one unless the file is empty, none of them empty unless it is
    /// the only one.
    leaves: Vec<Leaf>,
    /// Blocks of the nodes between the inode and the leaves.
    nodes: Vec<u64>,
    /// Leaves came, went, or begin elsewhere.
    reshaped: bool,
    /// It is not as the inode has it.
    changed: bool,
    /// Most extents of a leaf that is a block.
    leaf_size: usize,
}

/// What is at a place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    /// So many blocks from here on, written or not.
    Blocks {
        start: u64,
        count: u32,
        written: bool,
    },
    /// Nothing for so many blocks.
    Hole(u32),
}

impl Tree {
    /// The tree of an empty file.
    pub(super) fn empty() -> Self {
        Self {
            changed: true,
            ..Self::default()
        }
    }

    fn leaf_of(&self, block: u32) -> usize {
        if self.leaves.len() < 2 {
            return 0;
        }
        let after = self.leaves.partition_point(|leaf| {
            leaf.extents
                .first()
                .is_some_and(|extent| extent.first <= block)
        });
        after.saturating_sub(1)
    }

    pub(super) fn map(&self, block: u32) -> Mapped {
        let index = self.leaf_of(block);
        let Some(leaf) = self.leaves.get(index) else {
            return Mapped::Hole(u32::MAX - block);
        };
        let after = leaf.extents.partition_point(|extent| extent.first <= block);
        if let Some(extent) = after.checked_sub(1).and_then(|at| leaf.extents.get(at))
            && block < extent.end()
        {
            let skip = block - extent.first;
            return Mapped::Blocks {
                start: extent.start + u64::from(skip),
                count: extent.count - skip,
                written: extent.written,
            };
        }
        let next = leaf
            .extents
            .get(after)
            .or_else(|| self.leaves.get(index + 1)?.extents.first());
        Mapped::Hole(next.map_or(u32::MAX, |next| next.first) - block)
    }

    pub(super) fn last(&self) -> Option<Extent> {
        self.leaves.last()?.extents.last().copied()
    }

    /// Extents in all.
    pub(super) fn len(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.extents.len()).sum()
    }

    fn nodes_for(&self, leaves: usize) -> usize {
        if leaves <= IN_INODE {
            0
        } else {
            leaves.div_ceil(self.leaf_size.max(1))
        }
    }

    /// Blocks of the tree that one more extent can make necessary.
    fn needs(&self, first: u32) -> usize {
        let leaf = self.leaves.get(self.leaf_of(first));
        let (len, block) = leaf.map_or((0, None), |leaf| (leaf.extents.len(), leaf.block));
        match block {
            None if len < IN_INODE => 0,
            None => 1,
            Some(_) if len < self.leaf_size => 0,
            Some(_) => {
                1 + self
                    .nodes_for(self.leaves.len() + 1)
                    .saturating_sub(self.nodes.len())
            }
        }
    }

    /// Puts an extent in where a hole is. `spare` has as many blocks as
    /// [`needs`](Self::needs) says.
    fn insert(&mut self, new: Extent, spare: &mut Vec<u64>) {
        let at = self.leaf_of(new.first);
        if self.leaves.is_empty() {
            self.leaves.push(Leaf::default());
        }
        let Some(leaf) = self.leaves.get_mut(at) else {
            return;
        };
        let place = leaf
            .extents
            .partition_point(|extent| extent.first < new.first);
        leaf.dirty = true;
        self.changed = true;
        if place == 0 {
            self.reshaped = true;
        }
        if let Some(before) = place.checked_sub(1).and_then(|at| leaf.extents.get_mut(at))
            && before.joins(&new)
        {
            before.count += new.count;
            let before = *before;
            if let Some(next) = leaf.extents.get(place).copied()
                && before.joins(&next)
            {
                leaf.extents.remove(place);
                if let Some(before) = leaf.extents.get_mut(place - 1) {
                    before.count += next.count;
                }
            }
            return;
        }
        if let Some(next) = leaf.extents.get_mut(place)
            && new.joins(next)
        {
            let count = next.count;
            *next = new;
            next.count += count;
            return;
        }
        leaf.extents.insert(place, new);
        let len = leaf.extents.len();
        if leaf.block.is_none() {
            if len > IN_INODE {
                leaf.block = spare.pop();
                self.reshaped = true;
            }
        } else if len > self.leaf_size {
            // What is written in order leaves full leaves behind.
            let keep = if place + 1 == len { len - 1 } else { len / 2 };
            let extents = leaf.extents.split_off(keep);
            let block = spare.pop();
            self.leaves.insert(
                at + 1,
                Leaf {
                    block,
                    extents,
                    dirty: true,
                },
            );
            while self.nodes_for(self.leaves.len()) > self.nodes.len() {
                let Some(node) = spare.pop() else { break };
                self.nodes.push(node);
            }
            self.reshaped = true;
        }
    }

    /// Takes away blocks at the end, down to `size` blocks, of at most one extent.
    /// Returns what is to be freed; nothing if nothing is left beyond.
    fn cut(&mut self, size: u32) -> Option<(u64, u32)> {
        let leaf = self.leaves.last_mut()?;
        let last = leaf.extents.last_mut()?;
        if last.end() <= size {
            return None;
        }
        let keep = size.saturating_sub(last.first);
        let freed = (last.start + u64::from(keep), last.count - keep);
        leaf.dirty = true;
        self.changed = true;
        if keep == 0 {
            leaf.extents.pop();
        } else {
            last.count = keep;
        }
        Some(freed)
    }

    /// Blocks of the tree that are not needed any more.
    fn shrink(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        while self
            .leaves
            .last()
            .is_some_and(|leaf| leaf.extents.is_empty())
        {
            let leaf = self.leaves.pop();
            gone.extend(leaf.and_then(|leaf| leaf.block));
            self.reshaped = true;
        }
        if let [leaf] = self.leaves.as_mut_slice()
            && leaf.extents.len() <= IN_INODE
            && let Some(block) = leaf.block.take()
        {
            gone.push(block);
            self.reshaped = true;
        }
        gone.extend(
            self.nodes
                .split_off(self.nodes_for(self.leaves.len()).min(self.nodes.len())),
        );
        gone
    }

    /// Says that blocks are written that were not. They are in one extent.
    fn set_written(&mut self, first: u32, count: u32) -> Option<[Option<Extent>; 3]> {
        let leaf = self.leaves.get(self.leaf_of(first))?;
        let after = leaf.extents.partition_point(|extent| extent.first <= first);
        let old = *leaf.extents.get(after.checked_sub(1)?)?;
        let skip = first - old.first;
        let piece = |skip: u32, count: u32, written| {
            (count > 0).then(|| Extent {
                first: old.first + skip,
                count,
                start: old.start + u64::from(skip),
                written,
            })
        };
        let rest = old.count.checked_sub(skip + count)?;
        Some([
            piece(0, skip, false),
            piece(skip, count, true),
            piece(skip + count, rest, false),
        ])
    }

    /// Replaces the extent that begins where `new` does.
    fn replace(&mut self, new: Extent) {
        let at = self.leaf_of(new.first);
        if let Some(leaf) = self.leaves.get_mut(at) {
            leaf.dirty = true;
            self.changed = true;
            let old = leaf
                .extents
                .iter_mut()
                .find(|extent| extent.first == new.first);
            if let Some(old) = old {
                *old = new;
            }
        }
    }

    /// Writes the part of the tree that is in the inode.
    pub(super) fn encode_root(&self, root: &mut [u8]) {
        if !self.changed {
            return;
        }
        root.fill(0);
        let inline = self.leaves.first().filter(|leaf| leaf.block.is_none());
        match inline {
            _ if self.leaves.is_empty() => head(root, 0, IN_INODE, 0),
            Some(leaf) => encode_leaf(root, &leaf.extents, IN_INODE),
            None if self.nodes.is_empty() => encode_node(root, self.entries(), IN_INODE, 1),
            None => {
                let firsts = self.leaves.chunks(self.leaf_size.max(1)).map(first_of);
                encode_node(root, firsts.zip(self.nodes.iter().copied()), IN_INODE, 2);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u32, u64)> {
        self.leaves.iter().map(|leaf| {
            (
                first_of(core::slice::from_ref(leaf)),
                leaf.block.unwrap_or(0),
            )
        })
    }
}

fn first_of(leaves: &[Leaf]) -> u32 {
    leaves
        .first()
        .and_then(|leaf| leaf.extents.first())
        .map_or(0, |extent| extent.first)
}

fn head(to: &mut [u8], count: usize, limit: usize, depth: u16) {
    put16(to, 0, MAGIC);
    put16(to, 2, count as u16);
    put16(to, 4, limit as u16);
    put16(to, 6, depth);
}

fn encode_leaf(to: &mut [u8], extents: &[Extent], limit: usize) {
    head(to, extents.len(), limit, 0);
    for (index, extent) in extents.iter().enumerate() {
        let at = HEAD + index * ENTRY;
        put32(to, at, extent.first);
        let length = if extent.written {
            extent.count
        } else {
            extent.count + MAX_LENGTH
        };
        put16(to, at + 4, length as u16);
        put16(to, at + 6, (extent.start >> 32) as u16);
        put32(to, at + 8, extent.start as u32);
    }
}

fn encode_node(to: &mut [u8], entries: impl Iterator<Item = (u32, u64)>, limit: usize, depth: u16) {
    let mut count = 0;
    for (first, block) in entries {
        let at = HEAD + count * ENTRY;
        put32(to, at, first);
        put32(to, at + 4, block as u32);
        put16(to, at + 8, (block >> 32) as u16);
        put16(to, at + 10, 0);
        count += 1;
    }
    head(to, count, limit, depth);
}

/// Entries of a node whose head makes sense: as first block, and the rest.
fn entries_of(data: &[u8], depth: Option<u16>) -> Result<(u16, usize), FsError> {
    let (count, limit) = (usize::from(le16(data, 2)), usize::from(le16(data, 4)));
    let found = le16(data, 6);
    let sane = le16(data, 0) == MAGIC
        && count <= limit
        && HEAD + limit * ENTRY <= data.len()
        && found <= MAX_DEPTH
        && depth.is_none_or(|depth| depth == found);
    if sane {
        Ok((found, count))
    } else {
        Err(FsError::Corrupted)
    }
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// The extents of an inode, read if nobody asked before.
    pub(super) fn tree(&mut self, number: u32) -> Result<&mut Tree, FsError> {
        if self.any_inode(number)?.tree.is_none() {
            let tree = self.read_tree(number)?;
            self.any_inode(number)?.tree = Some(tree);
        }
        self.any_inode(number)?.tree.as_mut().ok_or(FsError::Io)
    }

    fn read_tree(&mut self, number: u32) -> Result<Tree, FsError> {
        let inode = self.any_inode(number)?;
        if !inode.is_plain() {
            return Err(FsError::NotSupported);
        }
        let kind = Kind::Extents(inode.seed);
        let root: Vec<u8> = inode.blocks_field().to_vec();
        let mut tree = Tree {
            leaf_size: (self.sb.block_bytes - HEAD) / ENTRY,
            ..Tree::default()
        };
        let (depth, count) = entries_of(&root, None)?;
        // Others may have filled nodes otherwise than this does.
        tree.reshaped = depth > 1;
        let mut next = 0;
        let mut total = 0;
        if depth == 0 {
            let mut extents = Vec::new();
            self.read_leaf(&root, count, &mut next, &mut extents)?;
            if !extents.is_empty() {
                tree.leaves.push(Leaf {
                    block: None,
                    extents,
                    dirty: false,
                });
            }
            return Ok(tree);
        }
        // Depth first: what is left to read at each level, last first.
        let mut rest: Vec<(u16, u32, u64)> = Vec::new();
        let push = |rest: &mut Vec<_>, data: &[u8], count: usize, depth: u16| {
            for index in (0..count).rev() {
                let at = HEAD + index * ENTRY;
                let block = u64::from(le32(data, at + 4)) | u64::from(le16(data, at + 8)) << 32;
                rest.push((depth - 1, le32(data, at), block));
            }
        };
        push(&mut rest, &root, count, depth);
        while let Some((depth, first, block)) = rest.pop() {
            if !self.are_for_files(block, 1) || first < next {
                return Err(FsError::Corrupted);
            }
            let data: Vec<u8> = self.block(block, kind)?.to_vec();
            let (_, count) = entries_of(&data, Some(depth))?;
            if depth > 0 {
                tree.nodes.push(block);
                // Each node has a leaf of its own, so there are not more of them.
                if count == 0 || tree.nodes.len() > MAX_EXTENTS || rest.len() > MAX_EXTENTS {
                    return Err(FsError::Corrupted);
                }
                push(&mut rest, &data, count, depth);
                continue;
            }
            next = next.max(first);
            let mut extents = Vec::new();
            self.read_leaf(&data, count, &mut next, &mut extents)?;
            total += extents.len();
            if extents.is_empty() || total > MAX_EXTENTS {
                return Err(FsError::Corrupted);
            }
            tree.leaves.push(Leaf {
                block: Some(block),
                extents,
                dirty: false,
            });
        }
        Ok(tree)
    }

    fn read_leaf(
        &self,
        data: &[u8],
        count: usize,
        next: &mut u32,
        to: &mut Vec<Extent>,
    ) -> Result<(), FsError> {
        for index in 0..count {
            let at = HEAD + index * ENTRY;
            let length = u32::from(le16(data, at + 4));
            let written = length <= MAX_LENGTH;
            let extent = Extent {
                first: le32(data, at),
                count: if written { length } else { length - MAX_LENGTH },
                start: u64::from(le32(data, at + 8)) | u64::from(le16(data, at + 6)) << 32,
                written,
            };
            let end = extent
                .first
                .checked_add(extent.count)
                .ok_or(FsError::Corrupted)?;
            if extent.count == 0
                || extent.first < *next
                || !self.are_for_files(extent.start, u64::from(extent.count))
            {
                return Err(FsError::Corrupted);
            }
            *next = end;
            to.push(extent);
        }
        Ok(())
    }

    /// Takes blocks for the tree of an inode.
    fn tree_blocks(&mut self, count: usize, near: u64) -> Result<Vec<u64>, FsError> {
        let mut blocks = Vec::new();
        while blocks.len() < count {
            match self.take_blocks(near, 1) {
                Ok((block, _)) => blocks.push(block),
                Err(error) => {
                    self.give_back(&blocks)?;
                    return Err(error);
                }
            }
        }
        Ok(blocks)
    }

    fn give_back(&mut self, blocks: &[u64]) -> Result<(), FsError> {
        for block in blocks {
            self.free_blocks(*block, 1, true)?;
        }
        Ok(())
    }

    fn count_blocks(&mut self, number: u32, more: i64) -> Result<(), FsError> {
        let unit = self.sums.block_sectors;
        let inode = self.inode_mut(number)?;
        let sectors = more.unsigned_abs() * unit;
        inode.sectors = if more < 0 {
            inode.sectors.saturating_sub(sectors)
        } else {
            inode.sectors + sectors
        };
        Ok(())
    }

    /// Adds an extent whose blocks were taken.
    ///
    /// # Errors
    /// `NoSpace`; nothing changed then.
    pub(super) fn add_extent(&mut self, number: u32, new: Extent) -> Result<(), FsError> {
        let leaf_size = (self.sb.block_bytes - HEAD) / ENTRY;
        let tree = self.tree(number)?;
        tree.leaf_size = leaf_size;
        let needs = tree.needs(new.first);
        if tree.leaves.len() >= IN_INODE * leaf_size || tree.leaves.len() * leaf_size > MAX_EXTENTS
        {
            return Err(FsError::NoSpace);
        }
        let mut spare = self.tree_blocks(needs, new.start)?;
        self.inode_mut(number)?;
        let tree = self.tree(number)?;
        let before = spare.len();
        tree.insert(new, &mut spare);
        let used = before - spare.len();
        let gone = tree.shrink();
        self.give_back(&spare)?;
        self.drop_nodes(&gone)?;
        self.count_blocks(
            number,
            i64::from(new.count) + used as i64 - gone.len() as i64,
        )
    }

    fn drop_nodes(&mut self, gone: &[u64]) -> Result<(), FsError> {
        for block in gone {
            self.block_gone(*block);
            self.free_blocks(*block, 1, false)?;
        }
        Ok(())
    }

    /// Notes that blocks are written that were reserved only.
    pub(super) fn mark_written(
        &mut self,
        number: u32,
        first: u32,
        count: u32,
    ) -> Result<(), FsError> {
        let Some(pieces) = self.tree(number)?.set_written(first, count) else {
            return Err(FsError::Corrupted);
        };
        // Up to three where there was one: the blocks that this can need, taken before.
        let leaf_size = (self.sb.block_bytes - HEAD) / ENTRY;
        let near = pieces
            .iter()
            .flatten()
            .next()
            .map_or(0, |extent| extent.start);
        let mut spare = self.tree_blocks(4, near)?;
        self.inode_mut(number)?;
        let tree = self.tree(number)?;
        tree.leaf_size = leaf_size;
        let before = spare.len();
        for (index, piece) in pieces.into_iter().flatten().enumerate() {
            if index == 0 {
                tree.replace(piece);
            } else {
                tree.insert(piece, &mut spare);
            }
        }
        let used = before - spare.len();
        let gone = tree.shrink();
        self.give_back(&spare)?;
        self.drop_nodes(&gone)?;
        self.count_blocks(number, used as i64 - gone.len() as i64)
    }

    /// Frees what a file has beyond `size` blocks, at most `most` extents of it. Returns
    /// whether that was all.
    pub(super) fn cut_tree(
        &mut self,
        number: u32,
        size: u32,
        most: usize,
    ) -> Result<bool, FsError> {
        self.inode_mut(number)?;
        for _ in 0..most {
            let tree = self.tree(number)?;
            let Some((start, count)) = tree.cut(size) else {
                return Ok(true);
            };
            let gone = tree.shrink();
            if self.any_inode(number)?.is_folder() {
                for block in start..start + u64::from(count) {
                    self.block_gone(block);
                }
            }
            self.free_blocks(start, count, false)?;
            self.drop_nodes(&gone)?;
            self.count_blocks(number, -i64::from(count) - gone.len() as i64)?;
        }
        Ok(self
            .tree(number)?
            .last()
            .is_none_or(|last| last.end() <= size))
    }

    /// Brings the blocks of a tree into memory and up to date.
    pub(super) fn store_tree(&mut self, number: u32) -> Result<(), FsError> {
        let Some(inode) = self.inodes.get_mut(&number) else {
            return Ok(());
        };
        let kind = Kind::Extents(inode.seed);
        let Some(tree) = inode.tree.as_mut() else {
            return Ok(());
        };
        let size = tree.leaf_size;
        let mut writes: Vec<(u64, Vec<u8>)> = Vec::new();
        for leaf in tree.leaves.iter_mut().filter(|leaf| leaf.dirty) {
            leaf.dirty = false;
            if let Some(block) = leaf.block {
                let mut data = alloc::vec![0; self.sb.block_bytes];
                encode_leaf(&mut data, &leaf.extents, size);
                writes.push((block, data));
            }
        }
        if core::mem::take(&mut tree.reshaped) {
            for (leaves, node) in tree.leaves.chunks(size.max(1)).zip(&tree.nodes) {
                let entries = leaves.iter().map(|leaf| {
                    (
                        first_of(core::slice::from_ref(leaf)),
                        leaf.block.unwrap_or(0),
                    )
                });
                let mut data = alloc::vec![0; self.sb.block_bytes];
                encode_node(&mut data, entries, size, 1);
                writes.push((*node, data));
            }
        }
        for (block, data) in writes {
            self.block_new(block, kind).copy_from_slice(&data);
        }
        Ok(())
    }
}
