//! Untyped memory: accounting, alignment, exhaustion, reuse, zeroing.

use gritos_sys::Cap;
use gritos_sys::abi::method::{MemoryType, object_layout};
use gritos_sys::abi::{Address, ObjectType, Rights};
use gritos_sys::cap::{Endpoint, Mask, MemoryObject, Untyped};
use gritos_sys::invoke::{Permissions, Wanted};
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::Slot;

use super::tests;
use crate::check::{Failure, Verdict, check, check_eq, check_refused};
use crate::env::Env;

tests![
    every_object_costs_what_the_layout_says,
    several_objects_are_made_at_once_or_none,
    as_many_as_can_be_are_made_at_once,
    rights_of_what_is_made_can_be_less,
    an_exhausted_untyped_gives_nothing,
    revoking_returns_all_memory,
    deleting_all_objects_returns_all_memory,
    sizes_and_counts_out_of_range_are_refused,
    destinations_are_checked_before_anything_is_made,
    memory_arrives_zeroed_every_time,
    children_lie_inside_and_apart,
    a_physical_place_can_be_asked_for,
    device_rules_hold_for_normal_memory,
];

const FIXED: [ObjectType; 6] = [
    ObjectType::Tcb,
    ObjectType::Endpoint,
    ObjectType::Notification,
    ObjectType::Reply,
    ObjectType::SchedulingContext,
    ObjectType::AddressSpace,
];

/// An Untyped of so many bytes.
fn piece(env: &mut Env, bytes: u64) -> Verdict<Cap<Untyped>> {
    Ok(Env::UNTYPED.split(bytes, env.slot()?)?)
}

fn layout(object: ObjectType, size: u64) -> Verdict<(u64, u64)> {
    object_layout(object, size)
        .ok_or_else(|| Failure::new(format_args!("no layout for {object:?} of {size}")))
}

fn every_object_costs_what_the_layout_says(env: &mut Env) -> Verdict {
    let sized = [
        (ObjectType::Untyped, 64),
        (ObjectType::Untyped, 8192),
        (ObjectType::MemoryObject, 4096),
        (ObjectType::CNode, 5),
    ];
    for (object, size) in FIXED.map(|object| (object, 0)).into_iter().chain(sized) {
        let memory = piece(env, 64 << 10)?;
        let slot = env.slot()?;
        memory.retype(Wanted::one(object, size), Env::CNODE, slot.index())?;
        let info = memory.info()?;
        let used = info.size - info.free;
        check_eq!((object, used), (object, layout(object, size)?.0));
        check_eq!(Env::CNODE.inspect(slot.index())?.object, Some(object));
        slot.delete()?;
        check_eq!(memory.info()?.free, info.size);
    }
    Ok(())
}

fn several_objects_are_made_at_once_or_none(env: &mut Env) -> Verdict {
    let memory = piece(env, 1024)?;
    let first = env.slots.take_run(17)?;
    let many = |count| Wanted::one(ObjectType::Endpoint, 0).times(count);
    check_refused!(memory.retype(many(17), Env::CNODE, first.index()), NoMemory);
    check_eq!(memory.info()?.free, 1024);
    memory.retype(many(16), Env::CNODE, first.index())?;
    check_eq!(memory.info()?.free, 0);
    for index in first.index()..first.index() + 16 {
        check_eq!(
            Env::CNODE.inspect(index)?.object,
            Some(ObjectType::Endpoint)
        );
    }
    check_eq!(
        Env::CNODE.inspect(first.index() + 16)?.object,
        Some(ObjectType::Null)
    );
    Ok(())
}

/// The longest that a `Retype` works without a point at which an interrupt may come in: its length is
/// counted from outside, `cargo xtask bench`.
fn as_many_as_can_be_are_made_at_once(env: &mut Env) -> Verdict {
    const MOST: u16 = 32;
    let memory = piece(env, 512 << 10)?;
    let first = env.slots.take_run(MOST)?;
    let sized = [
        (ObjectType::Untyped, 64),
        (ObjectType::MemoryObject, 4096),
        (ObjectType::CNode, 5),
    ];
    for (object, size) in FIXED.map(|object| (object, 0)).into_iter().chain(sized) {
        let wanted = Wanted::one(object, size).times(MOST.into());
        memory.retype(wanted, Env::CNODE, first.index())?;
        let used = memory.info()?;
        let (bytes, align) = layout(object, size)?;
        let all = bytes.next_multiple_of(align) * (u64::from(MOST) - 1) + bytes;
        check_eq!((object, used.size - used.free), (object, all));
        env.revoke(memory)?;
    }
    let one_more = Wanted::one(ObjectType::Endpoint, 0).times(u64::from(MOST) + 1);
    check_refused!(
        memory.retype(one_more, Env::CNODE, first.index()),
        InvalidArgument
    );
    Ok(())
}

