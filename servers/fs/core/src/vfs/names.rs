//! What is done to names.

use gritos_fs_api::{FileType, FsError};

use super::walk::{Follow, Step, Target};
use super::{Place, Vfs};
use crate::volume::Attributes;

impl Vfs {
    /// What is known of what a path names.
    ///
    /// # Errors
    /// Those of POSIX's `stat`.
    pub fn stat(&mut self, start: Place, path: &[u8]) -> Result<(Place, Attributes), FsError> {
        self.settled(|vfs| {
            let place = vfs.find(start, path)?.place;
            let attributes = vfs.volume(place)?.attributes(place.node)?;
            Ok((place, attributes))
        })
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// Those of POSIX's `mkdir`; `Invalid` for a name that is no UTF-8.
    pub fn mkdir(&mut self, start: Place, path: &[u8], mode: u32) -> Result<(), FsError> {
        self.settled(|vfs| {
            let target = vfs.walk(start, path, Follow::Never)?;
            if target.found.is_some() {
                return Err(FsError::Exists);
            }
            let dir = target.dir();
            let name = target.new_name()?;
            vfs.writable(dir)?.mkdir(dir.node, name, mode & 0o777)?;
            Ok(())
        })
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// Those of POSIX's `rmdir`; `Busy` if something is mounted there.
    pub fn rmdir(&mut self, start: Place, path: &[u8]) -> Result<(), FsError> {
        self.settled(|vfs| {
            let target = vfs.walk(start, path, Follow::Never)?;
            let name = target.old_name()?;
            let found = vfs.removable(&target)?;
            if found.kind != FileType::Directory {
                return Err(FsError::NotDirectory);
            }
            let dir = target.dir();
            vfs.writable(dir)?.rmdir(dir.node, name)
        })
    }

    /// Removes the name of a file.
    ///
    /// # Errors
    /// Those of POSIX's `unlink`; `IsDirectory` for a folder.
    pub fn unlink(&mut self, start: Place, path: &[u8]) -> Result<(), FsError> {
        self.settled(|vfs| {
            let target = vfs.walk(start, path, Follow::Never)?;
            let Ok(name) = target.old_name() else {
                return Err(FsError::IsDirectory);
            };
            let found = target.found.ok_or(FsError::NotFound)?;
            if found.kind == FileType::Directory {
                return Err(FsError::IsDirectory);
            }
            if target.slash {
                return Err(FsError::NotDirectory);
            }
            let dir = target.dir();
            vfs.writable(dir)?.unlink(dir.node, name)
        })
    }

    /// Gives something another name. What has that name is replaced in the same step
    /// if `replace` allows it.
    ///
    /// # Errors
    /// Those of POSIX's `rename`; `Exists` if nothing may be replaced.
    pub fn rename(
        &mut self,
        start: Place,
        from: &[u8],
        to: &[u8],
        replace: bool,
    ) -> Result<(), FsError> {
        self.settled(|vfs| vfs.rename_unsettled(start, from, to, replace))
    }

    fn rename_unsettled(
        &mut self,
        start: Place,
        from: &[u8],
        to: &[u8],
        replace: bool,
    ) -> Result<(), FsError> {
        let from = self.walk(start, from, Follow::Never)?;
        // `.` and `..` name a folder by another name than its own.
        let dots = |error| {
            if error == FsError::NotEmpty {
                FsError::Invalid
            } else {
                error
            }
        };
        let from_name = from.old_name().map_err(dots)?;
        let old = from.found.ok_or(FsError::NotFound)?;
        let to = self.walk(start, to, Follow::Never)?;
        to.old_name().map_err(dots)?;
        let is_folder = old.kind == FileType::Directory;
        if (from.slash || to.slash) && !is_folder {
            return Err(FsError::NotDirectory);
        }
        let (from_dir, to_dir) = (from.dir(), to.dir());
        if old.place.mount != from_dir.mount {
            return Err(FsError::Busy);
        }
        if from_dir.mount != to_dir.mount {
            return Err(FsError::CrossDevice);
        }
        if is_folder && to.above.contains(&old.place) {
            return Err(FsError::Invalid);
        }
        let to_name = match to.found {
            Some(_) if !replace => return Err(FsError::Exists),
            // Two names of one file, or the same name: nothing changes.
            Some(new) if new.place == old.place => return Ok(()),
            Some(new) if new.place.mount != to_dir.mount => return Err(FsError::Busy),
            Some(new) => {
                match (is_folder, new.kind == FileType::Directory) {
                    (true, false) => return Err(FsError::NotDirectory),
                    (false, true) => return Err(FsError::IsDirectory),
                    _ => {}
                }
                // It can hold the folder that is moved only if it is not empty.
                if from.above.contains(&new.place) {
                    return Err(FsError::NotEmpty);
                }
                to.old_name()?
            }
            None => to.new_name()?,
        };
        let volume = self.writable(from_dir)?;
        volume.rename(from_dir.node, from_name, to_dir.node, to_name)
    }

    /// What is to be removed, if it is there and nothing is mounted on it.
    fn removable(&self, target: &Target<'_>) -> Result<Step, FsError> {
        let found = target.found.ok_or(FsError::NotFound)?;
        if found.place.mount != target.dir().mount {
            return Err(FsError::Busy);
        }
        Ok(found)
    }
}
