//! Linux's side: a folder in the host's own file system.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use gritos_fs_client::posix::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_TRUNC, SEEK_CUR, SEEK_DATA,
    SEEK_END, SEEK_HOLE, SEEK_SET,
};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, SeekFrom, Stat};
use rustix::io::{self, Errno};

use super::call::{ABOVE, Call, FOLDERS, Kind, Known, SLOTS, Said, Side};
use crate::support::{Random, scratch};

pub(super) struct Host {
    open: [Option<OwnedFd>; SLOTS + FOLDERS],
    folder: PathBuf,
    start: String,
}

impl Host {
    pub(super) fn new() -> Self {
        let folder = scratch("linux");
        let mut start = folder.to_str().expect("a path in UTF-8").to_string();
        for level in 0..ABOVE {
            start.push_str(&format!("/{level}"));
        }
        std::fs::create_dir_all(&start).expect("a folder to work in");
        Self {
            open: [const { None }; SLOTS + FOLDERS],
            folder,
            start,
        }
    }

    fn fd(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.open[slot].as_ref().ok_or(Errno::BADF)
    }

    fn keep(&mut self, slot: usize, opened: Result<OwnedFd, Errno>) -> Result<Said, Errno> {
        self.open[slot] = Some(opened?);
        Ok(Said::Done)
    }

    fn call(&mut self, call: &Call) -> Result<Said, Errno> {
        let start = self.start.as_str();
        let done = |()| Said::Done;
        let count = |count: usize| Said::Count(count as i64);
        let mode = Mode::from_raw_mode;
        match call {
            Call::Open {
                slot,
                path,
                flags,
                mode: with,
            } => {
                let opened = fs::open(path.from(start), these(*flags), mode(*with));
                self.keep(*slot, opened)
            }
            Call::Folder { slot, path } => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let opened = fs::open(path.from(start), flags, mode(0));
                self.keep(*slot, opened)
            }
            Call::OpenAt {
                slot,
                folder,
                path,
                flags,
            } => {
                let opened = fs::openat(
                    self.fd(*folder)?,
                    path.relative(),
                    these(*flags),
                    mode(0o644),
                );
                self.keep(*slot, opened)
            }
            Call::Close { slot } => match self.open[*slot].take() {
                Some(_) => Ok(Said::Done),
                None => Err(Errno::BADF),
            },
            Call::Read { slot, length } => {
                let mut bytes = vec![0; *length];
                let found = io::read(self.fd(*slot)?, &mut bytes)?;
                bytes.truncate(found);
                Ok(Said::Bytes(bytes))
            }
            Call::ReadAt {
                slot,
                offset,
                length,
            } => {
                let mut bytes = vec![0; *length];
                let found = io::pread(self.fd(*slot)?, &mut bytes, *offset as u64)?;
                bytes.truncate(found);
                Ok(Said::Bytes(bytes))
            }
            Call::Write { slot, length, seed } => {
                let bytes = Random::new(*seed).bytes(*length);
                io::write(self.fd(*slot)?, &bytes).map(count)
            }
            Call::WriteAt {
                slot,
                offset,
                length,
                seed,
            } => {
                let bytes = Random::new(*seed).bytes(*length);
                io::pwrite(self.fd(*slot)?, &bytes, *offset as u64).map(count)
            }
            // Sizes of folders are nobody's business.
            Call::Seek { slot, .. } | Call::SeekHole { slot, .. }
                if is_folder(self.fd(*slot)?)? =>
            {
                Ok(Said::Done)
            }
            Call::Seek {
                slot,
                offset,
                whence,
            } => {
                let fd = self.fd(*slot)?;
                let to = match *whence {
                    SEEK_SET => SeekFrom::Start(*offset as u64),
                    SEEK_CUR => SeekFrom::Current(*offset),
                    SEEK_END => SeekFrom::End(*offset),
                    // The library has no others to try.
                    _ => return Err(Errno::INVAL),
                };
                fs::seek(fd, to).map(|at| Said::Count(at as i64))
            }
            Call::SeekHole {
                slot,
                offset,
                whence,
            } => {
                let fd = self.fd(*slot)?;
                let found = match *whence {
                    SEEK_DATA => fs::seek(fd, SeekFrom::Data(*offset as u64)),
                    SEEK_HOLE => fs::seek(fd, SeekFrom::Hole(*offset as u64)),
                    _ => Err(Errno::INVAL),
                };
                fs::seek(fd, SeekFrom::Start(0))?;
                found.map(|_| Said::Done)
            }
            Call::CutOpen { slot, length } => {
                fs::ftruncate(self.fd(*slot)?, *length as u64).map(done)
            }
            // It takes long, and nothing comes of it that could be seen.
            Call::Sync { slot } => self.fd(*slot).map(|_| Said::Done),
            Call::StatOpen { slot } => fs::fstat(self.fd(*slot)?).map(known),
            Call::Cut { path, length } => cut(&path.from(start), *length).map(done),
            Call::Stat { path } => fs::stat(path.from(start)).map(known),
            Call::Mkdir { path, mode: with } => fs::mkdir(path.from(start), mode(*with)).map(done),
            Call::Rmdir { path } => fs::rmdir(path.from(start)).map(done),
            Call::Unlink { path } => fs::unlink(path.from(start)).map(done),
            Call::Rename { from, to, replace } => {
                let flags = match replace {
                    true => RenameFlags::empty(),
                    false => RenameFlags::NOREPLACE,
                };
                fs::renameat_with(CWD, from.from(start), CWD, to.from(start), flags).map(done)
            }
            Call::StatAt { folder, path } => {
                fs::statat(self.fd(*folder)?, path.relative(), AtFlags::empty()).map(known)
            }
            Call::MkdirAt { folder, path } => {
                fs::mkdirat(self.fd(*folder)?, path.relative(), mode(0o755)).map(done)
            }
            Call::UnlinkAt {
                folder,
                path,
                directory,
            } => {
                let flags = match directory {
                    true => AtFlags::REMOVEDIR,
                    false => AtFlags::empty(),
                };
                fs::unlinkat(self.fd(*folder)?, path.relative(), flags).map(done)
            }
            Call::RenameAt { folder, from, to } => {
                let fd = self.fd(*folder)?;
                fs::renameat(fd, from.relative(), fd, to.relative()).map(done)
            }
            Call::List { path } => list(&path.from(start)),
            Call::Link { from, to } => fs::link(from.from(start), to.from(start)).map(done),
            Call::Symlink { target, path } => {
                fs::symlink(target.target(), path.from(start)).map(done)
            }
            Call::ReadLink { path } => leads(fs::readlink(path.from(start), Vec::new())?),
            Call::StatLink { path } => fs::lstat(path.from(start)).map(known),
            Call::LinkAt { folder, from, to } => {
                let fd = self.fd(*folder)?;
                fs::linkat(fd, from.relative(), fd, to.relative(), AtFlags::empty()).map(done)
            }
            Call::SymlinkAt {
                folder,
                target,
                path,
            } => fs::symlinkat(target.target(), self.fd(*folder)?, path.relative()).map(done),
            Call::ReadLinkAt { folder, path } => leads(fs::readlinkat(
                self.fd(*folder)?,
                path.relative(),
                Vec::new(),
            )?),
            Call::StatLinkAt { folder, path } => fs::statat(
                self.fd(*folder)?,
                path.relative(),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map(known),
            Call::Whole { path } => {
                let fd = fs::open(path.from(start), OFlags::RDONLY, mode(0))?;
                let size = fs::fstat(&fd)?.st_size as usize;
                let mut bytes = vec![0; size + 1];
                let found = io::read(&fd, &mut bytes)?;
                bytes.truncate(found);
                Ok(Said::Bytes(bytes))
            }
        }
    }
}

