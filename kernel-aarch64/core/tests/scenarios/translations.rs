//! What the processor finds in translation tables.

use crate::common::*;
use crate::tables::*;

/// The descriptor of a page, put together as the Arm ARM says: access flag, inner shareable, not global, accessible to
/// EL0, never executable at EL1.
fn page(address: u64, memory_type: u64, access: u64) -> u64 {
    // Indices of MAIR_EL1.
    let index = [1, 2, 3][memory_type as usize];
    let read_only = if access & 2 == 0 { 1 << 7 } else { 0 };
    let not_executable = if access & 4 == 0 { 1 << 54 } else { 0 };
    let always = 0b11 + (1 << 6) + (0b11 << 8) + (1 << 10) + (1 << 11) + (1 << 53);
    address + always + (index << 2) + read_only + not_executable
}

#[test]
fn memory_attributes_are_those_of_their_index() {
    use gritos_kernel_core::vspace::descriptor::mair;
    let attribute = |index: u64| mair::VALUE >> (8 * index) & 0xff;
    assert_eq!(attribute(mair::STRONGLY_ORDERED), 0b0000_0000);
    assert_eq!(attribute(mair::NORMAL), 0b1111_1111);
    assert_eq!(attribute(mair::UNCACHED), 0b0100_0100);
    assert_eq!(attribute(mair::DEVICE), 0b0000_0100);
    assert_eq!(mair::VALUE >> 32, 0);
}

#[test]
fn every_kind_of_memory_is_translated_as_recorded() {
    let mut w = World::new(64);
    let (space, handle) = make_space(&mut w);
    let root = w.root;
    for memory_type in 0..3 {
        let (cap, physical) = make_memory(&mut w, 4 * PAGE, memory_type);
        let flushed = w.kernel.machine.flushed.clone();
        let uncached: Vec<_> = (0..4).map(|i| (physical + i * PAGE, PAGE)).collect();
        assert_eq!(flushed, &uncached[..if memory_type == 1 { 4 } else { 0 }]);
        w.kernel.machine.flushed.clear();
        // A copy is memory of the same type.
        let copy = w.free_slots(1);
        w.give(cap, ROOT, copy, Rights::AS_HELD, 0);
        for cap in [cap, copy] {
            for address in [PAGE, 5 * PAGE, 3 << 30 | 7 << 21 | 9 << 12, TOP - 4 * PAGE] {
                for (offset, length) in [
                    (0, 0),
                    (0, PAGE),
                    (PAGE, PAGE),
                    (PAGE, 2 * PAGE),
                    (3 * PAGE, 0),
                ] {
                    let pages = if length == 0 {
                        4 - offset / PAGE
                    } else {
                        length / PAGE
                    };
                    for (access, then) in [(R, RW), (RW, R), (R, R)] {
                        w.succeed(root, &map(cap, space, [address, offset, length, access]));
                        let expect = |w: &World, access: u64| {
                            for i in 0..pages {
                                let found = leaf(&w.kernel, handle, address / PAGE + i);
                                let to = physical + offset + i * PAGE;
                                assert_eq!(found, Some(page(to, memory_type, access)));
                            }
                            let beside = [address / PAGE - 1, address / PAGE + pages];
                            for page in beside.into_iter().filter(|page| *page < TOP / PAGE) {
                                assert_eq!(leaf(&w.kernel, handle, page), None, "{page:#x}");
                            }
                        };
                        expect(&w, access);
                        let info = on(cap, method::MemoryObject::Info, 0);
                        let recorded =
                            [4 * PAGE, memory_type, address, offset, pages * PAGE, access];
                        assert_eq!(w.succeed(root, &info).words()[..6], recorded);
                        w.succeed(root, &on(cap, method::MemoryObject::Protect, then));
                        expect(&w, then);
                        w.succeed(root, &unmap(cap));
                        assert_eq!(leaf(&w.kernel, handle, address / PAGE), None);
                        assert_eq!(w.succeed(root, &info).words()[2..6], [0; 4]);
                    }
                }
            }
        }
        let execute = map(cap, space, [PAGE, 0, 0, RX]);
        if memory_type == 2 {
            assert_eq!(w.refuse(root, &execute), Status::DeviceMemory);
        } else {
            w.succeed(root, &execute);
            assert_eq!(
                leaf(&w.kernel, handle, 1),
                Some(page(physical, memory_type, RX))
            );
            w.succeed(root, &unmap(cap));
        }
    }
}

