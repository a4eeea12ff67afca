//! Memory: retype, reuse, mapping, and what is left behind.

use crate::common::*;

const UNTYPED: u32 = slot::UNTYPED_FIRST as u32;
const DEVICE: u32 = UNTYPED + 1;
const ROOT: u32 = slot::CNODE as u32;

fn retype(from: u32, words: [u64; 6]) -> Ask {
    Ask::invoke(from, method::Untyped::Retype as u64)
        .words(&words)
        .cap(ROOT, 0, 0)
}

#[test]
fn every_bad_retype_is_refused() {
    let mut w = World::new(64);
    let part = w.make(ObjectType::Untyped, 4096, 1);
    let base = u64::from(w.root_cap(part).object.get()) << 4;
    let e = ObjectType::Endpoint as u64;
    let m = ObjectType::MemoryObject as u64;
    let c = ObjectType::CNode as u64;
    let root = w.root;
    for (words, status) in [
        ([99, 0, 1, 40, 0, 0], Status::InvalidArgument),
        ([256 + e, 0, 1, 40, 0, 0], Status::InvalidArgument),
        ([0, 0, 1, 40, 0, 0], Status::InvalidArgument),
        (
            [ObjectType::Platform as u64, 0, 1, 40, 0, 0],
            Status::InvalidArgument,
        ),
        ([e, 1, 1, 40, 0, 0], Status::InvalidArgument),
        ([e, 0, 0, 40, 0, 0], Status::InvalidArgument),
        ([e, 0, 33, 40, 0, 0], Status::InvalidArgument),
        ([e, 0, 1, 40, 0, 1], Status::InvalidArgument),
        ([m, 4096, 1, 40, 0, 3], Status::InvalidArgument),
        ([m, 4096, 1, 40, 0, 2], Status::DeviceMemory),
        ([m, 100, 1, 40, 0, 0], Status::InvalidArgument),
        ([c, 0, 1, 40, 0, 0], Status::InvalidArgument),
        ([c, 65_537, 1, 40, 0, 0], Status::InvalidArgument),
        ([e, 0, 1, 64, 0, 0], Status::InvalidAddress),
        ([e, 0, 2, 63, 0, 0], Status::InvalidAddress),
        ([e, 0, 1, u64::MAX, 0, 0], Status::InvalidAddress),
        ([e, 0, 1, 1, 0, 0], Status::SlotOccupied),
        ([e, 0, 32, 17, 0, 0], Status::SlotOccupied),
        ([m, 8192, 1, 40, 0, 0], Status::NoMemory),
        ([c, 64, 1, 40, 0, 0], Status::NoMemory),
        ([e, 0, 1, 40, base + 4096, 0], Status::OutOfRange),
        ([e, 0, 1, 40, base - 64, 0], Status::OutOfRange),
        ([e, 0, 1, 40, base + 32, 0], Status::Unaligned),
        ([e, 0, 2, 40, base + 4032, 0], Status::OutOfRange),
        ([m, 1 << 36, 32, 40, 0, 0], Status::NoMemory),
    ] {
        assert_eq!(w.refuse(root, &retype(part, words)), status, "{words:?}");
    }
    for words in [[e, 0, 1, 40, 0, 0], [m, 4096, 1, 40, 0, 0]] {
        let status = w.refuse(root, &retype(DEVICE, words));
        assert_eq!(status, Status::DeviceMemory);
    }
}

#[test]
fn memory_is_accounted_and_used_again() {
    let mut w = World::new(64);
    let part = w.make(ObjectType::Untyped, 512, 1);
    let root = w.root;
    let info = Ask::invoke(part, method::Untyped::Info as u64);
    let e = ObjectType::Endpoint as u64;
    assert_eq!(w.succeed(root, &info).words()[..2], [512, 512]);
    w.succeed(root, &retype(part, [e, 0, 8, 40, 0, 0]));
    assert_eq!(w.succeed(root, &info).words()[..2], [512, 0]);
    let more = retype(part, [e, 0, 1, 50, 0, 0]);
    assert_eq!(w.refuse(root, &more), Status::NoMemory);
    // Only when nothing is left is all free again.
    for index in 40..47 {
        w.delete(ROOT, index);
    }
    assert_eq!(w.refuse(root, &more), Status::NoMemory);
    w.delete(ROOT, 47);
    assert_eq!(w.succeed(root, &info).words()[..2], [512, 512]);
    let table = retype(part, [ObjectType::CNode as u64, 7, 1, 40, 0, 0]);
    w.succeed(root, &table);
}

