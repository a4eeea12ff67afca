//! Files as POSIX has them: descriptors, positions, `errno`.
//!
//! Functions return `Result` where C returns -1 and sets `errno`; names, arguments and
//! errors are POSIX's. A program keeps one [`Posix`].

use alloc::vec::Vec;

use gritos_fs_api::{FileSystemStat, Mode, OpenFlags, Stat};
use gritos_service::BufferMemory;

use crate::{Client, Errno, Link, OpenFile};

mod folders;
mod links;
mod names;

pub use folders::Dir;
pub use links::AT_SYMLINK_NOFOLLOW;
pub use names::AT_REMOVEDIR;

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
/// Each write returns when its data is on the device.
pub const O_DSYNC: u32 = 0o10_000;
/// The same here: one journal makes data and what is known of it durable.
pub const O_SYNC: u32 = 0o4_010_000;
/// Fail unless it is a folder.
pub const O_DIRECTORY: u32 = 0o200_000;
/// Fail if the path itself names a symbolic link.
pub const O_NOFOLLOW: u32 = 0o400_000;
/// Accepted, since there is no `exec`.
pub const O_CLOEXEC: u32 = 0o2_000_000;
/// Accepted, since files never make anybody wait for another program.
pub const O_NONBLOCK: u32 = 0o4000;
/// Accepted, since there are no terminals here.
pub const O_NOCTTY: u32 = 0o400;
/// All that [`Posix::open`] knows; others are `INVAL`.
const KNOWN: u32 = O_RDWR
    | O_CREAT
    | O_EXCL
    | O_TRUNC
    | O_APPEND
    | O_SYNC
    | O_DIRECTORY
    | O_NOFOLLOW
    | O_CLOEXEC
    | O_NONBLOCK
    | O_NOCTTY;

/// From the start.
pub const SEEK_SET: u32 = 0;
/// From the position.
pub const SEEK_CUR: u32 = 1;
/// From the end.
pub const SEEK_END: u32 = 2;
/// To the next byte that is in no hole; holes are not told from data here.
pub const SEEK_DATA: u32 = 3;
/// To the next hole, which is the end.
pub const SEEK_HOLE: u32 = 4;

/// Most descriptors, as the file server allows one client.
const OPEN_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Descriptor {
    file: OpenFile,
    position: u64,
    append: bool,
    /// Each write is synced.
    synced: bool,
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
        self.open_with(oflag, |client, flags| {
            client.open(path, flags, Mode::from_bits_truncate(mode))
        })
    }

    /// The same from an open folder, which the path cannot leave.
    ///
    /// # Errors
    /// As [`open`](Self::open); `BADF` if `fd` was not opened for reading, `ACCES` for
    /// more than it was opened for.
    pub fn openat(&mut self, fd: i32, path: &str, oflag: u32, mode: u32) -> Result<i32, Errno> {
        let folder = self.get(fd)?.file;
        self.open_with(oflag, |client, flags| {
            client.open_at(folder, path, flags, Mode::from_bits_truncate(mode))
        })
    }

    fn open_with(
        &mut self,
        oflag: u32,
        open: impl FnOnce(&mut Client<T, M>, OpenFlags) -> Result<OpenFile, Errno>,
    ) -> Result<i32, Errno> {
        let flags = flags_of(oflag)?;
        let free = self.descriptors.iter().position(Option::is_none);
        if free.is_none() && self.descriptors.len() >= OPEN_MAX {
            return Err(Errno::MFILE);
        }
        let descriptor = Some(Descriptor {
            file: open(&mut self.client, flags)?,
            position: 0,
            append: flags.contains(OpenFlags::APPEND),
            synced: oflag & O_DSYNC != 0,
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
            synced,
        } = *self.get(fd)?;
        let count = self.client.write(file, position, buf)?;
        if synced {
            self.client.fsync(file)?;
        }
        let end = if append && count > 0 {
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
        let Descriptor { file, synced, .. } = *self.get(fd)?;
        let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        let count = self.client.write(file, offset, buf)?;
        if synced {
            self.client.fsync(file)?;
        }
        Ok(count)
    }

    /// Moves the position.
    ///
    /// # Errors
    /// `INVAL` if it would be negative or too large, `BADF`; `NXIO` if data or a hole is
    /// looked for behind the end.
    pub fn lseek(&mut self, fd: i32, offset: i64, whence: u32) -> Result<i64, Errno> {
        let Descriptor { file, position, .. } = *self.get(fd)?;
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => position,
            SEEK_END => self.client.fstat(file)?.size,
            SEEK_DATA | SEEK_HOLE => {
                let size = self.client.fstat(file)?.size;
                let from = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
                if from >= size {
                    return Err(Errno::NXIO);
                }
                // From the start in either case.
                size - if whence == SEEK_HOLE { from } else { size }
            }
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

    /// The same: what is known of a file goes with its data.
    ///
    /// # Errors
    /// Those of POSIX.
    pub fn fdatasync(&mut self, fd: i32) -> Result<(), Errno> {
        self.fsync(fd)
    }

    /// Sets when an open file changed last, in nanoseconds since 1970; now if `None`.
    /// There is no time of access to set.
    ///
    /// # Errors
    /// `BADF` if it was not opened for writing.
    pub fn futimens(&mut self, fd: i32, modified_ns: Option<u64>) -> Result<(), Errno> {
        let file = self.get(fd)?.file;
        // To the server 0 says now.
        let modified_ns = modified_ns.map_or(0, |ns| ns.max(1));
        self.client.set_modified(file, modified_ns)
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

    /// Returns when everything is on its device.
    ///
    /// # Errors
    /// `IO`.
    pub fn sync(&mut self) -> Result<(), Errno> {
        self.client.sync()
    }
}

/// What the server is told of `open`'s flags.
fn flags_of(oflag: u32) -> Result<OpenFlags, Errno> {
    let mut flags = match oflag & 3 {
        O_RDONLY => OpenFlags::READ,
        O_WRONLY => OpenFlags::WRITE,
        O_RDWR => OpenFlags::READ | OpenFlags::WRITE,
        _ => return Err(Errno::INVAL),
    };
    if oflag & !(KNOWN | O_WRONLY) != 0 {
        return Err(Errno::INVAL);
    }
    for (bit, flag) in [
        (O_CREAT, OpenFlags::CREATE),
        (O_EXCL, OpenFlags::EXCLUSIVE),
        (O_TRUNC, OpenFlags::TRUNCATE),
        (O_APPEND, OpenFlags::APPEND),
        (O_DIRECTORY, OpenFlags::DIRECTORY),
        (O_NOFOLLOW, OpenFlags::NO_FOLLOW),
    ] {
        flags.set(flag, oflag & bit != 0);
    }
    Ok(flags)
}
