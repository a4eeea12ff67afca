//! How large a volume can become, and its superblock then.

use super::GrowError;
use crate::block::SECTOR_BYTES;
use crate::ext4::bytes::{halves, le16, le32, put16, put32};
use crate::ext4::superblock::Superblock;

/// Features that change where copies of the superblock are, or what is in groups.
const KNOWN_COMPAT: u32 = 0x4 | 0x8 | RESIZE_INODE | 0x20;
pub(super) const RESIZE_INODE: u32 = 0x10;

const AT_RESERVED: usize = 0xce;
/// Blocks beside its own that a last group is worth the trouble with.
const WORTH: u64 = 64;

/// How many blocks there can be with the descriptors that were set aside.
pub(super) fn most_blocks(sb: &Superblock) -> u64 {
    let blocks = sb.descriptor_blocks() + reserved(sb);
    let groups = blocks * (sb.block_bytes / sb.descriptor_bytes) as u64;
    // Every inode has a number of 32 bits, as has every block in the journal.
    let groups = groups.min(u64::from(u32::MAX / sb.inodes_per_group));
    let end = sb.first_block + groups * u64::from(sb.blocks_per_group);
    end.min(u64::from(u32::MAX)).max(sb.blocks)
}

/// Blocks that are set aside for descriptors.
pub(super) fn reserved(sb: &Superblock) -> u64 {
    u64::from(le16(sb.raw(), AT_RESERVED))
}

pub(super) fn has_resize_inode(sb: &Superblock) -> bool {
    le32(sb.raw(), 0x5c) & RESIZE_INODE != 0
}

/// The superblock of the volume when it fills a device; nothing if it does, or nearly so.
pub(super) fn plan(sb: &Superblock, sectors: u64) -> Result<Option<Superblock>, GrowError> {
    let size = u64::from(sb.blocks_per_group);
    let room = sectors / (sb.block_bytes / SECTOR_BYTES) as u64;
    let mut blocks = room.min(most_blocks(sb));
    let rest = (blocks - sb.first_block) % size;
    let number = ((blocks - sb.first_block) / size) as u32;
    if rest < own_blocks(sb, number) + WORTH && number >= sb.groups {
        blocks -= rest;
    }
    if blocks <= sb.blocks {
        return Ok(None);
    }
    if !sb.sums {
        return Err(GrowError::Odd("it has no checksums"));
    }
    if le32(sb.raw(), 0x5c) & !KNOWN_COMPAT != 0 {
        return Err(GrowError::Odd("it has features that are not known here"));
    }
    if reserved(sb) > 0 && !has_resize_inode(sb) {
        return Err(GrowError::Odd("blocks are reserved, and no inode has them"));
    }
    if size < sb.backup_blocks + 2 + sb.table_blocks() + WORTH {
        return Err(GrowError::Odd("its groups are too small"));
    }
    let groups = (blocks - sb.first_block).div_ceil(size);
    let bytes = groups * sb.descriptor_bytes as u64;
    let more = bytes.div_ceil(sb.block_bytes as u64) - sb.descriptor_blocks();
    let mut raw = sb.raw().to_vec();
    // As many in a hundred for the administrator as before.
    let kept = u128::from(halves(&raw, 0x8, 0x154)) * u128::from(blocks) / u128::from(sb.blocks);
    let wide = sb.descriptor_bytes >= 64;
    for (value, low, high) in [(blocks, 0x4, 0x150), (kept as u64, 0x8, 0x154)] {
        put32(&mut raw, low, value as u32);
        if wide {
            put32(&mut raw, high, (value >> 32) as u32);
        }
    }
    put32(&mut raw, 0, groups as u32 * sb.inodes_per_group);
    put16(&mut raw, AT_RESERVED, (reserved(sb) - more) as u16);
    // What the file system itself takes: whoever wants to know counts anew.
    put32(&mut raw, 0x248, 0);
    let next = Superblock::parse(&raw, sectors)?;
    Ok(Some(next))
}

/// Blocks of a new group that are the file system's own.
fn own_blocks(sb: &Superblock, number: u32) -> u64 {
    sb.backup_blocks_of(number) + 2 + sb.table_blocks()
}

impl Superblock {
    /// Groups of a range with copies of superblock and descriptors.
    pub(super) fn backups(&self, from: u32, to: u32) -> impl Iterator<Item = u32> + '_ {
        (from..to).filter(|number| self.has_backup(*number))
    }

    /// Blocks at the start of a group that are copies, or reserved for them.
    pub(super) fn backup_blocks_of(&self, number: u32) -> u64 {
        if self.has_backup(number) {
            self.backup_blocks
        } else {
            0
        }
    }
}