impl Side for Host {
    fn act(&mut self, call: &Call) -> Said {
        if let Call::Open { slot, .. } | Call::Folder { slot, .. } | Call::OpenAt { slot, .. } =
            call
        {
            self.open[*slot] = None;
        }
        let said = self.call(call);
        said.unwrap_or_else(|error| Said::Failed(error.raw_os_error() as u32))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `truncate`, which the library has for descriptors only.
fn cut(path: &str, length: i64) -> Result<(), Errno> {
    if length < 0 {
        return Err(Errno::INVAL);
    }
    let fd = fs::open(path, OFlags::WRONLY, Mode::empty())?;
    fs::ftruncate(&fd, length as u64)
}

fn list(path: &str) -> Result<Said, Errno> {
    let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(&fd)? {
        let entry = entry?;
        let name = entry.file_name().to_str().map_err(|_| Errno::ILSEQ)?;
        if name != "." && name != ".." {
            names.push((name.to_string(), kind(entry.file_type())));
        }
    }
    names.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(Said::Listed(names))
}

fn leads(target: std::ffi::CString) -> Result<Said, Errno> {
    Ok(Said::Leads(target.into_string().map_err(|_| Errno::ILSEQ)?))
}

fn is_folder(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(fs::fstat(fd).map(|found| FileType::from_raw_mode(found.st_mode))? == FileType::Directory)
}

fn kind(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

fn known(found: Stat) -> Said {
    let kind = kind(FileType::from_raw_mode(found.st_mode));
    Said::Known(Known {
        kind,
        mode: found.st_mode & 0o777,
        links: found.st_nlink as u32,
        size: if kind == Kind::Folder {
            0
        } else {
            found.st_size as u64
        },
    })
}

/// Linux's numbers for flags, which are not the same on all machines.
fn these(flags: u32) -> OFlags {
    let mut these = match flags & 3 {
        0 => OFlags::RDONLY,
        1 => OFlags::WRONLY,
        _ => OFlags::RDWR,
    };
    for (flag, this) in [
        (O_CREAT, OFlags::CREATE),
        (O_EXCL, OFlags::EXCL),
        (O_TRUNC, OFlags::TRUNC),
        (O_APPEND, OFlags::APPEND),
        (O_DIRECTORY, OFlags::DIRECTORY),
        (O_NOFOLLOW, OFlags::NOFOLLOW),
        (O_CLOEXEC, OFlags::CLOEXEC),
    ] {
        these.set(this, flags & flag != 0);
    }
    these
}
