//! What the server says, as the interface writes it.

use alloc::vec;
use alloc::vec::Vec;

use gritos_base_api::BaseError;
use gritos_fs_api::{
    DirectoryEntry, File, FileReaddirReply, FileSystemStat, FsError, Mode, MountEntry, OpenFlags,
    Stat,
};
use gritos_idl_runtime::{Rights, Text, Wire};

use crate::vfs::{MountInfo, Place};
use crate::volume::{Attributes, Entry, Space, VolumeInfo};

pub(super) fn bytes_of<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::SIZE];
    value.encode(&mut bytes);
    bytes
}

pub(super) const fn refused(error: BaseError) -> FsError {
    match error {
        BaseError::NotRegistered | BaseError::Access => FsError::BadBuffer,
        BaseError::NoMemory | BaseError::Limit => FsError::NoMemory,
        _ => FsError::Invalid,
    }
}

pub(super) fn stat(place: Place, found: &Attributes) -> Stat {
    Stat {
        inode: place.node(),
        size: found.size,
        blocks: found.blocks,
        modified_ns: found.modified_ns,
        changed_ns: found.changed_ns,
        created_ns: found.created_ns,
        mode: Mode::from_bits_truncate(found.mode),
        links: found.links,
        volume: place.volume(),
        file_type: found.kind,
    }
}

pub(super) fn statfs(info: &VolumeInfo, space: &Space) -> FileSystemStat {
    FileSystemStat {
        total_bytes: space.total_bytes,
        free_bytes: space.free_bytes,
        free_files: space.free_files,
        block_bytes: space.block_bytes,
        max_name: info.max_name,
        read_only: info.read_only,
        kind: text(info.kind.as_bytes()),
    }
}

pub(super) fn mounts(mounts: &[MountInfo], room: u64) -> Vec<u8> {
    let fit = (room / MountEntry::SIZE as u64).min(mounts.len() as u64) as usize;
    let entries = mounts.iter().take(fit).map(|mount| MountEntry {
        total_bytes: mount.space.map_or(0, |space| space.total_bytes),
        free_bytes: mount.space.map_or(0, |space| space.free_bytes),
        read_only: mount.info.read_only,
        kind: text(mount.info.kind.as_bytes()),
        path: text(mount.path.as_bytes()),
    });
    entries.flat_map(|entry| bytes_of(&entry)).collect()
}

/// As much of a name as a text takes; what is no UTF-8 becomes replacement characters.
fn text<const N: usize>(bytes: &[u8]) -> Text<N> {
    let text = alloc::string::String::from_utf8_lossy(bytes);
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Text::new(text.get(..end).unwrap_or("")).unwrap_or_default()
}

/// The rights of a file that is opened with these flags.
pub(super) fn rights(flags: OpenFlags, is_folder: bool) -> Rights {
    let mut rights = Rights::SEND | Rights::GRANT | File::READ_META;
    if flags.contains(OpenFlags::READ) {
        rights |= File::READ_DATA;
        if is_folder {
            rights |= File::LOOKUP;
        }
    }
    if flags.contains(OpenFlags::WRITE) {
        rights |= File::WRITE_DATA;
        if is_folder {
            rights |= File::CHANGE_ENTRIES;
        }
    }
    rights
}

/// What a folder's capability must allow so that files below it are opened like this.
pub(super) fn rights_to_open(flags: OpenFlags) -> Rights {
    let mut rights = Rights::empty();
    if flags.contains(OpenFlags::READ) {
        rights |= File::READ_DATA;
    }
    if flags.contains(OpenFlags::WRITE) {
        rights |= File::WRITE_DATA;
    }
    if flags.contains(OpenFlags::CREATE) {
        rights |= File::CHANGE_ENTRIES;
    }
    rights
}

/// A listing that grows until the client's buffer is full.
pub(super) struct List {
    bytes: Vec<u8>,
    room: usize,
    count: u32,
    next: u64,
}

/// Most entries that are listed in one call.
const MAX_ENTRIES: usize = 1024;

impl List {
    pub(super) fn new(position: u64, room: u64) -> Result<Self, FsError> {
        let room = (room / DirectoryEntry::SIZE as u64).min(MAX_ENTRIES as u64) as usize;
        if room == 0 {
            return Err(FsError::Invalid);
        }
        Ok(Self {
            bytes: Vec::new(),
            room,
            count: 0,
            next: position,
        })
    }

    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        if self.count as usize == self.room {
            return false;
        }
        self.bytes.extend(bytes_of(&DirectoryEntry {
            inode: entry.node,
            next: entry.next,
            file_type: entry.kind,
            name: text(&entry.name),
        }));
        self.count += 1;
        self.next = entry.next;
        true
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn reply(&self) -> FileReaddirReply {
        FileReaddirReply {
            count: self.count,
            next: self.next,
        }
    }
}
