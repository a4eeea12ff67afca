//! What a file system is to the server: nodes with numbers, names in folders, bytes
//! in files. Paths, open tables and the rules that are the same everywhere are in
//! [`crate::vfs`].

use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError};

/// Nanoseconds since 1970; 0 if nobody knows.
pub type Now = fn() -> u64;

/// Number of a file or folder in its file system.
pub type NodeId = u64;

/// A node that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub node: NodeId,
    /// What it is.
    pub kind: FileType,
}

/// Bytes that are to be written: puts those from an offset on, counted from the first of
/// them, where it is told. Says whether it could: what a client holds may be taken away.
pub type Source<'a> = dyn Fn(u64, &mut [u8]) -> bool + 'a;

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: FileType,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes.
    pub blocks: u64,
    /// Names it has; 0 if it was removed and is still open.
    pub links: u32,
    /// Permission bits.
    pub mode: u32,
    /// When its contents changed last.
    pub modified_ns: u64,
    /// When its contents, or what is known of it, changed last.
    pub changed_ns: u64,
    /// When it was made.
    pub created_ns: u64,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its node.
    pub node: NodeId,
    /// What it is.
    pub kind: FileType,
    /// Its name, as stored.
    pub name: Vec<u8>,
    /// Where to go on behind it.
    pub next: u64,
}

/// What is known of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// What kind it is: `ext4`, `fat32`, `memory`.
    pub kind: &'static str,
    /// Whether it refuses changes.
    pub read_only: bool,
    /// Most bytes of a name.
    pub max_name: u32,
    /// Most bytes of a file.
    pub max_file: u64,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Nodes that can still be made; `u64::MAX` if there is no limit.
    pub free_files: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
}

/// A file system.
///
/// Nodes that [`lookup`](Self::lookup), [`create`](Self::create) or
/// [`mkdir`](Self::mkdir) returned are good until the next
/// [`settle`](Self::settle), which the caller calls after each of its operations;
/// longer if they are [`open`](Self::open)ed. A node whose last name is removed lives
/// on while it is open.
///
/// The caller has checked what does not depend on the file system: that names have
/// 1 to `max_name` bytes without `/` and NUL and are not `.` or `..`, that folders
/// are folders, and that a file system that is to change is not read-only.
///
/// # Errors
/// `Io` if the device failed, `Corrupted` if what is on it makes no sense, `NoSpace`
/// and `NoMemory` where they apply, everywhere. What else may be returned is said
/// with each method.
pub trait Volume {
    /// What kind it is.
    fn info(&self) -> VolumeInfo;

    /// The folder that contains everything else.
    fn root(&self) -> NodeId;

    /// Looks for a name in a folder.
    ///
    /// # Errors
    /// `NotFound`.
    fn lookup(&mut self, dir: NodeId, name: &[u8]) -> Result<Found, FsError>;

    /// What is known of a node.
    ///
    /// # Errors
    /// `NotFound` if there is no such node.
    fn attributes(&mut self, node: NodeId) -> Result<Attributes, FsError>;

    /// Keeps a node, whatever becomes of its names, until it is closed as often.
    ///
    /// # Errors
    /// `ServerLimit` if too many are open.
    fn open(&mut self, node: NodeId) -> Result<(), FsError>;

    /// The counterpart of `open`.
    fn close(&mut self, node: NodeId);

    /// The caller is done with the nodes that it was given and did not open.
    fn settle(&mut self) {}

    /// Reads bytes of a file; fewer than asked for mean the end.
    ///
    /// # Errors
    /// See [`Volume`].
    fn read(&mut self, node: NodeId, offset: u64, into: &mut [u8]) -> Result<usize, FsError>;

