//! Notifications: bits, waiting, binding to a thread.

use gritos_sys::abi::message::Kind;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::abi::{Rights, Status};
use gritos_sys::cap::{Endpoint, Notification, Reply, Tcb};
use gritos_sys::{Cap, Message, Wait};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, Env, cell, end, high, low, pack, set_cell};

tests![
    bits_gather_until_they_are_taken,
    a_badge_replaces_the_bits,
    a_waiting_thread_gets_the_bits,
    waiters_are_served_in_order,
    deleting_wakes_waiters,
    a_bound_thread_receives_messages_and_bits,
    binding_is_exclusive,
    signalling_by_method_is_the_same,
];

fn bits_gather_until_they_are_taken(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    check_refused!(notification.poll(), WouldBlock);
    notification.signal(1)?;
    notification.signal(4)?;
    notification.signal(1)?;
    check_eq!(notification.poll()?, 5);
    check_refused!(notification.poll(), WouldBlock);
    notification.signal(1 << 63)?;
    check_eq!(notification.wait(&Wait::FOREVER)?, 1 << 63);
    // No bits are no signal.
    notification.signal(0)?;
    check_refused!(notification.poll(), WouldBlock);
    Ok(())
}

fn a_badge_replaces_the_bits(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    let signaller = env.mint(notification, Rights::SEND, 0x10)?;
    signaller.signal(0xff)?;
    check_eq!(notification.poll()?, 0x10);
    check_refused!(signaller.poll(), MissingRight);
    let waiter = env.copy(notification, Rights::RECV)?;
    check_refused!(waiter.signal(1), MissingRight);
    Ok(())
}

/// Waits and adds the bits, or the status plus 1000, to the cell named.
extern "C" fn waiter(word: u64) -> ! {
    let (notification, number) = (low::<Notification>(word), word >> 32);
    let noted = match notification.wait(&Wait::FOREVER) {
        Ok(bits) => bits,
        Err(error) => 1000 + error.status().map_or(500, |status| status as u64),
    };
    set_cell(number as usize, noted);
    end()
}

fn a_waiting_thread_gets_the_bits(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    let word = u64::from(notification.address().0) | 1 << 32;
    let thread = env.spawn(ABOVE, waiter, word)?;
    env.expect_state(thread, ThreadState::BlockedNotification)?;
    notification.signal(6)?;
    check_eq!(cell(1), 6);
    check_refused!(notification.poll(), WouldBlock);
    Ok(())
}

fn waiters_are_served_in_order(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    for number in 1..=3 {
        env.spawn(
            ABOVE,
            waiter,
            u64::from(notification.address().0) | number << 32,
        )?;
    }
    for number in 1..=3 {
        notification.signal(1 << number)?;
        check_eq!(cell(number as usize), 1 << number);
    }
    Ok(())
}

fn deleting_wakes_waiters(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    for number in 1..=2 {
        env.spawn(
            ABOVE,
            waiter,
            u64::from(notification.address().0) | number << 32,
        )?;
    }
    env.delete(notification)?;
    for number in 1..=2 {
        check_eq!(cell(number), 1000 + Status::Deleted as u64);
    }
    Ok(())
}

/// Notes what bits came in cell 1, and answers calls with it.
extern "C" fn bound_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    loop {
        match endpoint.recv(Some(reply), &Wait::FOREVER) {
            Ok(received) if received.is(Kind::Notification) => set_cell(1, received.words()[0]),
            Ok(_) => {
                let _ = reply.reply(&Message::with(0, [cell(1)]));
            }
            Err(error) if error.is(Status::Aborted) => {}
            Err(_) => end(),
        }
    }
}

fn a_bound_thread_receives_messages_and_bits(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let notification = env.make::<Notification>()?;
    let server = env.thread(ABOVE, bound_server, pack(endpoint, reply), None)?;
    server.bind_notification(notification)?;
    server.resume()?;
    notification.signal(2)?;
    check_eq!(cell(1), 2);
    let answer = endpoint.call(&Message::new(0), &Wait::FOREVER)?;
    check_eq!(answer.words()[0], 2);
    // Bits that were set before the receive are delivered by it.
    server.suspend()?;
    notification.signal(8)?;
    check_eq!(cell(1), 2);
    server.resume()?;
    check_eq!(cell(1), 8);
    server.unbind_notification()?;
    check_refused!(server.unbind_notification(), NotBound);
    Ok(())
}

fn binding_is_exclusive(env: &mut Env) -> Verdict {
    let (a, b) = (env.make::<Notification>()?, env.make::<Notification>()?);
    Env::TCB.bind_notification(a)?;
    check_refused!(Env::TCB.bind_notification(b), AlreadyBound);
    let endpoint = env.make::<Endpoint>()?;
    let other = env.thread(ABOVE, waiter, 0, None)?;
    check_refused!(other.bind_notification(a), AlreadyBound);
    let passive: Cap<Tcb> = env.passive_thread(ABOVE, waiter, 0, None)?;
    check_refused!(passive.bind_notification(b), InvalidState);
    a.signal(1)?;
    let received = endpoint.recv(None, &Wait::FOREVER)?;
    check!(received.is(Kind::Notification));
    check_eq!(received.words()[..2], [1, 0]);
    // The notification dies: the thread is free for another.
    env.delete(a)?;
    Env::TCB.bind_notification(b)?;
    Env::TCB.unbind_notification()?;
    Ok(())
}

fn signalling_by_method_is_the_same(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    notification.invoke_signal(3)?;
    let badged = env.mint(notification, Rights::SEND, 0x40)?;
    badged.invoke_signal(3)?;
    check_eq!(notification.poll()?, 0x43);
    Ok(())
}
