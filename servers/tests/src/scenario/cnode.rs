//! Slots of a CNode: copy, mint, move, delete, inspect, two-step addresses.

use gritos_sys::abi::{Address, ObjectType, Rights};
use gritos_sys::cap::{CNode, Endpoint, Notification};
use gritos_sys::{Cap, Mask};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{CNODE_SLOTS, Env};

tests![
    inspect_tells_what_is_there,
    copies_never_gain_rights,
    a_badge_is_set_once,
    occupied_slots_are_kept,
    moving_keeps_everything,
    deleting_the_last_capability_frees_the_object,
    slots_beyond_the_end_do_not_exist,
    addresses_of_two_steps_reach_other_cnodes,
    a_cnode_without_write_is_not_changed,
    a_deleted_cnode_empties_its_slots,
];

fn inspect_tells_what_is_there(env: &mut Env) -> Verdict {
    let slot = env.slot()?;
    check_eq!(
        Env::CNODE.inspect(slot.index())?.object,
        Some(ObjectType::Null)
    );
    let memory = Env::UNTYPED.create_memory(12 << 10, slot)?;
    let seen = Env::CNODE.inspect(slot.index())?;
    check_eq!(
        (seen.object, seen.size),
        (Some(ObjectType::MemoryObject), 12 << 10)
    );
    check!(!seen.mapped && !seen.has_children && !seen.device && seen.badge == 0);
    check!(
        seen.rights
            .contains(Rights::READ | Rights::WRITE | Rights::MAP | Rights::GRANT)
    );
    env.copy(memory, Rights::READ)?;
    check!(Env::CNODE.inspect(slot.index())?.has_children);
    let own = Env::CNODE.inspect(crate::env::slot::CNODE)?;
    check_eq!(
        (own.object, own.size),
        (Some(ObjectType::CNode), u64::from(CNODE_SLOTS))
    );
    Ok(())
}

fn copies_never_gain_rights(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let narrow = env.copy(endpoint, Rights::SEND | Rights::GRANT)?;
    let slot = env.slot()?;
    for bit in 0..32 {
        let right = Rights::from_bits_retain(1 << bit);
        if !(Rights::SEND | Rights::GRANT).contains(right) {
            let wider = Mask::only(right | Rights::SEND);
            check_refused!(slot.copy(narrow, wider), RightsNotHeld);
        }
    }
    // The reserved rights are held by nobody.
    for bit in 10..16 {
        let reserved = Mask::only(Rights::from_bits_retain(1 << bit));
        check_refused!(slot.copy(endpoint, reserved), RightsNotHeld);
    }
    slot.copy(narrow, Mask::AS_HELD)?;
    let seen = Env::CNODE.inspect(slot.index())?;
    check_eq!(seen.rights, Rights::SEND | Rights::GRANT);
    Ok(())
}

fn a_badge_is_set_once(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let badged = env.mint(endpoint, Rights::SEND, 7)?;
    let slot = env.slot()?;
    check_refused!(slot.mint(badged, Mask::AS_HELD, 8), BadgeAlreadySet);
    check_refused!(slot.mint(badged, Mask::AS_HELD, 7), BadgeAlreadySet);
    check_refused!(slot.mint(Env::TCB, Mask::AS_HELD, 1), NotBadgeable);
    check_refused!(slot.mint(Env::UNTYPED, Mask::AS_HELD, 1), NotCopyable);
    check_refused!(slot.copy(Env::UNTYPED, Mask::AS_HELD), NotCopyable);
    slot.copy(badged, Mask::AS_HELD)?;
    check_eq!(Env::CNODE.inspect(slot.index())?.badge, 7);
    Ok(())
}

fn occupied_slots_are_kept(env: &mut Env) -> Verdict {
    let (a, b) = (env.make::<Endpoint>()?, env.make::<Notification>()?);
    let taken = b.address().index();
    check_refused!(Env::CNODE.copy(taken, a, Mask::AS_HELD), SlotOccupied);
    check_refused!(Env::CNODE.mint(taken, a, Mask::AS_HELD, 1), SlotOccupied);
    check_refused!(Env::CNODE.move_from(taken, a), SlotOccupied);
    check_refused!(Env::CNODE.move_from(taken, b), SlotOccupied);
    check_eq!(
        Env::CNODE.inspect(taken)?.object,
        Some(ObjectType::Notification)
    );
    let empty = env.slot()?;
    let to = env.slot()?;
    check_refused!(to.copy(empty.cap::<Endpoint>(), Mask::AS_HELD), EmptySlot);
    check_refused!(
        Env::CNODE.move_from(to.index(), empty.cap::<Endpoint>()),
        EmptySlot
    );
    Ok(())
}

