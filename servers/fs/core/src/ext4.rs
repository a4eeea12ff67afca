//! ext4 with its journal, through `rsext4`, with a guard around it.
//!
//! The crate keeps its metadata whole across a loss of power but reuses freed blocks
//! at once, so that a file could come back with another's bytes. The guard closes that:
//!
//! - what has lost its last name stays on the list of orphans until the loss of the
//!   name is committed, and only then gives up its blocks;
//! - after a file was cut, everything is committed before data is written again;
//! - the superblock is written twice, so that a torn write of it is repaired ([`device`]);
//! - what the journal replays is durable before the journal is declared empty;
//! - the volume is marked as in need of recovery before its journal is used.
//!
//! A device that does not flush is mounted read-only.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError};
use rsext4::{
    Clock, DirectoryEntryType, Ext4, Ext4Error, Ext4ErrorKind, Ext4Result, Ext4Timestamp, FileName,
    FilePermissions, InodeFlags, InodeInfo, InodeMetadataUpdate, InodeNumber, MountOptions,
    MountServices, MountedServices, MutationContext, NoopObserver, RenameOptions, UnlinkOutcome,
};

use crate::block::BlockDevice;
use crate::volume::{Attributes, Entry, Found, NodeId, Now, Space, Volume, VolumeInfo};
use device::Guarded;

mod device;
mod listing;

/// Most bytes of a file with blocks of 4 KiB: 2^32 - 1 of them.
const MAX_FILE_BLOCKS: u64 = u32::MAX as u64;
/// Bytes that are written in one step.
const CHUNK: usize = 256 * 1024;
/// Names waiting for a commit before their blocks are freed; more and one is made.
const MAX_DOOMED: usize = 1024;

type Mounted<D> = Ext4<Guarded<D>, MountedServices<(), NoopObserver>>;

struct Time(Now);

impl Clock for Time {
    fn now(&self) -> Ext4Result<Ext4Timestamp> {
        Ok(timestamp((self.0)()))
    }
}