fn rights_of_what_is_made_can_be_less(env: &mut Env) -> Verdict {
    let memory = piece(env, 64 << 10)?;
    let without = Rights::KERNEL - Rights::DMA;
    let slot = env.slot()?;
    let split = Wanted::one(ObjectType::Untyped, 32 << 10).rights(Mask::only(without));
    memory.retype(split, Env::CNODE, slot.index())?;
    let part = Cap::<Untyped>::at(slot.address());
    check_eq!(Env::CNODE.inspect(slot.index())?.rights, without);
    check_eq!(part.info()?.physical, 0);
    // Nor has anything made of it, whatever is asked for.
    let (page, deeper) = (env.slot()?, env.slot()?);
    let wanted = Wanted::one(ObjectType::MemoryObject, 4096);
    check_refused!(
        part.retype(
            wanted.rights(Mask::only(Rights::DMA)),
            Env::CNODE,
            page.index()
        ),
        RightsNotHeld
    );
    part.retype(wanted, Env::CNODE, page.index())?;
    let memory = Cap::<MemoryObject>::at(page.address());
    check_refused!(memory.physical_address(), MissingRight);
    check_eq!(part.split(4096, deeper)?.info()?.physical, 0);
    Ok(())
}

fn an_exhausted_untyped_gives_nothing(env: &mut Env) -> Verdict {
    let memory = piece(env, 128)?;
    let (a, b) = (env.slot()?, env.slot()?);
    memory.create::<Endpoint>(a)?;
    check_refused!(
        memory.create::<gritos_sys::cap::SchedulingContext>(b),
        NoMemory
    );
    memory.create::<Endpoint>(b)?;
    let c = env.slot()?;
    check_refused!(memory.create::<Endpoint>(c), NoMemory);
    check_refused!(memory.split(64, c), NoMemory);
    // What is deleted while others live is not given out again.
    a.delete()?;
    check_refused!(memory.create::<Endpoint>(c), NoMemory);
    b.delete()?;
    memory.create::<Endpoint>(c)?;
    Ok(())
}

fn revoking_returns_all_memory(env: &mut Env) -> Verdict {
    let memory = piece(env, 64 << 10)?;
    let inner = memory.split(4096, env.slot()?)?;
    let innermost = inner.split(128, env.slot()?)?;
    let endpoint: Cap<Endpoint> = innermost.create(env.slot()?)?;
    env.copy(endpoint, Rights::SEND)?;
    env.revoke(memory)?;
    check_eq!(memory.info()?.free, 64 << 10);
    check_refused!(inner.info(), EmptySlot);
    check_refused!(innermost.info(), EmptySlot);
    check!(!Env::CNODE.inspect(memory.address().index())?.has_children);
    Ok(())
}

fn deleting_all_objects_returns_all_memory(env: &mut Env) -> Verdict {
    let memory = piece(env, 4096)?;
    for _ in 0..3 {
        let slots = [env.slot()?, env.slot()?, env.slot()?];
        for slot in slots {
            memory.create::<Endpoint>(slot)?;
        }
        check_eq!(memory.info()?.free, 4096 - 192);
        for slot in slots {
            env.slots.delete(slot)?;
        }
        check_eq!(memory.info()?.free, 4096);
    }
    Ok(())
}

fn sizes_and_counts_out_of_range_are_refused(env: &mut Env) -> Verdict {
    let memory = piece(env, 64 << 10)?;
    let slot = env.slot()?.index();
    for (object, size) in [
        (ObjectType::Untyped, 0),
        (ObjectType::Untyped, 63),
        (ObjectType::Untyped, 65),
        (ObjectType::Untyped, u64::MAX),
        (ObjectType::MemoryObject, 0),
        (ObjectType::MemoryObject, 4095),
        (ObjectType::CNode, 0),
        (ObjectType::CNode, 0x1_0001),
        (ObjectType::Endpoint, 1),
        (ObjectType::Null, 0),
        (ObjectType::IrqHandler, 0),
        (ObjectType::SchedControl, 0),
        (ObjectType::IrqControl, 0),
        (ObjectType::Platform, 0),
        (ObjectType::AsidControl, 0),
    ] {
        let wanted = Wanted::one(object, size);
        check_refused!(memory.retype(wanted, Env::CNODE, slot), InvalidArgument);
    }
    let endpoints = |count| Wanted::one(ObjectType::Endpoint, 0).times(count);
    for count in [0, 1 << 32, u64::MAX] {
        check_refused!(
            memory.retype(endpoints(count), Env::CNODE, slot),
            InvalidArgument
        );
    }
    let huge = Wanted::one(ObjectType::MemoryObject, 1 << 30);
    check_refused!(memory.retype(huge, Env::CNODE, slot), NoMemory);
    check_eq!(memory.info()?.free, 64 << 10);
    Ok(())
}

