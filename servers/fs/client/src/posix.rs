//! Files as POSIX has them: descriptors, positions, `errno`.
//!
//! Functions return `Result` where C returns -1 and sets `errno`; names, arguments and
//! errors are POSIX's. A program keeps one [`Posix`].

use alloc::vec::Vec;

use gritos_fs_api::{DirectoryEntry, FileSystemStat, Mode, OpenFlags, Stat};
use gritos_service::BufferMemory;

use crate::{Client, Errno, Link, OpenFile};

/// Open for reading only.
pub const O_RDONLY: u32 = 0;
/// Open for writing only.
pub const O_WRONLY: u32 = 1;
/// Open for both.
pub const O_RDWR: u32 = 2;
/// Make the file if it does not exist.
pub const O_CREAT: u32 = 0o100;
/// With `O_CREAT`: fail if it exists.
pub const O_EXCL: u32 = 0o200;
/// Cut it to length 0.
pub const O_TRUNC: u32 = 0o1000;
/// Write at the end.
pub const O_APPEND: u32 = 0o2000;
/// Fail unless it is a folder.
pub const O_DIRECTORY: u32 = 0o200_000;

/// From the start.
pub const SEEK_SET: u32 = 0;
/// From the position.
pub const SEEK_CUR: u32 = 1;
/// From the end.
pub const SEEK_END: u32 = 2;

/// Most descriptors, as the file server allows one client.
const OPEN_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Descriptor {
    file: OpenFile,
    position: u64,
    append: bool,
}

/// An open folder.
#[derive(Debug)]
pub struct Dir {
    folder: OpenFile,
    position: u64,
    batch: alloc::vec::IntoIter<DirectoryEntry>,
}

/// Descriptors of a program.
#[derive(Debug)]
pub struct Posix<T: Link, M: BufferMemory> {
    client: Client<T, M>,
    descriptors: Vec<Option<Descriptor>>,
}

impl<T: Link, M: BufferMemory> Posix<T, M> {
    /// No descriptor is open.
    pub const fn new(client: Client<T, M>) -> Self {
        Self {
            client,
            descriptors: Vec::new(),
        }
    }

    /// The calls below descriptors.
    pub const fn client(&mut self) -> &mut Client<T, M> {
        &mut self.client
    }

    fn get(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        self.descriptors
            .get_mut(index)
            .and_then(Option::as_mut)
            .ok_or(Errno::BADF)
    }

    /// Opens a file; `mode` counts if it is made.
    ///
    /// # Errors
    /// Those of POSIX, and `MFILE`.
    pub fn open(&mut self, path: &str, oflag: u32, mode: u32) -> Result<i32, Errno> {
        let mut flags = match oflag & 3 {
            O_RDONLY => OpenFlags::READ,
            O_WRONLY => OpenFlags::WRITE,
            O_RDWR => OpenFlags::READ | OpenFlags::WRITE,
            _ => return Err(Errno::INVAL),
        };
        for (bit, flag) in [
            (O_CREAT, OpenFlags::CREATE),
            (O_EXCL, OpenFlags::EXCLUSIVE),
            (O_TRUNC, OpenFlags::TRUNCATE),
            (O_APPEND, OpenFlags::APPEND),
            (O_DIRECTORY, OpenFlags::DIRECTORY),
        ] {
            flags.set(flag, oflag & bit != 0);
        }
        let free = self.descriptors.iter().position(Option::is_none);
        if free.is_none() && self.descriptors.len() >= OPEN_MAX {
            return Err(Errno::MFILE);
        }
        let file = self
            .client
            .open(path, flags, Mode::from_bits_truncate(mode))?;
        let descriptor = Some(Descriptor {
            file,
            position: 0,
            append: flags.contains(OpenFlags::APPEND),
        });
        let index = match free {
            Some(index) => index,
            None => {
                self.descriptors.push(None);
                self.descriptors.len() - 1
            }
        };
        if let Some(place) = self.descriptors.get_mut(index) {
            *place = descriptor;
        }
        i32::try_from(index).map_err(|_| Errno::MFILE)
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    /// `BADF`.
    pub fn close(&mut self, fd: i32) -> Result<(), Errno> {
        let file = self.get(fd)?.file;
        if let Some(place) = self.descriptors.get_mut(fd as usize) {
            *place = None;
        }
        self.client.close(file)
    }

    /// Reads at the position, which moves on.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn read(&mut self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let Descriptor { file, position, .. } = *self.get(fd)?;
        let count = self.client.read(file, position, buf)?;
        self.get(fd)?.position += count as u64;
        Ok(count)
    }

