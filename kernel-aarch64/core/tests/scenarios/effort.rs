//! That short ways are taken where they lead to the same: by the number of objects that the kernel looks up.

use crate::common::*;
use crate::tables::*;

/// What a system call of the root that succeeds looks up on the general path.
fn effort(w: &mut World, ask: &Ask) -> u64 {
    w.focus(w.root);
    w.kernel.prepare(ask);
    let before = w.kernel.store.lookups.count();
    w.kernel.run_general(ask.number);
    let lookups = w.kernel.store.lookups.count() - before;
    assert_eq!(w.got(w.root).status(), Status::Ok, "{ask:?}");
    w.check();
    lookups
}

#[test]
fn one_page_where_tables_are_is_mapped_the_short_way() {
    let mut w = World::new(64);
    let (space, _) = make_space(&mut w);
    let (near, _) = make_memory(&mut w, PAGE, 0);
    let (cap, _) = make_memory(&mut w, 2 * PAGE, 0);
    for address in [PAGE, 5 * LARGE + 3 * PAGE, 3 << 30, TOP - 2 * PAGE] {
        // A neighbour brings the tables.
        effort(&mut w, &map(near, space, [address + PAGE, 0, PAGE, R]));
        for access in [R, RW, RX] {
            // A length of 0 means to the end, which is the same page.
            let long = effort(&mut w, &map(cap, space, [address, PAGE, 0, access]));
            effort(&mut w, &unmap(cap));
            let short = effort(&mut w, &map(cap, space, [address, PAGE, PAGE, access]));
            assert!(5 * short <= 4 * long, "{short} instead of {long}");
            effort(&mut w, &unmap(cap));
        }
        effort(&mut w, &unmap(near));
    }
}

#[test]
fn one_object_is_put_into_its_slot_the_short_way() {
    let mut w = World::new(64);
    let make =
        |count: u64, to: u64| retype(UNTYPED, [ObjectType::Endpoint as u64, 0, count, to, 0, 0]);
    effort(&mut w, &make(1, 40));
    // The second of two objects costs what one would, if slots were looked for in the same way.
    let one = effort(&mut w, &make(1, 41));
    let two = effort(&mut w, &make(2, 42));
    let three = effort(&mut w, &make(3, 44));
    let each = three - two;
    assert!(one + each < two, "{one}, {two}, {three}");
}