fn timestamp(ns: u64) -> Ext4Timestamp {
    Ext4Timestamp::new((ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as u32)
}

/// A mounted ext4 file system.
pub struct Ext4Volume<D: BlockDevice> {
    fs: Mounted<D>,
    /// Inodes that are open, and how often.
    open: BTreeMap<u32, u32>,
    /// Open inodes without a name.
    nameless: BTreeSet<u32>,
    /// Inodes without name and user, to be freed after the next commit.
    doomed: Vec<InodeNumber>,
    /// Something changed since the last commit.
    dirty: bool,
    /// Blocks were freed since the last commit.
    shrunk: bool,
    read_only: bool,
    /// The device does not flush.
    unsafe_device: bool,
    reader: Option<rsext4::DirectoryReader>,
    now: Now,
}

const CONTEXT: MutationContext = MutationContext::new(0, 0, 0, 0);

impl<D: BlockDevice> Ext4Volume<D> {
    /// Mounts the file system on a device, replaying its journal.
    ///
    /// # Errors
    /// `Corrupted` if there is none, or it is damaged; `NotSupported` if it has features
    /// that are not known; `Io`.
    pub fn mount(device: D, read_only: bool, now: Now) -> Result<Self, FsError> {
        let geometry = device.geometry();
        let unsafe_device = geometry.read_only || !geometry.flushes;
        let read_only = read_only || unsafe_device;
        let device = Guarded::prepare(device, read_only)?;
        let replaying = device.replaying();
        let services = MountServices::new(Time(now), (), NoopObserver);
        let fs = Mounted::mount(device, services, options(read_only)).map_err(error)?;
        replaying.set(false);
        let mut volume = Self {
            fs,
            open: BTreeMap::new(),
            nameless: BTreeSet::new(),
            doomed: Vec::new(),
            dirty: !read_only,
            shrunk: false,
            read_only,
            unsafe_device,
            reader: None,
            now,
        };
        if !read_only {
            volume.stop_access_times()?;
        }
        Ok(volume)
    }

    /// Marks the root so that reading writes no access times, which what is made below
    /// it inherits.
    fn stop_access_times(&mut self) -> Result<(), FsError> {
        let root = self.fs.root_inode();
        let flags = self.fs.inode(root).map_err(error)?.flags;
        if !flags.contains(InodeFlags::NO_ATIME) {
            let update = InodeMetadataUpdate {
                flags: Some(flags | InodeFlags::NO_ATIME),
                ..InodeMetadataUpdate::default()
            };
            self.fs.update_inode_metadata(root, update).map_err(error)?;
        }
        self.commit()
    }

    /// Makes everything durable, then frees what has been waiting for it.
    fn commit(&mut self) -> Result<(), FsError> {
        if !self.dirty && self.doomed.is_empty() {
            return Ok(());
        }
        self.fs.sync().map_err(error)?;
        self.dirty = false;
        self.shrunk = false;
        while let Some(inode) = self.doomed.pop() {
            // Freed in the transaction that starts now: until it is committed the orphan
            // still has the blocks, and nobody can read it.
            self.dirty = true;
            self.fs.reap_unlinked_inode(inode).map_err(error)?;
        }
        Ok(())
    }

    /// Does something that may lack space; if it does, frees what is waiting and tries
    /// once more.
    fn with_space<R>(
        &mut self,
        mut f: impl FnMut(&mut Mounted<D>) -> Ext4Result<R>,
    ) -> Result<R, FsError> {
        self.dirty = true;
        match f(&mut self.fs).map_err(error) {
            Err(FsError::NoSpace) if !self.doomed.is_empty() => {
                self.commit()?;
                self.commit()?;
                self.dirty = true;
                f(&mut self.fs).map_err(error)
            }
            result => result,
        }
    }

    /// Notes what lost a name.
    fn unlinked(&mut self, outcome: UnlinkOutcome) -> Result<(), FsError> {
        if !outcome.requires_reap() {
            return Ok(());
        }
        if self.open.contains_key(&outcome.inode.raw()) {
            self.nameless.insert(outcome.inode.raw());
        } else {
            self.doomed.push(outcome.inode);
        }
        if self.doomed.len() > MAX_DOOMED {
            self.commit()?;
        }
        Ok(())
    }

    fn living(&self, dir: NodeId) -> Result<InodeNumber, FsError> {
        let number = number(dir)?;
        if self.nameless.contains(&number.raw()) {
            return Err(FsError::NotFound);
        }
        Ok(number)
    }

    fn block_bytes(&self) -> u64 {
        self.fs.statfs().block_size
    }

    /// Writes one block after another, as far as there is space.
    fn write_blocks(
        &mut self,
        inode: InodeNumber,
        offset: u64,
        from: &[u8],
    ) -> (usize, Option<FsError>) {
        let block = self.block_bytes().max(1024);
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            let count = (block - at % block).min(rest.len() as u64) as usize;
            let now = rest.get(..count).unwrap_or(rest);
            if let Err(failure) = self.fs.write_inode(inode, at, now) {
                return (done, Some(error(failure)));
            }
            done += count;
        }
        (done, None)
    }
}

const fn options(read_only: bool) -> MountOptions {
    MountOptions {
        readonly: read_only,
        replay_journal: !read_only,
        block_validity: true,
    }
}

