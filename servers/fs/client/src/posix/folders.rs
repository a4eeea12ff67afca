//! Folders, read entry by entry.

use alloc::vec::{IntoIter, Vec};

use gritos_fs_api::{DirectoryEntry, Mode, OpenFlags};
use gritos_service::BufferMemory;

use super::Posix;
use crate::{Errno, Link, OpenFile};

/// An open folder.
#[derive(Debug)]
pub struct Dir {
    folder: OpenFile,
    /// Where the server goes on behind the batch.
    position: u64,
    /// Where the next entry is.
    told: u64,
    batch: IntoIter<DirectoryEntry>,
}

impl<T: Link, M: BufferMemory> Posix<T, M> {
    /// Opens a folder.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn opendir(&mut self, path: &str) -> Result<Dir, Errno> {
        let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
        Ok(Dir {
            folder: self.client.open(path, flags, Mode::empty())?,
            position: 0,
            told: 0,
            batch: Vec::new().into_iter(),
        })
    }

    /// The next entry of a folder, or none at its end. `.` and `..` are left out.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn readdir(&mut self, dir: &mut Dir) -> Result<Option<DirectoryEntry>, Errno> {
        let mut entry = dir.batch.next();
        if entry.is_none() {
            let (entries, next) = self.client.read_dir(dir.folder, dir.position)?;
            dir.position = next;
            dir.batch = entries.into_iter();
            entry = dir.batch.next();
        }
        if let Some(entry) = &entry {
            dir.told = entry.next;
        }
        Ok(entry)
    }

    /// Starts over.
    pub fn rewinddir(&mut self, dir: &mut Dir) {
        self.seekdir(dir, 0);
    }

    /// Where the next entry is read.
    #[must_use]
    pub const fn telldir(&self, dir: &Dir) -> u64 {
        dir.told
    }

    /// Goes to where [`telldir`](Self::telldir) was called.
    pub fn seekdir(&mut self, dir: &mut Dir, place: u64) {
        dir.position = place;
        dir.told = place;
        dir.batch = Vec::new().into_iter();
    }

    /// Closes a folder.
    ///
    /// # Errors
    /// `BADF`.
    pub fn closedir(&mut self, dir: Dir) -> Result<(), Errno> {
        self.client.close(dir.folder)
    }
}
