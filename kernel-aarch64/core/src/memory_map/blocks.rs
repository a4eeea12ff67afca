//! How a range of physical memory is mapped with the fewest descriptors, 4 KiB granule.

use super::Region;

/// What one descriptor maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A block of 1 GiB.
    One,
    /// A block of 2 MiB.
    Two,
    /// A page of 4 KiB.
    Three,
}

impl Level {
    /// Bytes that a descriptor of this level maps.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::One => 1 << 30,
            Self::Two => 2 << 20,
            Self::Three => 4 << 10,
        }
    }
}

/// Memory that one descriptor maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First physical address, aligned to the level's size.
    pub start: u64,
    /// Level of the descriptor.
    pub level: Level,
}

/// Cuts `region`, whole pages, into the largest blocks that its alignment allows.
pub fn blocks(region: Region) -> impl Iterator<Item = Block> {
    let mut next = region.start;
    core::iter::from_fn(move || {
        let left = region.end.checked_sub(next)?;
        let level = [Level::One, Level::Two, Level::Three]
            .into_iter()
            .find(|level| next.is_multiple_of(level.size()) && left >= level.size())?;
        let block = Block { start: next, level };
        next = next.checked_add(level.size())?;
        Some(block)
    })
}

/// Number of level-2 and level-3 tables that it takes to map `regions`, which are sorted and
/// disjoint, as [`blocks`] cuts them.
#[must_use]
pub fn tables_needed(regions: &[Region]) -> usize {
    // The GiB and the 2 MiB block whose tables have been counted. Only a region's first and last
    // piece of either size can be partial, and sorted regions share tables with neighbours only.
    let mut counted = [None; 2];
    let mut tables: usize = 0;
    for region in regions.iter().filter(|region| !region.is_empty()) {
        for (unit, last) in [Level::One, Level::Two].into_iter().zip(&mut counted) {
            let size = unit.size();
            for edge in [region.start, region.end - 1] {
                let start = edge & !(size - 1);
                let whole = start >= region.start && start.saturating_add(size) <= region.end;
                if !whole && *last != Some(start) {
                    *last = Some(start);
                    tables = tables.saturating_add(1);
                }
            }
        }
    }
    tables
}
