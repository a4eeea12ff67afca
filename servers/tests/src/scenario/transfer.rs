//! Capabilities in messages: whole or not at all, and the sender alone learns
//! of its mistakes.

use gritos_sys::abi::message::Kind;
use gritos_sys::abi::{Address, ObjectType, Rights, Status};
use gritos_sys::cap::{Endpoint, Notification, Reply};
use gritos_sys::ipc::Carried;
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, Mask, Message, Received, Wait};

use super::tests;
use crate::check::{Failure, Verdict, check, check_eq, check_refused, refused_at};
use crate::env::{ABOVE, CELLS, Env, Snapshot, cell, end, high, low, pack, set_cell};

tests![
    four_capabilities_arrive_in_order,
    rights_and_badge_are_applied,
    mistakes_of_the_sender_change_nothing,
    a_full_or_missing_window_refuses_the_sender,
    one_bad_capability_among_four_stops_all,
    a_queued_sender_is_checked_at_delivery,
    the_receiver_goes_on_to_the_next_sender,
    a_failing_reply_stays_owed,
    a_reply_needs_the_grant_of_the_call,
    a_reply_carries_capabilities,
    own_endpoint_capabilities_unwrap,
    unwrapping_needs_the_same_endpoint,
    a_moved_capability_does_not_unwrap,
    a_reply_does_not_unwrap,
    a_moved_capability_leaves_its_slot,
    a_moved_capability_keeps_its_children,
    a_capability_moves_once_per_message,
    one_way_messages_carry_capabilities,
];

/// Where [`receiver`] notes: how many messages came, then the registers.
const NOTED: usize = 8;

/// Receives with a window of so many slots (bits 60 and up) from slot (bits
/// 32–59) on, notes the registers, answers calls with nothing; for ever.
extern "C" fn receiver(word: u64) -> ! {
    let endpoint = low::<Endpoint>(word);
    let first = Address((word >> 32 & 0xffff) as u32);
    let reply = Cap::<Reply>::at(Address((word >> 48 & 0xfff) as u32));
    let wait = Wait::window(first, (word >> 60) as u32);
    while let Ok(received) = endpoint.recv(Some(reply), &wait) {
        set_cell(NOTED, cell(NOTED) + 1);
        let registers = received.registers();
        let noted = registers.words.into_iter().chain([
            registers.sender,
            registers.tag,
            registers.outcome.0,
            registers.caps[0],
            registers.caps[1],
            registers.caps[2],
            registers.caps[3],
            registers.arrivals,
        ]);
        for (place, value) in CELLS.iter().skip(NOTED + 1).zip(noted) {
            place.store(value, core::sync::atomic::Ordering::SeqCst);
        }
        if received.is(Kind::Call) && reply.reply(&Message::new(0)).is_err() {
            end();
        }
    }
    end()
}

/// The outcome register, a capability register, the arrivals, as noted.
fn noted_outcome() -> gritos_sys::abi::Outcome {
    gritos_sys::abi::Outcome(cell(NOTED + 11))
}

fn noted_cap(slot: usize) -> (u32, Rights) {
    let word = cell(NOTED + 12 + slot);
    (word as u32, Rights::from_bits_retain((word >> 32) as u32))
}

fn noted_arrival(slot: usize) -> gritos_sys::abi::Arrival {
    gritos_sys::abi::Arrival::of_slot(cell(NOTED + 16), slot)
}

/// A receiver that waits on `endpoint` with a window of `slots` slots; the
/// first of them.
fn start_receiver(env: &mut Env, endpoint: Cap<Endpoint>, slots: u16) -> Verdict<Slot> {
    let reply = env.make::<Reply>()?;
    let window = env.slots.take_run(4)?;
    let word = u64::from(endpoint.address().0)
        | u64::from(window.index()) << 32
        | u64::from(reply.address().index()) << 48
        | u64::from(slots) << 60;
    env.spawn(ABOVE, receiver, word)?;
    Ok(window)
}

fn is_empty(index: u16) -> Verdict<bool> {
    let seen = Env::CNODE.inspect(index)?;
    Ok(seen.object == Some(ObjectType::Null))
}

fn window_is_empty(window: Slot) -> Verdict {
    for index in window.index()..window.index() + 4 {
        check!(is_empty(index)?);
    }
    Ok(())
}

