//! FAT12, FAT16 and FAT32 through `hadris-fat`, for what other systems write and boot from.
//!
//! FAT has no journal: a loss of power in the middle of a change leaves it damaged, if little. So a volume is
//! mounted read-only until somebody asks otherwise ([`Volume::remount`]), and stays so if it was not left in order
//! or its device does not flush.
//!
//! The crate keeps a table of nodes that callers pinned. What was looked up is pinned until
//! [`settle`](Volume::settle), what is open until it is closed. A file that is open cannot be removed here: without
//! its entry there would be no place for its size.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError};
use hadris_fat::sync::FatFs;
use hadris_fs::{
    Clock, DateTime, DirCursor, Error, ErrorKind, FileType as Kind, MountOptions, Name, NoClock,
    NodeId as FatNode, OpenMode, RenameMode, SetAttr,
};
use hadris_storage::sync::BlockDevice as Blocks;
use hadris_storage::{BlockIndex, BlockSize};

use crate::block::{BlockDevice, BlockError, SECTOR_BYTES};
use crate::volume::{Attributes, Entry, Found, NodeId, Now, Space, Volume, VolumeInfo};

/// Most bytes of a file: its size has 32 bits.
const MAX_FILE: u64 = u32::MAX as u64;
/// Most bytes of a name in UTF-8: 255 UTF-16 units of up to three bytes, of which the interface takes 255.
const MAX_NAME: u32 = gritos_fs_api::MAX_NAME;
/// What permissions files and folders are said to have: FAT stores none.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// The device as the crate sees it.
struct Sectors<D>(D);

impl<D> hadris_io::ErrorType for Sectors<D> {
    type Error = BlockError;
}

impl<D: BlockDevice> Blocks for Sectors<D> {
    fn block_size(&self) -> BlockSize {
        const SIZE: BlockSize = match BlockSize::new(SECTOR_BYTES as u32) {
            Some(size) => size,
            None => panic!("a sector has bytes"),
        };
        SIZE
    }

    fn block_count(&self) -> u64 {
        self.0.geometry().sectors
    }

    fn writable(&self) -> bool {
        !self.0.geometry().read_only
    }

    fn read_blocks(&mut self, first: BlockIndex, buf: &mut [u8]) -> Result<(), Error<BlockError>> {
        self.0.read(first.get(), buf).map_err(device_failed)
    }

    fn write_blocks(&mut self, first: BlockIndex, buf: &[u8]) -> Result<(), Error<BlockError>> {
        self.0.write(first.get(), buf).map_err(device_failed)
    }

    fn flush(&mut self) -> Result<(), Error<BlockError>> {
        self.0.flush().map_err(device_failed)
    }
}

fn device_failed(error: BlockError) -> Error<BlockError> {
    match error {
        BlockError::ReadOnly => Error::new(ErrorKind::ReadOnly, "the device is read-only"),
        error => Error::device(error, "the device failed"),
    }
}

/// What time it is for the crate, which wants it for as long as the program runs.
struct Time(Now);

impl Clock for Time {
    fn now(&self) -> DateTime {
        moment((self.0)()).unwrap_or(NoClock::TIME)
    }
}

fn moment(ns: u64) -> Option<DateTime> {
    DateTime::from_unix_seconds((ns / 1_000_000_000) as i64).ok()
}

/// A node that is open.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    count: u64,
    /// Pins that were taken over from lookups.
    pins: u64,
}

/// A mounted FAT.
pub struct FatVolume<D: BlockDevice> {
    fs: FatFs<Sectors<D>>,
    /// What was looked up since the last `settle`, once for each time.
    found: Vec<FatNode>,
    open: BTreeMap<u64, Open>,
    now: Now,
    read_only: bool,
    /// It cannot be made writable.
    stays_read_only: bool,
    dirty: bool,
    /// How full it is, as long as nothing changed: to count means to read the whole table.
    space: Option<Space>,
}

impl<D: BlockDevice> FatVolume<D> {
    /// Mounts the file system on a device, read-only.
    ///
    /// # Errors
    /// `Corrupted` if there is none, or it is damaged; `Io`, `NoMemory`.
    pub fn mount(device: D, now: Now) -> Result<Self, FsError> {
        let geometry = device.geometry();
        let options = MountOptions::new().with_clock(clock(now));
        let fs = FatFs::mount(Sectors(device), options)
            .map_err(|failure| error(&failure.into_error()))?;
        let stays_read_only = geometry.read_only || !geometry.flushes || fs.was_dirty();
        Ok(Self {
            fs,
            found: Vec::new(),
            open: BTreeMap::new(),
            now,
            read_only: true,
            stays_read_only,
            dirty: false,
            space: None,
        })
    }

    /// Whether it was not left in order.
    pub fn was_dirty(&self) -> bool {
        self.fs.was_dirty()
    }

