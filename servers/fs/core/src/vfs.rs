//! One tree of many file systems: mounts, paths, and the rules of POSIX that are the
//! same for all of them.
//!
//! Every path starts at a [`Place`], the root of all or an open folder, and never
//! leads above it: `..` there stays, and an absolute symbolic link starts there again.
//! So whoever is handed one folder is confined to it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError, OpenFlags};

use crate::volume::{Attributes, Entry, NodeId, Source, Space, Volume, VolumeInfo};

mod links;
mod names;
mod walk;

use walk::Follow;

/// A node of a mounted file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the mount.
    mount: usize,
    /// Number in its file system.
    node: NodeId,
}

impl Place {
    /// Its number in its file system.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The number of its file system.
    #[must_use]
    pub const fn volume(&self) -> u32 {
        self.mount as u32
    }
}

/// An open file or folder. It stays until [`Vfs::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    place: Place,
    kind: FileType,
    append: bool,
    writes: bool,
}

impl Handle {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Where it is: the start of paths that are relative to it.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }
}

struct Mount {
    volume: Box<dyn Volume>,
    path: String,
    /// The folder that it covers; the first mount covers none.
    on: Option<Place>,
    /// Files that are open for writing.
    writers: u32,
}

/// What is known of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Which folder it is.
    pub path: String,
    /// What kind of file system.
    pub info: VolumeInfo,
    /// How full it is, if that can be said.
    pub space: Option<Space>,
}

/// The tree.
pub struct Vfs {
    mounts: Vec<Mount>,
}

impl Vfs {
    /// A tree whose root is a file system.
    #[must_use]
    pub fn new(root: Box<dyn Volume>) -> Self {
        let mount = Mount {
            volume: root,
            path: String::from("/"),
            on: None,
            writers: 0,
        };
        Self {
            mounts: alloc::vec![mount],
        }
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Place {
        let node = self.mounts.first().map_or(0, |mount| mount.volume.root());
        Place { mount: 0, node }
    }

    /// Mounts a file system on a folder.
    ///
    /// # Errors
    /// `NotFound` and `NotDirectory` for the path, `Busy` if something is mounted there.
    pub fn mount(&mut self, path: &str, volume: Box<dyn Volume>) -> Result<(), FsError> {
        let root = self.root();
        let found = self.find(root, path.as_bytes())?;
        if found.kind != FileType::Directory {
            return Err(FsError::NotDirectory);
        }
        if found.place.mount != 0 || found.place == root {
            return Err(FsError::Busy);
        }
        self.mounts.push(Mount {
            volume,
            path: String::from(path),
            on: Some(found.place),
            writers: 0,
        });
        Ok(())
    }

    fn mounted(&mut self, mount: usize) -> Result<&mut Mount, FsError> {
        self.mounts.get_mut(mount).ok_or(FsError::Stale)
    }

    fn volume(&mut self, place: Place) -> Result<&mut dyn Volume, FsError> {
        Ok(&mut *self.mounted(place.mount)?.volume)
    }

    /// The file system of a place, which must be writable.
    fn writable(&mut self, place: Place) -> Result<&mut dyn Volume, FsError> {
        let volume = self.volume(place)?;
        if volume.info().read_only {
            return Err(FsError::ReadOnly);
        }
        Ok(volume)
    }

    /// Does something, then lets file systems forget what was looked up for it.
    fn settled<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        let result = f(self);
        for mount in &mut self.mounts {
            mount.volume.settle();
        }
        result
    }

