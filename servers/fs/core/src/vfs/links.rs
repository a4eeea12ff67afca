//! Files of several names, and symbolic links.

use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError, MAX_PATH};

use super::walk::Follow;
use super::{Place, Vfs};
use crate::volume::Attributes;

impl Vfs {
    /// Gives what is no folder one more name; a symbolic link is not followed.
    ///
    /// # Errors
    /// Those of POSIX's `link`: `NotPermitted` for a folder, and where there are no links; `Invalid` for a name
    /// that is no UTF-8.
    pub fn link(&mut self, start: Place, from: &[u8], to: &[u8]) -> Result<(), FsError> {
        self.settled(|vfs| {
            let old = vfs
                .walk(start, from, Follow::Slash)?
                .found
                .ok_or(FsError::NotFound)?;
            let target = vfs.walk(start, to, Follow::Never)?;
            if target.found.is_some() {
                return Err(FsError::Exists);
            }
            let dir = target.dir();
            let name = target.new_name()?;
            if target.slash {
                return Err(FsError::NotFound);
            }
            if old.kind == FileType::Directory {
                return Err(FsError::NotPermitted);
            }
            if old.place.mount != dir.mount {
                return Err(FsError::CrossDevice);
            }
            vfs.writable(dir)?.link(dir.node, name, old.place.node)
        })
    }

    /// Makes a symbolic link; it need not lead anywhere.
    ///
    /// # Errors
    /// Those of POSIX's `symlink`; `Invalid` for a name or a target that is no UTF-8, `NotPermitted` where there
    /// are no links.
    pub fn symlink(&mut self, start: Place, target: &[u8], path: &[u8]) -> Result<(), FsError> {
        if target.is_empty() {
            return Err(FsError::NotFound);
        }
        if target.len() > MAX_PATH as usize {
            return Err(FsError::NameTooLong);
        }
        // What cannot be told as text is not made.
        if target.contains(&0) || core::str::from_utf8(target).is_err() {
            return Err(FsError::Invalid);
        }
        self.settled(|vfs| {
            let link = vfs.walk(start, path, Follow::Never)?;
            if link.found.is_some() {
                return Err(FsError::Exists);
            }
            let dir = link.dir();
            let name = link.new_name()?;
            if link.slash {
                return Err(FsError::NotFound);
            }
            vfs.writable(dir)?.symlink(dir.node, name, target)?;
            Ok(())
        })
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Those of POSIX's `readlink`: `Invalid` if it is none.
    pub fn read_link(&mut self, start: Place, path: &[u8]) -> Result<Vec<u8>, FsError> {
        self.settled(|vfs| {
            let found = vfs
                .walk(start, path, Follow::Slash)?
                .found
                .ok_or(FsError::NotFound)?;
            if found.kind != FileType::Symlink {
                return Err(FsError::Invalid);
            }
            vfs.volume(found.place)?.read_link(found.place.node)
        })
    }

    /// What is known of what a path names; of a symbolic link, of the link.
    ///
    /// # Errors
    /// Those of POSIX's `lstat`.
    pub fn stat_link(&mut self, start: Place, path: &[u8]) -> Result<(Place, Attributes), FsError> {
        self.settled(|vfs| {
            let found = vfs
                .walk(start, path, Follow::Slash)?
                .found
                .ok_or(FsError::NotFound)?;
            let attributes = vfs.volume(found.place)?.attributes(found.place.node)?;
            Ok((found.place, attributes))
        })
    }
}
