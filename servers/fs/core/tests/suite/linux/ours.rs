//! The file server's side.

use gritos_fs_api::{FileType, Stat};
use gritos_fs_client::Errno;
use gritos_fs_client::posix::{
    AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_RDONLY, O_RDWR, Posix, SEEK_SET,
};
use gritos_fs_core::host::HostMemory;

use super::call::{ABOVE, Call, FOLDERS, Kind, Known, SLOTS, Said, Side};
use crate::support::Random;
use crate::wire::Wire;

/// No descriptor.
const NONE: i32 = -1;

pub(super) struct Ours {
    posix: Posix<Wire, HostMemory>,
    open: [i32; SLOTS + FOLDERS],
    start: String,
}

impl Ours {
    pub(super) fn new(mut posix: Posix<Wire, HostMemory>) -> Self {
        let mut start = String::from("/m");
        for level in 0..ABOVE {
            start.push_str(&format!("/{level}"));
            posix.mkdir(&start, 0o755).expect("mkdir");
        }
        Self {
            posix,
            open: [NONE; SLOTS + FOLDERS],
            start,
        }
    }

    /// Puts what was opened into its place.
    fn keep(&mut self, slot: usize, opened: Result<i32, Errno>) -> Result<Said, Errno> {
        self.open[slot] = opened?;
        Ok(Said::Done)
    }

    fn free(&mut self, slot: usize) {
        let before = std::mem::replace(&mut self.open[slot], NONE);
        if before != NONE {
            self.posix.close(before).expect("it was open");
        }
    }

    /// Leaves nothing open: a volume that is left with an open file without a name is not clean.
    pub(super) fn close_all(&mut self) {
        (0..self.open.len()).for_each(|slot| self.free(slot));
    }

