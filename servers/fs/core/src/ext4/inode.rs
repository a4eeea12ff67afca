//! Inodes in memory. A change stays here until the next commit, which brings it into
//! the table of inodes.
//! Source: Linux, `Documentation/filesystems/ext4/inodes.rst`.

use alloc::boxed::Box;
use alloc::vec;

use gritos_fs_api::{FileType, FsError};

use super::Ext4Volume;
use super::buffers::{Kind, Sums};
use super::bytes::{halves, le16, le32, part, put, put16, put32};
use super::checksum::crc;
use super::extents::Tree;
use crate::block::BlockDevice;
use crate::volume::Attributes;

pub(super) const ROOT: u32 = 2;
pub(super) const INDEXED: u32 = 0x1000;
const HUGE: u32 = 0x4_0000;
const EXTENTS: u32 = 0x8_0000;
/// Flags of contents that are not understood: encrypted, with its values elsewhere,
/// or kept in the inode.
const FOREIGN: u32 = 0x800 | 0x20_0000 | 0x1000_0000;

const REGULAR: u16 = 0x8000;
const FOLDER: u16 = 0x4000;
const LINK: u16 = 0xa000;

/// Where the tree of extents starts, or what a short symbolic link says.
pub(super) const AT_BLOCKS: usize = 0x28;
pub(super) const BLOCKS_BYTES: usize = 60;

/// An inode, decoded.
pub(super) struct Inode {
    raw: Box<[u8]>,
    pub(super) mode: u16,
    pub(super) links: u16,
    pub(super) size: u64,
    /// Units of 512 bytes.
    pub(super) sectors: u64,
    pub(super) flags: u32,
    /// When it was deleted, or the next inode without a name.
    pub(super) deleted: u32,
    pub(super) modified_ns: u64,
    pub(super) changed_ns: u64,
    /// The seed of its sums.
    pub(super) seed: u32,
    /// Where its contents are, once somebody asked.
    pub(super) tree: Option<Tree>,
    pub(super) dirty: bool,
    /// How often it is open.
    pub(super) opens: u32,
    /// Used since the last round of forgetting.
    pub(super) used: bool,
}

impl Inode {
    fn parse(raw: &[u8], number: u32, sums: Sums) -> Result<Self, FsError> {
        let seed = sums.of_inode(number, le32(raw, 0x64));
        let flags = le32(raw, 0x20);
        let empty = raw.iter().all(|byte| *byte == 0);
        if sums.on && !empty && !sum_fits(raw, seed) {
            return Err(FsError::Corrupted);
        }
        let blocks = u64::from(le32(raw, 0x1c)) | u64::from(le16(raw, 0x74)) << 32;
        let unit = if flags & HUGE != 0 {
            sums.block_sectors
        } else {
            1
        };
        Ok(Self {
            mode: le16(raw, 0),
            links: le16(raw, 0x1a),
            size: halves(raw, 4, 0x6c),
            sectors: blocks.saturating_mul(unit),
            flags,
            deleted: le32(raw, 0x14),
            modified_ns: time_at(raw, 0x10, 0x88),
            changed_ns: time_at(raw, 0xc, 0x84),
            seed,
            tree: None,
            dirty: false,
            opens: 0,
            used: true,
            raw: raw.into(),
        })
    }

    fn encode(&mut self, sums: Sums) -> &[u8] {
        let raw = &mut self.raw;
        put16(raw, 0, self.mode);
        put16(raw, 0x1a, self.links);
        put32(raw, 4, self.size as u32);
        put32(raw, 0x6c, (self.size >> 32) as u32);
        let huge = self.sectors >> 48 != 0 || self.flags & HUGE != 0;
        let blocks = if huge {
            self.sectors / sums.block_sectors
        } else {
            self.sectors
        };
        if huge {
            self.flags |= HUGE;
        }
        put32(raw, 0x1c, blocks as u32);
        put16(raw, 0x74, (blocks >> 32) as u16);
        put32(raw, 0x20, self.flags);
        put32(raw, 0x14, self.deleted);
        put_time(raw, 0x10, 0x88, self.modified_ns);
        put_time(raw, 0xc, 0x84, self.changed_ns);
        if let Some(tree) = &self.tree {
            tree.encode_root(
                raw.get_mut(AT_BLOCKS..AT_BLOCKS + BLOCKS_BYTES)
                    .unwrap_or(&mut []),
            );
        }
        if sums.on {
            put16(raw, 0x7c, 0);
            let wide = has_extra(raw, 0x84);
            if wide {
                put16(raw, 0x82, 0);
            }
            let sum = crc(self.seed, raw);
            put16(raw, 0x7c, sum as u16);
            if wide {
                put16(raw, 0x82, (sum >> 16) as u16);
            }
        }
        raw
    }

    /// Notes that its contents changed.
    pub(super) const fn touch(&mut self, now: u64) {
        self.modified_ns = now;
        self.changed_ns = now;
    }

    /// What lies in the place of the tree.
    pub(super) fn blocks_field(&self) -> &[u8] {
        part(&self.raw, AT_BLOCKS, AT_BLOCKS + BLOCKS_BYTES)
    }

