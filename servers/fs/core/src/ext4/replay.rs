//! Replaying a journal after a crash, whoever wrote it.
//!
//! First all commits are found, which end where one is not whole; then the newest
//! version of each block is written to its place, unless it was revoked since.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::bytes::{be32, part, put_be32};
use super::checksum::{START, crc};
use super::journal::{COMMIT, DESCRIPTOR, ESCAPED, HEAD, LAST, Log, MAGIC, REVOKE, SAME_UUID};
use super::superblock::{self, Superblock};
use crate::block::BlockDevice;

/// Features: numbers of blocks have 64 bits, commits may be sums only, sums of two
/// sorts.
const WIDE: u32 = 2;
const ASYNC: u32 = 4;
const SUMS_2: u32 = 8;
const SUMS_3: u32 = 16;
const KNOWN: u32 = 1 | WIDE | ASYNC | SUMS_2 | SUMS_3;

/// Most blocks that are kept in memory for a volume that may not be written.
const MAX_KEPT: usize = 4096;

/// How a journal is written.
#[derive(Clone, Copy)]
struct Format {
    wide: bool,
    sums_2: bool,
    sums_3: bool,
    seed: u32,
}

/// A version of a block: of which commit, where in the journal, and its sum.
#[derive(Clone, Copy)]
struct Version {
    sequence: u32,
    at: u32,
    escaped: bool,
    sum: u32,
}

#[derive(Default)]
struct Found {
    versions: BTreeMap<u64, Version>,
    revoked: BTreeMap<u64, u32>,
}

impl Format {
    const fn sums(self) -> bool {
        self.sums_2 || self.sums_3
    }

    fn of(log: &Log) -> Result<Self, FsError> {
        // The first version has no features.
        let features = if be32(&log.raw, 4) == 4 {
            be32(&log.raw, 0x28)
        } else {
            0
        };
        if features & !KNOWN != 0 {
            return Err(FsError::NotSupported);
        }
        Ok(Self {
            wide: features & WIDE != 0,
            sums_2: features & SUMS_2 != 0,
            sums_3: features & SUMS_3 != 0,
            seed: crc(START, part(&log.raw, 0x30, 0x40)),
        })
    }

    const fn tag_bytes(self) -> usize {
        if self.sums_3 {
            return 16;
        }
        8 + if self.sums_2 { 2 } else { 0 } + if self.wide { 4 } else { 0 }
    }

    /// Whether a block has the sum that it has at `at`.
    fn is_whole(self, block: &[u8], at: usize) -> bool {
        let sum = crc(crc(self.seed, part(block, 0, at)), &[0; 4]);
        !self.sums() || be32(block, at) == crc(sum, part(block, at + 4, block.len()))
    }

    /// What a descriptor says: blocks, whether escaped, and their sums.
    fn tags(self, block: &[u8]) -> Vec<(u64, bool, u32)> {
        let end = block.len() - if self.sums() { 4 } else { 0 };
        let mut tags = Vec::new();
        let mut at = HEAD;
        while at + self.tag_bytes() <= end {
            let low = u64::from(be32(block, at));
            let (marks, sum, high) = if self.sums_3 {
                (
                    be32(block, at + 4),
                    be32(block, at + 12),
                    be32(block, at + 8),
                )
            } else {
                let word = be32(block, at + 4);
                (word & 0xffff, word >> 16, be32(block, at + 8))
            };
            let high = if self.wide { u64::from(high) << 32 } else { 0 };
            tags.push((low | high, marks & ESCAPED != 0, sum));
            at += self.tag_bytes();
            if marks & SAME_UUID == 0 {
                at += 16;
            }
            if marks & LAST != 0 {
                break;
            }
        }
        tags
    }

    fn revokes(self, block: &[u8]) -> Vec<u64> {
        let size = if self.wide { 8 } else { 4 };
        let limit = block.len() - if self.sums() { 4 } else { 0 };
        let end = (be32(block, HEAD) as usize).min(limit);
        let mut blocks = Vec::new();
        let mut at = HEAD + 4;
        while at + size <= end {
            blocks.push(if self.wide {
                u64::from(be32(block, at)) << 32 | u64::from(be32(block, at + 4))
            } else {
                u64::from(be32(block, at))
            });
            at += size;
        }
        blocks
    }

