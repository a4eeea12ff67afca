//! The last partition of a card, when the card is larger than its image.
//!
//! An image says in its MBR, by a mark among the code that nobody runs, that its last
//! partition may reach to the end of whatever it is written to. The entry and the mark are
//! in one sector: it is extended once, at the first boot that finds room, and a table that
//! somebody changes afterwards stays as it is.
//!
//! Not here: GPT, whose copy at the end of the disk would have to move.

use super::{Partition, PartitionKind, mbr_entry, partitions};
use crate::block::{BlockDevice, BlockError, SECTOR_BYTES};

/// The mark.
pub const MARK: &[u8; 24] = b"gRiTOS: last may grow 1x";
/// Where it is in the first sector: before the signature of the disk, which is at 440.
pub const MARK_AT: usize = 384;

/// Partitions end at multiples of so many sectors: 1 MiB.
const STEP: u64 = 2048;

/// Extends the last partition of a disk, durably, if the disk has the mark, the partition
/// is one of Linux and there is room behind it. `limit` says how many sectors it can have
/// at most; nothing if it is to stay as it is. Returns what it has become.
///
/// # Errors
/// Those of the device. The sector has then its old or its new contents.
pub fn extend<D: BlockDevice>(
    disk: &mut D,
    limit: impl FnOnce(&Partition) -> Option<u64>,
) -> Result<Option<Partition>, BlockError> {
    const _: () = assert!(MARK_AT + MARK.len() <= 440);
    let geometry = disk.geometry();
    if geometry.read_only || geometry.sectors == 0 {
        return Ok(None);
    }
    let mut sector = [0; SECTOR_BYTES];
    disk.read(0, &mut sector)?;
    let mark = sector.get(MARK_AT..MARK_AT + MARK.len());
    if mark != Some(MARK.as_slice()) {
        return Ok(None);
    }
    let kinds = [0, 1, 2, 3].map(|index| sector.get(at(index) + 4).copied().unwrap_or(0));
    let used = kinds.iter().filter(|kind| **kind != 0).count();
    // GPT, and partitions in partitions.
    let foreign = kinds
        .iter()
        .any(|kind| matches!(kind, 0xee | 0x05 | 0x0f | 0x85));
    let found = partitions(disk)?;
    // What was left out of them is not understood.
    if foreign || found.len() != used {
        return Ok(None);
    }
    let last = found.into_iter().max_by_key(|partition| partition.first);
    let Some(mut last) = last.filter(|last| last.kind == PartitionKind::Linux) else {
        return Ok(None);
    };
    let end = geometry.sectors / STEP * STEP;
    if end <= last.first + last.sectors {
        return Ok(None);
    }
    let Some(limit) = limit(&last) else {
        return Ok(None);
    };
    let sectors = (end - last.first).min(limit).min(u64::from(u32::MAX));
    let index = (last.number - 1) as usize;
    if sectors <= last.sectors || mbr_entry(&sector, index) != Some(last) {
        return Ok(None);
    }
    last.sectors = sectors;
    if let Some(count) = sector.get_mut(at(index) + 12..at(index) + 16) {
        count.copy_from_slice(&(sectors as u32).to_le_bytes());
    }
    if let Some(mark) = sector.get_mut(MARK_AT..MARK_AT + MARK.len()) {
        mark.fill(0);
    }
    disk.write(0, &sector)?;
    disk.flush()?;
    Ok(Some(last))
}

/// Where an entry begins.
const fn at(index: usize) -> usize {
    446 + 16 * index
}