    /// Hands out bytes of a file, in order, until `take` says that it has enough, or the
    /// file ends; returns how many. No piece is larger than 4 KiB.
    ///
    /// # Errors
    /// See [`Volume`]; pieces before the error are good.
    fn read_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        let mut piece = [0; 4096];
        let mut done = 0;
        while done < length {
            let count = (length - done).min(4096) as usize;
            let Some(at) = offset.checked_add(done) else {
                break;
            };
            let into = piece.get_mut(..count).unwrap_or(&mut []);
            let found = self.read(node, at, into)?;
            if found == 0 || !take(into.get(..found).unwrap_or(&[])) {
                break;
            }
            done += found as u64;
            if found < count {
                break;
            }
        }
        Ok(done)
    }

    /// Writes bytes of a file, which grows as needed; between its old end and `offset`
    /// it reads as zeros. Fewer bytes than asked for mean that no more would fit.
    ///
    /// # Errors
    /// `FileTooLarge`; `NoSpace` only if nothing was written.
    fn write(&mut self, node: NodeId, offset: u64, from: &[u8]) -> Result<usize, FsError>;

    /// Writes `length` bytes, which may be copied straight to where they belong. `piece` is
    /// room for those that are not.
    ///
    /// # Errors
    /// As [`write`](Self::write); `BadBuffer` if `source` could not, and nothing was written.
    fn write_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        source: &Source<'_>,
        piece: &mut [u8],
    ) -> Result<u64, FsError> {
        let mut done = 0;
        while done < length {
            let count = (length - done).min(piece.len() as u64) as usize;
            let from = piece.get_mut(..count).unwrap_or(&mut []);
            let result = if source(done, from) {
                // Offsets beyond the largest are too large, whatever is added.
                self.write(node, offset.saturating_add(done), from)
            } else {
                Err(FsError::BadBuffer)
            };
            match result {
                Ok(0) => break,
                Ok(taken) => done += taken as u64,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Cuts a file or extends it with zeros.
    ///
    /// # Errors
    /// `FileTooLarge`.
    fn truncate(&mut self, node: NodeId, size: u64) -> Result<(), FsError>;

    /// Sets when a node changed last; now, if no time is given.
    ///
    /// # Errors
    /// See [`Volume`].
    fn set_modified(&mut self, node: NodeId, modified_ns: Option<u64>) -> Result<(), FsError>;

    /// Hands out the entries of a folder from `position` on, 0 being the start, until
    /// `take` says that it has enough, which leaves that entry for the next time. `.`
    /// and `..` are left out. An entry that is there all the time appears once, whatever
    /// else changes meanwhile.
    ///
    /// # Errors
    /// `Invalid` if there was never such a position.
    fn entries(
        &mut self,
        dir: NodeId,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// `NotFound` if the folder was removed, `Exists`, `NotSupported` for a name that
    /// the file system cannot store.
    fn create(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError>;

    /// Makes an empty folder.
    ///
    /// # Errors
    /// As [`create`](Self::create), and `TooManyLinks`.
    fn mkdir(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError>;

    /// Removes the name of something that is no folder.
    ///
    /// # Errors
    /// `NotFound`; `Busy` if it is open and the file system cannot do without the name.
    fn unlink(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// `NotFound`, `NotEmpty`, and `Busy` as for [`unlink`](Self::unlink).
    fn rmdir(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError>;

    /// Moves a name. What `to` names is replaced in the same step; the caller has made
    /// sure that it is of the same sort, another node, and no folder above `from`.
    ///
    /// # Errors
    /// `NotFound` if `to_dir` was removed, `NotEmpty`, and `Busy` as for
    /// [`unlink`](Self::unlink).
    fn rename(
        &mut self,
        from_dir: NodeId,
        from: &[u8],
        to_dir: NodeId,
        to: &[u8],
    ) -> Result<(), FsError>;

    /// Gives a node that is no folder one more name.
    ///
    /// # Errors
    /// As [`create`](Self::create), `TooManyLinks`, and `NotPermitted` where there are no links.
    fn link(&mut self, dir: NodeId, name: &[u8], node: NodeId) -> Result<(), FsError> {
        let _ = (dir, name, node);
        Err(FsError::NotPermitted)
    }

    /// Makes a symbolic link; its target has at least one byte.
    ///
    /// # Errors
    /// As [`create`](Self::create), `NameTooLong` for a target that does not fit, and `NotPermitted` where
    /// there are no links.
    fn symlink(&mut self, dir: NodeId, name: &[u8], target: &[u8]) -> Result<NodeId, FsError> {
        let _ = (dir, name, target);
        Err(FsError::NotPermitted)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `Invalid` if it is none.
    fn read_link(&mut self, node: NodeId) -> Result<Vec<u8>, FsError> {
        let _ = node;
        Err(FsError::Invalid)
    }

    /// Whether there is something that `sync` would write.
    fn is_dirty(&self) -> bool {
        false
    }

    /// Returns when everything written so far is on the device.
    ///
    /// # Errors
    /// See [`Volume`]; what is durable is then not known.
    fn sync(&mut self) -> Result<(), FsError>;

    /// The same for one node.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    fn fsync(&mut self, node: NodeId) -> Result<(), FsError> {
        let _ = node;
        self.sync()
    }

    /// How full it is.
    ///
    /// # Errors
    /// See [`Volume`].
    fn space(&mut self) -> Result<Space, FsError>;

    /// Makes it writable or read-only.
    ///
    /// # Errors
    /// `ReadOnly` if it cannot be made writable, `Busy` if files are open for writing.
    fn remount(&mut self, read_only: bool) -> Result<(), FsError>;

    /// Leaves the device in order; nothing else is called afterwards.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    fn unmount(&mut self) -> Result<(), FsError> {
        self.sync()
    }
}
