//! Taking blocks and inodes, and giving them back.
//!
//! A block that is freed is not given out before that is durable: until then the file
//! that had it may come back, and must not come back with another's bytes. So blocks
//! are looked for in a map of its own, where they stay in use until the commit.

use alloc::boxed::Box;
use alloc::vec::Vec;

use gritos_fs_api::FsError;

use super::Ext4Volume;
use super::buffers::Kind;
use super::groups::{BLOCKS_UNUSED, INODES_UNUSED, TABLE_ZEROED};
use crate::block::BlockDevice;

impl<D: BlockDevice> Ext4Volume<D> {
    /// Has the map of a group's blocks in memory.
    pub(super) fn load_busy(&mut self, number: u32) -> Result<(), FsError> {
        let group = self.group(number)?;
        if group.busy.is_some() {
            return Ok(());
        }
        let (map, flags) = (group.block_map, group.flags);
        let kind = Kind::Blocks(number);
        let words = if flags & BLOCKS_UNUSED == 0 {
            words_of(self.block(map, kind)?)
        } else {
            let start = self.sb.group_start(number);
            let count = self.sb.blocks_in(number);
            let end = start + u64::from(count);
            let first_zone = self.zones.partition_point(|zone| zone.1 <= start);
            let zones: Vec<(u64, u64)> = self
                .zones
                .iter()
                .skip(first_zone)
                .take_while(|zone| zone.0 < end)
                .map(|zone| (zone.0.max(start) - start, zone.1.min(end) - start))
                .collect();
            let bits = self.sb.block_bytes as u32 * 8;
            let data = self.block_new(map, kind);
            for (from, to) in zones {
                set_bits(data, from as u32, (to - from) as u32, true);
            }
            set_bits(data, count, bits - count, true);
            let words = words_of(data);
            let group = self.group_mut(number)?;
            group.flags &= !BLOCKS_UNUSED;
            group.blocks_changed = true;
            words
        };
        self.group_mut_quiet(number)?.busy = Some(words);
        Ok(())
    }

    /// Takes up to `want` neighbouring free blocks, at `goal` if that is possible.
    pub(super) fn take_blocks(&mut self, goal: u64, want: u32) -> Result<(u64, u32), FsError> {
        let (first, at) = self.sb.group_of(goal);
        for round in 0..=self.sb.groups {
            let number = (first + round) % self.sb.groups;
            if self.group(number)?.free_blocks == 0 {
                continue;
            }
            self.load_busy(number)?;
            let limit = self.sb.blocks_in(number);
            let group = self.group_mut_quiet(number)?;
            let words = group.busy.as_deref().unwrap_or(&[]);
            let hint = group.next_block;
            let found = match round {
                0 => find_run(words, at, limit, want)
                    .filter(|(first, _)| *first == at)
                    .or_else(|| find_run(words, hint, limit, want)),
                _ => None,
            };
            let Some((bit, count)) = found.or_else(|| find_run(words, 0, limit, want)) else {
                continue;
            };
            group.next_block = bit + count;
            self.use_bits(number, bit, count)?;
            return Ok((self.sb.group_start(number) + u64::from(bit), count));
        }
        Err(FsError::NoSpace)
    }

    fn use_bits(&mut self, number: u32, bit: u32, count: u32) -> Result<(), FsError> {
        let map = self.group(number)?.block_map;
        let data = self.block_mut(map, Kind::Blocks(number))?;
        set_bits(data, bit, count, true);
        let group = self.group_mut(number)?;
        if let Some(words) = group.busy.as_deref_mut() {
            mark(words, bit, count, true);
        }
        group.blocks_changed = true;
        group.free_blocks = group.free_blocks.saturating_sub(count);
        self.free_blocks = self.free_blocks.saturating_sub(u64::from(count));
        Ok(())
    }