    /// The block of its extended attributes, 0 if it has none.
    pub(super) fn attribute_block(&self) -> u64 {
        u64::from(le32(&self.raw, 0x68)) | u64::from(le16(&self.raw, 0x76)) << 32
    }

    pub(super) const fn is_folder(&self) -> bool {
        self.mode & 0xf000 == FOLDER
    }

    pub(super) const fn is_regular(&self) -> bool {
        self.mode & 0xf000 == REGULAR
    }

    pub(super) const fn kind(&self) -> FileType {
        match self.mode & 0xf000 {
            REGULAR => FileType::Regular,
            FOLDER => FileType::Directory,
            LINK => FileType::Symlink,
            _ => FileType::Other,
        }
    }

    /// Whether its contents are where its extents say, and mean what they say.
    pub(super) const fn is_plain(&self) -> bool {
        self.flags & FOREIGN == 0 && self.flags & EXTENTS != 0
    }

    pub(super) fn attributes(&self) -> Attributes {
        let created_ns = if has_extra(&self.raw, 0x98) {
            time_at(&self.raw, 0x90, 0x94)
        } else {
            0
        };
        Attributes {
            kind: self.kind(),
            size: self.size,
            blocks: self.sectors,
            links: u32::from(self.links),
            mode: u32::from(self.mode & 0o777),
            modified_ns: self.modified_ns,
            changed_ns: self.changed_ns,
            created_ns,
        }
    }
}

/// Whether an inode has its optional fields up to a byte.
fn has_extra(raw: &[u8], end: usize) -> bool {
    raw.len() > 128 && 128 + usize::from(le16(raw, 0x80)) >= end && raw.len() >= end
}

/// A time of an inode, in nanoseconds since 1970.
fn time_at(raw: &[u8], low: usize, extra: usize) -> u64 {
    let seconds = u64::from(le32(raw, low));
    if !has_extra(raw, extra + 4) {
        return seconds * 1_000_000_000;
    }
    let extra = le32(raw, extra);
    (seconds | u64::from(extra & 3) << 32) * 1_000_000_000 + u64::from(extra >> 2)
}

fn put_time(raw: &mut [u8], low: usize, extra: usize, ns: u64) {
    let seconds = ns / 1_000_000_000;
    put32(raw, low, seconds as u32);
    if has_extra(raw, extra + 4) {
        let nanoseconds = (ns % 1_000_000_000) as u32;
        put32(raw, extra, (seconds >> 32) as u32 & 3 | nanoseconds << 2);
    }
}

fn sum_fits(raw: &[u8], seed: u32) -> bool {
    let wide = has_extra(raw, 0x84);
    let sum = crc(crc(seed, part(raw, 0, 0x7c)), &[0; 2]);
    let sum = if wide {
        let sum = crc(crc(sum, part(raw, 0x7e, 0x82)), &[0; 2]);
        crc(sum, part(raw, 0x84, raw.len()))
    } else {
        crc(sum, part(raw, 0x7e, raw.len()))
    };
    le16(raw, 0x7c) == sum as u16 && (!wide || le16(raw, 0x82) == (sum >> 16) as u16)
}

/// Inodes that are kept in memory; beyond that those are forgotten that were not used
/// lately.
const KEPT: usize = 512;

impl<D: BlockDevice> Ext4Volume<D> {
    /// Now, in nanoseconds since 1970, and not before the volume was written last, even
    /// if nobody knows the time: it goes on from there.
    pub(super) fn time(&self) -> u64 {
        (self.now)().saturating_add(self.late_ns)
    }

    /// An inode, whatever it is.
    pub(super) fn any_inode(&mut self, number: u32) -> Result<&mut Inode, FsError> {
        if !self.inodes.contains_key(&number) {
            let (block, at) = self.inode_place(number)?;
            let (bytes, sums) = (self.sb.inode_bytes, self.sums);
            let raw = part(self.block(block, Kind::Table)?, at, at + bytes);
            let inode = Inode::parse(raw, number, sums)?;
            self.inodes.insert(number, inode);
        }
        let inode = self.inodes.get_mut(&number).ok_or(FsError::Io)?;
        inode.used = true;
        Ok(inode)
    }

    /// An inode that has a name or is open.
    pub(super) fn inode(&mut self, number: u32) -> Result<&mut Inode, FsError> {
        if number < self.sb.first_inode && number != ROOT {
            return Err(FsError::Corrupted);
        }
        let inode = self.any_inode(number)?;
        if inode.mode == 0 || inode.links == 0 && inode.opens == 0 {
            return Err(FsError::Corrupted);
        }
        Ok(inode)
    }

    /// An inode that is about to change.
    pub(super) fn inode_mut(&mut self, number: u32) -> Result<&mut Inode, FsError> {
        if !self.any_inode(number)?.dirty {
            self.soil_inode(number)?;
        }
        self.buffers.changes += 1;
        self.inodes.get_mut(&number).ok_or(FsError::Io)
    }

