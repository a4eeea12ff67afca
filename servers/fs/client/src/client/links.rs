//! Files of several names, and symbolic links.

use alloc::string::String;

use gritos_fs_api::{MAX_PATH, Stat};
use gritos_idl_runtime::Wire;
use gritos_service::BufferMemory;

use super::{ANSWER, Client, DATA, Link, OpenFile};
use crate::Errno;

impl<T: Link, M: BufferMemory> Client<T, M> {
    /// Gives what is no folder one more name; of a symbolic link, to the link.
    ///
    /// # Errors
    /// Those of POSIX's `link`.
    pub fn link(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.change(|client| {
            let (from, to) = (client.path(0, from)?, client.path(1, to)?);
            Ok(client.files().link(from, to))
        })
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX's `linkat`; `BADF` if the folder was not opened for writing.
    pub fn link_at(&mut self, folder: OpenFile, from: &str, to: &str) -> Result<(), Errno> {
        self.change(|client| {
            let (from, to) = (client.path(0, from)?, client.path(1, to)?);
            Ok(client.file(folder).link_at(from, to))
        })
    }

    /// Makes a symbolic link, which need not lead anywhere.
    ///
    /// # Errors
    /// Those of POSIX's `symlink`.
    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        self.change(|client| {
            let (target, path) = (client.path(0, target)?, client.path(1, path)?);
            Ok(client.files().symlink(target, path))
        })
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX's `symlinkat`; `BADF` if the folder was not opened for writing.
    pub fn symlink_at(&mut self, target: &str, folder: OpenFile, path: &str) -> Result<(), Errno> {
        self.change(|client| {
            let (target, path) = (client.path(0, target)?, client.path(1, path)?);
            Ok(client.file(folder).symlink_at(target, path))
        })
    }

    /// Where a symbolic link leads; what is no UTF-8 in it becomes replacement characters.
    ///
    /// # Errors
    /// Those of POSIX's `readlink`.
    pub fn read_link(&mut self, path: &str) -> Result<String, Errno> {
        let length = self.call(|client| {
            let path = client.path(0, path)?;
            let target = client.range(DATA, MAX_PATH as usize)?;
            Ok(client.files().read_link(path, target))
        })?;
        self.target(length)
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX's `readlinkat`; `BADF` if the folder was not opened for reading.
    pub fn read_link_at(&mut self, folder: OpenFile, path: &str) -> Result<String, Errno> {
        let length = self.call(|client| {
            let path = client.path(0, path)?;
            let target = client.range(DATA, MAX_PATH as usize)?;
            Ok(client.file(folder).read_link_at(path, target))
        })?;
        self.target(length)
    }

    fn target(&self, length: u32) -> Result<String, Errno> {
        let mut bytes = alloc::vec![0; length.min(MAX_PATH) as usize];
        self.get(DATA, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What is known of what a path names; of a symbolic link, of the link.
    ///
    /// # Errors
    /// Those of POSIX's `lstat`.
    pub fn stat_link(&mut self, path: &str) -> Result<Stat, Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            let answer = client.range(ANSWER, Stat::SIZE)?;
            Ok(client.files().stat_link(path, answer))
        })?;
        self.value(ANSWER)
    }

    /// The same below an open folder.
    ///
    /// # Errors
    /// Those of POSIX's `fstatat`; `BADF` if the folder was not opened for reading.
    pub fn stat_link_at(&mut self, folder: OpenFile, path: &str) -> Result<Stat, Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            let answer = client.range(ANSWER, Stat::SIZE)?;
            Ok(client.file(folder).stat_link_at(path, answer))
        })?;
        self.value(ANSWER)
    }
}
