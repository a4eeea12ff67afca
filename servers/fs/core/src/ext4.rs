//! ext4 with its journal.
//!
//! Operations change blocks of metadata and inodes in memory; a commit makes all of
//! them durable in one step, by way of the [`journal`]. Between two commits nothing of
//! them reaches the device, so that a loss of power leaves the tree of the last commit.
//! Contents of files are written to their places before the commit that needs them.
//!
//! - [`device`], [`superblock`], [`groups`], [`allocate`]: the volume and which of its
//!   blocks are used;
//! - [`buffers`], [`journal`], [`replay`]: how changes become durable;
//! - [`grow`]: a volume that is smaller than its partition;
//! - [`inode`], [`extents`], [`tree`], [`file`], [`orphans`]: files;
//! - [`names`], [`folder`], [`index`], [`hash`], [`listing`], [`recent`],
//!   [`change`]: folders.
//!
//! Not here: what `mke2fs -t ext4` does not switch on (encryption, inline data, quotas,
//! clusters, case folding), files mapped by indirect blocks, access times.
//! Such files, or volumes, are refused. A device that does not flush is mounted
//! read-only.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_api::FsError;

use crate::block::BlockDevice;
use crate::numbers::NumberMap;
use crate::volume::{Attributes, Entry, Found, NodeId, Now, Source, Space, Volume, VolumeInfo};
use buffers::{Buffers, Sums};
use device::Disk;
use file::Start;
use groups::{Group, GroupSet};
use inode::{BLOCKS_BYTES, Inode, ROOT};
use journal::Log;
use recent::Recent;
use superblock::Superblock;

mod allocate;
mod buffers;
mod bytes;
mod change;
mod checksum;
mod device;
mod extents;
mod file;
mod folder;
mod groups;
pub mod grow;
mod hash;
mod index;
mod inode;
mod journal;
mod listing;
mod names;
mod orphans;
mod recent;
mod replay;
mod superblock;
mod tree;

/// A mounted ext4 file system.
pub struct Ext4Volume<D: BlockDevice> {
    disk: Disk<D>,
    sb: Superblock,
    sums: Sums,
    groups: Vec<Group>,
    /// Those that changed since the last commit.
    changed_groups: GroupSet,
    free_blocks: u64,
    free_inodes: u32,
    /// Blocks of the file system's own, as start and end, in order.
    zones: Vec<(u64, u64)>,
    /// Freed since the last commit: group, first, count.
    freed: Vec<(u32, u32, u32)>,
    buffers: Buffers,
    /// Blocks that the journal has and that are none of metadata any more.
    revoked: BTreeSet<u64>,
    inodes: NumberMap<u32, Inode>,
    /// How many inodes are in memory when some are forgotten next.
    trim_inodes_at: usize,
    dirty_inodes: BTreeSet<u32>,
    /// Blocks of the table of inodes, and of extents, that the next commit will write.
    table_blocks: BTreeSet<u64>,
    tree_blocks: usize,
    /// Inodes that are to lose blocks, the one that was listed last at the end.
    orphans: Vec<u32>,
    recent: Recent,
    super_dirty: bool,
    log: Option<Log>,
    generation: u32,
    read_only: bool,
    /// The device does not flush, or there is something that is not understood.
    stays_read_only: bool,
    /// Memory and disk may differ: nothing is written any more.
    failed: bool,
    now: Now,
    /// How far the clock was behind what the volume says when it was mounted.
    late_ns: u64,
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Mounts the file system on a device, replaying its journal.
    ///
    /// # Errors
    /// `Corrupted` if there is none, or it is damaged; `NotSupported` if it has features
    /// that are not known, or no journal and is not read-only; `Io`.
    pub fn mount(device: D, read_only: bool, now: Now) -> Result<Self, FsError> {
        let geometry = device.geometry();
        let unsafe_device = geometry.read_only || !geometry.flushes;
        let may_write = !read_only && !unsafe_device;
        let (disk, sb) = Disk::open(device, !may_write)?;
        let stays_read_only = unsafe_device || !sb.writable;
        let read_only = read_only || stays_read_only;
        if !read_only && (sb.journal == 0 || sb.blocks > u64::from(u32::MAX)) {
            return Err(FsError::NotSupported);
        }
        let mut volume = Self {
            sums: Sums {
                on: sb.sums,
                seed: sb.seed,
                block_map_bytes: sb.blocks_per_group as usize / 8,
                inode_map_bytes: sb.inodes_per_group as usize / 8,
                block_sectors: sb.block_bytes as u64 / 512,
            },
            generation: hash::fnv(&now().to_le_bytes()),
            disk,
            sb,
            groups: Vec::new(),
            changed_groups: GroupSet::default(),
            free_blocks: 0,
            free_inodes: 0,
            zones: Vec::new(),
            freed: Vec::new(),
            buffers: Buffers::default(),
            revoked: BTreeSet::new(),
            inodes: NumberMap::default(),
            trim_inodes_at: 0,
            dirty_inodes: BTreeSet::new(),
            table_blocks: BTreeSet::new(),
            tree_blocks: 0,
            orphans: Vec::new(),
            recent: Recent::new(),
            super_dirty: false,
            log: None,
            read_only,
            stays_read_only,
            failed: false,
            now,
            late_ns: 0,
        };
        volume.start()?;
        Ok(volume)
    }