fn four_capabilities_arrive_in_order(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 4)?;
    let notification = env.make::<Notification>()?;
    let memory = env.memory(8192)?;
    let message = Message::with(3, [1, 2, 3])
        .copy(notification, Mask::AS_HELD)
        .copy(memory, Mask::AS_HELD)
        .copy(Env::TCB, Mask::AS_HELD)
        .copy(endpoint_other(env)?, Mask::AS_HELD);
    endpoint.call(&message, &Wait::FOREVER)?;
    let types = [
        ObjectType::Notification,
        ObjectType::MemoryObject,
        ObjectType::Tcb,
        ObjectType::Endpoint,
    ];
    check_eq!(
        (noted_outcome().word_count(), noted_outcome().cap_count()),
        (3, 4)
    );
    for (position, object) in types.into_iter().enumerate() {
        let expected = gritos_sys::abi::Arrival::InSlot {
            object,
            position: position as u8,
        };
        check_eq!(noted_arrival(position), expected);
        let seen = Env::CNODE.inspect(window.index() + position as u16)?;
        check_eq!(seen.object, Some(object));
        check_eq!(noted_cap(position).1, seen.rights);
    }
    Ok(())
}

fn endpoint_other(env: &mut Env) -> Verdict<Cap<Endpoint>> {
    env.make()
}

fn rights_and_badge_are_applied(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 1)?;
    let notification = env.make::<Notification>()?;
    let only = Mask::only(Rights::SEND | Rights::READ);
    endpoint.call(
        &Message::new(0).mint(notification, only, 77),
        &Wait::FOREVER,
    )?;
    let seen = Env::CNODE.inspect(window.index())?;
    check_eq!((seen.rights, seen.badge), (Rights::SEND | Rights::READ, 77));
    check_eq!(noted_cap(0), (77, Rights::SEND | Rights::READ));
    // It is derived from what was sent.
    env.revoke(notification)?;
    window_is_empty(window)
}

/// Sends as a one-way message and as a call; both must be refused alike.
#[track_caller]
fn refused_both_ways(
    endpoint: Cap<Endpoint>,
    message: &Message,
    status: Status,
    slot: u32,
) -> Verdict {
    let before = Snapshot::take()?;
    refused_at(endpoint.send(message), status, slot)?;
    refused_at(endpoint.call(message, &Wait::FOREVER), status, slot)?;
    before.still_holds(&format_args!("{status:?}"))
}

fn mistakes_of_the_sender_change_nothing(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 4)?;
    let good = env.make::<Notification>()?;
    let message = Message::new(0).copy(good, Mask::AS_HELD);

    let nowhere = Cap::<Notification>::at(Address::root(60_000));
    let bad = message.copy(nowhere, Mask::AS_HELD);
    refused_both_ways(endpoint, &bad, Status::InvalidAddress, 1)?;
    let no_cnode = Cap::<Notification>::at(Address::nested(good.address().index(), 0));
    let bad = message.copy(no_cnode, Mask::AS_HELD);
    refused_both_ways(endpoint, &bad, Status::InvalidAddress, 1)?;
    let empty = env.slot()?.cap::<Notification>();
    let bad = message.copy(empty, Mask::AS_HELD);
    refused_both_ways(endpoint, &bad, Status::EmptySlot, 1)?;
    let kept = env.copy(good, Rights::SEND | Rights::RECV)?;
    let bad = message.copy(kept, Mask::AS_HELD);
    refused_both_ways(endpoint, &bad, Status::NoGrant, 1)?;
    let narrow = env.copy(good, Rights::SEND | Rights::GRANT)?;
    let wider = Mask::only(Rights::SEND | Rights::RECV);
    refused_both_ways(
        endpoint,
        &message.copy(narrow, wider),
        Status::RightsNotHeld,
        1,
    )?;
    let badged = env.mint(good, Rights::SEND | Rights::GRANT, 5)?;
    let bad = message.mint(badged, Mask::AS_HELD, 6);
    refused_both_ways(endpoint, &bad, Status::BadgeAlreadySet, 1)?;
    let memory = env.memory(4096)?;
    let bad = message.mint(memory, Mask::AS_HELD, 6);
    refused_both_ways(endpoint, &bad, Status::NotBadgeable, 1)?;
    let bad = message.copy(Env::UNTYPED, Mask::AS_HELD);
    refused_both_ways(endpoint, &bad, Status::NotCopyable, 1)?;
    let no_grant = env.copy(endpoint, Rights::SEND)?;
    refused_both_ways(no_grant, &message, Status::EndpointNoGrant, 0)?;
    let five = (0..5).fold(Message::new(0), |m, _| m.copy(good, Mask::AS_HELD));
    refused_both_ways(endpoint, &five, Status::InvalidArgument, 0)?;

    // Nothing arrived, nobody was woken, every source is where it was.
    check_eq!(cell(NOTED), 0);
    window_is_empty(window)?;
    for cap in [good, kept, narrow, badged] {
        let seen = Env::CNODE.inspect(cap.address().index())?;
        check_eq!(seen.object, Some(ObjectType::Notification));
    }
    endpoint.call(&message, &Wait::FOREVER)?;
    check_eq!(cell(NOTED), 1);
    Ok(())
}