#[test]
fn objects_lie_where_asked_and_inside_their_untyped() {
    let mut w = World::new(64);
    let part = w.make(ObjectType::Untyped, 8192, 1);
    let base = u64::from(w.root_cap(part).object.get()) << 4;
    let root = w.root;
    let m = ObjectType::MemoryObject as u64;
    w.succeed(root, &retype(part, [m, 4096, 1, 40, base + 4096, 0]));
    let ask = Ask::invoke(40, method::MemoryObject::PhysicalAddress as u64);
    assert_eq!(w.succeed(root, &ask).words()[0], base + 4096);
    w.succeed(root, &retype(DEVICE, [m, 4096, 1, 41, 0xfe00_3000, 2]));
    let ask = Ask::invoke(41, method::MemoryObject::PhysicalAddress as u64);
    assert_eq!(w.succeed(root, &ask).words()[0], 0xfe00_3000);
    // Nothing that was skipped is left behind.
    let late = retype(part, [ObjectType::Endpoint as u64, 0, 1, 42, base, 0]);
    assert_eq!(w.refuse(root, &late), Status::OutOfRange);
}

#[test]
fn retype_goes_on_where_it_was_preempted() {
    let mut w = World::new(64);
    let root = w.root;
    let m = ObjectType::MemoryObject as u64;
    let ask = retype(UNTYPED, [m, 8 << 12, 1, 40, 0, 0]);
    let mut times = 0;
    w.focus(root);
    w.kernel.machine.preempt_after.set(Some(0));
    let mut progress = w.enter(&ask);
    while progress == Progress::Again {
        times += 1;
        w.kernel.machine.preempt_after.set(Some(0));
        progress = w.enter(&ask);
        w.check();
    }
    assert_eq!((progress, times), (Progress::Returned, 7));
    assert_eq!(w.got(root).status(), Status::Ok);
}

/// A world with an address space that has an ASID and memory for tables.
fn with_space() -> (World, u32) {
    let mut w = World::new(64);
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    let root = w.root;
    let assign = Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    );
    w.succeed(root, &assign.cap(space, 0, 0));
    assert_eq!(
        w.refuse(root, &assign.cap(space, 0, 0)),
        Status::AlreadyBound
    );
    let tables = w.make(ObjectType::Untyped, 8 << 12, 1);
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    (w, space)
}

const R: u64 = 1;
const RW: u64 = 3;
const RX: u64 = 5;

fn map(cap: u32, space: u32, words: [u64; 4]) -> Ask {
    Ask::invoke(cap, method::MemoryObject::Map as u64)
        .words(&words)
        .cap(space, 0, 0)
}

fn memory(cap: u32, method: method::MemoryObject, word: u64) -> Ask {
    Ask::invoke(cap, method as u64).words(&[word])
}

