//! Where the contents of a file are: its extents, in memory, and as a tree of blocks.
//!
//! In memory it is a list of leaves. On the disk the leaves hang below the inode, or
//! below nodes that are written anew when leaves come or go ([`super::tree`]). Blocks for
//! all of them are taken when they become necessary, so that a commit never lacks space.
//! Source: Linux, `Documentation/filesystems/ext4/ifork.rst`.

use alloc::vec::Vec;

use super::bytes::{put16, put32};

pub(super) const MAGIC: u16 = 0xf30a;
pub(super) const HEAD: usize = 12;
pub(super) const ENTRY: usize = 12;
/// Extents, or nodes, that fit in an inode.
pub(super) const IN_INODE: usize = 4;
/// Most blocks of an extent; one that is not written counts from there.
pub(super) const MAX_LENGTH: u32 = 32_768;

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
    pub(super) const fn end(&self) -> u32 {
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
pub(super) struct Leaf {
    /// Where it is on the disk; nowhere if it is in the inode.
    pub(super) block: Option<u64>,
    pub(super) extents: Vec<Extent>,
    pub(super) dirty: bool,
}

/// The extents of a file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// In order, at least one unless the file is empty, none of them empty unless it is
    /// the only one.
    pub(super) leaves: Vec<Leaf>,
    /// Blocks of the nodes between the inode and the leaves.
    pub(super) nodes: Vec<u64>,
    /// Leaves came, went, or begin elsewhere.
    pub(super) reshaped: bool,
    /// It is not as the inode has it.
    changed: bool,
    /// Blocks that are to be written because of changes, since somebody asked.
    soiled: usize,
    /// Most extents of a leaf that is a block.
    pub(super) leaf_size: usize,
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

    /// How many blocks more are to be written than the last time.
    pub(super) const fn take_soiled(&mut self) -> usize {
        core::mem::replace(&mut self.soiled, 0)
    }

    fn soil(&mut self, at: usize) {
        self.changed = true;
        if let Some(leaf) = self.leaves.get_mut(at)
            && !core::mem::replace(&mut leaf.dirty, true)
        {
            self.soiled += 1;
        }
    }

    fn reshape(&mut self) {
        if !core::mem::replace(&mut self.reshaped, true) {
            self.soiled += self.nodes.len() + 1;
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
    pub(super) fn needs(&self, first: u32) -> usize {
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
    pub(super) fn insert(&mut self, new: Extent, spare: &mut Vec<u64>) {
        let at = self.leaf_of(new.first);
        if self.leaves.is_empty() {
            self.leaves.push(Leaf::default());
        }
        self.soil(at);
        let Some(leaf) = self.leaves.get_mut(at) else {
            return;
        };
        let place = leaf
            .extents
            .partition_point(|extent| extent.first < new.first);
        if place == 0 && !core::mem::replace(&mut self.reshaped, true) {
            self.soiled += self.nodes.len() + 1;
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
                self.soiled += 1;
                self.reshape();
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
            self.soiled += 1;
            while self.nodes_for(self.leaves.len()) > self.nodes.len() {
                let Some(node) = spare.pop() else { break };
                self.nodes.push(node);
                self.soiled += 1;
            }
            self.reshape();
        }
    }

    /// Takes away blocks at the end, down to `size` blocks, of at most one extent.
    /// Returns what is to be freed; nothing if nothing is left beyond.
    pub(super) fn cut(&mut self, size: u32) -> Option<(u64, u32)> {
        if self.last()?.end() <= size {
            return None;
        }
        self.soil(self.leaves.len() - 1);
        let leaf = self.leaves.last_mut()?;
        let last = leaf.extents.last_mut()?;
        let keep = size.saturating_sub(last.first);
        let freed = (last.start + u64::from(keep), last.count - keep);
        if keep == 0 {
            leaf.extents.pop();
        } else {
            last.count = keep;
        }
        Some(freed)
    }

    /// Blocks of the tree that are not needed any more.
    pub(super) fn shrink(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        while self
            .leaves
            .last()
            .is_some_and(|leaf| leaf.extents.is_empty())
        {
            let leaf = self.leaves.pop();
            gone.extend(leaf.and_then(|leaf| leaf.block));
            self.reshape();
        }
        if let [leaf] = self.leaves.as_mut_slice()
            && leaf.extents.len() <= IN_INODE
            && let Some(block) = leaf.block.take()
        {
            gone.push(block);
            self.reshape();
        }
        gone.extend(
            self.nodes
                .split_off(self.nodes_for(self.leaves.len()).min(self.nodes.len())),
        );
        gone
    }

    /// Says that blocks are written that were not. They are in one extent.
    pub(super) fn set_written(&mut self, first: u32, count: u32) -> Option<[Option<Extent>; 3]> {
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
    pub(super) fn replace(&mut self, new: Extent) {
        let at = self.leaf_of(new.first);
        self.soil(at);
        if let Some(leaf) = self.leaves.get_mut(at) {
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

pub(super) fn first_of(leaves: &[Leaf]) -> u32 {
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

pub(super) fn encode_leaf(to: &mut [u8], extents: &[Extent], limit: usize) {
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

pub(super) fn encode_node(
    to: &mut [u8],
    entries: impl Iterator<Item = (u32, u64)>,
    limit: usize,
    depth: u16,
) {
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
