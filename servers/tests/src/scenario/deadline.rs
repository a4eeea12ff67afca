//! Deadlines that fire, and deadlines that do not.

use gritos_sys::abi::method::ThreadState;
use gritos_sys::cap::{Endpoint, Notification, Reply};
use gritos_sys::{Cap, Message, Wait, ipc, time};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, BELOW, Env, add_cell, cell, end, high, low, pack, pause};

tests![
    sleeping_lasts_as_long_as_asked,
    a_past_deadline_fires_at_once,
    a_receive_times_out,
    a_wait_times_out,
    a_queued_call_times_out,
    a_call_in_service_times_out_and_spends_the_reply,
    a_deadline_that_does_not_fire_leaves_nothing,
    sleepers_wake_by_deadline_not_by_order,
];

const MILLISECOND: u64 = 1_000_000;

fn sleeping_lasts_as_long_as_asked(_: &mut Env) -> Verdict {
    for nanoseconds in [1, 10_000, MILLISECOND, 5 * MILLISECOND] {
        let until = time::after(nanoseconds);
        ipc::sleep_until(until)?;
        check!(time::now() >= until);
        check!(time::now() < until + time::ticks(20 * MILLISECOND));
    }
    Ok(())
}

fn a_past_deadline_fires_at_once(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    for deadline in [0, 1, time::now()] {
        check_refused!(endpoint.recv(Some(reply), &Wait::until(deadline)), TimedOut);
        check_refused!(
            endpoint.call(&Message::new(0), &Wait::until(deadline)),
            TimedOut
        );
        ipc::sleep_until(deadline)?;
    }
    Ok(())
}

fn a_receive_times_out(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let until = time::after(MILLISECOND);
    check_refused!(endpoint.recv(Some(reply), &Wait::until(until)), TimedOut);
    check!(time::now() >= until);
    // The Reply is free, and nobody waits.
    check_refused!(endpoint.send(&Message::new(0)), WouldBlock);
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    Ok(())
}

fn a_wait_times_out(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    let until = time::after(MILLISECOND);
    check_refused!(notification.wait(&Wait::until(until)), TimedOut);
    notification.signal(1)?;
    check_eq!(
        notification.wait(&Wait::until(time::after(MILLISECOND)))?,
        1
    );
    Ok(())
}

fn a_queued_call_times_out(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let until = time::after(MILLISECOND);
    check_refused!(
        endpoint.call(&Message::new(0), &Wait::until(until)),
        TimedOut
    );
    check!(time::now() >= until);
    check_refused!(endpoint.poll(Some(reply), &Wait::FOREVER), WouldBlock);
    Ok(())
}

/// Takes one call and answers it late; cell 1 counts calls, cell 2 is the
/// status of the answer.
extern "C" fn late_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    if endpoint.recv(Some(reply), &Wait::FOREVER).is_ok() {
        add_cell(1, 1);
        pause(3 * MILLISECOND);
        let answered = reply.reply(&Message::new(0));
        let status = answered.map_or_else(|error| error.status().map_or(500, |s| s as u64), |()| 0);
        add_cell(2, 1000 + status);
    }
    end()
}

fn a_call_in_service_times_out_and_spends_the_reply(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    env.spawn(ABOVE, late_server, pack(endpoint, reply))?;
    let wait = Wait::until(time::after(MILLISECOND));
    check_refused!(endpoint.call(&Message::new(0), &wait), TimedOut);
    check_eq!((cell(1), cell(2)), (1, 0));
    pause(5 * MILLISECOND);
    check_eq!(cell(2), 1000 + gritos_sys::abi::Status::ReplySpent as u64);
    Ok(())
}

extern "C" fn echo_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        received = endpoint.reply_recv(reply, &Message::new(0), &Wait::FOREVER);
    }
    end()
}

fn a_deadline_that_does_not_fire_leaves_nothing(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let server = env.spawn(ABOVE, echo_server, pack(endpoint, reply))?;
    for _ in 0..50 {
        let wait = Wait::until(time::after(100 * MILLISECOND));
        endpoint.call(&Message::new(0), &wait)?;
    }
    // Were one of those deadlines still armed, it would end this wait.
    let (quiet, unused) = env.endpoint_and_reply()?;
    let until = time::after(150 * MILLISECOND);
    check_refused!(quiet.recv(Some(unused), &Wait::until(until)), TimedOut);
    check!(time::now() >= until);
    env.expect_state(server, ThreadState::BlockedIpcRecv)
}

/// Sleeps so many milliseconds (upper half) and notes its number (lower half)
/// behind those noted before.
extern "C" fn sleeper(word: u64) -> ! {
    pause((word >> 32) * MILLISECOND);
    let place = add_cell(0, 1) as usize + 1;
    add_cell(place, word & 0xffff_ffff);
    end()
}

fn sleepers_wake_by_deadline_not_by_order(env: &mut Env) -> Verdict {
    for (number, milliseconds) in [(1_u64, 5_u64), (2, 1), (3, 4), (4, 2), (5, 3)] {
        env.spawn(BELOW, sleeper, number | milliseconds << 32)?;
    }
    pause(12 * MILLISECOND);
    let order: [u64; 5] = core::array::from_fn(|i| cell(i + 1));
    check_eq!(order, [2, 4, 5, 3, 1]);
    let _: (Cap<Endpoint>, Cap<Reply>) = env.endpoint_and_reply()?;
    Ok(())
}