fn destinations_are_checked_before_anything_is_made(env: &mut Env) -> Verdict {
    let memory = piece(env, 4096)?;
    let first = env.slots.take_run(3)?;
    let last = Slot::new(Env::CNODE, Address::root(first.index() + 2));
    last.copy(Env::TCB, Mask::AS_HELD)?;
    let three = Wanted::one(ObjectType::Endpoint, 0).times(3);
    check_refused!(
        memory.retype(three, Env::CNODE, first.index()),
        SlotOccupied
    );
    let end = crate::env::CNODE_SLOTS - 1;
    check_refused!(memory.retype(three, Env::CNODE, end), InvalidAddress);
    let reader = env.copy(Env::CNODE, Rights::READ)?;
    check_refused!(memory.retype(three, reader, first.index()), MissingRight);
    let no_cnode = Cap::at(Env::TCB.address());
    check_refused!(memory.retype(three, no_cnode, first.index()), WrongType);
    check_eq!(memory.info()?.free, 4096);
    check_eq!(
        Env::CNODE.inspect(first.index())?.object,
        Some(ObjectType::Null)
    );
    Ok(())
}

fn memory_arrives_zeroed_every_time(env: &mut Env) -> Verdict {
    let memory = piece(env, 64 << 10)?;
    for round in 1..=3 {
        let slot = env.slot()?;
        let object = memory.create_memory(64 << 10, slot)?;
        object.map_all(Env::SPACE, SHARED_BASE, Permissions::ReadWrite)?;
        let buffer = SharedBuf::of(object)?;
        let mut page = [0; 1024];
        for offset in (0..64 << 10).step_by(page.len()) {
            let gone = |error| Failure::new(format_args!("round {round}: {error:?}"));
            buffer.read(offset, &mut page).map_err(gone)?;
            check!(page.iter().all(|byte| *byte == 0));
            page.fill(0xa0 + round);
            buffer.write(offset, &page).map_err(gone)?;
        }
        env.slots.delete(slot)?;
        // Kernel objects take the memory in between.
        let slot = env.slot()?;
        memory.create_cnode(500, slot)?;
        env.slots.delete(slot)?;
    }
    Ok(())
}

fn children_lie_inside_and_apart(env: &mut Env) -> Verdict {
    // Physical addresses can be learned with the DMA right; without it they
    // read as zero, and the tests have it if the boot Untyped has it.
    let memory = piece(env, 256 << 10)?;
    let info = memory.info()?;
    if info.physical == 0 {
        return Ok(());
    }
    let inside = info.physical..info.physical + info.size;
    let mut above = info.physical;
    for bytes in [4096, 64, 128, 8192, 4096, 64] {
        let child = memory.split(bytes, env.slot()?)?.info()?;
        check!(inside.contains(&child.physical));
        check!(child.physical >= above);
        check!(
            child
                .physical
                .is_multiple_of(layout(ObjectType::Untyped, bytes)?.1)
        );
        above = child.physical + child.size;
        check!(above <= inside.end);
    }
    let page: Cap<MemoryObject> = memory.create_memory(4096, env.slot()?)?;
    let physical = page.physical_address()?;
    check!(inside.contains(&physical) && physical >= above);
    Ok(())
}

fn a_physical_place_can_be_asked_for(env: &mut Env) -> Verdict {
    let memory = piece(env, 64 << 10)?;
    let base = memory.info()?.physical;
    if base == 0 {
        return Ok(());
    }
    let slot = env.slot()?;
    let page = Wanted::one(ObjectType::MemoryObject, 4096);
    check_refused!(
        memory.retype(page.at(base + 64), Env::CNODE, slot.index()),
        Unaligned
    );
    check_refused!(
        memory.retype(page.at(base - 4096), Env::CNODE, slot.index()),
        OutOfRange
    );
    check_refused!(
        memory.retype(page.at(base + (64 << 10)), Env::CNODE, slot.index()),
        OutOfRange
    );
    memory.retype(page.at(base + 8192), Env::CNODE, slot.index())?;
    check_eq!(slot.cap::<MemoryObject>().physical_address()?, base + 8192);
    check_eq!(memory.info()?.free, (64 << 10) - 12288);
    // What was passed over is not reachable any more.
    let other = env.slot()?;
    check_refused!(
        memory.retype(page.at(base), Env::CNODE, other.index()),
        OutOfRange
    );
    Ok(())
}

fn device_rules_hold_for_normal_memory(env: &mut Env) -> Verdict {
    let memory = piece(env, 8192)?;
    let slot = env.slot()?.index();
    let device = Wanted::one(ObjectType::MemoryObject, 4096).memory(MemoryType::Device);
    check_refused!(memory.retype(device, Env::CNODE, slot), DeviceMemory);
    let endpoint = Wanted::one(ObjectType::Endpoint, 0).memory(MemoryType::Uncached);
    check_refused!(memory.retype(endpoint, Env::CNODE, slot), InvalidArgument);
    check!(!memory.info()?.device);
    Ok(())
}