impl<D: BlockDevice> Volume for Ext4Volume<D> {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            kind: "ext4",
            read_only: self.read_only,
            max_name: gritos_fs_api::MAX_NAME,
            max_file: MAX_FILE_BLOCKS * self.block_bytes(),
        }
    }

    fn root(&self) -> NodeId {
        self.fs.root_inode().as_u64()
    }

    fn lookup(&mut self, dir: NodeId, name: &[u8]) -> Result<Found, FsError> {
        let name = file_name(name)?;
        let found = self.fs.lookup_child(number(dir)?, name).map_err(error)?;
        let found = found.ok_or(FsError::NotFound)?;
        Ok(Found {
            node: found.number.as_u64(),
            kind: kind(found.file_type()),
        })
    }

    fn attributes(&mut self, node: NodeId) -> Result<Attributes, FsError> {
        let inode = self.fs.inode(number(node)?).map_err(error)?;
        let nameless = self.nameless.contains(&inode.number.raw());
        Ok(attributes(&inode, nameless))
    }

    fn open(&mut self, node: NodeId) -> Result<(), FsError> {
        *self.open.entry(number(node)?.raw()).or_default() += 1;
        Ok(())
    }

    fn close(&mut self, node: NodeId) {
        let Ok(number) = number(node) else { return };
        let Some(count) = self.open.get_mut(&number.raw()) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.open.remove(&number.raw());
            if self.nameless.remove(&number.raw()) {
                self.doomed.push(number);
            }
        }
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        self.fs
            .read_inode(number(node)?, offset, into)
            .map_err(error)
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let inode = number(node)?;
        if self.shrunk {
            self.commit()?;
        }
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let chunk = rest.get(..CHUNK).unwrap_or(rest);
            let at = offset + done as u64;
            match self.with_space(|fs| fs.write_inode(inode, at, chunk)) {
                Ok(()) => done += chunk.len(),
                Err(FsError::NoSpace) => {
                    let (count, failure) = self.write_blocks(inode, at, chunk);
                    return match (done + count, failure) {
                        (0, Some(failure)) => Err(failure),
                        (total, _) => Ok(total),
                    };
                }
                Err(failure) if done == 0 => return Err(failure),
                Err(_) => return Ok(done),
            }
        }
        Ok(done)
    }

    fn truncate(&mut self, node: NodeId, size: u64) -> Result<(), FsError> {
        let inode = number(node)?;
        let before = self.fs.inode(inode).map_err(error)?.size;
        if before == size {
            let modified = (self.now)();
            return self.set_modified(node, modified);
        }
        self.with_space(|fs| fs.truncate_inode(inode, size))?;
        self.shrunk |= size < before;
        Ok(())
    }

    fn set_modified(&mut self, node: NodeId, modified_ns: u64) -> Result<(), FsError> {
        self.dirty = true;
        let update = InodeMetadataUpdate {
            mtime: Some(timestamp(modified_ns)),
            ..InodeMetadataUpdate::default()
        };
        let result = self.fs.update_inode_metadata(number(node)?, update);
        result.map(drop).map_err(error)
    }

    fn entries(
        &mut self,
        dir: NodeId,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        let dir = number(dir)?;
        let reader = match self
            .reader
            .take()
            .filter(|reader| reader.directory() == dir)
        {
            Some(reader) => reader,
            None => self.fs.open_directory_reader(dir).map_err(error)?,
        };
        let reader = self.reader.insert(reader);
        listing::list(&mut self.fs, reader, position, take)
    }

    fn create(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        let (dir, name, mode) = (self.living(dir)?, file_name(name)?, permissions(mode)?);
        let made = self.with_space(|fs| fs.create_regular_file(CONTEXT, dir, name, mode))?;
        Ok(made.number.as_u64())
    }

    fn mkdir(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        let (dir, name, mode) = (self.living(dir)?, file_name(name)?, permissions(mode)?);
        let made = self.with_space(|fs| fs.create_directory(CONTEXT, dir, name, mode))?;
        Ok(made.number.as_u64())
    }

    fn unlink(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.dirty = true;
        let outcome = self
            .fs
            .unlink(number(dir)?, file_name(name)?)
            .map_err(error)?;
        self.unlinked(outcome)
    }

    fn rmdir(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.dirty = true;
        let outcome = self
            .fs
            .remove_empty_directory(number(dir)?, file_name(name)?);
        self.unlinked(outcome.map_err(error)?)
    }

    fn rename(
        &mut self,
        from_dir: NodeId,
        from: &[u8],
        to_dir: NodeId,
        to: &[u8],
    ) -> Result<(), FsError> {
        let (from_dir, to_dir) = (number(from_dir)?, self.living(to_dir)?);
        let (from, to) = (file_name(from)?, file_name(to)?);
        let outcome =
            self.with_space(|fs| fs.rename(from_dir, from, to_dir, to, RenameOptions::REPLACE))?;
        outcome
            .replaced
            .map_or(Ok(()), |replaced| self.unlinked(replaced))
    }

    fn read_link(&mut self, node: NodeId) -> Result<Vec<u8>, FsError> {
        let number = number(node)?;
        let size = self.fs.inode(number).map_err(error)?.size;
        let length = usize::try_from(size).ok().filter(|size| *size <= 4096);
        let mut target = alloc::vec![0; length.ok_or(FsError::Corrupted)?];
        let count = self.fs.read_inode(number, 0, &mut target).map_err(error)?;
        target.truncate(count);
        Ok(target)
    }

    fn is_dirty(&self) -> bool {
        !self.read_only && (self.dirty || !self.doomed.is_empty())
    }

    fn sync(&mut self) -> Result<(), FsError> {
        if self.read_only {
            return Ok(());
        }
        self.commit()
    }

    fn space(&mut self) -> Result<Space, FsError> {
        let found = self.fs.statfs();
        Ok(Space {
            total_bytes: found.total_blocks.saturating_mul(found.block_size),
            free_bytes: found.free_blocks.saturating_mul(found.block_size),
            free_files: u64::from(found.free_inodes),
            block_bytes: u32::try_from(found.block_size).unwrap_or(4096),
        })
    }

    fn remount(&mut self, read_only: bool) -> Result<(), FsError> {
        if read_only == self.read_only {
            return Ok(());
        }
        if self.unsafe_device || !read_only {
            // The journal was not replayed: that is for a mount from the start.
            return Err(FsError::ReadOnly);
        }
        self.commit()?;
        self.commit()?;
        let mut now = options(true);
        now.replay_journal = true;
        self.fs.remount(now).map_err(error)?;
        self.read_only = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), FsError> {
        if self.read_only {
            return Ok(());
        }
        // The second one makes durable what the first one freed.
        self.commit()?;
        self.commit()?;
        match self.fs.unmount() {
            // Everything is durable; the next mount replays the journal.
            Err(failure) if failure.kind() == Ext4ErrorKind::Busy => Ok(()),
            result => result.map_err(error),
        }
    }
}

