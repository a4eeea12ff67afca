//! Files of several names, and symbolic links.

use gritos_fs_api::Stat;
use gritos_service::BufferMemory;

use super::Posix;
use crate::{Errno, Link};

/// For [`Posix::fstatat`]: of a symbolic link, what is known of the link.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;

impl<T: Link, M: BufferMemory> Posix<T, M> {
    /// Gives a file one more name; of a symbolic link, to the link.
    ///
    /// # Errors
    /// Those of POSIX; `PERM` for a folder, and where a file system has no links.
    pub fn link(&mut self, old: &str, new: &str) -> Result<(), Errno> {
        self.client.link(old, new)
    }

    /// The same below one folder; `flag` is 0.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for writing, `XDEV` if there are two.
    pub fn linkat(
        &mut self,
        fd: i32,
        old: &str,
        to: i32,
        new: &str,
        flag: u32,
    ) -> Result<(), Errno> {
        let (folder, other) = (self.get(fd)?.file, self.get(to)?.file);
        if flag != 0 {
            return Err(Errno::INVAL);
        }
        if folder != other {
            return Err(Errno::XDEV);
        }
        self.client.link_at(folder, old, new)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// Those of POSIX; `PERM` where a file system has no links.
    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        self.client.symlink(target, path)
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for writing.
    pub fn symlinkat(&mut self, target: &str, fd: i32, path: &str) -> Result<(), Errno> {
        let folder = self.get(fd)?.file;
        self.client.symlink_at(target, folder, path)
    }

    /// Where a symbolic link leads: as much as fits, without a NUL.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn readlink(&mut self, path: &str, buf: &mut [u8]) -> Result<usize, Errno> {
        let target = self.client.read_link(path)?;
        fill(buf, target.as_bytes())
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for reading.
    pub fn readlinkat(&mut self, fd: i32, path: &str, buf: &mut [u8]) -> Result<usize, Errno> {
        let folder = self.get(fd)?.file;
        let target = self.client.read_link_at(folder, path)?;
        fill(buf, target.as_bytes())
    }

    /// What is known of what a path names; of a symbolic link, of the link.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn lstat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.client.stat_link(path)
    }

    /// What is known of what a path from an open folder names; with [`AT_SYMLINK_NOFOLLOW`], as `lstat` says it.
    ///
    /// # Errors
    /// Those of POSIX; `BADF` if the folder was not opened for reading.
    pub fn fstatat(&mut self, fd: i32, path: &str, flag: u32) -> Result<Stat, Errno> {
        let folder = self.get(fd)?.file;
        match flag {
            0 => self.client.stat_at(folder, path),
            AT_SYMLINK_NOFOLLOW => self.client.stat_link_at(folder, path),
            _ => Err(Errno::INVAL),
        }
    }
}

fn fill(buf: &mut [u8], target: &[u8]) -> Result<usize, Errno> {
    let count = buf.len().min(target.len());
    for (to, from) in buf.iter_mut().zip(target) {
        *to = *from;
    }
    Ok(count)
}