#[test]
fn one_page_where_tables_are_is_checked_like_any_mapping() {
    let mut w = World::new(64);
    let (space, handle) = make_space(&mut w);
    let (cap, _) = make_memory(&mut w, 2 * PAGE, 0);
    let (near, _) = make_memory(&mut w, PAGE, 0);
    let root = w.root;
    // From here on there are tables for the first 2 MiB.
    w.succeed(root, &map(near, space, [6 * PAGE, 0, 0, R]));
    let listless = w.free_slots(3);
    w.give(cap, ROOT, listless, Rights::READ | Rights::MAP, 0);
    w.give(space, ROOT, listless + 1, Rights::READ, 0);
    let one = |address, offset, access| map(cap, space, [address, offset, PAGE, access]);
    for (ask, status) in [
        (one(0, 0, R), Status::OutOfRange),
        (one(TOP, 0, R), Status::OutOfRange),
        (one(TOP + PAGE, 0, R), Status::OutOfRange),
        (one(PAGE + 8, 0, R), Status::Unaligned),
        (one(PAGE, 8, R), Status::Unaligned),
        (one(PAGE + 8, 8, R), Status::Unaligned),
        (one(PAGE, 2 * PAGE, R), Status::OutOfRange),
        (one(PAGE, 3 * PAGE, R), Status::OutOfRange),
        (one(PAGE, 0, 8 | R), Status::InvalidArgument),
        (one(PAGE, 0, 1 << 32 | R), Status::InvalidArgument),
        (one(PAGE, 0, 0), Status::InvalidArgument),
        (one(PAGE, 0, 2), Status::InvalidArgument),
        (one(PAGE, 0, 7), Status::WriteExecute),
        (
            map(listless, space, [PAGE, 0, PAGE, RW]),
            Status::MissingRight,
        ),
        (
            map(cap, listless + 1, [PAGE, 0, PAGE, R]),
            Status::MissingRight,
        ),
        (map(cap, near, [PAGE, 0, PAGE, R]), Status::WrongType),
        (
            map(cap, listless + 2, [PAGE, 0, PAGE, R]),
            Status::EmptySlot,
        ),
        (map(near, space, [PAGE, 0, PAGE, R]), Status::AlreadyMapped),
    ] {
        assert_eq!(w.refuse(root, &ask), status, "{ask:?}");
    }
    // What lies in the register of a capability that the control word does not declare is none.
    let mut undeclared = one(PAGE, 0, R);
    undeclared.x[10] = 4;
    assert_eq!(undeclared.x[11], space.into());
    assert_eq!(w.refuse(root, &undeclared), Status::InvalidArgument);
    let there = w.ask(root, &one(6 * PAGE, 0, R));
    assert_eq!(there.status(), Status::AddressInUse);
    w.check();
    // The last page of the memory, and the last page of the addresses.
    w.succeed(root, &one(7 * PAGE, PAGE, RX));
    let physical = u64::from(w.root_cap(cap).object.get()) << 4;
    assert_eq!(
        leaf(&w.kernel, handle, 7),
        Some(page(physical + PAGE, 0, RX))
    );
    w.succeed(root, &unmap(cap));
    w.succeed(root, &one(TOP - PAGE, 0, R));
}

#[test]
fn large_pages_are_used_where_everything_fits() {
    // Where in its 2 MiB the mapping begins, and the memory; pages; pages of it that large ones translate.
    for (virtual_page, physical_page, pages, large) in [
        (0, 0, 512, 512),
        (0, 0, 511, 0),
        (0, 0, 1, 0),
        (0, 0, 1024 + 5, 1024),
        (0, 1, 512, 0),
        (1, 0, 512, 0),
        (1, 1, 512, 0),
        (1, 1, 511 + 512, 512),
        (511, 511, 1 + 512 + 7, 512),
        (3, 2, 1024, 0),
    ] {
        let mut w = World::new(64);
        let (space, handle) = make_space(&mut w);
        let (cap, physical) = make_memory(&mut w, 3 * LARGE, 0);
        let root = w.root;
        assert_eq!(physical % LARGE, 0);
        // An odd and an even number of large pages.
        for base in [LARGE, 6 * LARGE] {
            let address = base + virtual_page * PAGE;
            let ask = map(
                cap,
                space,
                [address, physical_page * PAGE, pages * PAGE, RW],
            );
            w.kernel.machine.forgotten.clear();
            w.succeed(root, &ask);
            let mut found = 0;
            for i in 0..pages {
                let entry = leaf(&w.kernel, handle, address / PAGE + i).unwrap();
                let to = physical + (physical_page + i) * PAGE;
                if entry & 2 == 0 {
                    found += 1;
                    assert_eq!(entry, page(to & !(LARGE - 1), 0, RW) - 2);
                } else {
                    assert_eq!(entry, page(to, 0, RW));
                }
            }
            assert_eq!(found, large, "{virtual_page} {physical_page} {pages}");
            assert_eq!(leaf(&w.kernel, handle, address / PAGE + pages), None);
            assert_eq!(w.kernel.machine.forgotten, []);
            w.succeed(root, &on(cap, method::MemoryObject::Protect, R));
            for i in [0, pages / 2, pages - 1] {
                let entry = leaf(&w.kernel, handle, address / PAGE + i).unwrap();
                assert_eq!(entry & 1 << 7, 1 << 7);
            }
            w.succeed(root, &unmap(cap));
            for i in 0..pages {
                assert_eq!(leaf(&w.kernel, handle, address / PAGE + i), None);
            }
        }
    }
}