fn a_full_or_missing_window_refuses_the_sender(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 2)?;
    let cap = env.make::<Notification>()?;
    let one = Message::new(0).copy(cap, Mask::AS_HELD);
    let two = one.copy(cap, Mask::AS_HELD);
    refused_both_ways(
        endpoint,
        &two.copy(cap, Mask::AS_HELD),
        Status::ReceiverWindow,
        2,
    )?;
    Env::CNODE.copy(window.index() + 1, cap, Mask::AS_HELD)?;
    refused_both_ways(endpoint, &two, Status::ReceiverWindow, 1)?;
    endpoint.call(&one, &Wait::FOREVER)?;
    refused_both_ways(endpoint, &one, Status::ReceiverWindow, 0)?;
    let closed = env.make::<Endpoint>()?;
    start_receiver(env, closed, 0)?;
    refused_both_ways(closed, &one, Status::ReceiverWindow, 0)?;
    closed.call(&Message::new(0), &Wait::FOREVER)?;
    check_eq!(cell(NOTED), 2);
    Ok(())
}

fn one_bad_capability_among_four_stops_all(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 4)?;
    let good = env.make::<Notification>()?;
    let moving = env.make::<Notification>()?;
    let bad = env.copy(good, Rights::SEND)?;
    for position in 0..4 {
        let message = (0..4).fold(Message::new(0), |message, i| match i {
            _ if i == position => message.copy(bad, Mask::AS_HELD),
            _ if i == (position + 1) % 4 => message.give(moving),
            _ => message.copy(good, Mask::AS_HELD),
        });
        refused_both_ways(endpoint, &message, Status::NoGrant, position)?;
        window_is_empty(window)?;
        check!(!is_empty(moving.address().index())?);
    }
    let seen = Env::CNODE.inspect(good.address().index())?;
    check!(seen.has_children);
    env.delete(bad)?;
    let seen = Env::CNODE.inspect(good.address().index())?;
    check!(!seen.has_children);
    Ok(())
}

/// Calls with a copy of a capability and notes status and blamed slot of the
/// refusal in cell 1 (0: answered).
extern "C" fn caller_with_capability(word: u64) -> ! {
    let (endpoint, cap) = (low::<Endpoint>(word), high::<Notification>(word));
    let message = Message::with(0, [u64::from(cap.address().0)]).copy(cap, Mask::AS_HELD);
    let noted = match endpoint.call(&message, &Wait::FOREVER) {
        Ok(_) => 1,
        Err(error) => refusal_word(&error),
    };
    set_cell(1, noted);
    end()
}

fn refusal_word(error: &Error) -> u64 {
    1000 + 100 * u64::from(error.slot()) + error.status().map_or(99, |status| status as u64)
}

fn a_queued_sender_is_checked_at_delivery(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let cap = env.make::<Notification>()?;
    let copy = env.copy(cap, Rights::SEND | Rights::GRANT)?;
    let window = env.slots.take_run(4)?;
    let wait = Wait::window(window.address(), 4);
    // The source goes while the sender is queued.
    env.spawn(ABOVE, caller_with_capability, pack(endpoint, copy))?;
    env.delete(copy)?;
    check_refused!(endpoint.poll(Some(reply), &wait), WouldBlock);
    check_eq!(cell(1), 1000 + Status::EmptySlot as u64);
    // It comes while the sender is queued.
    let slot = env.slot()?;
    env.spawn(
        ABOVE,
        caller_with_capability,
        pack(endpoint, slot.cap::<Notification>()),
    )?;
    slot.copy(cap, Mask::only(Rights::RECV | Rights::GRANT))?;
    let received = endpoint.poll(Some(reply), &wait)?;
    check_eq!(
        received.cap(0),
        Some(Carried::InSlot {
            object: ObjectType::Notification,
            position: 0,
            rights: Rights::RECV | Rights::GRANT,
            badge: 0,
        })
    );
    reply.reply(&Message::new(0))?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn the_receiver_goes_on_to_the_next_sender(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let good = env.make::<Notification>()?;
    let bad = env.copy(good, Rights::SEND)?;
    for _ in 0..6 {
        env.spawn(ABOVE, caller_with_capability, pack(endpoint, bad))?;
    }
    env.spawn(ABOVE, caller_with_capability, pack(endpoint, good))?;
    let window = env.slots.take_run(1)?;
    let wait = Wait::window(window.address(), 1);
    let received = endpoint.recv(Some(reply), &wait)?;
    check_eq!(received.words()[0], u64::from(good.address().0));
    check_eq!(cell(1), 1000 + Status::NoGrant as u64);
    reply.reply(&Message::new(0))?;
    Ok(())
}

/// Calls without a window and notes in cell 1: 1 + first word of the answer.
extern "C" fn plain_caller(word: u64) -> ! {
    let endpoint = low::<Endpoint>(word);
    let noted = match endpoint.call(&Message::new(0), &Wait::FOREVER) {
        Ok(answer) => 1 + answer.words()[0],
        Err(error) => refusal_word(&error),
    };
    set_cell(1, noted);
    end()
}

fn a_failing_reply_stays_owed(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let cap = env.make::<Notification>()?;
    env.spawn(ABOVE, plain_caller, u64::from(endpoint.address().0))?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    let message = Message::with(0, [1]).copy(cap, Mask::AS_HELD);
    refused_at(reply.reply(&message), Status::ReceiverWindow, 0)?;
    let refused = endpoint.reply_recv(reply, &message, &Wait::FOREVER);
    refused_at(refused, Status::ReceiverWindow, 0)?;
    check_eq!(cell(1), 0);
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), ReplyInUse);
    reply.reply(&Message::with(0, [41]))?;
    check_eq!(cell(1), 42);
    Ok(())
}

