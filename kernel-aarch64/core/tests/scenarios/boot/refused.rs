//! What the root task cannot be started with or from, and the least that will do.

use super::*;

#[test]
fn one_page_beyond_what_the_kernel_needs_is_enough() {
    let (kernel, result) = boot(&program(), &[SMALL, home(HOME_BYTES + 4096)], &[]);
    assert_eq!(result, Ok(()));
    let rest = cap(&kernel, 17);
    assert_eq!(rest.badge.get(), 4096 / 64);
    assert!(cap(&kernel, 18).is_empty());
    let (_, result) = boot(&program(), &[SMALL, home(HOME_BYTES)], &[]);
    assert_eq!(result, Err(RootError::Memory));
    assert_eq!(boot(&program(), &[], &[]).1, Err(RootError::Memory));
}

#[test]
fn as_many_regions_as_the_information_can_tell() {
    for (count, expected) in [(96, Ok(())), (97, Err(RootError::Regions))] {
        let more =
            (1..count).map(|i| Region::between(OTHER.end + (i << 20), OTHER.end + (i << 20) + 64));
        let free: Vec<_> = [home(HOME_BYTES + 0x3000)]
            .into_iter()
            .chain(more)
            .collect();
        assert_eq!(boot(&program(), &free, &[]).1, expected, "{count}");
        // Devices count as well.
        let (free, devices) = free.split_at(50);
        assert_eq!(boot(&program(), free, devices).1, expected, "{count}");
    }
}

#[test]
fn segments_that_cannot_be_used_in_place_are_told_by_index() {
    let good = segment(0x20_0000, 0x1000, 4096, RX);
    let free = [home(HOME_BYTES + 0x3000)];
    assert_eq!(boot(&[good], &free, &[]).1, Ok(()));
    for bad in [
        // Zeros behind what the image has, or parts of pages.
        Segment {
            memory_bytes: 8192,
            ..good
        },
        segment(0x20_0000, 0x1000, 0, RX),
        segment(0x20_0000, 0x1000, 4097, RX),
        segment(0x20_0000, 0x1800, 4096, RX),
        segment(0x20_0800, 0x1000, 4096, RX),
        // Outside user addresses, or where something is.
        segment(0, 0x1000, 4096, RX),
        segment(TOP, 0x1000, 4096, RX),
        segment(TOP - 4096, 0x1000, 8192, RX),
        segment(TOP + 4096, 0x1000, 4096, RX),
        segment(u64::MAX - 4095, 0x1000, 4096, RX),
        // Rights that no mapping has.
        segment(0x20_0000, 0x1000, 4096, 0),
        segment(0x20_0000, 0x1000, 4096, 2),
        segment(0x20_0000, 0x1000, 4096, 7),
    ] {
        assert_eq!(
            boot(&[bad], &free, &[]).1,
            Err(RootError::Segment(0)),
            "{bad:?}"
        );
        let second = Segment {
            address: 0x60_0000,
            ..good
        };
        let (_, result) = boot(&[second, bad], &free, &[]);
        assert_eq!(result, Err(RootError::Segment(1)), "{bad:?}");
    }
    assert_eq!(
        boot(&[good, good], &free, &[]).1,
        Err(RootError::Segment(1))
    );
    // Where the page of information will be.
    let there = segment(boot_info::VIRTUAL_ADDRESS, 0x1000, 4096, RX);
    assert_eq!(boot(&[there], &free, &[]).1, Err(RootError::Memory));
}