#[test]
fn every_bad_map_is_refused() {
    let (mut w, space) = with_space();
    let root = w.root;
    let cap = w.make(ObjectType::MemoryObject, 4 << 12, 1);
    let read = w.free_slots(3);
    let rights = Rights::READ | Rights::MAP;
    w.give(cap, ROOT, read, rights, 0);
    w.give(cap, ROOT, read + 1, Rights::READ, 0);
    w.give(space, ROOT, read + 2, Rights::READ, 0);
    let top = 1 << 39;
    for (ask, status) in [
        (map(cap, space, [0x1001, 0, 0, R]), Status::Unaligned),
        (map(cap, space, [0x1000, 1, 0, R]), Status::Unaligned),
        (map(cap, space, [0x1000, 0, 1, R]), Status::Unaligned),
        (map(cap, space, [0, 0, 0, R]), Status::OutOfRange),
        (map(cap, space, [0x1000, 0, 5 << 12, R]), Status::OutOfRange),
        (map(cap, space, [0x1000, 4 << 12, 0, R]), Status::OutOfRange),
        (map(cap, space, [top, 0, 0, R]), Status::OutOfRange),
        (map(cap, space, [top - 0x3000, 0, 0, R]), Status::OutOfRange),
        (
            map(cap, space, [u64::MAX << 12, 0, 0, R]),
            Status::OutOfRange,
        ),
        (map(cap, space, [0x1000, 0, 0, 0]), Status::InvalidArgument),
        (map(cap, space, [0x1000, 0, 0, 2]), Status::InvalidArgument),
        (map(cap, space, [0x1000, 0, 0, 9]), Status::InvalidArgument),
        (
            map(cap, space, [0x1000, 0, 0, 1 << 32]),
            Status::InvalidArgument,
        ),
        (map(cap, space, [0x1000, 0, 0, 7]), Status::WriteExecute),
        (map(read, space, [0x1000, 0, 0, RW]), Status::MissingRight),
        (map(read, space, [0x1000, 0, 0, RX]), Status::MissingRight),
        (
            map(read + 1, space, [0x1000, 0, 0, R]),
            Status::MissingRight,
        ),
        (map(cap, read + 2, [0x1000, 0, 0, R]), Status::MissingRight),
        (map(cap, cap, [0x1000, 0, 0, R]), Status::WrongType),
        (
            memory(cap, method::MemoryObject::Unmap, 0),
            Status::NotMapped,
        ),
        (
            memory(cap, method::MemoryObject::Protect, R),
            Status::NotMapped,
        ),
    ] {
        assert_eq!(w.refuse(root, &ask), status, "{ask:?}");
    }
    w.succeed(root, &map(cap, space, [0x1000, 0, 0, RW]));
    for (ask, status) in [
        (map(cap, space, [0x9000, 0, 0, R]), Status::AlreadyMapped),
        (map(cap, space, [0x1000, 0, 0, RW]), Status::AlreadyMapped),
        (
            memory(cap, method::MemoryObject::Protect, 7),
            Status::WriteExecute,
        ),
        (
            memory(cap, method::MemoryObject::Protect, 2),
            Status::InvalidArgument,
        ),
    ] {
        assert_eq!(w.refuse(root, &ask), status, "{ask:?}");
    }
}

#[test]
fn a_mapping_lives_and_dies_with_its_capability() {
    let (mut w, space) = with_space();
    let root = w.root;
    let cap = w.make(ObjectType::MemoryObject, 4 << 12, 1);
    let copy = w.free_slots(2);
    w.give(cap, ROOT, copy, Rights::AS_HELD, 0);
    w.succeed(root, &map(cap, space, [0x1000, 0, 0, RW]));
    w.succeed(root, &map(copy, space, [0x10_0000, 0x1000, 0x2000, R]));
    let moved = Ask::invoke(ROOT, method::CNode::Move as u64).words(&[(copy + 1).into()]);
    w.succeed(root, &moved.cap(copy, 0, 0));
    let info = memory(copy + 1, method::MemoryObject::Info, 0);
    let got = w.succeed(root, &info);
    assert_eq!(got.words()[..6], [4 << 12, 0, 0x10_0000, 0x1000, 0x2000, R]);
    w.revoke(ROOT, cap);
    assert!(w.root_cap(copy + 1).is_empty());
    let twice = w.free_slots(1);
    w.give(cap, ROOT, twice, Rights::AS_HELD, 0);
    let taken = map(twice, space, [0x4000, 0, 0, R]);
    let got = w.ask(root, &taken);
    assert_eq!(got.status(), Status::AddressInUse);
    w.succeed(root, &memory(cap, method::MemoryObject::Unmap, 0));
    w.succeed(root, &taken);
    w.delete(ROOT, twice);
    w.delete(ROOT, cap);
}