fn moving_keeps_everything(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let badged = env.mint(endpoint, Rights::SEND | Rights::GRANT, 9)?;
    let to = env.slot()?;
    Env::CNODE.move_from(to.index(), badged)?;
    let (gone, here) = (
        Env::CNODE.inspect(badged.address().index())?,
        Env::CNODE.inspect(to.index())?,
    );
    check_eq!(gone.object, Some(ObjectType::Null));
    check_eq!((here.badge, here.rights), (9, Rights::SEND | Rights::GRANT));
    // It still hangs below the endpoint it came from.
    env.revoke(endpoint)?;
    check_eq!(
        Env::CNODE.inspect(to.index())?.object,
        Some(ObjectType::Null)
    );
    Ok(())
}

fn deleting_the_last_capability_frees_the_object(env: &mut Env) -> Verdict {
    let slot = env.slot()?;
    let memory = Env::UNTYPED.split(64, slot)?;
    let endpoint: Cap<Endpoint> = memory.create(env.slot()?)?;
    let copy = env.copy(endpoint, Rights::SEND)?;
    check_eq!(memory.info()?.free, 0);
    env.delete(endpoint)?;
    check_eq!(memory.info()?.free, 0);
    env.delete(copy)?;
    check_eq!(memory.info()?.free, 64);
    // Deleting what is not there is no mistake.
    env.delete(copy)?;
    Ok(())
}

fn slots_beyond_the_end_do_not_exist(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    for index in [CNODE_SLOTS, CNODE_SLOTS + 1, u16::MAX] {
        check_refused!(
            Env::CNODE.copy(index, endpoint, Mask::AS_HELD),
            InvalidAddress
        );
        check_refused!(Env::CNODE.delete(index), InvalidAddress);
        check_refused!(Env::CNODE.revoke(index), InvalidAddress);
        check_refused!(Env::CNODE.inspect(index), InvalidAddress);
        let nothing = Cap::<Notification>::at(Address::root(index));
        check_refused!(nothing.poll(), InvalidAddress);
    }
    let null = Cap::<Notification>::at(Address::NULL);
    check!(null.signal(1).is_err() && null.poll().is_err());
    Ok(())
}

fn addresses_of_two_steps_reach_other_cnodes(env: &mut Env) -> Verdict {
    let slot = env.slot()?;
    let cnode = Env::UNTYPED.create_cnode(4, slot)?;
    let notification = env.make::<Notification>()?;
    cnode.copy(0, notification, Mask::AS_HELD)?;
    cnode.copy(3, notification, Mask::only(Rights::RECV))?;
    let at = |index| Cap::<Notification>::at(Address::nested(slot.index(), index));
    at(0).signal(4)?;
    check_eq!(at(3).poll()?, 4);
    check_refused!(at(3).signal(1), MissingRight);
    check_refused!(at(1).signal(1), EmptySlot);
    check_refused!(at(4).signal(1), InvalidAddress);
    let wrong = Cap::<Notification>::at(Address::nested(notification.address().index(), 0));
    check_refused!(wrong.signal(1), InvalidAddress);
    // A nested slot is a source, too.
    cnode.move_from(2, at(0))?;
    at(2).signal(1)?;
    check_refused!(at(0).signal(1), EmptySlot);
    Ok(())
}

fn a_cnode_without_write_is_not_changed(env: &mut Env) -> Verdict {
    let slot = env.slot()?;
    let cnode = Env::UNTYPED.create_cnode(4, slot)?;
    let notification = env.make::<Notification>()?;
    cnode.copy(1, notification, Mask::AS_HELD)?;
    let reader: Cap<CNode> = env.copy(cnode, Rights::READ)?;
    check_refused!(reader.copy(2, notification, Mask::AS_HELD), MissingRight);
    check_refused!(reader.move_from(2, notification), MissingRight);
    check_refused!(reader.delete(1), MissingRight);
    check_refused!(reader.revoke(1), MissingRight);
    // Nor is anything moved out of it through its address.
    let inside = Cap::<Notification>::at(Address::nested(reader.address().index(), 1));
    let to = env.slot()?;
    check_refused!(Env::CNODE.move_from(to.index(), inside), MissingRight);
    to.copy(inside, Mask::AS_HELD)?;
    check!(reader.inspect(1)?.object == Some(ObjectType::Notification));
    Ok(())
}

fn a_deleted_cnode_empties_its_slots(env: &mut Env) -> Verdict {
    let memory = Env::UNTYPED.split(64, env.slot()?)?;
    let cnode = Env::UNTYPED.create_cnode(100, env.slot()?)?;
    memory.create::<Endpoint>(gritos_sys::slots::Slot::new(
        cnode,
        Address::nested(cnode.address().index(), 99),
    ))?;
    // A CNode that holds itself does not live for that reason.
    cnode.copy(50, cnode, Mask::AS_HELD)?;
    check_eq!(memory.info()?.free, 0);
    env.revoke(cnode)?;
    env.delete(cnode)?;
    check_eq!(memory.info()?.free, 64);
    Ok(())
}
