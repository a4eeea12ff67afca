//! Files and folders as programs in Rust expect them.

use core::cell::RefCell;

use alloc::vec::{IntoIter, Vec};

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};
use gritos_fs_api::{DirectoryEntry, Mode, OpenFlags, Stat};
use gritos_service::BufferMemory;

use crate::{Client, Errno, Link, OpenFile};

/// Permissions of files that are made.
const NEW_FILE: Mode = Mode::from_bits_retain(0o644);

/// An open file with a position. Closes itself.
#[derive(Debug)]
pub struct File<'a, T: Link, M: BufferMemory> {
    client: &'a RefCell<Client<T, M>>,
    file: OpenFile,
    position: u64,
    append: bool,
}

impl<'a, T: Link, M: BufferMemory> File<'a, T, M> {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of POSIX's `open`.
    pub fn open(client: &'a RefCell<Client<T, M>>, path: &str) -> Result<Self, Errno> {
        Self::with(client, path, OpenFlags::READ)
    }

    /// Makes a file, or empties one, and opens it for writing.
    ///
    /// # Errors
    /// Those of POSIX's `open`.
    pub fn create(client: &'a RefCell<Client<T, M>>, path: &str) -> Result<Self, Errno> {
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        Self::with(client, path, flags)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Those of POSIX's `open`.
    pub fn with(
        client: &'a RefCell<Client<T, M>>,
        path: &str,
        flags: OpenFlags,
    ) -> Result<Self, Errno> {
        let file = client.borrow_mut().open(path, flags, NEW_FILE)?;
        Ok(Self {
            client,
            file,
            position: 0,
            append: flags.contains(OpenFlags::APPEND),
        })
    }

    /// What is known of it.
    ///
    /// # Errors
    /// Those of POSIX's `fstat`.
    pub fn metadata(&self) -> Result<Stat, Errno> {
        self.client.borrow_mut().fstat(self.file)
    }

    /// Cuts it or extends it with zeros.
    ///
    /// # Errors
    /// Those of POSIX's `ftruncate`.
    pub fn set_len(&mut self, length: u64) -> Result<(), Errno> {
        self.client.borrow_mut().truncate(self.file, length)
    }

    /// Returns when everything written is on the device.
    ///
    /// # Errors
    /// `IO`.
    pub fn sync_all(&mut self) -> Result<(), Errno> {
        self.client.borrow_mut().fsync(self.file)
    }

    /// Reads all that comes from the position on, at most `limit` bytes.
    ///
    /// # Errors
    /// `FBIG` if there are more; those of reading.
    pub fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        let mut chunk = alloc::vec![0; 16 * 1024];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(bytes),
                count if bytes.len() + count > limit => return Err(Errno::FBIG),
                count => bytes.extend_from_slice(chunk.get(..count).unwrap_or(&[])),
            }
        }
    }
}

impl<T: Link, M: BufferMemory> Drop for File<'_, T, M> {
    fn drop(&mut self) {
        // Nobody can be told. What has to be durable was synced.
        let _ = self.client.borrow_mut().close(self.file);
    }
}

impl<T: Link, M: BufferMemory> ErrorType for File<'_, T, M> {
    type Error = Errno;
}

impl<T: Link, M: BufferMemory> Read for File<'_, T, M> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let count = self
            .client
            .borrow_mut()
            .read(self.file, self.position, buf)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<T: Link, M: BufferMemory> Write for File<'_, T, M> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        let count = self
            .client
            .borrow_mut()
            .write(self.file, self.position, buf)?;
        if self.append {
            self.position = self.metadata()?.size;
        } else {
            self.position += count as u64;
        }
        Ok(count)
    }

    /// Nothing is held back here; see [`File::sync_all`].
    fn flush(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

impl<T: Link, M: BufferMemory> Seek for File<'_, T, M> {
    fn seek(&mut self, pos: SeekFrom) -> Result<u64, Errno> {
        let position = match pos {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.metadata()?.size.checked_add_signed(by),
        };
        // As an `off_t` holds it.
        self.position = position
            .filter(|at| i64::try_from(*at).is_ok())
            .ok_or(Errno::INVAL)?;
        Ok(self.position)
    }
}

/// The entries of a folder, one after the other.
#[derive(Debug)]
pub struct ReadDir<'a, T: Link, M: BufferMemory> {
    client: &'a RefCell<Client<T, M>>,
    folder: OpenFile,
    position: u64,
    batch: IntoIter<DirectoryEntry>,
    ended: bool,
}

impl<'a, T: Link, M: BufferMemory> ReadDir<'a, T, M> {
    /// Opens a folder.
    ///
    /// # Errors
    /// Those of POSIX's `opendir`.
    pub fn open(client: &'a RefCell<Client<T, M>>, path: &str) -> Result<Self, Errno> {
        let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
        let folder = client.borrow_mut().open(path, flags, Mode::empty())?;
        Ok(Self {
            client,
            folder,
            position: 0,
            batch: Vec::new().into_iter(),
            ended: false,
        })
    }
}

impl<T: Link, M: BufferMemory> Iterator for ReadDir<'_, T, M> {
    type Item = Result<DirectoryEntry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.batch.next() {
            return Some(Ok(entry));
        }
        if self.ended {
            return None;
        }
        match self
            .client
            .borrow_mut()
            .read_dir(self.folder, self.position)
        {
            Ok((entries, next)) => {
                self.ended = entries.is_empty();
                self.position = next;
                self.batch = entries.into_iter();
                self.batch.next().map(Ok)
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

impl<T: Link, M: BufferMemory> Drop for ReadDir<'_, T, M> {
    fn drop(&mut self) {
        // Nobody can be told.
        let _ = self.client.borrow_mut().close(self.folder);
    }
}
