//! Sets of regions against a bitmap of pages, blocks against the ranges they came from.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use std::{collections::BTreeSet, vec::Vec};

use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};

use super::{Full, Level, PAGE, Region, RegionSet, blocks, tables_needed};

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test regions do not wrap")
}

#[test]
fn neighbours_melt_and_a_hole_splits() {
    let mut set = RegionSet::<2>::new();
    set.insert(region(0, 0x1000)).unwrap();
    set.insert(region(0x2000, 0x1000)).unwrap();
    assert_eq!(set.insert(region(0x4000, 0x1000)), Err(Full));
    set.insert(region(0x1000, 0x1000)).unwrap();
    assert_eq!(set.as_slice(), [region(0, 0x3000)]);
    set.remove(region(0x1000, 0x800)).unwrap();
    assert_eq!(set.as_slice(), [region(0, 0x1000), region(0x1800, 0x1800)]);
    let before = set.clone();
    assert_eq!(set.remove(region(0x2000, 1)), Err(Full));
    assert_eq!(set, before, "a refused change must change nothing");
}

#[test]
fn a_region_at_the_end_of_the_address_space_neither_wraps_nor_panics() {
    assert_eq!(Region::new(u64::MAX, 2), None);
    let top = region(u64::MAX - 0x1800, 0x1800);
    assert_eq!(top.pages_around().end, !(PAGE - 1));
    assert_eq!(top.pages_within().size(), 0);
    let last = Region {
        start: !(PAGE - 1),
        end: u64::MAX,
    };
    assert_eq!(blocks(last).next(), None, "not a whole page");
}

#[test]
fn what_has_no_addresses_overlaps_nothing_and_has_no_pages() {
    let whole = region(0x1000, 0x2000);
    let inside = region(0x1800, 0);
    assert!(!whole.overlaps(&inside) && !inside.overlaps(&whole));
    assert!(whole.overlaps(&region(0x2fff, 1)));
    assert!(!whole.overlaps(&region(0x3000, 1)) && !whole.overlaps(&region(0xfff, 1)));
    for (start, size) in [
        (0x1000, 0xfff),
        (0x1001, 0xfff),
        (0x1800, 0x10),
        (0x1000, 0),
    ] {
        assert_eq!(region(start, size).pages_within(), Region::EMPTY);
    }
    assert_eq!(
        region(0x1001, 0x1fff).pages_within(),
        region(0x2000, 0x1000)
    );
}

#[test]
fn whole_gigabytes_need_no_tables() {
    assert_eq!(tables_needed(&[region(1 << 30, 3 << 30)]), 0);
    // Two edges, a table of each level at both.
    assert_eq!(tables_needed(&[region(0x1000, (3 << 30) - 0x2000)]), 4);
    // A hole within one block: its two neighbours share both tables.
    assert_eq!(
        tables_needed(&[region(0, 0x1000), region(0x3000, (1 << 30) - 0x3000)]),
        2
    );
}

proptest! {
    #[test]
    fn free_pages_are_ram_and_nothing_taken(
        banks in vec((0_u64..64, 0_u64..64), 1..5),
        taken in vec((0_u64..128 * PAGE, 0_u64..6 * PAGE), 0..8),
        limit in 0_u64..140,
    ) {
        let mut set = RegionSet::<8>::new();
        let mut model = BTreeSet::new();
        for &(page, pages) in &banks {
            set.insert(region(page * PAGE, pages * PAGE)).unwrap();
            model.extend(page..page + pages);
        }
        let taken: Vec<_> = taken.iter().map(|&(start, size)| region(start, size)).collect();
        model.retain(|&page| {
            let page = region(page * PAGE, PAGE);
            page.start < limit * PAGE && !taken.iter().any(|taken| {
                taken.overlaps(&page)
            })
        });
        let free: RegionSet<32> = set.free_pages(&taken, limit * PAGE).unwrap();
        let mut found = BTreeSet::new();
        for region in free.as_slice() {
            for page in region.start / PAGE..region.end / PAGE {
                prop_assert!(found.insert(page), "page {} twice", page);
            }
        }
        prop_assert_eq!(found, model);
        prop_assert!(free.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start));
    }

    #[test]
    fn blocks_cover_a_region_exactly_and_are_aligned(start in 0_u64..1 << 22, pages in 1_u64..1 << 20) {
        let region = region(start * PAGE, pages * PAGE);
        let mut next = region.start;
        for block in blocks(region) {
            prop_assert_eq!(block.start, next);
            prop_assert_eq!(block.start % block.level.size(), 0);
            next += block.level.size();
        }
        prop_assert_eq!(next, region.end);
    }

    #[test]
    fn tables_needed_counts_the_tables_that_blocks_use(
        pieces in vec((any::<bool>(), 1_u64..700_000), 1..12),
    ) {
        let mut set = RegionSet::<12>::new();
        let mut page = 0;
        for (wanted, pages) in pieces {
            if wanted {
                set.insert(region(page * PAGE, pages * PAGE)).unwrap();
            }
            page += pages;
        }
        let mut tables = BTreeSet::new();
        for block in set.as_slice().iter().flat_map(|&region| blocks(region)) {
            if block.level != Level::One {
                tables.insert((1, block.start >> 30));
            }
            if block.level == Level::Three {
                tables.insert((2, block.start >> 21));
            }
        }
        prop_assert_eq!(tables_needed(set.as_slice()), tables.len());
    }
}
