//! Revocation: what was derived goes, wherever it is and whoever waits on it.

use gritos_sys::abi::{Address, ObjectType, Rights, Status};
use gritos_sys::cap::{CNode, Endpoint, Notification, Reply};
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Mask, Message, Wait};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, BELOW, Env, add_cell, cell, end, high, low, pack, pause, set_cell};

tests![
    a_whole_tree_goes_and_its_root_stays,
    deleting_a_middle_node_keeps_its_children_revocable,
    threads_waiting_on_revoked_objects_wake,
    a_revoked_tcb_is_gone_from_every_queue,
    a_hostile_copier_cannot_outrun_revocation,
    many_children_go,
    a_thread_that_revokes_itself_is_gone,
];

fn type_at(index: u16) -> Verdict<Option<ObjectType>> {
    Ok(Env::CNODE.inspect(index)?.object)
}

fn a_whole_tree_goes_and_its_root_stays(env: &mut Env) -> Verdict {
    let root = env.make::<Notification>()?;
    let cnode = Env::UNTYPED.create_cnode(16, env.slot()?)?;
    let mut parent = root;
    for depth in 0..12 {
        cnode.copy(depth, parent, Mask::AS_HELD)?;
        let side = env.slot()?;
        side.copy(parent, Mask::only(Rights::SEND))?;
        parent = Cap::at(Address::nested(cnode.address().index(), depth));
    }
    env.revoke(root)?;
    for depth in 0..12 {
        check_eq!(cnode.inspect(depth)?.object, Some(ObjectType::Null));
    }
    let seen = Env::CNODE.inspect(root.address().index())?;
    check!(seen.object == Some(ObjectType::Notification) && !seen.has_children);
    root.signal(1)?;
    check_eq!(root.poll()?, 1);
    Ok(())
}

fn deleting_a_middle_node_keeps_its_children_revocable(env: &mut Env) -> Verdict {
    let root = env.make::<Notification>()?;
    let middle = env.copy(root, Rights::SEND | Rights::GRANT)?;
    let leaf = env.copy(middle, Rights::SEND)?;
    let other = env.copy(root, Rights::SEND)?;
    env.delete(middle)?;
    leaf.signal(1)?;
    env.revoke(root)?;
    check_refused!(leaf.signal(1), EmptySlot);
    check_refused!(other.signal(1), EmptySlot);
    Ok(())
}

/// Calls; notes the status plus 1000 in cell 1.
extern "C" fn caller(word: u64) -> ! {
    let result = low::<Endpoint>(word).call(&Message::new(0), &Wait::FOREVER);
    note(1, result.err());
    end()
}

/// Receives; notes the status plus 1000 in cell 2.
extern "C" fn server(word: u64) -> ! {
    let result = low::<Endpoint>(word).recv(Some(high::<Reply>(word)), &Wait::FOREVER);
    note(2, result.err());
    end()
}

/// Waits; notes the status plus 1000 in cell 3.
extern "C" fn waiter(word: u64) -> ! {
    let result = low::<Notification>(word).wait(&Wait::FOREVER);
    note(3, result.err());
    end()
}

fn note(place: usize, error: Option<gritos_sys::Error>) {
    let status = error.map_or(0, |error| error.status().map_or(500, |s| s as u64));
    set_cell(place, 1000 + status);
}

fn threads_waiting_on_revoked_objects_wake(env: &mut Env) -> Verdict {
    let memory = Env::UNTYPED.split(4096, env.slot()?)?;
    let (queue, hall): (Cap<Endpoint>, Cap<Endpoint>) =
        (memory.create(env.slot()?)?, memory.create(env.slot()?)?);
    let reply: Cap<Reply> = env.make()?;
    let bell: Cap<Notification> = memory.create(env.slot()?)?;
    env.spawn(ABOVE, caller, u64::from(queue.address().0))?;
    env.spawn(ABOVE, server, pack(hall, reply))?;
    env.spawn(ABOVE, waiter, u64::from(bell.address().0))?;
    env.revoke(memory)?;
    for place in 1..=3 {
        check_eq!((place, cell(place)), (place, 1000 + Status::Deleted as u64));
    }
    check_eq!(memory.info()?.free, 4096);
    Ok(())
}

