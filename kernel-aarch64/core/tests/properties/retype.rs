//! What an Untyped gives out: account, places, and that it can be had again.

use gritos_abi::boot_info::slot;
use gritos_abi::method::{self, object_layout};
use gritos_abi::{ObjectType, Status};
use gritos_kernel_core::host::{Ask, World};
use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, prop_assert_eq, proptest};

const SIZE: u64 = 16 << 10;
const FIRST: u64 = 32;
const SLOTS: u64 = 16;

fn object(kind: u8, size: u8) -> (ObjectType, u64) {
    let size = u64::from(size);
    match kind % 6 {
        0 => (ObjectType::Endpoint, 0),
        1 => (ObjectType::Tcb, 0),
        2 => (ObjectType::CNode, size % 40),
        3 => (ObjectType::Untyped, 64 * (size % 80)),
        4 => (ObjectType::MemoryObject, 4096 * (size % 3)),
        _ => (ObjectType::AddressSpace, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn retype_places_objects_one_behind_the_other_until_memory_ends(
        steps in collection::vec(any::<(u8, u8, u8, u8)>(), 1..24),
    ) {
        let mut world = World::new(64);
        let root = world.root;
        let untyped = world.make(ObjectType::Untyped, SIZE, 1);
        let base = u64::from(world.root_cap(untyped).object.get()) << 4;
        let mut used = 0;
        let mut held = [false; SLOTS as usize];
        for (kind, size, count, place) in steps {
            let place = u64::from(place) % SLOTS;
            if kind >= 200 {
                world.delete(slot::CNODE.into(), (FIRST + place) as u32);
                held[place as usize] = false;
            } else {
                let (object, size) = object(kind, size);
                let count = u64::from(count % 4);
                let ask = Ask::invoke(untyped, method::Untyped::Retype as u64)
                    .words(&[object as u64, size, count, FIRST + place, 0, 0])
                    .cap(slot::CNODE.into(), 0, 0);
                if !held.contains(&true) {
                    used = 0;
                }
                let slots = place as usize..(place + count) as usize;
                let layout = object_layout(object, size).filter(|_| count != 0);
                let expected = layout.ok_or(Status::InvalidArgument).and_then(|(bytes, align)| {
                    let first = (base + used).next_multiple_of(align);
                    let stride = bytes.next_multiple_of(align);
                    let end = first + stride * (count - 1) + bytes - base;
                    if end > SIZE {
                        Err(Status::NoMemory)
                    } else if slots.clone().any(|s| held.get(s).copied().unwrap_or(false)) {
                        Err(Status::SlotOccupied)
                    } else {
                        Ok((first, stride, end))
                    }
                });
                let got = world.ask(root, &ask).status();
                match expected {
                    Err(status) => prop_assert_eq!(got, status),
                    Ok((first, stride, end)) => {
                        prop_assert_eq!(got, Status::Ok);
                        used = end.next_multiple_of(64);
                        for (i, s) in (0..).zip(slots) {
                            if let Some(held) = held.get_mut(s) {
                                *held = true;
                            }
                            let cap = world.root_cap((FIRST + s as u64) as u32);
                            let at = u64::from(cap.object.get()) << 4;
                            prop_assert_eq!(at, first + i * stride);
                            prop_assert_eq!(cap.object_type(), object);
                        }
                        // What lies behind the sixteen slots goes at once.
                        for extra in SLOTS..place + count {
                            world.delete(slot::CNODE.into(), (FIRST + extra) as u32);
                        }
                    }
                }
            }
            let info = Ask::invoke(untyped, method::Untyped::Info as u64);
            let free = world.succeed(root, &info).words()[1];
            let now = if held.contains(&true) { used } else { 0 };
            prop_assert_eq!(free, SIZE - now);
        }
    }
}
