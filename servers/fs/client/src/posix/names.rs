//! Names: made, moved, removed.

use gritos_fs_api::{Mode, OpenFlags};
use gritos_service::BufferMemory;

use super::Posix;
use crate::{Errno, Link};

/// For [`Posix::unlinkat`]: remove a folder.
pub const AT_REMOVEDIR: u32 = 0x200;

impl<T: Link, M: BufferMemory> Posix<T, M> {
    /// Makes a folder.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn mkdir(&mut self, path: &str, mode: u32) -> Result<(), Errno> {
        self.client.mkdir(path, Mode::from_bits_truncate(mode))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        self.client.rmdir(path)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.client.unlink(path)
    }

    /// Gives another name, replacing what has it.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<(), Errno> {
        self.client.rename(old, new, true)
    }

    /// Removes a file or an empty folder, as C has it.
    ///
    /// # Errors
    /// Those of `unlink` and `rmdir`.
    pub fn remove(&mut self, path: &str) -> Result<(), Errno> {
        match self.unlink(path) {
            Err(Errno::ISDIR) => self.rmdir(path),
            result => result,
        }
    }

    /// Cuts what a path names, or extends it with zeros.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn truncate(&mut self, path: &str, length: i64) -> Result<(), Errno> {
        let length = u64::try_from(length).map_err(|_| Errno::INVAL)?;
        let client = self.client();
        let file = client.open(path, OpenFlags::WRITE, Mode::empty())?;
        let result = client.truncate(file, length);
        // Nothing was held back for it.
        let _ = client.close(file);
        result
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for writing.
    pub fn mkdirat(&mut self, fd: i32, path: &str, mode: u32) -> Result<(), Errno> {
        let folder = self.get(fd)?.file;
        let mode = Mode::from_bits_truncate(mode);
        self.client.mkdir_at(folder, path, mode)
    }

    /// Removes a file, or an empty folder with [`AT_REMOVEDIR`].
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for writing.
    pub fn unlinkat(&mut self, fd: i32, path: &str, flag: u32) -> Result<(), Errno> {
        let folder = self.get(fd)?.file;
        match flag {
            0 => self.client.unlink_at(folder, path, false),
            AT_REMOVEDIR => self.client.unlink_at(folder, path, true),
            _ => Err(Errno::INVAL),
        }
    }

    /// Gives another name below the same folder, replacing what has it.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for writing, `XDEV` if there
    /// are two.
    pub fn renameat(&mut self, fd: i32, old: &str, to: i32, new: &str) -> Result<(), Errno> {
        let (folder, other) = (self.get(fd)?.file, self.get(to)?.file);
        if folder != other {
            return Err(Errno::XDEV);
        }
        self.client.rename_at(folder, old, new, true)
    }
}
