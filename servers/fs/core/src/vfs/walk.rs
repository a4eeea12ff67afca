//! Walking a path.

use alloc::borrow::Cow;

use gritos_fs_api::{FileType, FsError, MAX_NAME, MAX_PATH};
use smallvec::{SmallVec, smallvec};

use super::{Place, Vfs};

/// Most symbolic links in one path.
const MAX_LINKS: u32 = 40;

/// What becomes of a symbolic link that is the last part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// It is followed.
    Always,
    /// It is followed if `/` comes behind it, since that asks for a folder.
    Slash,
    /// It is what the path names, whatever comes behind: for what is done to names. Whether that is a folder, if
    /// there is a `/`, is for the caller to look at.
    Never,
}

/// Something that a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) kind: FileType,
}

/// The last part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last<'a> {
    /// A name in the folder above.
    Name(Cow<'a, [u8]>),
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// There is none: the path is `/`.
    Start,
}

/// Where a path led.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// Folders from the start of the walk to the one that holds the last name.
    pub(super) above: SmallVec<[Place; 8]>,
    pub(super) last: Last<'a>,
    /// What the path names, if that exists.
    pub(super) found: Option<Step>,
    /// The path ends in `/`: only a folder will do.
    pub(super) slash: bool,
}

impl Target<'_> {
    /// The folder that holds the last name.
    pub(super) fn dir(&self) -> Place {
        self.above
            .last()
            .copied()
            .unwrap_or(Place { mount: 0, node: 0 })
    }

    /// The last name, for something that is to be made.
    pub(super) fn new_name(&self) -> Result<&[u8], FsError> {
        match &self.last {
            // What cannot be listed as text is not made.
            Last::Name(name) if core::str::from_utf8(name).is_err() => Err(FsError::Invalid),
            Last::Name(name) => Ok(name),
            _ => Err(FsError::Exists),
        }
    }

    /// The last name, for one that is to go.
    pub(super) fn old_name(&self) -> Result<&[u8], FsError> {
        match &self.last {
            Last::Name(name) => Ok(name),
            Last::Dot => Err(FsError::Invalid),
            Last::DotDot => Err(FsError::NotEmpty),
            Last::Start => Err(FsError::Busy),
        }
    }
}

