//! Trees of extents on the disk: read when somebody asks, changed with blocks that are
//! taken before, written at the commit.

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::bytes::{le16, le32};
use super::extents::{
    ENTRY, Extent, HEAD, IN_INODE, Leaf, MAGIC, MAX_LENGTH, Tree, encode_leaf, encode_node,
    first_of,
};
use crate::block::BlockDevice;

/// Levels of nodes below an inode that are read. What is written has two at most.
const MAX_DEPTH: u16 = 5;
/// Most extents of a file that are kept in memory.
const MAX_EXTENTS: usize = 400_000;

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
        let mut tree = Tree::default();
        tree.leaf_size = (self.sb.block_bytes - HEAD) / ENTRY;
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
        let soiled = tree.take_soiled();
        self.tree_blocks += soiled;
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
        let soiled = tree.take_soiled();
        self.tree_blocks += soiled;
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
            let soiled = tree.take_soiled();
            self.tree_blocks += soiled;
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
