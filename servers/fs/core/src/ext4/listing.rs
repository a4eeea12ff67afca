//! Listing folders, with positions that stay good while entries come and go.
//!
//! A folder with an index is listed in the order of its hashes, which does not change:
//! a position is such a hash. A small folder has no index and gets one when it grows,
//! so its entries are listed in the order of hashes of our own, and a position of that
//! kind remains one after the folder has grown.

use alloc::vec::Vec;

use gritos_fs_api::FsError;
use rsext4::{Delay, Ext4, MountedServices, Observer};
use rsext4::{DirectoryCursor, DirectoryEntry, DirectoryReader, EntropySource};

use super::{error, kind};
use crate::block::BlockDevice;
use crate::ext4::device::Guarded;
use crate::volume::Entry;

/// Marks positions of indexed folders.
const INDEXED: u64 = 1 << 63;
/// Entries that are read at a time.
const BATCH: usize = 64;

type Fs<D, E, O, W> = Ext4<Guarded<D>, MountedServices<E, O, W>>;

pub(super) fn list<D: BlockDevice, E: EntropySource, O: Observer, W: Delay>(
    fs: &mut Fs<D, E, O, W>,
    reader: &mut DirectoryReader,
    position: u64,
    take: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), FsError> {
    if position == u64::MAX {
        return Ok(());
    }
    if position & INDEXED != 0 {
        let cursor = DirectoryCursor::HTree {
            major: (position >> 32 & 0x7fff_ffff) as u32 * 2,
            minor: position as u32,
            collision: 0,
        };
        return indexed(fs, reader, cursor, take);
    }
    let first = fs
        .read_directory_with_reader(reader, DirectoryCursor::Start, 1)
        .map_err(error)?;
    let is_linear = matches!(
        first.first().map(|entry| entry.next_cursor),
        Some(DirectoryCursor::Linear { .. }) | None
    );
    if position == 0 && !is_linear {
        return indexed(fs, reader, DirectoryCursor::Start, take);
    }
    let mut found = Vec::new();
    let mut cursor = DirectoryCursor::Start;
    loop {
        let batch = fs
            .read_directory_with_reader(reader, cursor, BATCH)
            .map_err(error)?;
        let Some(last) = batch.last() else { break };
        cursor = last.next_cursor;
        let later = batch.into_iter().map(|entry| (hash(&entry.name), entry));
        found.extend(later.filter(|(hash, entry)| *hash > position && !is_dots(&entry.name)));
    }
    found.sort_by_key(|(hash, _)| *hash);
    for (hash, entry) in found {
        if !take(entry_of(entry, hash)) {
            break;
        }
    }
    Ok(())
}

fn indexed<D: BlockDevice, E: EntropySource, O: Observer, W: Delay>(
    fs: &mut Fs<D, E, O, W>,
    reader: &mut DirectoryReader,
    mut cursor: DirectoryCursor,
    take: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), FsError> {
    loop {
        let batch = fs
            .read_directory_with_reader(reader, cursor, BATCH)
            .map_err(error)?;
        let Some(last) = batch.last() else {
            return Ok(());
        };
        cursor = last.next_cursor;
        for entry in batch {
            let next = match entry.next_cursor {
                DirectoryCursor::HTree { major, minor, .. } => {
                    INDEXED | u64::from(major >> 1) << 32 | u64::from(minor)
                }
                _ => u64::MAX,
            };
            if !is_dots(&entry.name) && !take(entry_of(entry, next)) {
                return Ok(());
            }
        }
    }
}

fn entry_of(entry: DirectoryEntry, next: u64) -> Entry {
    Entry {
        node: entry.inode.as_u64(),
        kind: kind(entry.file_type),
        name: entry.name,
        next,
    }
}

fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// FNV-1a, finished so that neighbouring names spread; 1 to `INDEXED - 1`.
fn hash(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash ^ hash >> 29) & (INDEXED - 1)).max(1)
}