impl Vfs {
    /// Walks a path. The last part may be missing.
    pub(super) fn walk<'a>(
        &mut self,
        start: Place,
        path: &'a [u8],
        follow: Follow,
    ) -> Result<Target<'a>, FsError> {
        if path.is_empty() {
            return Err(FsError::NotFound);
        }
        if path.len() > MAX_PATH as usize {
            return Err(FsError::NameTooLong);
        }
        if path.contains(&0) {
            return Err(FsError::Invalid);
        }
        let mut above: SmallVec<[Place; 8]> = smallvec![start];
        let mut text = Cow::Borrowed(path);
        let mut at = 0;
        let mut links = 0;
        loop {
            let (name, end) = component(&text, at);
            let rest = text.get(end..).unwrap_or(&[]);
            let slash = !rest.is_empty();
            let is_last = rest.iter().all(|byte| *byte == b'/');
            let dir = above.last().copied().unwrap_or(start);
            let special = match name {
                b"" => Some(Last::Start),
                b"." => Some(Last::Dot),
                b".." => {
                    if above.len() > 1 {
                        above.pop();
                    }
                    Some(Last::DotDot)
                }
                _ => None,
            };
            at = end;
            if let Some(last) = special {
                if !is_last {
                    continue;
                }
                let place = above.last().copied().unwrap_or(start);
                let kind = FileType::Directory;
                return Ok(Target {
                    above,
                    last,
                    found: Some(Step { place, kind }),
                    slash,
                });
            }
            if name.len() > MAX_NAME as usize {
                return Err(FsError::NameTooLong);
            }
            let step = match self.step(dir, name) {
                Ok(step) => step,
                Err(FsError::NotFound) if is_last => {
                    let last = Last::Name(last_name(&text, name));
                    return Ok(Target {
                        above,
                        last,
                        found: None,
                        slash,
                    });
                }
                Err(error) => return Err(error),
            };
            let follows = !is_last
                || match follow {
                    Follow::Always => true,
                    Follow::Slash => slash,
                    Follow::Never => false,
                };
            let must_be_folder = slash && (!is_last || follow != Follow::Never);
            match step.kind {
                FileType::Symlink if follows => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(FsError::LinkLoop);
                    }
                    let mut next = self.volume(step.place)?.read_link(step.place.node)?;
                    if next.is_empty() {
                        return Err(FsError::NotFound);
                    }
                    next.extend_from_slice(rest);
                    if next.len() > 2 * MAX_PATH as usize {
                        return Err(FsError::NameTooLong);
                    }
                    if next.first() == Some(&b'/') {
                        above.truncate(1);
                    }
                    text = Cow::Owned(next);
                    at = 0;
                }
                kind if must_be_folder && kind != FileType::Directory => {
                    return Err(FsError::NotDirectory);
                }
                _ if is_last => {
                    let last = Last::Name(last_name(&text, name));
                    return Ok(Target {
                        above,
                        last,
                        found: Some(step),
                        slash,
                    });
                }
                _ => above.push(step.place),
            }
        }
    }

    /// Looks up one name, and goes to the root of what is mounted there.
    fn step(&mut self, dir: Place, name: &[u8]) -> Result<Step, FsError> {
        let found = self.volume(dir)?.lookup(dir.node, name)?;
        let place = Place {
            mount: dir.mount,
            node: found.node,
        };
        let over = self.mounts.iter().position(|mount| mount.on == Some(place));
        let place = match over {
            Some(mount) => Place {
                mount,
                node: self.mounted(mount)?.volume.root(),
            },
            None => place,
        };
        let kind = found.kind;
        Ok(Step { place, kind })
    }

    /// What a path names if it is a plain one: names of what is there, and no symbolic
    /// links. Of all others [`walk`](Self::walk) says what they are.
    pub(super) fn plain(&mut self, start: Place, path: &[u8]) -> Option<Step> {
        if path.len() > MAX_PATH as usize {
            return None;
        }
        let mut place = start;
        let mut at = 0;
        loop {
            let (name, end) = component(path, at);
            if matches!(name, b"" | b"." | b"..") || name.len() > MAX_NAME as usize {
                return None;
            }
            let step = self.step(place, name).ok()?;
            if step.kind == FileType::Symlink {
                return None;
            }
            if end == path.len() {
                return Some(step);
            }
            place = step.place;
            at = end;
        }
    }

    /// What a path names, symbolic links followed.
    pub(super) fn find(&mut self, start: Place, path: &[u8]) -> Result<Step, FsError> {
        if let Some(step) = self.plain(start, path) {
            return Ok(step);
        }
        self.walk(start, path, Follow::Always)?
            .found
            .ok_or(FsError::NotFound)
    }
}

/// A name in a path, which stays when the path is one that was put together.
fn last_name<'a>(text: &Cow<'a, [u8]>, name: &[u8]) -> Cow<'a, [u8]> {
    match text {
        Cow::Owned(_) => Cow::Owned(name.to_vec()),
        Cow::Borrowed(text) => {
            // It is the last part, with only `/` behind it.
            let end = text
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(0, |at| at + 1);
            let name = text.get(end.saturating_sub(name.len())..end);
            Cow::Borrowed(name.unwrap_or(&[]))
        }
    }
}

/// The next part of a path from `at` on, and where it ends. It is empty only if
/// nothing but `/` is left.
fn component(text: &[u8], at: usize) -> (&[u8], usize) {
    let mut start = at;
    while text.get(start) == Some(&b'/') {
        start += 1;
    }
    let mut end = start;
    while text.get(end).is_some_and(|byte| *byte != b'/') {
        end += 1;
    }
    (text.get(start..end).unwrap_or(&[]), end)
}