/// Calls with a window (one slot, upper half) and notes 1 + the number of
/// capabilities that came.
extern "C" fn caller_with_window(word: u64) -> ! {
    let endpoint = low::<Endpoint>(word);
    let wait = Wait::window(high::<Notification>(word).address(), 1);
    let noted = match endpoint.call(&Message::new(0), &wait) {
        Ok(answer) => 1 + u64::from(answer.cap_count()),
        Err(error) => refusal_word(&error),
    };
    set_cell(1, noted);
    end()
}

fn a_reply_needs_the_grant_of_the_call(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let cap = env.make::<Notification>()?;
    let client = env.copy(endpoint, Rights::SEND)?;
    let slot = env.slot()?;
    env.spawn(
        ABOVE,
        caller_with_window,
        pack(client, slot.cap::<Notification>()),
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    let message = Message::new(0).copy(cap, Mask::AS_HELD);
    refused_at(reply.reply(&message), Status::EndpointNoGrant, 0)?;
    reply.reply(&Message::new(0))?;
    check_eq!(cell(1), 1);
    check!(is_empty(slot.index())?);
    Ok(())
}

fn a_reply_carries_capabilities(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let cap = env.make::<Notification>()?;
    let slot = env.slot()?;
    env.spawn(
        ABOVE,
        caller_with_window,
        pack(endpoint, slot.cap::<Notification>()),
    )?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    let only = Mask::only(Rights::SEND);
    reply.reply(&Message::new(0).mint(cap, only, 9))?;
    check_eq!(cell(1), 2);
    let seen = Env::CNODE.inspect(slot.index())?;
    check_eq!((seen.rights, seen.badge), (Rights::SEND, 9));
    Ok(())
}

/// A queued call with one capability, received without a window.
fn received_with(
    env: &mut Env,
    through: Cap<Endpoint>,
    at: Cap<Endpoint>,
    cap: Cap<Endpoint>,
) -> Verdict<Result<Received, Error>> {
    let reply = env.make::<Reply>()?;
    env.spawn(ABOVE, caller_with_capability, pack(through, cap))?;
    let received = at.poll(Some(reply), &Wait::FOREVER);
    if received.is_ok() {
        reply.reply(&Message::new(0))?;
    }
    Ok(received)
}

fn own_endpoint_capabilities_unwrap(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let rights = Rights::SEND | Rights::server(3);
    let buffer = env.mint(endpoint, rights, 0x55)?;
    let client = env.mint(endpoint, Rights::SEND, 0x8000_0001)?;
    let received = received_with(env, client, endpoint, buffer)??;
    check_eq!(received.cap_count(), 1);
    check_eq!(
        received.cap(0),
        Some(Carried::Unwrapped {
            badge: 0x55,
            rights
        })
    );
    check_eq!(received.badge(), 0x8000_0001);
    // The mask narrows what is unwrapped, too.
    let waiting = env.make::<Endpoint>()?;
    let window = start_receiver(env, waiting, 0)?;
    let own = env.mint(waiting, rights, 0x66)?;
    let message = Message::new(0).copy(own, Mask::only(Rights::SEND));
    waiting.call(&message, &Wait::FOREVER)?;
    check_eq!(noted_cap(0), (0x66, Rights::SEND));
    check_eq!(noted_arrival(0), gritos_sys::abi::Arrival::Unwrapped);
    let wider = Message::new(0).copy(own, Mask::only(Rights::RECV));
    refused_both_ways(waiting, &wider, Status::RightsNotHeld, 0)?;
    window_is_empty(window)
}

fn unwrapping_needs_the_same_endpoint(env: &mut Env) -> Verdict {
    let (endpoint, other) = (env.make::<Endpoint>()?, env.make::<Endpoint>()?);
    let kept = env.mint(other, Rights::SEND, 5)?;
    check_refused!(received_with(env, endpoint, endpoint, kept)?, WouldBlock);
    check_eq!(cell(1), 1000 + Status::NoGrant as u64);
    let granted = env.mint(other, Rights::SEND | Rights::GRANT, 5)?;
    check_refused!(received_with(env, endpoint, endpoint, granted)?, WouldBlock);
    check_eq!(cell(1), 1000 + Status::ReceiverWindow as u64);
    Ok(())
}

fn a_moved_capability_does_not_unwrap(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 1)?;
    let own = env.mint(endpoint, Rights::SEND | Rights::GRANT, 5)?;
    endpoint.call(&Message::new(0).give(own), &Wait::FOREVER)?;
    let seen = Env::CNODE.inspect(window.index())?;
    check_eq!((seen.object, seen.badge), (Some(ObjectType::Endpoint), 5));
    check!(is_empty(own.address().index())?);
    Ok(())
}

