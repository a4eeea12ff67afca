//! Entries of folders in one block.
//! Source: Linux, `Documentation/filesystems/ext4/directory.rst`.

use gritos_fs_api::{FileType, FsError};

use super::bytes::{le16, le32, part, put, put16, put32};

/// Bytes of an entry before its name.
pub(super) const HEAD: usize = 8;

/// An entry that is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    /// Where it is in the block.
    pub(super) at: usize,
    pub(super) inode: u32,
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
}

/// Bytes that an entry needs.
pub(super) const fn size_of(name: usize) -> usize {
    (HEAD + name).next_multiple_of(4)
}

/// What the number for a kind of node means; `None` if it says nothing.
pub(super) const fn kind_of(number: u8) -> Option<FileType> {
    match number {
        0 => None,
        1 => Some(FileType::Regular),
        2 => Some(FileType::Directory),
        7 => Some(FileType::Symlink),
        _ => Some(FileType::Other),
    }
}

pub(super) const FILE: u8 = 1;
pub(super) const FOLDER: u8 = 2;
pub(super) const LINK: u8 = 7;

/// The number for what an inode's mode says that it is.
pub(super) const fn number_of(mode: u16) -> u8 {
    match mode >> 12 {
        0x1 => 5,
        0x2 => 3,
        0x4 => FOLDER,
        0x6 => 4,
        0x8 => FILE,
        0xa => LINK,
        0xc => 6,
        _ => 0,
    }
}

/// All places for entries in a block, in use or not, as start and end; `end` is where
/// the entries end. Ends at the first that makes no sense, with an error.
fn places(data: &[u8], end: usize) -> impl Iterator<Item = Result<(usize, usize), FsError>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let size = usize::from(le16(data, at + 4));
        let length = usize::from(data.get(at + 6).copied().unwrap_or(0));
        if size < HEAD + length || !size.is_multiple_of(4) || at + size > end {
            at = end;
            return Some(Err(FsError::Corrupted));
        }
        let place = (at, at + size);
        at += size;
        Some(Ok(place))
    })
}

/// The entries of a block that are in use.
pub(super) fn names(data: &[u8], end: usize) -> impl Iterator<Item = Result<Name<'_>, FsError>> {
    places(data, end).filter_map(|place| match place {
        Ok((at, _)) => {
            let inode = le32(data, at);
            let length = usize::from(data.get(at + 6).copied().unwrap_or(0));
            (inode != 0).then(|| {
                Ok(Name {
                    at,
                    inode,
                    kind: data.get(at + 7).copied().unwrap_or(0),
                    name: part(data, at + HEAD, at + HEAD + length),
                })
            })
        }
        Err(error) => Some(Err(error)),
    })
}

/// Looks for a name.
pub(super) fn find<'a>(
    data: &'a [u8],
    end: usize,
    wanted: &[u8],
) -> Result<Option<Name<'a>>, FsError> {
    // By hand, since this is what walking paths costs.
    let last = wanted.last();
    let mut at = 0;
    while at < end {
        let Some(head) = data.get(at..).and_then(|rest| rest.first_chunk::<HEAD>()) else {
            return Err(FsError::Corrupted);
        };
        let size = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let length = usize::from(head[6]);
        if size < HEAD + length || size % 4 != 0 || at + size > end {
            return Err(FsError::Corrupted);
        }
        // Names often differ at the end alone.
        if length == wanted.len()
            && data.get(at + HEAD + length - usize::from(length > 0)) == last
            && part(data, at + HEAD, at + HEAD + length) == wanted
        {
            let inode = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            if inode != 0 {
                return Ok(Some(Name {
                    at,
                    inode,
                    kind: head[7],
                    name: part(data, at + HEAD, at + HEAD + length),
                }));
            }
        }
        at += size;
    }
    Ok(None)
}

/// Where an entry of so many bytes fits: what there is of an entry, and its end.
pub(super) fn room(
    data: &[u8],
    end: usize,
    size: usize,
) -> Result<Option<(usize, usize, usize)>, FsError> {
    for place in places(data, end) {
        let (from, to) = place?;
        let used = if le32(data, from) == 0 {
            0
        } else {
            size_of(usize::from(data.get(from + 6).copied().unwrap_or(0)))
        };
        if to - from >= used + size {
            return Ok(Some((from, used, to)));
        }
    }
    Ok(None)
}

/// Puts an entry where [`room`] found some.
pub(super) fn insert(
    data: &mut [u8],
    place: (usize, usize, usize),
    inode: u32,
    kind: u8,
    name: &[u8],
) {
    let (from, used, to) = place;
    if used > 0 {
        put16(data, from + 4, used as u16);
    }
    write(data, from + used, to, inode, kind, name);
}

/// Writes an entry that ends at `to`.
pub(super) fn write(data: &mut [u8], at: usize, to: usize, inode: u32, kind: u8, name: &[u8]) {
    put32(data, at, inode);
    put16(data, at + 4, (to - at) as u16);
    put(data, at + 6, &[name.len() as u8, kind]);
    put(data, at + HEAD, name);
}

/// Takes an entry out: the one before it takes its place in.
pub(super) fn remove(data: &mut [u8], end: usize, gone: usize) -> Result<(), FsError> {
    let mut before = None;
    let mut found = None;
    for place in places(data, end) {
        let (from, to) = place?;
        if from == gone {
            found = Some(to);
            break;
        }
        before = Some(from);
    }
    match (found, before) {
        (Some(to), Some(before)) => put16(data, before + 4, (to - before) as u16),
        (Some(_), None) => put32(data, gone, 0),
        (None, _) => return Err(FsError::Corrupted),
    }
    Ok(())
}

/// Gives an entry another node.
pub(super) fn replace(data: &mut [u8], at: usize, inode: u32, kind: u8) {
    put32(data, at, inode);
    put(data, at + 7, &[kind]);
}
