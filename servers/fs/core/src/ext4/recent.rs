//! Names that were looked up lately, so that walking a path again costs little.
//!
//! An entry says that a name is there, never that one is not. It is forgotten before the
//! name goes, which is all that keeps it true: folders are removed only when no name is
//! left in them.

use alloc::vec;
use alloc::vec::Vec;

use super::hash::fnv;

/// Names that are remembered, one for each hash.
const PLACES: usize = 256;
/// Longest name that is remembered.
const LONGEST: usize = 24;

#[derive(Clone, Copy, Default)]
struct Known {
    /// 0 for none.
    folder: u32,
    inode: u32,
    kind: u8,
    length: u8,
    name: [u8; LONGEST],
}

pub(super) struct Recent(Vec<Known>);

impl Recent {
    pub(super) fn new() -> Self {
        Self(vec![Known::default(); PLACES])
    }

    fn place(&mut self, folder: u32, name: &[u8]) -> Option<&mut Known> {
        if name.len() > LONGEST {
            return None;
        }
        let hash = fnv(name) ^ folder.wrapping_mul(0x9e37_79b9);
        self.0.get_mut((hash ^ hash >> 16) as usize % PLACES)
    }

    /// The inode behind a name, and the kind that its entry says.
    pub(super) fn find(&mut self, folder: u32, name: &[u8]) -> Option<(u32, u8)> {
        let known = self.place(folder, name)?;
        let same =
            known.folder == folder && known.name.get(..usize::from(known.length)) == Some(name);
        same.then_some((known.inode, known.kind))
    }

    pub(super) fn remember(&mut self, folder: u32, name: &[u8], inode: u32, kind: u8) {
        if let Some(known) = self.place(folder, name) {
            *known = Known {
                folder,
                inode,
                kind,
                length: name.len() as u8,
                name: [0; LONGEST],
            };
            super::bytes::put(&mut known.name, 0, name);
        }
    }

    /// Forgets a name, and perhaps another one.
    pub(super) fn forget(&mut self, folder: u32, name: &[u8]) {
        if let Some(known) = self.place(folder, name) {
            *known = Known::default();
        }
    }
}