    /// Reads what is always in memory, after the journal was replayed.
    fn start(&mut self) -> Result<(), FsError> {
        if self.sb.journal != 0 {
            // Only what leads to the journal: the rest may not be in order before.
            self.read_groups((self.sb.journal - 1) / self.sb.inodes_per_group + 1)?;
            let mut log = self.open_log()?;
            if self.replay(&mut log, self.read_only)? {
                self.read_again()?;
            }
            self.log = Some(log);
        }
        self.read_groups(self.sb.groups)?;
        let written = u64::from(self.sb.last_time()) * 1_000_000_000;
        let now = (self.now)();
        if now < written {
            // What is less than a second is not kept.
            self.late_ns = written - now + 1_000_000_000;
        }
        if !self.folder(ROOT)?.is_folder() {
            return Err(FsError::Corrupted);
        }
        if self.read_only {
            return Ok(());
        }
        if !self.sb.needs_recovery() {
            self.sb.set_recovery(true);
            let bytes = self
                .sb
                .encode(
                    self.sb.first_orphan(),
                    self.free_blocks,
                    self.free_inodes,
                    self.sb.last_time(),
                )
                .to_vec();
            self.disk.write_superblock(&bytes)?;
        }
        self.write_log_start(true)?;
        self.finish_orphans(self.sb.first_orphan())?;
        self.commit()
    }

    /// Forgets what was read before the journal was replayed.
    fn read_again(&mut self) -> Result<(), FsError> {
        self.inodes.clear();
        self.buffers.forget_clean();
        let (block, at) = self.sb.place();
        let whole = self.block(block, buffers::Kind::Superblock)?;
        let raw: Vec<u8> = bytes::part(whole, at, at + superblock::BYTES).to_vec();
        if !superblock::is_whole(&raw) {
            return Err(FsError::Corrupted);
        }
        let sb = Superblock::parse(&raw, self.disk.sectors())?;
        let shape = |sb: &Superblock| {
            let groups = (sb.blocks_per_group, sb.inodes_per_group);
            (sb.block_bytes, groups, sb.sums)
        };
        if shape(&sb) != shape(&self.sb) {
            return Err(FsError::Corrupted);
        }
        self.sb = sb;
        Ok(())
    }
}

