//! The superblock: what a volume says of itself, and which volumes are taken.
//! Source: Linux, `Documentation/filesystems/ext4/super.rst`.

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::bytes::{le16, le32, part, put32};
use super::checksum::{START, crc};
use super::hash::Hasher;
use crate::block::SECTOR_BYTES;

pub(super) const BYTES: usize = 1024;

const MAGIC: u16 = 0xef53;
/// Features without which a volume can be used, though not understood.
mod compat {
    pub(super) const JOURNAL: u32 = 0x4;
    pub(super) const DIR_INDEX: u32 = 0x20;
}
/// Features that must be understood.
mod incompat {
    pub(super) const FILE_TYPE: u32 = 0x2;
    pub(super) const RECOVER: u32 = 0x4;
    pub(super) const EXTENTS: u32 = 0x40;
    pub(super) const BITS_64: u32 = 0x80;
    pub(super) const FLEX_BG: u32 = 0x200;
    pub(super) const SUM_SEED: u32 = 0x2000;
    pub(super) const KNOWN: u32 = FILE_TYPE | RECOVER | EXTENTS | BITS_64 | FLEX_BG | SUM_SEED;
}
/// Features that must be understood by whoever writes.
mod ro_compat {
    pub(super) const SPARSE: u32 = 0x1;
    pub(super) const LARGE_FILE: u32 = 0x2;
    pub(super) const HUGE_FILE: u32 = 0x8;
    pub(super) const DIR_NLINK: u32 = 0x20;
    pub(super) const EXTRA_ISIZE: u32 = 0x40;
    pub(super) const SUMS: u32 = 0x400;
    pub(super) const KNOWN: u32 = SPARSE | LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | SUMS;
}

const AT_FREE_BLOCKS: usize = 0xc;
const AT_FREE_INODES: usize = 0x10;
const AT_INCOMPAT: usize = 0x60;
const AT_ORPHAN: usize = 0xe8;
const AT_FREE_BLOCKS_HIGH: usize = 0x158;
const AT_SUM: usize = 0x3fc;

/// Most groups of blocks: 32 TiB with blocks of 4 KiB.
const MAX_GROUPS: u64 = 1 << 18;

/// A superblock that makes sense.
pub(super) struct Superblock {
    raw: Vec<u8>,
    pub(super) block_bytes: usize,
    pub(super) blocks: u64,
    pub(super) first_block: u64,
    pub(super) blocks_per_group: u32,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) first_inode: u32,
    pub(super) inode_bytes: usize,
    pub(super) extra_bytes: u16,
    pub(super) descriptor_bytes: usize,
    pub(super) groups: u32,
    pub(super) backup_blocks: u64,
    /// Metadata has checksums, which start with `seed`.
    pub(super) sums: bool,
    pub(super) seed: u32,
    pub(super) indexes: bool,
    pub(super) hasher: Hasher,
    pub(super) journal: u32,
    /// What it says of itself is understood well enough to change it.
    pub(super) writable: bool,
    sparse: bool,
}

/// Whether this is a superblock, and whole.
pub(super) fn is_whole(raw: &[u8]) -> bool {
    let sums = le32(raw, 0x64) & ro_compat::SUMS != 0;
    le16(raw, 0x38) == MAGIC && (!sums || le32(raw, AT_SUM) == crc(START, part(raw, 0, AT_SUM)))
}