    /// Frees blocks. They are given out again after the next commit; at once if nothing
    /// that could come back ever had them (`fresh`).
    pub(super) fn free_blocks(
        &mut self,
        start: u64,
        count: u32,
        fresh: bool,
    ) -> Result<(), FsError> {
        let mut at = start;
        let end = start + u64::from(count);
        while at < end {
            let (number, bit) = self.sb.group_of(at);
            let here =
                (end - at).min(u64::from(self.sb.blocks_in(number).saturating_sub(bit))) as u32;
            if here == 0 {
                return Err(FsError::Corrupted);
            }
            self.load_busy(number)?;
            let map = self.group(number)?.block_map;
            let data = self.block_mut(map, Kind::Blocks(number))?;
            if !all_set(data, bit, here) {
                return Err(FsError::Corrupted);
            }
            set_bits(data, bit, here, false);
            let group = self.group_mut(number)?;
            group.blocks_changed = true;
            group.free_blocks += here;
            if fresh {
                group.next_block = group.next_block.min(bit);
            }
            self.free_blocks += u64::from(here);
            if fresh {
                self.reusable(number, bit, here);
            } else {
                self.freed.push((number, bit, here));
            }
            at += u64::from(here);
        }
        Ok(())
    }

    fn reusable(&mut self, number: u32, bit: u32, count: u32) {
        if let Some(group) = self.groups.get_mut(number as usize) {
            if let Some(words) = group.busy.as_deref_mut() {
                mark(words, bit, count, false);
            }
            group.next_block = group.next_block.min(bit);
        }
    }

    /// What was freed is durable: it can be used again.
    pub(super) fn reuse_freed(&mut self) {
        for (number, bit, count) in core::mem::take(&mut self.freed) {
            self.reusable(number, bit, count);
        }
    }

    /// Takes a free inode, in the group of `near` or the next one that has any.
    pub(super) fn take_inode(&mut self, near: u32, folder: bool) -> Result<u32, FsError> {
        let per_group = self.sb.inodes_per_group;
        let first = near.saturating_sub(1) / per_group;
        for round in 0..self.sb.groups {
            let number = (first + round) % self.sb.groups;
            let group = self.group(number)?;
            if group.free_inodes == 0 {
                continue;
            }
            let (map, flags, from) = (group.inode_map, group.flags, group.next_inode);
            let reserved = if number == 0 {
                self.sb.first_inode - 1
            } else {
                0
            };
            let kind = Kind::Inodes(number);
            if flags & INODES_UNUSED != 0 {
                let bits = self.sb.block_bytes as u32 * 8;
                let data = self.block_new(map, kind);
                set_bits(data, per_group, bits - per_group, true);
                let group = self.group_mut(number)?;
                group.flags &= !INODES_UNUSED;
                group.unused = per_group;
                group.inodes_changed = true;
            }
            let words = self.block(map, kind)?;
            let free = |from: u32| {
                (from.max(reserved)..per_group).find(|at| {
                    words
                        .get(*at as usize / 8)
                        .is_some_and(|byte| byte >> (at % 8) & 1 == 0)
                })
            };
            let Some(at) = free(from).or_else(|| free(0)) else {
                continue;
            };
            self.never_used(number, at)?;
            set_bits(self.block_mut(map, kind)?, at, 1, true);
            let group = self.group_mut(number)?;
            group.inodes_changed = true;
            group.free_inodes -= 1;
            group.folders += u32::from(folder);
            group.next_inode = at + 1;
            self.free_inodes = self.free_inodes.saturating_sub(1);
            return Ok(number * per_group + at + 1);
        }
        Err(FsError::NoSpace)
    }

    /// Makes the part of the table of inodes usable that goes up to an inode.
    fn never_used(&mut self, number: u32, at: u32) -> Result<(), FsError> {
        let per_group = self.sb.inodes_per_group;
        let group = self.group(number)?;
        let used = per_group - group.unused;
        if at < used {
            return Ok(());
        }
        if group.flags & TABLE_ZEROED == 0 {
            for index in used..=at {
                let inode = number * per_group + index + 1;
                let (block, offset) = self.inode_place(inode)?;
                let bytes = self.sb.inode_bytes;
                let data = self.block_mut(block, Kind::Table)?;
                if let Some(raw) = data.get_mut(offset..offset + bytes) {
                    raw.fill(0);
                }
            }
        }
        self.group_mut(number)?.unused = per_group - at - 1;
        Ok(())
    }