fn a_reply_does_not_unwrap(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let own = env.mint(endpoint, Rights::SEND, 5)?;
    env.spawn(ABOVE, plain_caller, u64::from(endpoint.address().0))?;
    endpoint.recv(Some(reply), &Wait::FOREVER)?;
    let message = Message::new(0).copy(own, Mask::AS_HELD);
    refused_at(reply.reply(&message), Status::NoGrant, 0)?;
    reply.reply(&Message::new(0))?;
    check_eq!(cell(1), 1);
    Ok(())
}

fn a_moved_capability_leaves_its_slot(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 1)?;
    // Untyped memory can be given away, and only given away.
    let slot = env.slot()?;
    let untyped = Env::UNTYPED.split(4096, slot)?;
    endpoint.call(&Message::new(0).give(untyped), &Wait::FOREVER)?;
    check!(is_empty(slot.index())?);
    let moved = window.cap::<gritos_sys::cap::Untyped>();
    check_eq!(moved.info()?.size, 4096);
    check_refused!(untyped.info(), EmptySlot);
    Ok(())
}

fn a_moved_capability_keeps_its_children(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 1)?;
    let cap = env.make::<Notification>()?;
    let child = env.mint(cap, Rights::SEND, 3)?;
    endpoint.call(&Message::new(0).give(cap), &Wait::FOREVER)?;
    check!(Env::CNODE.inspect(window.index())?.has_children);
    child.signal(0)?;
    window.revoke()?;
    check_refused!(child.signal(0), EmptySlot);
    check_eq!(window.cap::<Notification>().poll()?, 3);
    Ok(())
}

fn a_capability_moves_once_per_message(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 4)?;
    let cap = env.make::<Notification>()?;
    let twice = Message::new(0).give(cap).give(cap);
    refused_both_ways(endpoint, &twice, Status::EmptySlot, 1)?;
    window_is_empty(window)?;
    let copy_first = Message::new(0).copy(cap, Mask::AS_HELD).give(cap);
    endpoint.call(&copy_first, &Wait::FOREVER)?;
    check!(is_empty(cap.address().index())?);
    check!(!is_empty(window.index())? && !is_empty(window.index() + 1)?);
    Ok(())
}

fn one_way_messages_carry_capabilities(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let window = start_receiver(env, endpoint, 2)?;
    let cap = env.make::<Notification>()?;
    let own = env.mint(endpoint, Rights::SEND, 7)?;
    let message = Message::with(1, [5])
        .copy(own, Mask::AS_HELD)
        .copy(cap, Mask::AS_HELD);
    endpoint.send(&message)?;
    check_eq!(cell(NOTED), 1);
    check_eq!(noted_outcome().kind(), Ok(Kind::OneWay));
    check_eq!(noted_arrival(0), gritos_sys::abi::Arrival::Unwrapped);
    let expected = gritos_sys::abi::Arrival::InSlot {
        object: ObjectType::Notification,
        position: 0,
    };
    check_eq!(noted_arrival(1), expected);
    if is_empty(window.index())? {
        return Err(Failure::new(format_args!("nothing lies in the window")));
    }
    Ok(())
}