fn a_revoked_tcb_is_gone_from_every_queue(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let bell = env.make::<Notification>()?;
    let first = env.spawn(ABOVE, caller, u64::from(endpoint.address().0))?;
    let second = env.spawn(ABOVE, waiter, u64::from(bell.address().0))?;
    env.delete(first)?;
    env.delete(second)?;
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    bell.signal(1)?;
    check_eq!(bell.poll()?, 1);
    check_eq!((cell(1), cell(3)), (0, 0));
    Ok(())
}

/// First and last slot of the copier's table.
const COPIES: u16 = 64;

/// Copies what it finds in slot 0 of a CNode over and over, until nothing is
/// left to copy; cell 1 counts the copies made.
extern "C" fn copier(word: u64) -> ! {
    let cnode = low::<CNode>(word);
    let inside = |index| Cap::<Notification>::at(Address::nested(cnode.address().index(), index));
    let (mut from, mut failures) = (0, 0);
    while failures < 2 * COPIES {
        for to in 0..COPIES {
            if cnode.copy(to, inside(from), Mask::AS_HELD).is_ok() {
                add_cell(1, 1);
                (from, failures) = (to, 0);
            } else {
                failures += 1;
            }
        }
        from = (from + 1) % COPIES;
    }
    set_cell(2, 1);
    end()
}

fn a_hostile_copier_cannot_outrun_revocation(env: &mut Env) -> Verdict {
    for priority in [ABOVE, crate::env::PRIORITY, BELOW] {
        let root = env.make::<Notification>()?;
        let cnode = Env::UNTYPED.create_cnode(u32::from(COPIES), env.slot()?)?;
        cnode.copy(0, root, Mask::AS_HELD)?;
        set_cell(1, 0);
        set_cell(2, 0);
        let context = env.context(200_000, 400_000)?;
        let thread = env.passive_thread(priority, copier, u64::from(cnode.address().0), None)?;
        thread.bind_context(context)?;
        thread.resume()?;
        for _ in 0..100 {
            if cell(1) == 0 {
                pause(300_000);
            }
        }
        env.revoke(root)?;
        for index in 0..COPIES {
            check_eq!(cnode.inspect(index)?.object, Some(ObjectType::Null));
        }
        check!(cell(1) > 0);
        // It finds nothing any more and gives up.
        for _ in 0..100 {
            if cell(2) == 0 {
                pause(10_000_000);
            }
        }
        check_eq!(cell(2), 1);
    }
    Ok(())
}

fn many_children_go(env: &mut Env) -> Verdict {
    let cnode = Env::UNTYPED.create_cnode(2000, env.slot()?)?;
    let root = env.make::<Notification>()?;
    for index in 0..2000 {
        cnode.copy(index, root, Mask::only(Rights::SEND))?;
    }
    env.revoke(root)?;
    for index in (0..2000).step_by(97) {
        check_eq!(cnode.inspect(index)?.object, Some(ObjectType::Null));
    }
    check!(!Env::CNODE.inspect(root.address().index())?.has_children);
    Ok(())
}

/// Deletes its own TCB (lower half) through a CNode (upper half).
extern "C" fn suicide(word: u64) -> ! {
    set_cell(1, 1);
    let _ = high::<CNode>(word).delete(low::<CNode>(word).address().index());
    set_cell(1, 2);
    end()
}

fn a_thread_that_revokes_itself_is_gone(env: &mut Env) -> Verdict {
    let slot: Slot = env.slot()?;
    let thread = env.thread(ABOVE, suicide, 0, None)?;
    Env::CNODE.move_from(slot.index(), thread)?;
    let thread = slot.cap::<gritos_sys::cap::Tcb>();
    thread.write_registers(0, [pack(thread, Env::CNODE)])?;
    thread.resume()?;
    check_eq!(cell(1), 1);
    check_eq!(type_at(slot.index())?, Some(ObjectType::Null));
    Ok(())
}
