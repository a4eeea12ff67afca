//! What is left of translations, and of address spaces, when they end.

use gritos_kernel_core::host::Object;

use crate::common::*;
use crate::tables::*;

#[test]
fn every_page_that_goes_is_forgotten_and_no_other() {
    let mut w = World::new(64);
    let (space, handle) = make_space(&mut w);
    let asid = u32::from(w.succeed(w.root, &info(space)).words()[0] as u16);
    let (cap, _) = make_memory(&mut w, 2 * LARGE, 0);
    let root = w.root;
    let first = 0x205;
    for pages in [1, 2, 7, 8, 9, 20] {
        let ask = map(cap, space, [first * PAGE, PAGE, pages * PAGE, R]);
        w.succeed(root, &ask);
        w.kernel.machine.forgotten.clear();
        w.succeed(root, &unmap(cap));
        let mut forgotten = w.kernel.machine.forgotten.clone();
        forgotten.sort_unstable();
        let expected: Vec<_> = (first..first + pages).map(|p| (asid, Some(p))).collect();
        assert_eq!(forgotten, expected);
        assert_eq!(leaf(&w.kernel, handle, first), None);
    }
    // More at once than one by one is worth: all of the address space.
    w.succeed(root, &map(cap, space, [2 * LARGE, 0, LARGE, R]));
    w.kernel.machine.forgotten.clear();
    w.succeed(root, &unmap(cap));
    assert!(w.kernel.machine.forgotten.contains(&(asid, None)));
    w.succeed(root, &map(cap, space, [LARGE, 0, 9 * PAGE, R]));
    w.kernel.machine.forgotten.clear();
    w.succeed(root, &on(cap, method::MemoryObject::Protect, RW));
    assert!(w.kernel.machine.forgotten.contains(&(asid, None)));
}

#[test]
fn every_asid_is_given_once_and_again_when_it_is_free() {
    const ASIDS: u32 = 1023;
    let mut w = World::new(64);
    let root = w.root;
    let cnode = w.make(ObjectType::CNode, 1100, 1);
    let first = cnode << 16;
    for at in (0..ASIDS + 3).step_by(27) {
        let words = [ObjectType::AddressSpace as u64, 0, 27, at.into(), 0, 0];
        let ask = Ask::invoke(UNTYPED, method::Untyped::Retype as u64).words(&words);
        w.succeed(root, &ask.cap(cnode, 0, 0));
    }
    // Without a check of everything each time.
    let next = |w: &mut World, space: u32| {
        let ask = assign(space);
        w.kernel.prepare(&ask);
        w.kernel.run_general(ask.number);
        let status = w.got(root).status();
        let object = w.kernel.store.get(w.root_cap(space).object.get());
        let Some(Object::Space(object)) = object else {
            panic!("no space")
        };
        let asid = object.asid.get();
        match status {
            Status::Ok => {
                // Nothing of an owner before may be left in the processor.
                assert_eq!(w.kernel.machine.forgotten.pop(), Some((asid, None)));
                Some(asid)
            }
            status => {
                assert_eq!((status, asid), (Status::NoAsid, 0));
                None
            }
        }
    };
    let mut given: Vec<_> = (0..ASIDS).map(|i| next(&mut w, first + i)).collect();
    given.sort_unstable();
    assert!(given.into_iter().eq((1..=ASIDS).map(Some)));
    assert_eq!(next(&mut w, first + ASIDS), None);
    for i in [0, 69, 999] {
        w.delete(cnode, i);
    }
    let again: Vec<_> = (0..3).map(|i| next(&mut w, first + ASIDS + i)).collect();
    assert_eq!(again, [Some(1), Some(70), Some(1000)]);
    w.check();
}

#[test]
fn an_address_space_ends_with_the_memory_of_its_tables() {
    let mut w = World::new(64);
    let root = w.root;
    // The space itself lies elsewhere.
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    w.succeed(root, &assign(space));
    let part = w.make(ObjectType::Untyped, 16 * PAGE, 1);
    let tables = w.free_slots(1);
    let u = ObjectType::Untyped as u64;
    w.succeed(root, &retype(part, [u, 8 * PAGE, 1, tables.into(), 0, 0]));
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    let thread = w.spawn(8);
    for ask in [
        Ask::invoke(thread.cap, method::Tcb::Suspend as u64),
        Ask::invoke(thread.cap, method::Tcb::Configure as u64)
            .cap(0, 0, 0)
            .cap(space, 0, 0),
    ] {
        w.succeed(root, &ask);
    }
    let (cap, _) = make_memory(&mut w, 20 * PAGE, 0);
    let (other, _) = make_memory(&mut w, PAGE, 0);
    w.succeed(root, &map(cap, space, [PAGE, 0, 0, R]));
    let asid = w.succeed(root, &info(space)).words()[0];
    w.kernel.machine.forgotten.clear();
    w.revoke(ROOT, part);
    assert_eq!(w.kernel.machine.forgotten, [(asid as u32, None)]);
    // The capabilities are there, and dead.
    assert_eq!(w.succeed(root, &info(space)).words()[..3], [0, 0, 0]);
    assert_eq!(w.refuse(root, &assign(space)), Status::Deleted);
    for length in [PAGE, 0] {
        let ask = map(other, space, [PAGE, 0, length, R]);
        assert_eq!(w.refuse(root, &ask), Status::Deleted);
    }
    assert_eq!(w.refuse(root, &unmap(cap)), Status::NotMapped);
    // The thread runs nowhere now, and its ASID is another's.
    let Object::Tcb(t) = w.kernel.store.get(thread.tcb.raw()).unwrap() else {
        panic!("no thread")
    };
    assert_eq!(t.ttbr0.get(), 0);
    let next = w.make(ObjectType::AddressSpace, 0, 1);
    w.succeed(root, &assign(next));
    assert_eq!(w.succeed(root, &info(next)).words()[0], asid);
}

#[test]
fn a_cnode_that_dies_takes_out_every_page_of_its_mappings() {
    let mut w = World::new(64);
    let (space, handle) = make_space(&mut w);
    let root = w.root;
    let (cap, _) = make_memory(&mut w, 40 * PAGE, 0);
    let cnode = w.make(ObjectType::CNode, 20, 1);
    for index in [0, 19] {
        w.give(cap, cnode, index, Rights::AS_HELD, 0);
        let nested = cnode << 16 | index;
        w.succeed(
            root,
            &map(
                nested,
                space,
                [PAGE + u64::from(index) * 0x10_0000, 0, 0, R],
            ),
        );
    }
    w.delete(ROOT, cnode);
    for index in [0, 19] {
        for i in 0..40 {
            assert_eq!(leaf(&w.kernel, handle, 1 + index * 0x100 + i), None);
        }
    }
    assert!(w.kernel.is_idle());
}