#[test]
fn large_pages_come_where_small_ones_have_been() {
    let (mut w, space) = with_space();
    let root = w.root;
    let cap = w.make(ObjectType::MemoryObject, 2 << 20, 1);
    let small = w.make(ObjectType::MemoryObject, 4096, 1);
    let at = 4 << 20;
    for protect in [R, RW] {
        w.succeed(root, &map(cap, space, [at, 0, 0, RW]));
        w.succeed(root, &memory(cap, method::MemoryObject::Protect, protect));
        w.succeed(root, &memory(cap, method::MemoryObject::Unmap, 0));
        w.succeed(root, &map(small, space, [at + 0x5000, 0, 0, R]));
        let got = w.ask(root, &map(cap, space, [at, 0, 0, R]));
        assert_eq!(got.status(), Status::AddressInUse);
        w.succeed(root, &memory(small, method::MemoryObject::Unmap, 0));
    }
    // The table of the small pages is still there.
    w.succeed(root, &map(cap, space, [at, 0, 0, RX]));
}

#[test]
fn protect_and_map_meet_an_unmapping_that_was_preempted() {
    let (mut w, space) = with_space();
    let root = w.root;
    let cap = w.make(ObjectType::MemoryObject, 32 << 12, 1);
    w.succeed(root, &map(cap, space, [0x1000, 0, 0, RW]));
    w.kernel.machine.preempt_after.set(Some(0));
    let unmap = memory(cap, method::MemoryObject::Unmap, 0);
    assert_eq!(w.enter(&unmap), Progress::Again);
    w.check();
    // Another thread, or this one after a change of its mind.
    let protect = memory(cap, method::MemoryObject::Protect, R);
    assert_eq!(w.ask(root, &protect).status(), Status::NotMapped);
    let again = map(cap, space, [0x1000, 0, 0, RW]);
    assert_eq!(w.ask(root, &again).status(), Status::AlreadyMapped);
    w.succeed(root, &unmap);
    w.succeed(root, &again);
}

#[test]
fn a_map_that_was_preempted_goes_on_only_with_the_same_arguments() {
    let (mut w, space) = with_space();
    let root = w.root;
    let cap = w.make(ObjectType::MemoryObject, 32 << 12, 1);
    let ask = map(cap, space, [0x1000, 0, 0, R]);
    w.kernel.machine.preempt_after.set(Some(0));
    assert_eq!(w.enter(&ask), Progress::Again);
    for other in [
        map(cap, space, [0x2000, 0, 0, R]),
        map(cap, space, [0x1000, 0x1000, 0, R]),
        map(cap, space, [0x1000, 0, 0x1000, R]),
        map(cap, space, [0x1000, 0, 0, RW]),
    ] {
        assert_eq!(w.refuse(root, &other), Status::AlreadyMapped);
    }
    w.succeed(root, &ask);
}

#[test]
fn without_table_memory_nothing_is_mapped() {
    let mut w = World::new(64);
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    let cap = w.make(ObjectType::MemoryObject, 4096, 1);
    let root = w.root;
    let ask = map(cap, space, [0x1000, 0, 0, R]);
    assert_eq!(w.ask(root, &ask).status(), Status::NoTableMemory);
    let info = memory(cap, method::MemoryObject::Info, 0);
    assert_eq!(w.succeed(root, &info).words()[4], 0);
}

#[test]
fn revoking_table_memory_ends_the_address_space() {
    let (mut w, space) = with_space();
    let root = w.root;
    let thread = w.spawn(8);
    let suspend = Ask::invoke(thread.cap, method::Tcb::Suspend as u64);
    let configure = Ask::invoke(thread.cap, method::Tcb::Configure as u64)
        .cap(0, 0, 0)
        .cap(space, 0, 0);
    w.succeed(root, &suspend);
    w.succeed(root, &configure);
    let cap = w.make(ObjectType::MemoryObject, 4096, 1);
    w.succeed(root, &map(cap, space, [0x1000, 0, 0, R]));
    assert_ne!(w.kernel.store.get(thread.tcb.raw()), None);
    // All that was ever made goes: the tables, and what used them.
    w.revoke(ROOT, UNTYPED);
    assert!(w.root_cap(cap).is_empty() && w.root_cap(thread.cap).is_empty());
    let info = Ask::invoke(UNTYPED, method::Untyped::Info as u64);
    assert_eq!(w.succeed(root, &info).words()[1], 16 << 20);
}