    pub(super) fn free_inode_number(&mut self, inode: u32, folder: bool) -> Result<(), FsError> {
        let per_group = self.sb.inodes_per_group;
        let (number, at) = ((inode - 1) / per_group, (inode - 1) % per_group);
        let map = self.group(number)?.inode_map;
        let data = self.block_mut(map, Kind::Inodes(number))?;
        if !all_set(data, at, 1) {
            return Err(FsError::Corrupted);
        }
        set_bits(data, at, 1, false);
        let group = self.group_mut(number)?;
        group.inodes_changed = true;
        group.free_inodes += 1;
        group.folders = group.folders.saturating_sub(u32::from(folder));
        group.next_inode = group.next_inode.min(at);
        self.free_inodes += 1;
        Ok(())
    }
}

fn set_bits(map: &mut [u8], first: u32, count: u32, value: bool) {
    let mut at = first;
    let end = first + count;
    while at < end {
        let Some(byte) = map.get_mut(at as usize / 8) else {
            return;
        };
        if at.is_multiple_of(8) && end - at >= 8 {
            *byte = if value { 0xff } else { 0 };
            at += 8;
            continue;
        }
        let bit = 1 << (at % 8);
        *byte = if value { *byte | bit } else { *byte & !bit };
        at += 1;
    }
}

fn all_set(map: &[u8], first: u32, count: u32) -> bool {
    (first..first + count).all(|at| {
        map.get(at as usize / 8)
            .is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    })
}

fn words_of(map: &[u8]) -> Box<[u64]> {
    let word = |bytes: &[u8]| {
        bytes
            .first_chunk()
            .map_or(u64::MAX, |word| u64::from_le_bytes(*word))
    };
    map.chunks(8).map(word).collect()
}

fn mark(words: &mut [u64], first: u32, count: u32, value: bool) {
    let mut at = first;
    let end = first + count;
    while at < end {
        let here = (64 - at % 64).min(end - at);
        let mask = (u64::MAX >> (64 - here)) << (at % 64);
        if let Some(word) = words.get_mut(at as usize / 64) {
            *word = if value { *word | mask } else { *word & !mask };
        }
        at += here;
    }
}

/// The first free run from `from` on, of at most `want`, below `limit`.
fn find_run(words: &[u64], from: u32, limit: u32, want: u32) -> Option<(u32, u32)> {
    let mut at = from;
    while at < limit {
        let free = !*words.get(at as usize / 64)? >> (at % 64);
        if free == 0 {
            at = (at / 64 + 1) * 64;
            continue;
        }
        at += free.trailing_zeros();
        let first = at;
        let most = want.min(limit.saturating_sub(first));
        while at - first < most {
            let Some(word) = words.get(at as usize / 64) else {
                break;
            };
            let run = (*word >> (at % 64)).trailing_zeros().min(64 - at % 64);
            at += run;
            if run == 0 || !at.is_multiple_of(64) {
                break;
            }
        }
        let count = (at - first).min(most);
        return (count > 0).then_some((first, count));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{find_run, mark};

    #[test]
    fn runs_are_found_marked_and_bounded() {
        let mut words = [0_u64; 4];
        assert_eq!(find_run(&words, 0, 256, 1000), Some((0, 256)));
        assert_eq!(find_run(&words, 3, 200, 1000), Some((3, 197)));
        mark(&mut words, 10, 100, true);
        assert_eq!(find_run(&words, 0, 256, 64), Some((0, 10)));
        assert_eq!(find_run(&words, 10, 256, 64), Some((110, 64)));
        assert_eq!(find_run(&words, 70, 256, 500), Some((110, 146)));
        mark(&mut words, 0, 256, true);
        assert_eq!(find_run(&words, 0, 256, 1), None);
        mark(&mut words, 63, 2, false);
        assert_eq!(find_run(&words, 0, 256, 9), Some((63, 2)));
        assert_eq!(find_run(&words, 0, 64, 9), Some((63, 1)));
    }
}