    fn list(&mut self, path: &str) -> Result<Said, Errno> {
        let posix = &mut self.posix;
        let mut dir = posix.opendir(path)?;
        let mut names = Vec::new();
        let mut places = Vec::new();
        while let Some(entry) = posix.readdir(&mut dir)? {
            names.push((entry.name.as_str().to_string(), kind(entry.file_type)));
            places.push(posix.telldir(&dir));
        }
        // From any place on come those that came from there on.
        if let Some(place) = places.get(names.len() / 2) {
            posix.seekdir(&mut dir, *place);
            let mut rest = Vec::new();
            while let Some(entry) = posix.readdir(&mut dir)? {
                rest.push((entry.name.as_str().to_string(), kind(entry.file_type)));
            }
            assert_eq!(rest, names[names.len() / 2 + 1..], "{path}");
        }
        posix.closedir(dir)?;
        names.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Said::Listed(names))
    }

    fn whole(&mut self, path: &str) -> Result<Said, Errno> {
        let fd = self.posix.open(path, O_RDONLY, 0)?;
        let size = self.posix.fstat(fd)?.size as usize;
        let mut bytes = vec![0; size + 1];
        let count = self.posix.read(fd, &mut bytes);
        self.posix.close(fd)?;
        bytes.truncate(count?);
        Ok(Said::Bytes(bytes))
    }

    fn call(&mut self, call: &Call) -> Result<Said, Errno> {
        let start = self.start.clone();
        let count = |count: usize| Said::Count(count as i64);
        let done = |()| Said::Done;
        let open = self.open;
        let mut target = vec![0; 4096];
        let posix = &mut self.posix;
        match call {
            Call::Open {
                slot,
                path,
                flags,
                mode,
            } => {
                let opened = posix.open(&path.from(&start), *flags, *mode);
                self.keep(*slot, opened)
            }
            Call::Folder { slot, path } => {
                let opened = posix.open(&path.from(&start), O_RDWR | O_DIRECTORY, 0);
                self.keep(*slot, opened)
            }
            Call::OpenAt {
                slot,
                folder,
                path,
                flags,
            } => {
                let opened = posix.openat(open[*folder], path.relative(), *flags, 0o644);
                self.keep(*slot, opened)
            }
            Call::Close { slot } => {
                let fd = std::mem::replace(&mut self.open[*slot], NONE);
                self.posix.close(fd).map(done)
            }
            Call::Read { slot, length } => {
                let mut bytes = vec![0; *length];
                let found = posix.read(open[*slot], &mut bytes)?;
                bytes.truncate(found);
                Ok(Said::Bytes(bytes))
            }
            Call::ReadAt {
                slot,
                offset,
                length,
            } => {
                let mut bytes = vec![0; *length];
                let found = posix.pread(open[*slot], &mut bytes, *offset)?;
                bytes.truncate(found);
                Ok(Said::Bytes(bytes))
            }
            Call::Write { slot, length, seed } => {
                let bytes = Random::new(*seed).bytes(*length);
                posix.write(open[*slot], &bytes).map(count)
            }
            Call::WriteAt {
                slot,
                offset,
                length,
                seed,
            } => {
                let bytes = Random::new(*seed).bytes(*length);
                posix.pwrite(open[*slot], &bytes, *offset).map(count)
            }
            // Sizes of folders are nobody's business.
            Call::Seek { slot, .. } | Call::SeekHole { slot, .. }
                if posix.fstat(open[*slot])?.file_type == FileType::Directory =>
            {
                Ok(Said::Done)
            }
            Call::Seek {
                slot,
                offset,
                whence,
            } => posix.lseek(open[*slot], *offset, *whence).map(Said::Count),
            Call::SeekHole {
                slot,
                offset,
                whence,
            } => {
                let found = posix.lseek(open[*slot], *offset, *whence);
                posix.lseek(open[*slot], 0, SEEK_SET)?;
                found.map(|_| Said::Done)
            }
            Call::CutOpen { slot, length } => posix.ftruncate(open[*slot], *length).map(done),
            Call::Sync { slot } => posix.fsync(open[*slot]).map(done),
            Call::StatOpen { slot } => posix.fstat(open[*slot]).map(known),
            Call::Cut { path, length } => posix.truncate(&path.from(&start), *length).map(done),
            Call::Stat { path } => posix.stat(&path.from(&start)).map(known),
            Call::Mkdir { path, mode } => posix.mkdir(&path.from(&start), *mode).map(done),
            Call::Rmdir { path } => posix.rmdir(&path.from(&start)).map(done),
            Call::Unlink { path } => posix.unlink(&path.from(&start)).map(done),
            Call::Rename { from, to, replace } => {
                let (from, to) = (from.from(&start), to.from(&start));
                posix.client().rename(&from, &to, *replace).map(done)
            }
            Call::StatAt { folder, path } => {
                posix.fstatat(open[*folder], path.relative(), 0).map(known)
            }
            Call::MkdirAt { folder, path } => posix
                .mkdirat(open[*folder], path.relative(), 0o755)
                .map(done),
            Call::UnlinkAt {
                folder,
                path,
                directory,
            } => {
                let flag = if *directory { AT_REMOVEDIR } else { 0 };
                posix
                    .unlinkat(open[*folder], path.relative(), flag)
                    .map(done)
            }
            Call::RenameAt { folder, from, to } => {
                let fd = open[*folder];
                posix
                    .renameat(fd, from.relative(), fd, to.relative())
                    .map(done)
            }
            Call::List { path } => self.list(&path.from(&start)),
            Call::Whole { path } => self.whole(&path.from(&start)),
            Call::Link { from, to } => posix.link(&from.from(&start), &to.from(&start)).map(done),
            Call::Symlink { target, path } => posix
                .symlink(&target.target(), &path.from(&start))
                .map(done),
            Call::ReadLink { path } => {
                leads(posix.readlink(&path.from(&start), &mut target), &target)
            }
            Call::StatLink { path } => posix.lstat(&path.from(&start)).map(known),
            Call::LinkAt { folder, from, to } => {
                let fd = open[*folder];
                posix
                    .linkat(fd, from.relative(), fd, to.relative(), 0)
                    .map(done)
            }
            Call::SymlinkAt {
                folder,
                target,
                path,
            } => posix
                .symlinkat(&target.target(), open[*folder], path.relative())
                .map(done),
            Call::ReadLinkAt { folder, path } => leads(
                posix.readlinkat(open[*folder], path.relative(), &mut target),
                &target,
            ),
            Call::StatLinkAt { folder, path } => posix
                .fstatat(open[*folder], path.relative(), AT_SYMLINK_NOFOLLOW)
                .map(known),
        }
    }
}

impl Side for Ours {
    fn act(&mut self, call: &Call) -> Said {
        if let Call::Open { slot, .. } | Call::Folder { slot, .. } | Call::OpenAt { slot, .. } =
            call
        {
            self.free(*slot);
        }
        self.call(call)
            .unwrap_or_else(|error| Said::Failed(error.0))
    }
}

fn leads(count: Result<usize, Errno>, target: &[u8]) -> Result<Said, Errno> {
    let target = String::from_utf8(target[..count?].to_vec());
    Ok(Said::Leads(target.expect("text")))
}

fn kind(found: FileType) -> Kind {
    match found {
        FileType::Regular => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

fn known(found: Stat) -> Said {
    let kind = kind(found.file_type);
    Said::Known(Known {
        kind,
        mode: found.mode.bits(),
        links: found.links,
        size: if kind == Kind::Folder { 0 } else { found.size },
    })
}
