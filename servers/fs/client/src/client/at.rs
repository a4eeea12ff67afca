//! What is done relative to an open folder, which paths cannot leave.

use gritos_fs_api::{Mode, Stat};
use gritos_idl_runtime::Wire;
use gritos_service::BufferMemory;

use super::{ANSWER, Client, Link, OpenFile};
use crate::Errno;

impl<T: Link, M: BufferMemory> Client<T, M> {
    /// What is known of what a path from a folder names.
    ///
    /// # Errors
    /// Those of POSIX's `fstatat`; `BADF` if the folder was not opened for reading.
    pub fn stat_at(&mut self, folder: OpenFile, path: &str) -> Result<Stat, Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            let answer = client.range(ANSWER, Stat::SIZE)?;
            Ok(client.file(folder).stat_at(path, answer))
        })?;
        self.value(ANSWER)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// Those of POSIX's `mkdirat`; `BADF` if the folder was not opened for writing.
    pub fn mkdir_at(&mut self, folder: OpenFile, path: &str, mode: Mode) -> Result<(), Errno> {
        self.change(|client| {
            let path = client.path(0, path)?;
            Ok(client.file(folder).mkdir_at(path, mode))
        })
    }

    /// Removes a file, or an empty folder if `directory` says so.
    ///
    /// # Errors
    /// Those of POSIX's `unlinkat`; `BADF` if the folder was not opened for writing.
    pub fn unlink_at(
        &mut self,
        folder: OpenFile,
        path: &str,
        directory: bool,
    ) -> Result<(), Errno> {
        self.change(|client| {
            let path = client.path(0, path)?;
            Ok(client.file(folder).unlink_at(path, directory))
        })
    }

    /// Gives something below the folder another name there, replacing what has it if
    /// `replace` says so.
    ///
    /// # Errors
    /// Those of POSIX's `renameat`; `BADF` if the folder was not opened for writing.
    pub fn rename_at(
        &mut self,
        folder: OpenFile,
        from: &str,
        to: &str,
        replace: bool,
    ) -> Result<(), Errno> {
        self.change(|client| {
            let (from, to) = (client.path(0, from)?, client.path(1, to)?);
            Ok(client.file(folder).rename_at(from, to, replace))
        })
    }
}