    /// Keeps a node that the crate has pinned until the next `settle`.
    fn pinned(&mut self, node: FatNode) -> NodeId {
        self.found.push(node);
        node.get()
    }

    /// Refuses to remove the name of what is open.
    fn unused(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        let node = self.fs.lookup(node(dir)?, Name::from_bytes(name));
        let number = self.pinned(node.map_err(failed)?);
        match self.open.contains_key(&number) {
            true => Err(FsError::Busy),
            false => Ok(()),
        }
    }
}

/// A clock that lives as long as the program: one for each source of time, of which a program has one.
fn clock(now: Now) -> &'static dyn Clock {
    alloc::boxed::Box::leak(alloc::boxed::Box::new(Time(now)))
}

fn node(number: NodeId) -> Result<FatNode, FsError> {
    FatNode::new(number).ok_or(FsError::NotFound)
}

const fn kind(found: Kind) -> FileType {
    match found {
        Kind::Dir => FileType::Directory,
        Kind::File => FileType::Regular,
        _ => FileType::Other,
    }
}

fn nanoseconds(time: Option<DateTime>) -> u64 {
    let seconds = time.map_or(0, |time| time.unix_seconds());
    u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1_000_000_000))
}

fn failed(failure: Error<BlockError>) -> FsError {
    error(&failure)
}

fn error(failure: &Error<BlockError>) -> FsError {
    match failure.kind() {
        ErrorKind::NotRecognized | ErrorKind::Corrupt => FsError::Corrupted,
        ErrorKind::NotFound | ErrorKind::InvalidHandle => FsError::NotFound,
        ErrorKind::AlreadyExists => FsError::Exists,
        ErrorKind::NotADirectory => FsError::NotDirectory,
        ErrorKind::IsADirectory => FsError::IsDirectory,
        ErrorKind::DirectoryNotEmpty => FsError::NotEmpty,
        ErrorKind::NoSpace => FsError::NoSpace,
        ErrorKind::ReadOnly => FsError::ReadOnly,
        ErrorKind::InvalidInput => FsError::Invalid,
        ErrorKind::Unsupported => FsError::NotSupported,
        ErrorKind::LimitExceeded => FsError::ServerLimit,
        ErrorKind::NameTooLong => FsError::NameTooLong,
        ErrorKind::FileTooLarge => FsError::FileTooLarge,
        ErrorKind::Symlink => FsError::LinkLoop,
        ErrorKind::Busy => FsError::Busy,
        _ => FsError::Io,
    }
}