impl<D: BlockDevice> Volume for Ext4Volume<D> {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            kind: "ext4",
            read_only: self.read_only,
            max_name: gritos_fs_api::MAX_NAME,
            max_file: u64::from(u32::MAX) * self.sb.block_bytes as u64,
        }
    }

    fn root(&self) -> NodeId {
        u64::from(ROOT)
    }

    fn lookup(&mut self, dir: NodeId, name: &[u8]) -> Result<Found, FsError> {
        let dir = number(dir)?;
        let (inode, kind) = match self.recent.find(dir, name) {
            Some(found) => found,
            None => {
                let place = self.find(dir, name)?;
                self.recent.remember(dir, name, place.inode, place.kind);
                (place.inode, place.kind)
            }
        };
        let kind = match names::kind_of(kind) {
            Some(kind) => kind,
            None => self.inode(inode)?.kind(),
        };
        Ok(Found {
            node: u64::from(inode),
            kind,
        })
    }

    fn attributes(&mut self, node: NodeId) -> Result<Attributes, FsError> {
        Ok(self.inode(number(node)?)?.attributes())
    }

    fn open(&mut self, node: NodeId) -> Result<(), FsError> {
        self.inode(number(node)?)?.opens += 1;
        Ok(())
    }

    fn close(&mut self, node: NodeId) {
        let Some(inode) = number(node)
            .ok()
            .and_then(|number| self.inodes.get_mut(&number))
        else {
            return;
        };
        inode.opens = inode.opens.saturating_sub(1);
        if inode.opens == 0 && inode.links == 0 && !self.read_only {
            // If it fails, the next mount does it.
            let _ = self.change(|volume| volume.reap(node as u32));
        }
    }

    fn settle(&mut self) {
        self.buffers.trim();
        self.trim_inodes();
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        let number = number(node)?;
        if !self.inode(number)?.is_regular() {
            return Err(FsError::Corrupted);
        }
        self.read_contents(number, offset, into)
    }

    fn read_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        let number = number(node)?;
        let unit = self.sb.block_bytes as u64;
        let inode = self.inode(number)?;
        if !inode.is_regular() {
            return Err(FsError::Corrupted);
        }
        let start = Start::of(inode, offset / unit);
        self.hand_out_from(number, start, offset, length, take)
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let source = |at: u64, to: &mut [u8]| {
            let from = from.get(at as usize..).and_then(|f| f.get(..to.len()));
            from.is_some_and(|from| {
                to.copy_from_slice(from);
                true
            })
        };
        let length = from.len() as u64;
        let taken = self.write_with(node, offset, length, &source, &mut [])?;
        Ok(taken as usize)
    }

    fn write_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        source: &Source<'_>,
        _: &mut [u8],
    ) -> Result<u64, FsError> {
        let number = number(node)?;
        if !self.inode(number)?.is_regular() {
            return Err(FsError::Corrupted);
        }
        self.write_contents(number, offset, length, source)
    }

    fn truncate(&mut self, node: NodeId, size: u64) -> Result<(), FsError> {
        let number = number(node)?;
        if !self.inode(number)?.is_regular() {
            return Err(FsError::Corrupted);
        }
        self.change(|volume| volume.set_size(number, size))
    }

    fn set_modified(&mut self, node: NodeId, modified_ns: Option<u64>) -> Result<(), FsError> {
        let number = number(node)?;
        self.inode(number)?;
        self.change(|volume| {
            let now = volume.time();
            let inode = volume.inode_mut(number)?;
            inode.modified_ns = modified_ns.unwrap_or(now);
            inode.changed_ns = now;
            Ok(())
        })
    }

    fn entries(
        &mut self,
        dir: NodeId,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        let number = number(dir)?;
        if self.folder(number)?.links == 0 {
            return Ok(());
        }
        self.list(number, position, take)
    }

    fn create(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        self.change(|volume| volume.make(dir, name, mode, false))
    }

    fn mkdir(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        self.change(|volume| volume.make(dir, name, mode, true))
    }

    fn unlink(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.change(|volume| volume.remove(dir, name, false))
    }

    fn rmdir(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.change(|volume| volume.remove(dir, name, true))
    }

    fn rename(
        &mut self,
        from_dir: NodeId,
        from: &[u8],
        to_dir: NodeId,
        to: &[u8],
    ) -> Result<(), FsError> {
        let from_dir = number(from_dir)?;
        self.change(|volume| {
            let to_dir = volume.living(to_dir)?;
            volume.move_name(from_dir, from, to_dir, to)
        })
    }

    fn link(&mut self, dir: NodeId, name: &[u8], node: NodeId) -> Result<(), FsError> {
        self.change(|volume| volume.add_link(dir, name, node))
    }

    fn symlink(&mut self, dir: NodeId, name: &[u8], target: &[u8]) -> Result<NodeId, FsError> {
        self.change(|volume| volume.make_link(dir, name, target))
    }

    fn read_link(&mut self, node: NodeId) -> Result<Vec<u8>, FsError> {
        let number = number(node)?;
        let inode = self.inode(number)?;
        if inode.kind() != gritos_fs_api::FileType::Symlink {
            return Err(FsError::Invalid);
        }
        if inode.size < BLOCKS_BYTES as u64 && !inode.is_plain() {
            return Ok(bytes::part(inode.blocks_field(), 0, inode.size as usize).to_vec());
        }
        if inode.size > u64::from(gritos_fs_api::MAX_PATH) {
            return Err(FsError::Corrupted);
        }
        let mut target = vec![0; inode.size as usize];
        self.read_contents(number, 0, &mut target)?;
        Ok(target)
    }

    fn is_dirty(&self) -> bool {
        !self.read_only
            && (!self.dirty_inodes.is_empty()
                || !self.buffers.dirty().is_empty()
                || self.super_dirty
                || !self.revoked.is_empty())
    }

    fn sync(&mut self) -> Result<(), FsError> {
        if self.read_only {
            return Ok(());
        }
        self.commit()
    }

    fn space(&mut self) -> Result<Space, FsError> {
        let unit = self.sb.block_bytes as u64;
        Ok(Space {
            total_bytes: self.sb.blocks * unit,
            free_bytes: self.free_blocks * unit,
            free_files: u64::from(self.free_inodes),
            block_bytes: unit as u32,
        })
    }

    fn remount(&mut self, read_only: bool) -> Result<(), FsError> {
        if read_only == self.read_only {
            return Ok(());
        }
        if self.stays_read_only || !read_only {
            // The journal was not replayed: that is for a mount from the start.
            return Err(FsError::ReadOnly);
        }
        self.unmount()?;
        self.read_only = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), FsError> {
        if self.read_only {
            return Ok(());
        }
        self.commit()?;
        self.checkpoint()?;
        self.write_log_start(false)?;
        self.sb.set_recovery(false);
        let bytes = self.superblock_now();
        self.disk.write_superblock(&bytes)
    }
}

fn number(node: NodeId) -> Result<u32, FsError> {
    u32::try_from(node).map_err(|_| FsError::NotFound)
}