impl Superblock {
    /// Reads one that is whole, of a device of so many sectors.
    ///
    /// # Errors
    /// `Corrupted` if sizes do not fit together or the device, `NotSupported`.
    pub(super) fn parse(raw: &[u8], sectors: u64) -> Result<Self, FsError> {
        let has = |at, bits| le32(raw, at) & bits != 0;
        let log = le32(raw, 0x18);
        if le32(raw, AT_INCOMPAT) & !incompat::KNOWN != 0
            || le32(raw, 0x4c) == 0
            || !has(AT_INCOMPAT, incompat::EXTENTS)
            || !has(AT_INCOMPAT, incompat::FILE_TYPE)
            || log > 2
        {
            return Err(FsError::NotSupported);
        }
        let block_bytes = 1024_usize << log;
        let wide = has(AT_INCOMPAT, incompat::BITS_64);
        let high = if wide { le32(raw, 0x150) } else { 0 };
        let blocks = u64::from(le32(raw, 4)) | u64::from(high) << 32;
        let first_block = u64::from(le32(raw, 0x14));
        let blocks_per_group = le32(raw, 0x20);
        let inodes_per_group = le32(raw, 0x28);
        let inode_bytes = usize::from(le16(raw, 0x58));
        let descriptor_bytes = if wide {
            usize::from(le16(raw, 0xfe))
        } else {
            32
        };
        let bits = block_bytes as u32 * 8;
        let device = sectors / (block_bytes / SECTOR_BYTES) as u64;
        let sane = first_block == u64::from(log == 0)
            && (first_block + 1..=device).contains(&blocks)
            && (8..=bits).contains(&blocks_per_group)
            && blocks_per_group.is_multiple_of(8)
            && (8..=bits).contains(&inodes_per_group)
            && inodes_per_group.is_multiple_of(8)
            && inode_bytes.is_power_of_two()
            && (128..=block_bytes).contains(&inode_bytes)
            && descriptor_bytes.is_power_of_two()
            && (32 + 32 * usize::from(wide)..=block_bytes).contains(&descriptor_bytes)
            && le32(raw, 0x54) > 10;
        let groups =
            (blocks.saturating_sub(first_block)).div_ceil(u64::from(blocks_per_group.max(1)));
        let inodes = le32(raw, 0);
        if !sane || groups > MAX_GROUPS || u64::from(inodes) != groups * u64::from(inodes_per_group)
        {
            return Err(FsError::Corrupted);
        }
        let descriptors = (groups * descriptor_bytes as u64).div_ceil(block_bytes as u64);
        let seed = if has(AT_INCOMPAT, incompat::SUM_SEED) {
            le32(raw, 0x270)
        } else {
            crc(START, part(raw, 0x68, 0x78))
        };
        let extra = le16(raw, 0x15e);
        Ok(Self {
            block_bytes,
            blocks,
            first_block,
            blocks_per_group,
            inodes,
            inodes_per_group,
            first_inode: le32(raw, 0x54),
            inode_bytes,
            extra_bytes: if (28..=64).contains(&extra) {
                extra
            } else {
                32
            },
            descriptor_bytes,
            groups: groups as u32,
            backup_blocks: 1 + descriptors + u64::from(le16(raw, 0xce)),
            sums: has(0x64, ro_compat::SUMS),
            seed,
            indexes: has(0x5c, compat::DIR_INDEX),
            hasher: Hasher {
                version: raw.get(0xfc).copied().unwrap_or(1),
                unsigned: has(0x160, 2),
                seed: [0xec, 0xf0, 0xf4, 0xf8].map(|at| le32(raw, at)),
            },
            journal: if has(0x5c, compat::JOURNAL) {
                le32(raw, 0xe0)
            } else {
                0
            },
            writable: le32(raw, 0x64) & !ro_compat::KNOWN == 0,
            sparse: has(0x64, ro_compat::SPARSE),
            raw: raw.to_vec(),
        })
    }

    /// Whether a group holds a copy of the superblock and the descriptors.
    pub(super) fn has_backup(&self, group: u32) -> bool {
        let power = |base: u32| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        !self.sparse || group < 2 || power(3) || power(5) || power(7)
    }

    /// All of it, as it was read or encoded last.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Blocks of descriptors, without those that are reserved for more.
    pub(super) const fn descriptor_blocks(&self) -> u64 {
        (self.groups as u64 * self.descriptor_bytes as u64).div_ceil(self.block_bytes as u64)
    }

    pub(super) fn needs_recovery(&self) -> bool {
        le32(&self.raw, AT_INCOMPAT) & incompat::RECOVER != 0
    }

    /// Says whether the journal is in use.
    pub(super) fn set_recovery(&mut self, needed: bool) {
        let now = le32(&self.raw, AT_INCOMPAT);
        let now = if needed {
            now | incompat::RECOVER
        } else {
            now & !incompat::RECOVER
        };
        put32(&mut self.raw, AT_INCOMPAT, now);
    }

    /// The first inode in the list of those without a name, 0 if there is none.
    pub(super) fn first_orphan(&self) -> u32 {
        le32(&self.raw, AT_ORPHAN)
    }

    /// When it was written last, or made: no later time is earlier.
    pub(super) fn last_time(&self) -> u32 {
        le32(&self.raw, 0x30).max(le32(&self.raw, 0x108))
    }

    /// The superblock with its checksum.
    pub(super) fn encode(
        &mut self,
        orphan: u32,
        free_blocks: u64,
        free_inodes: u32,
        seconds: u32,
    ) -> &[u8] {
        put32(&mut self.raw, AT_ORPHAN, orphan);
        put32(&mut self.raw, AT_FREE_BLOCKS, free_blocks as u32);
        if self.descriptor_bytes > 32 {
            put32(
                &mut self.raw,
                AT_FREE_BLOCKS_HIGH,
                (free_blocks >> 32) as u32,
            );
        }
        put32(&mut self.raw, AT_FREE_INODES, free_inodes);
        put32(&mut self.raw, 0x30, seconds);
        if self.sums {
            let sum = crc(START, part(&self.raw, 0, AT_SUM));
            put32(&mut self.raw, AT_SUM, sum);
        }
        &self.raw
    }

    /// Where it lies: a block, and the first byte in it.
    pub(super) fn place(&self) -> (u64, usize) {
        let at = BYTES % self.block_bytes;
        ((BYTES / self.block_bytes) as u64, at)
    }
}