    /// Opens a file or folder.
    ///
    /// # Errors
    /// Those of POSIX's `open`; `Invalid` for flags that make no sense together, or
    /// without READ and WRITE.
    pub fn open(
        &mut self,
        start: Place,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Handle, FsError> {
        self.settled(|vfs| vfs.open_unsettled(start, path, flags, mode))
    }

    fn open_unsettled(
        &mut self,
        start: Place,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Handle, FsError> {
        let has = |flag| flags.contains(flag);
        let writes = has(OpenFlags::WRITE);
        let creates = has(OpenFlags::CREATE);
        if !flags.intersects(OpenFlags::READ | OpenFlags::WRITE)
            || has(OpenFlags::TRUNCATE) && !writes
            || has(OpenFlags::EXCLUSIVE) && !creates
            || has(OpenFlags::DIRECTORY) && (creates || has(OpenFlags::TRUNCATE))
        {
            return Err(FsError::Invalid);
        }
        let exclusive = has(OpenFlags::EXCLUSIVE);
        let there = match exclusive {
            true => None,
            false => self.plain(start, path),
        };
        let (place, kind, is_new) = match there {
            Some(found) => (found.place, found.kind, false),
            None => {
                let follow = match exclusive || has(OpenFlags::NO_FOLLOW) {
                    true => Follow::Slash,
                    false => Follow::Always,
                };
                let target = self.walk(start, path, follow)?;
                match target.found {
                    Some(_) if exclusive => return Err(FsError::Exists),
                    Some(found) => (found.place, found.kind, false),
                    None if !creates => return Err(FsError::NotFound),
                    None if target.slash => return Err(FsError::IsDirectory),
                    None => {
                        let dir = target.dir();
                        let name = target.new_name()?;
                        let node = self.writable(dir)?.create(dir.node, name, mode & 0o777)?;
                        let mount = dir.mount;
                        (Place { mount, node }, FileType::Regular, true)
                    }
                }
            }
        };
        match kind {
            FileType::Directory if has(OpenFlags::DIRECTORY) => {}
            FileType::Directory if writes || creates => return Err(FsError::IsDirectory),
            FileType::Directory => {}
            _ if has(OpenFlags::DIRECTORY) => return Err(FsError::NotDirectory),
            FileType::Regular => {}
            FileType::Symlink => return Err(FsError::LinkLoop),
            _ => return Err(FsError::NotSupported),
        }
        if writes {
            self.writable(place)?;
        }
        self.volume(place)?.open(place.node)?;
        if has(OpenFlags::TRUNCATE)
            && !is_new
            && let Err(error) = self.truncate_node(place, 0)
        {
            self.volume(place)?.close(place.node);
            return Err(error);
        }
        if writes {
            self.mounted(place.mount)?.writers += 1;
        }
        Ok(Handle {
            place,
            kind,
            append: has(OpenFlags::APPEND),
            writes,
        })
    }

    /// Closes what was opened.
    pub fn close(&mut self, handle: Handle) {
        if let Ok(mount) = self.mounted(handle.place.mount) {
            mount.volume.close(handle.place.node);
            if handle.writes {
                mount.writers = mount.writers.saturating_sub(1);
            }
        }
    }

    /// Reads from a file; fewer bytes than asked for mean the end.
    ///
    /// # Errors
    /// `IsDirectory`, and those of the file system.
    pub fn read(&mut self, file: Handle, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        if file.is_folder() {
            return Err(FsError::IsDirectory);
        }
        self.volume(file.place)?.read(file.place.node, offset, into)
    }

    /// Hands out bytes of a file, in order, until `take` says that it has enough, or the
    /// file ends; returns how many.
    ///
    /// # Errors
    /// As [`read`](Self::read); pieces before the error are good.
    pub fn read_with(
        &mut self,
        file: Handle,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        if file.is_folder() {
            return Err(FsError::IsDirectory);
        }
        let volume = self.volume(file.place)?;
        volume.read_with(file.place.node, offset, length, take)
    }

    /// Writes to a file, at its end if it was opened to append. Returns how many bytes
    /// it took, which are fewer than offered when it is full.
    ///
    /// # Errors
    /// `IsDirectory`, `FileTooLarge`, `NoSpace`, and those of the file system.
    pub fn write(&mut self, file: Handle, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let Some((offset, length)) = self.place_for(file, offset, from.len() as u64)? else {
            return Ok(0);
        };
        let from = from.get(..length as usize).unwrap_or(from);
        self.volume(file.place)?
            .write(file.place.node, offset, from)
    }

    /// Writes `length` bytes, as [`write`](Self::write) does; `piece` is room that a file
    /// system may need.
    ///
    /// # Errors
    /// As [`write`](Self::write); see [`Volume::write_with`].
    pub fn write_with(
        &mut self,
        file: Handle,
        offset: u64,
        length: u64,
        source: &Source<'_>,
        piece: &mut [u8],
    ) -> Result<u64, FsError> {
        let Some((offset, length)) = self.place_for(file, offset, length)? else {
            return Ok(0);
        };
        let volume = self.volume(file.place)?;
        volume.write_with(file.place.node, offset, length, source, piece)
    }

    /// Where in a file so many bytes go, and how many of them; nowhere if there are none.
    fn place_for(
        &mut self,
        file: Handle,
        offset: u64,
        length: u64,
    ) -> Result<Option<(u64, u64)>, FsError> {
        if file.is_folder() {
            return Err(FsError::IsDirectory);
        }
        let volume = self.volume(file.place)?;
        let info = volume.info();
        if info.read_only {
            return Err(FsError::ReadOnly);
        }
        if length == 0 {
            return Ok(None);
        }
        let offset = if file.append {
            volume.attributes(file.place.node)?.size
        } else {
            offset
        };
        match info.max_file.saturating_sub(offset).min(length) {
            0 => Err(FsError::FileTooLarge),
            length => Ok(Some((offset, length))),
        }
    }

    /// Cuts a file or extends it with zeros.
    ///
    /// # Errors
    /// `IsDirectory`, `FileTooLarge`, and those of the file system.
    pub fn truncate(&mut self, file: Handle, size: u64) -> Result<(), FsError> {
        if file.is_folder() {
            return Err(FsError::IsDirectory);
        }
        self.truncate_node(file.place, size)
    }

    fn truncate_node(&mut self, place: Place, size: u64) -> Result<(), FsError> {
        let volume = self.writable(place)?;
        if size > volume.info().max_file {
            return Err(FsError::FileTooLarge);
        }
        volume.truncate(place.node, size)
    }

    /// Sets when something changed last; now, if no time is given.
    ///
    /// # Errors
    /// `ReadOnly`, and those of the file system.
    pub fn set_modified(&mut self, file: Handle, modified_ns: Option<u64>) -> Result<(), FsError> {
        let place = file.place;
        self.writable(place)?.set_modified(place.node, modified_ns)
    }

    /// What is known of what is open.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn attributes(&mut self, file: Handle) -> Result<(Place, Attributes), FsError> {
        let place = file.place;
        let attributes = self.volume(place)?.attributes(place.node)?;
        Ok((place, attributes))
    }

    /// Lists a folder; see [`Volume::entries`].
    ///
    /// # Errors
    /// `NotDirectory`, and those of the file system.
    pub fn entries(
        &mut self,
        folder: Handle,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        if !folder.is_folder() {
            return Err(FsError::NotDirectory);
        }
        self.settled(|vfs| {
            let place = folder.place;
            vfs.volume(place)?.entries(place.node, position, take)
        })
    }

    /// Returns when what was written to a file is on the device.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn fsync(&mut self, file: Handle) -> Result<(), FsError> {
        self.volume(file.place)?.fsync(file.place.node)
    }