impl<D: BlockDevice> Volume for FatVolume<D> {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            kind: "fat",
            read_only: self.read_only,
            max_name: MAX_NAME,
            max_file: MAX_FILE,
        }
    }

    fn root(&self) -> NodeId {
        self.fs.root().get()
    }

    fn lookup(&mut self, dir: NodeId, name: &[u8]) -> Result<Found, FsError> {
        let found = self.fs.lookup(node(dir)?, Name::from_bytes(name));
        let found = found.map_err(failed)?;
        let number = self.pinned(found);
        let kind = kind(self.fs.stat(found).map_err(failed)?.file_type());
        Ok(Found { node: number, kind })
    }

    fn attributes(&mut self, number: NodeId) -> Result<Attributes, FsError> {
        let found = self.fs.stat(node(number)?).map_err(failed)?;
        let kind = kind(found.file_type());
        Ok(Attributes {
            kind,
            size: found.len(),
            blocks: found.allocated() / SECTOR_BYTES as u64,
            links: 1,
            mode: match kind {
                FileType::Directory => FOLDER_MODE,
                _ => FILE_MODE,
            },
            modified_ns: nanoseconds(found.modified()),
            // Nothing else is kept of a change.
            changed_ns: nanoseconds(found.modified()),
            created_ns: nanoseconds(found.created()),
        })
    }

    fn open(&mut self, number: NodeId) -> Result<(), FsError> {
        let node = node(number)?;
        if self.fs.stat(node).map_err(failed)?.file_type().is_file() {
            let mode = if self.read_only {
                OpenMode::Read
            } else {
                OpenMode::Write
            };
            self.fs.open(node, mode).map_err(failed)?;
        }
        let open = self.open.entry(number).or_default();
        open.count += 1;
        if let Some(at) = self.found.iter().position(|found| *found == node) {
            self.found.swap_remove(at);
            open.pins += 1;
        }
        Ok(())
    }

    fn close(&mut self, number: NodeId) {
        let (Some(open), Ok(node)) = (self.open.get_mut(&number), node(number)) else {
            return;
        };
        open.count -= 1;
        if open.count > 0 {
            return;
        }
        let pins = open.pins;
        self.open.remove(&number);
        // Writes the size; what cannot be written is tried again by the next sync.
        let _ = self.fs.close(node);
        self.fs.forget(node, pins);
    }

    fn settle(&mut self) {
        for node in self.found.drain(..) {
            self.fs.forget(node, 1);
        }
    }

    fn read(&mut self, number: NodeId, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        let node = node(number)?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.fs.read(node, offset + done as u64, rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(failure) => return Err(failed(failure)),
            }
        }
        Ok(done)
    }

    fn write(&mut self, number: NodeId, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let node = node(number)?;
        self.dirty = true;
        let size = self.fs.stat(node).map_err(failed)?.len();
        if offset > size {
            // A gap reads as zeros.
            self.fs.truncate(node, offset).map_err(failed)?;
        }
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            match self.fs.write(node, offset + done as u64, rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(failure) if done == 0 => return Err(failed(failure)),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn truncate(&mut self, number: NodeId, size: u64) -> Result<(), FsError> {
        self.dirty = true;
        self.fs.truncate(node(number)?, size).map_err(failed)
    }

    fn set_modified(&mut self, number: NodeId, modified_ns: Option<u64>) -> Result<(), FsError> {
        let time = match modified_ns {
            Some(ns) => moment(ns).ok_or(FsError::Invalid)?,
            None => Time(self.now).now(),
        };
        self.dirty = true;
        let change = SetAttr::new().with_modified(time);
        self.fs.setattr(node(number)?, &change).map_err(failed)
    }

    fn entries(
        &mut self,
        dir: NodeId,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        let dir = node(dir)?;
        if position > DirCursor::MAX_RAW {
            return Err(FsError::Invalid);
        }
        let mut from = DirCursor::from_raw(position);
        while let Some(found) = self.fs.readdir(dir, from).map_err(failed)? {
            let next = found.next_cursor();
            let name = found.name().as_bytes();
            let entry = Entry {
                node: found.node().get(),
                kind: kind(found.file_type()),
                name: name.to_vec(),
                next: next.into_raw(),
            };
            let own = name == b"." || name == b"..";
            if !own && !take(entry) {
                break;
            }
            from = next;
        }
        Ok(())
    }

    fn create(&mut self, dir: NodeId, name: &[u8], _mode: u32) -> Result<NodeId, FsError> {
        self.dirty = true;
        let made = self
            .fs
            .create(node(dir)?, Name::from_bytes(name), &SetAttr::new());
        made.map(|made| self.pinned(made)).map_err(failed)
    }

    fn mkdir(&mut self, dir: NodeId, name: &[u8], _mode: u32) -> Result<NodeId, FsError> {
        self.dirty = true;
        let made = self
            .fs
            .mkdir(node(dir)?, Name::from_bytes(name), &SetAttr::new());
        made.map(|made| self.pinned(made)).map_err(failed)
    }

    fn unlink(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.unused(dir, name)?;
        self.dirty = true;
        let removed = self.fs.unlink(node(dir)?, Name::from_bytes(name));
        removed.map_err(failed)
    }

    fn rmdir(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.unused(dir, name)?;
        self.dirty = true;
        let removed = self.fs.rmdir(node(dir)?, Name::from_bytes(name));
        removed.map_err(failed)
    }

    fn rename(
        &mut self,
        from_dir: NodeId,
        from: &[u8],
        to_dir: NodeId,
        to: &[u8],
    ) -> Result<(), FsError> {
        match self.unused(to_dir, to) {
            Ok(()) | Err(FsError::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.dirty = true;
        let renamed = self.fs.rename(
            node(from_dir)?,
            Name::from_bytes(from),
            node(to_dir)?,
            Name::from_bytes(to),
            RenameMode::Replace,
        );
        renamed.map_err(failed)
    }

    fn is_dirty(&self) -> bool {
        self.dirty
    }

    fn sync(&mut self) -> Result<(), FsError> {
        if !self.dirty {
            return Ok(());
        }
        self.fs.sync().map_err(failed)?;
        self.dirty = false;
        self.space = None;
        Ok(())
    }

    fn space(&mut self) -> Result<Space, FsError> {
        if let Some(space) = self.space.filter(|_| !self.dirty) {
            return Ok(space);
        }
        let found = self.fs.statfs().map_err(failed)?;
        let block = u64::from(found.block_size());
        Ok(*self.space.insert(Space {
            total_bytes: found.total_blocks().saturating_mul(block),
            free_bytes: found.free_blocks().saturating_mul(block),
            free_files: u64::MAX,
            block_bytes: found.block_size(),
        }))
    }

    fn remount(&mut self, read_only: bool) -> Result<(), FsError> {
        if !read_only && self.stays_read_only {
            return Err(FsError::ReadOnly);
        }
        if read_only {
            self.sync()?;
        }
        self.read_only = read_only;
        Ok(())
    }
}