    fn soil_inode(&mut self, number: u32) -> Result<(), FsError> {
        let (block, _) = self.inode_place(number)?;
        self.table_blocks.insert(block);
        self.dirty_inodes.insert(number);
        let now = self.time();
        let inode = self.any_inode(number)?;
        inode.dirty = true;
        inode.changed_ns = now;
        Ok(())
    }

    /// A folder.
    pub(super) fn folder(&mut self, number: u32) -> Result<&mut Inode, FsError> {
        let inode = self.inode(number)?;
        if !inode.is_folder() {
            return Err(FsError::Corrupted);
        }
        if !inode.is_plain() {
            return Err(FsError::NotSupported);
        }
        Ok(inode)
    }

    /// Notes that the contents of a node changed.
    pub(super) fn touch(&mut self, number: u32) -> Result<(), FsError> {
        let now = self.time();
        self.inode_mut(number)?.touch(now);
        Ok(())
    }

    /// Makes an inode in a folder, without a name and without contents.
    pub(super) fn new_inode(&mut self, near: u32, mode: u32, folder: bool) -> Result<u32, FsError> {
        let number = self.take_inode(near, folder)?;
        let (block, _) = self.inode_place(number)?;
        self.block(block, Kind::Table)?;
        let now = self.time();
        let mut raw = vec![0; self.sb.inode_bytes].into_boxed_slice();
        self.generation = self.generation.wrapping_add(0x9e37_79b9);
        put32(&mut raw, 0x64, self.generation);
        if raw.len() > 128 {
            put16(&mut raw, 0x80, self.sb.extra_bytes);
        }
        put_time(&mut raw, 0x8, 0x8c, now);
        if has_extra(&raw, 0x98) {
            put_time(&mut raw, 0x90, 0x94, now);
        }
        let inode = Inode {
            mode: mode as u16 & 0o777 | if folder { FOLDER } else { REGULAR },
            links: if folder { 2 } else { 1 },
            size: 0,
            sectors: 0,
            flags: EXTENTS,
            deleted: 0,
            modified_ns: now,
            changed_ns: now,
            seed: self.sums.of_inode(number, self.generation),
            tree: Some(Tree::empty()),
            dirty: false,
            opens: 0,
            used: true,
            raw,
        };
        self.inodes.insert(number, inode);
        self.inode_mut(number)?;
        Ok(number)
    }

    /// Makes an inode that is a symbolic link, without a name. What is short is in the inode, what is long in a
    /// block of its own, which Linux reads whole.
    ///
    /// # Errors
    /// `NameTooLong`; `NoSpace`: nothing changed then.
    pub(super) fn new_link(&mut self, near: u32, target: &[u8]) -> Result<u32, FsError> {
        if target.len() >= self.sb.block_bytes {
            return Err(FsError::NameTooLong);
        }
        let number = self.new_inode(near, 0, false)?;
        let inode = self.inode_mut(number)?;
        inode.mode = LINK | 0o777;
        if target.len() < BLOCKS_BYTES {
            inode.flags = 0;
            inode.tree = None;
            inode.size = target.len() as u64;
            put(&mut inode.raw, AT_BLOCKS, target);
            return Ok(number);
        }
        if let Err(error) = self.fill_link(number, target) {
            self.cut_tree(number, 0, usize::MAX)?;
            self.free_inode(number)?;
            return Err(error);
        }
        Ok(number)
    }

    /// Takes an inode out of use, whose contents are gone.
    pub(super) fn free_inode(&mut self, number: u32) -> Result<(), FsError> {
        let folder = self.any_inode(number)?.is_folder();
        let (block, at) = self.inode_place(number)?;
        self.free_inode_number(number, folder)?;
        let bytes = self.sb.inode_bytes;
        let data = self.block_mut(block, Kind::Table)?;
        if let Some(raw) = data.get_mut(at..at + bytes) {
            raw.fill(0);
        }
        self.inodes.remove(&number);
        self.dirty_inodes.remove(&number);
        Ok(())
    }

    /// Brings what changed into the table.
    pub(super) fn store_inodes(&mut self) -> Result<(), FsError> {
        let sums = self.sums;
        while let Some(number) = self.dirty_inodes.first().copied() {
            self.store_tree(number)?;
            let (block, at) = self.inode_place(number)?;
            self.block_mut(block, Kind::Table)?;
            if let Some(inode) = self.inodes.get_mut(&number) {
                inode.dirty = false;
                let raw = inode.encode(sums);
                self.buffers.patch(block, |data| put(data, at, raw));
            }
            self.dirty_inodes.remove(&number);
        }
        self.table_blocks.clear();
        self.tree_blocks = 0;
        Ok(())
    }

    /// Forgets some of what can be read again.
    pub(super) fn trim_inodes(&mut self) {
        if self.inodes.len() > KEPT.max(self.trim_inodes_at) {
            self.inodes.retain(|_, inode| {
                core::mem::take(&mut inode.used) || inode.dirty || inode.opens > 0
            });
            // What cannot be forgotten is not looked at each time.
            self.trim_inodes_at = self.inodes.len() + KEPT / 4;
        }
    }
}