    /// Whether something is not on its device yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.mounts.iter().any(|mount| mount.volume.is_dirty())
    }

    /// Whether what was written to a file may not be on the device yet.
    #[must_use]
    pub fn needs_sync(&self, file: Handle) -> bool {
        let mount = self.mounts.get(file.place.mount);
        mount.is_some_and(|mount| mount.volume.is_dirty())
    }

    /// Returns when everything is on its device. All file systems are tried; the first
    /// error is returned.
    ///
    /// # Errors
    /// Those of the file systems.
    pub fn sync(&mut self) -> Result<(), FsError> {
        let results = self.mounts.iter_mut().map(|mount| mount.volume.sync());
        results.fold(Ok(()), Result::and)
    }

    /// Leaves all devices in order, before power is cut.
    ///
    /// # Errors
    /// Those of the file systems; all were tried.
    pub fn unmount_all(&mut self) -> Result<(), FsError> {
        let results = self.mounts.iter_mut().map(|mount| mount.volume.unmount());
        results.fold(Ok(()), Result::and)
    }

    /// The file system that holds what a path names.
    ///
    /// # Errors
    /// Those of the path, and of the file system.
    pub fn statfs(&mut self, start: Place, path: &[u8]) -> Result<(VolumeInfo, Space), FsError> {
        self.settled(|vfs| {
            let place = vfs.find(start, path)?.place;
            let volume = vfs.volume(place)?;
            Ok((volume.info(), volume.space()?))
        })
    }

    /// What is mounted.
    pub fn mounts(&mut self) -> Vec<MountInfo> {
        let mounts = self.mounts.iter_mut().map(|mount| MountInfo {
            path: mount.path.clone(),
            info: mount.volume.info(),
            space: mount.volume.space().ok(),
        });
        mounts.collect()
    }

    /// Makes the file system that is mounted on a folder writable or read-only.
    ///
    /// # Errors
    /// `Invalid` if nothing is mounted there, `Busy` if files are open for writing,
    /// `ReadOnly` if it cannot be made writable.
    pub fn remount(&mut self, start: Place, path: &[u8], read_only: bool) -> Result<(), FsError> {
        let place = self.settled(|vfs| vfs.find(start, path))?.place;
        let mount = self.mounted(place.mount)?;
        if mount.volume.root() != place.node {
            return Err(FsError::Invalid);
        }
        if read_only && mount.writers > 0 {
            return Err(FsError::Busy);
        }
        mount.volume.remount(read_only)
    }
}