fn number(node: NodeId) -> Result<InodeNumber, FsError> {
    InodeNumber::from_u64(node).map_err(|_| FsError::NotFound)
}

fn file_name(name: &[u8]) -> Result<FileName<'_>, FsError> {
    FileName::new(name).map_err(|_| FsError::Invalid)
}

fn permissions(mode: u32) -> Result<FilePermissions, FsError> {
    FilePermissions::new((mode & 0o777) as u16).map_err(|_| FsError::Invalid)
}

fn attributes(inode: &InodeInfo, nameless: bool) -> Attributes {
    Attributes {
        kind: kind(inode.file_type()),
        size: inode.size,
        blocks: inode.blocks,
        links: if nameless { 0 } else { u32::from(inode.links) },
        mode: u32::from(inode.mode & 0o777),
        modified_ns: u64::from(inode.mtime) * 1_000_000_000,
        created_ns: u64::from(inode.btime) * 1_000_000_000,
    }
}

const fn kind(found: DirectoryEntryType) -> FileType {
    match found {
        DirectoryEntryType::RegularFile => FileType::Regular,
        DirectoryEntryType::Directory => FileType::Directory,
        DirectoryEntryType::Symlink => FileType::Symlink,
        _ => FileType::Other,
    }
}

fn error(error: Ext4Error) -> FsError {
    match error.kind() {
        Ext4ErrorKind::Io | Ext4ErrorKind::JournalAborted | Ext4ErrorKind::Timeout => FsError::Io,
        Ext4ErrorKind::UnsupportedFeature
        | Ext4ErrorKind::UnsupportedCapability
        | Ext4ErrorKind::Unsupported => FsError::NotSupported,
        Ext4ErrorKind::ReadOnly => FsError::ReadOnly,
        Ext4ErrorKind::NoSpace | Ext4ErrorKind::QuotaExceeded => FsError::NoSpace,
        Ext4ErrorKind::NoMemory => FsError::NoMemory,
        Ext4ErrorKind::TooManyLinks => FsError::TooManyLinks,
        Ext4ErrorKind::PermissionDenied => FsError::NotPermitted,
        Ext4ErrorKind::NotFound => FsError::NotFound,
        Ext4ErrorKind::AlreadyExists => FsError::Exists,
        Ext4ErrorKind::NotDirectory => FsError::NotDirectory,
        Ext4ErrorKind::IsDirectory => FsError::IsDirectory,
        Ext4ErrorKind::NotEmpty => FsError::NotEmpty,
        Ext4ErrorKind::Busy => FsError::Busy,
        Ext4ErrorKind::InvalidInput | Ext4ErrorKind::BadFileDescriptor => FsError::Invalid,
        Ext4ErrorKind::FileTooLarge => FsError::FileTooLarge,
        Ext4ErrorKind::Corrupted
        | Ext4ErrorKind::ChecksumMismatch
        | Ext4ErrorKind::Overflow
        | Ext4ErrorKind::BadSuperblock
        | Ext4ErrorKind::InvalidMagic => FsError::Corrupted,
    }
}