    fn fits(self, version: Version, data: &[u8]) -> bool {
        if !self.sums() {
            return true;
        }
        let sum = crc(crc(self.seed, &version.sequence.to_be_bytes()), data);
        if self.sums_3 {
            sum == version.sum
        } else {
            sum & 0xffff == version.sum
        }
    }
}

impl<D: BlockDevice> Ext4Volume<D> {
    /// Replays the journal: on the device, or, if that may not be written, in memory.
    /// Returns whether there was something.
    pub(super) fn replay(&mut self, log: &mut Log, read_only: bool) -> Result<bool, FsError> {
        if log.start() == 0 {
            return Ok(false);
        }
        let format = Format::of(log)?;
        let found = self.scan(log, format)?;
        let current = |block: &u64, version: &Version| {
            found
                .revoked
                .get(block)
                .is_none_or(|revoked| (version.sequence.wrapping_sub(*revoked)).cast_signed() > 0)
        };
        let (superblock, at) = self.sb.place();
        let wanted = found
            .versions
            .iter()
            .filter(|(block, version)| current(block, version));
        if read_only && wanted.clone().count() > MAX_KEPT {
            return Err(FsError::NoMemory);
        }
        // A journal may contain the growth of its volume.
        let mut limit = self.sb.blocks;
        let mut newest = None;
        for (block, version) in wanted.clone().filter(|(block, _)| **block == superblock) {
            let data = self.version(log, format, *version)?;
            let raw = part(&data, at, at + superblock::BYTES);
            if !superblock::is_whole(raw) {
                return Err(FsError::Corrupted);
            }
            limit = limit.max(Superblock::parse(raw, self.disk.sectors())?.blocks);
            newest = Some((*block, data));
        }
        for (block, version) in wanted.filter(|(block, _)| **block != superblock) {
            if *block >= limit {
                return Err(FsError::Corrupted);
            }
            let data = self.version(log, format, *version)?;
            if read_only {
                self.buffers.replayed(*block, data);
            } else {
                self.disk.write_past(*block, &data)?;
            }
        }
        match newest {
            Some((block, data)) if read_only => self.buffers.replayed(block, data),
            // Last, as in a checkpoint.
            Some((_, data)) => {
                self.disk.flush()?;
                self.disk
                    .write_superblock(part(&data, at, at + superblock::BYTES))?;
            }
            None if read_only => {}
            None => self.disk.flush()?,
        }
        Ok(true)
    }

    /// A version of a block as the journal has it.
    fn version(&mut self, log: &Log, format: Format, version: Version) -> Result<Vec<u8>, FsError> {
        let mut data = vec![0; self.sb.block_bytes];
        self.disk.read(log.place(version.at)?, 0, &mut data)?;
        if !format.fits(version, &data) {
            return Err(FsError::Corrupted);
        }
        if version.escaped {
            put_be32(&mut data, 0, MAGIC);
        }
        Ok(data)
    }

    /// Finds what was committed, and leaves the journal at the number that comes next.
    fn scan(&mut self, log: &mut Log, format: Format) -> Result<Found, FsError> {
        let mut found = Found::default();
        let mut sequence = log.sequence;
        let mut at = log.start();
        let mut tags: Vec<(u64, Version)> = Vec::new();
        let mut revokes = Vec::new();
        let mut left = log.end;
        let mut block = vec![0; self.sb.block_bytes];
        let tail = block.len() - 4;
        while let Some(rest) = left.checked_sub(1) {
            left = rest;
            self.disk.read(log.place(at)?, 0, &mut block)?;
            if be32(&block, 0) != MAGIC || be32(&block, 8) != sequence {
                break;
            }
            at = log.next(at);
            match be32(&block, 4) {
                DESCRIPTOR if format.is_whole(&block, tail) => {
                    for (number, escaped, sum) in format.tags(&block) {
                        let Some(rest) = left.checked_sub(1) else {
                            break;
                        };
                        left = rest;
                        tags.push((
                            number,
                            Version {
                                sequence,
                                at,
                                escaped,
                                sum,
                            },
                        ));
                        at = log.next(at);
                    }
                }
                REVOKE if format.is_whole(&block, tail) => revokes.extend(format.revokes(&block)),
                COMMIT if format.is_whole(&block, 0x10) => {
                    found.versions.extend(tags.drain(..));
                    found
                        .revoked
                        .extend(revokes.drain(..).map(|number| (number, sequence)));
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
        }
        // What is left of a commit without an end is not to be taken for the next one's.
        log.sequence = sequence.wrapping_add(1);
        Ok(found)
    }
}