    /// Writes at the position, which moves on, or at the end.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn write(&mut self, fd: i32, buf: &[u8]) -> Result<usize, Errno> {
        let Descriptor {
            file,
            position,
            append,
        } = *self.get(fd)?;
        let count = self.client.write(file, position, buf)?;
        let end = if append {
            self.client.fstat(file)?.size
        } else {
            position + count as u64
        };
        self.get(fd)?.position = end;
        Ok(count)
    }

    /// Reads at an offset.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn pread(&mut self, fd: i32, buf: &mut [u8], offset: i64) -> Result<usize, Errno> {
        let file = self.get(fd)?.file;
        let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        self.client.read(file, offset, buf)
    }

    /// Writes at an offset.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn pwrite(&mut self, fd: i32, buf: &[u8], offset: i64) -> Result<usize, Errno> {
        let file = self.get(fd)?.file;
        let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        self.client.write(file, offset, buf)
    }

    /// Moves the position.
    ///
    /// # Errors
    /// `INVAL` if it would be negative or too large, `BADF`.
    pub fn lseek(&mut self, fd: i32, offset: i64, whence: u32) -> Result<i64, Errno> {
        let Descriptor { file, position, .. } = *self.get(fd)?;
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => position,
            SEEK_END => self.client.fstat(file)?.size,
            _ => return Err(Errno::INVAL),
        };
        let target = base.checked_add_signed(offset).ok_or(Errno::INVAL)?;
        let result = i64::try_from(target).map_err(|_| Errno::INVAL)?;
        self.get(fd)?.position = target;
        Ok(result)
    }

    /// What is known of an open file.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn fstat(&mut self, fd: i32) -> Result<Stat, Errno> {
        let file = self.get(fd)?.file;
        self.client.fstat(file)
    }

    /// Cuts a file or extends it with zeros.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn ftruncate(&mut self, fd: i32, length: i64) -> Result<(), Errno> {
        let file = self.get(fd)?.file;
        let length = u64::try_from(length).map_err(|_| Errno::INVAL)?;
        self.client.truncate(file, length)
    }

    /// Returns when everything written to it is on the device.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn fsync(&mut self, fd: i32) -> Result<(), Errno> {
        let file = self.get(fd)?.file;
        self.client.fsync(file)
    }

    /// What is known of what a path names.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.client.stat(path)
    }

    /// What is known of the file system that holds a path.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn statvfs(&mut self, path: &str) -> Result<FileSystemStat, Errno> {
        self.client.statfs(path)
    }

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

    /// Returns when everything is on its device.
    ///
    /// # Errors
    /// `IO`.
    pub fn sync(&mut self) -> Result<(), Errno> {
        self.client.sync()
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn opendir(&mut self, path: &str) -> Result<Dir, Errno> {
        let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
        Ok(Dir {
            folder: self.client.open(path, flags, Mode::empty())?,
            position: 0,
            batch: Vec::new().into_iter(),
        })
    }

    /// The next entry of a folder, or none at its end. `.` and `..` are left out.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn readdir(&mut self, dir: &mut Dir) -> Result<Option<DirectoryEntry>, Errno> {
        if let Some(entry) = dir.batch.next() {
            return Ok(Some(entry));
        }
        let (entries, next) = self.client.read_dir(dir.folder, dir.position)?;
        dir.position = next;
        dir.batch = entries.into_iter();
        Ok(dir.batch.next())
    }

    /// Starts over.
    pub fn rewinddir(&mut self, dir: &mut Dir) {
        dir.position = 0;
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
