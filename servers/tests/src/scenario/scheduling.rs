//! Priorities, order, round robin, budgets, lent contexts.

use gritos_sys::abi::Status;
use gritos_sys::abi::fault::FaultKind;
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::cap::{Endpoint, Notification, Reply, SchedulingContext, Tcb};
use gritos_sys::{Cap, Message, Wait, ipc, time};

use super::tests;
use crate::check::{Failure, Verdict, check, check_eq, check_refused};
use crate::env::{
    ABOVE, BELOW, CEILING, Env, PRIORITY, add_cell, cell, end, eventually, high, low, pack, pause,
    set_cell,
};

tests![
    the_higher_priority_runs_first,
    equal_priorities_run_in_order,
    yielding_goes_round,
    time_slices_go_round,
    changing_a_priority_takes_effect,
    no_priority_above_the_ceiling,
    a_budget_limits_a_thread,
    a_thread_without_context_does_not_run,
    contexts_are_bound_once,
    a_passive_server_runs_on_its_callers_time,
    nested_calls_lend_on,
    a_lent_budget_that_runs_out_is_a_fault,
    a_dead_donor_leaves_the_server_for_the_next,
    a_deadline_spends_the_reply_not_the_loan,
    passive_threads_cannot_do_what_needs_time,
    budgets_out_of_range_are_refused,
];

const MILLISECOND: u64 = 1_000_000;

/// Notes its number behind those noted before.
extern "C" fn note_number(number: u64) -> ! {
    let place = add_cell(0, 1) as usize + 1;
    set_cell(place, number);
    end()
}

fn order<const N: usize>() -> [u64; N] {
    core::array::from_fn(|i| cell(i + 1))
}

fn the_higher_priority_runs_first(env: &mut Env) -> Verdict {
    for (number, priority) in [(1, BELOW + 2), (2, BELOW), (3, BELOW + 9), (4, 255)] {
        env.spawn(priority, note_number, number)?;
    }
    check_eq!(cell(0), 0);
    env.spawn(ABOVE, note_number, 5)?;
    check_eq!(cell(0), 1);
    check!(eventually(|| cell(0) == 5));
    check_eq!(order(), [5, 2, 1, 3, 4]);
    Ok(())
}

fn equal_priorities_run_in_order(env: &mut Env) -> Verdict {
    for number in 1..=6 {
        env.spawn(PRIORITY, note_number, number)?;
    }
    check_eq!(cell(0), 0);
    ipc::yield_now();
    check_eq!(order(), [1, 2, 3, 4, 5, 6]);
    Ok(())
}

/// Notes its number three times, with a yield behind each.
extern "C" fn note_and_yield(number: u64) -> ! {
    for _ in 0..3 {
        let place = add_cell(0, 1) as usize + 1;
        set_cell(place, number);
        ipc::yield_now();
    }
    end()
}

fn yielding_goes_round(env: &mut Env) -> Verdict {
    for number in 1..=3 {
        env.spawn(BELOW, note_and_yield, number)?;
    }
    check!(eventually(|| cell(0) == 9));
    check_eq!(order(), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    Ok(())
}

/// Counts in the cell of its number.
extern "C" fn count(number: u64) -> ! {
    loop {
        add_cell(number as usize, 1);
    }
}

fn time_slices_go_round(env: &mut Env) -> Verdict {
    for number in 1..=3 {
        let context = env.context(MILLISECOND, MILLISECOND)?;
        let thread = env.passive_thread(BELOW, count, number, None)?;
        thread.bind_context(context)?;
        thread.resume()?;
    }
    // As with budgets, one try in ten is undisturbed by the emulator's host.
    let mut counts = [0; 3];
    for _ in 0..10 {
        let before: [u64; 3] = order();
        pause(30 * MILLISECOND);
        let after: [u64; 3] = order();
        counts = core::array::from_fn(|i| after[i] - before[i]);
        let (least, most) = (counts.iter().min(), counts.iter().max());
        if let (Some(least), Some(most)) = (least, most)
            && *least > 0
            && most - least <= most / 4
        {
            return Ok(());
        }
    }
    Err(Failure::new(format_args!("unequal shares: {counts:?}")))
}

fn changing_a_priority_takes_effect(env: &mut Env) -> Verdict {
    let first = env.spawn(BELOW, note_number, 1)?;
    let second = env.spawn(BELOW + 1, note_number, 2)?;
    second.set_priority(BELOW - 1, 255, Env::TCB)?;
    check!(eventually(|| cell(0) == 2));
    check_eq!(order(), [2, 1]);
    let third = env.spawn(BELOW, note_number, 3)?;
    third.set_priority(ABOVE, ABOVE, Env::TCB)?;
    check_eq!(cell(0), 3);
    check_eq!(third.info()?.priority, ABOVE);
    let _ = first;
    Ok(())
}

fn no_priority_above_the_ceiling(env: &mut Env) -> Verdict {
    let thread = env.make::<Tcb>()?;
    check_refused!(
        thread.set_priority(CEILING - 1, 255, Env::TCB),
        PriorityCeiling
    );
    check_refused!(
        thread.set_priority(255, CEILING - 1, Env::TCB),
        PriorityCeiling
    );
    check_refused!(thread.set_priority(0, 0, Env::TCB), PriorityCeiling);
    check_refused!(Env::TCB.set_priority(0, CEILING, Env::TCB), PriorityCeiling);
    thread.set_priority(CEILING, CEILING, Env::TCB)?;
    // A thread gives others no more than it got.
    let lesser = env.make::<Tcb>()?;
    lesser.set_priority(BELOW, BELOW, Env::TCB)?;
    check_refused!(thread.set_priority(ABOVE, ABOVE, lesser), PriorityCeiling);
    let set = gritos_sys::abi::method::Tcb::SetPriority as u64;
    let message = Message::with(set, [256, 256]).copy(Env::TCB, gritos_sys::Mask::AS_HELD);
    check_refused!(
        thread.any().call_any(&message, &Wait::FOREVER),
        InvalidArgument
    );
    check_eq!(thread.info()?.priority, CEILING);
    Ok(())
}

fn a_budget_limits_a_thread(env: &mut Env) -> Verdict {
    // A fifth of the time, although nobody else wants the rest. An emulator's
    // timer may be late by a millisecond or so each time.
    let context = env.context(10 * MILLISECOND, 50 * MILLISECOND)?;
    let thread = env.passive_thread(BELOW, count, 1, None)?;
    thread.bind_context(context)?;
    let mut last = (0, 0);
    for _ in 0..3 {
        let (start, before) = (time::now(), context.info()?.used);
        thread.resume()?;
        pause(300 * MILLISECOND);
        thread.suspend()?;
        let elapsed = time::nanoseconds(time::now() - start);
        let used = context.info()?.used - before;
        if (elapsed / 10..=elapsed / 10 * 3).contains(&used) {
            return Ok(());
        }
        last = (used, elapsed);
    }
    let (used, elapsed) = last;
    Err(Failure::new(format_args!("{used} of {elapsed} ns used")))
}

fn a_thread_without_context_does_not_run(env: &mut Env) -> Verdict {
    let thread = env.passive_thread(ABOVE, note_number, 1, None)?;
    thread.resume()?;
    pause(MILLISECOND);
    check_eq!(cell(0), 0);
    env.expect_state(thread, ThreadState::Ready)?;
    let context = env.context(MILLISECOND, MILLISECOND)?;
    thread.bind_context(context)?;
    check_eq!(cell(0), 1);
    // A context that was never filled is no time.
    let empty: Cap<SchedulingContext> = env.make()?;
    let other = env.passive_thread(ABOVE, note_number, 2, None)?;
    other.bind_context(empty)?;
    other.resume()?;
    check_eq!(cell(0), 1);
    Env::BUDGETS.configure(empty, MILLISECOND, MILLISECOND)?;
    check_eq!(cell(0), 2);
    Ok(())
}

fn contexts_are_bound_once(env: &mut Env) -> Verdict {
    let (a, b) = (
        env.passive_thread(BELOW, count, 1, None)?,
        env.passive_thread(BELOW, count, 2, None)?,
    );
    let (first, second) = (
        env.context(MILLISECOND, MILLISECOND)?,
        env.context(MILLISECOND, MILLISECOND)?,
    );
    check_refused!(a.unbind_context(), NotBound);
    a.bind_context(first)?;
    check_refused!(a.bind_context(second), AlreadyBound);
    check_refused!(b.bind_context(first), AlreadyBound);
    a.resume()?;
    check!(eventually(|| cell(1) > 0));
    a.unbind_context()?;
    let counted = cell(1);
    pause(3 * MILLISECOND);
    check_eq!(cell(1), counted);
    b.bind_context(first)?;
    a.bind_context(second)?;
    check!(eventually(|| cell(1) > counted));
    Ok(())
}

/// Answers calls with how often it was called.
extern "C" fn counting_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        let answer = Message::with(0, [add_cell(20, 1) + 1]);
        received = endpoint.reply_recv(reply, &answer, &Wait::FOREVER);
    }
    set_cell(
        21,
        1 + received
            .err()
            .map_or(0, |e| e.status().map_or(500, |s| s as u64)),
    );
    end()
}

fn is_receiving(server: Cap<Tcb>) -> bool {
    server
        .info()
        .is_ok_and(|info| info.state == Some(ThreadState::BlockedIpcRecv))
}

/// A passive server that waits for its first call, and where its faults go.
fn passive_server(
    env: &mut Env,
    priority: u8,
    entry: crate::env::Entry,
    endpoint: Cap<Endpoint>,
) -> Verdict<(Cap<Tcb>, Cap<Endpoint>)> {
    let reply: Cap<Reply> = env.make()?;
    let faults: Cap<Endpoint> = env.make()?;
    let server = env.passive_thread(priority, entry, pack(endpoint, reply), Some(faults))?;
    // It reaches its first receive on a context that it is then relieved of.
    let context = env.context(MILLISECOND, MILLISECOND)?;
    server.bind_context(context)?;
    server.resume()?;
    check!(eventually(|| is_receiving(server)));
    server.unbind_context()?;
    Ok((server, faults))
}

fn a_passive_server_runs_on_its_callers_time(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let (server, _) = passive_server(env, ABOVE, counting_server, endpoint)?;
    for number in 1..=100 {
        let answer = endpoint.call(&Message::new(0), &Wait::FOREVER)?;
        check_eq!(answer.words()[0], number);
    }
    env.expect_state(server, ThreadState::BlockedIpcRecv)?;
    check_refused!(endpoint.send(&Message::new(0)), PassiveReceiver);
    check_refused!(server.unbind_context(), NotBound);
    Ok(())
}

/// Passes calls on to a second endpoint, whose address is in cell 30.
extern "C" fn forwarding_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        let onward = low::<Endpoint>(cell(30));
        let answer = match onward.call(&Message::new(0), &Wait::FOREVER) {
            Ok(answer) => Message::with(1, [answer.words()[0]]),
            Err(_) => Message::new(2),
        };
        received = endpoint.reply_recv(reply, &answer, &Wait::FOREVER);
    }
    end()
}

fn nested_calls_lend_on(env: &mut Env) -> Verdict {
    let (front, back) = (env.make::<Endpoint>()?, env.make::<Endpoint>()?);
    set_cell(30, u64::from(back.address().0));
    passive_server(env, ABOVE, counting_server, back)?;
    passive_server(env, ABOVE, forwarding_server, front)?;
    for number in 1..=50 {
        let answer = front.call(&Message::new(0), &Wait::FOREVER)?;
        check_eq!((answer.tag(), answer.words()[0]), (1, number));
    }
    Ok(())
}

/// Serves one call by working without end, unless cell 22 says otherwise.
extern "C" fn endless_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        add_cell(20, 1);
        while cell(22) == 0 {}
        received = endpoint.reply_recv(reply, &Message::with(0, [55]), &Wait::FOREVER);
    }
    end()
}

/// Calls once and notes 1 + the first word of the answer, or the status plus
/// 1000, in cell 23.
extern "C" fn one_call(endpoint: u64) -> ! {
    let noted = match low::<Endpoint>(endpoint).call(&Message::new(0), &Wait::FOREVER) {
        Ok(answer) => 1 + answer.words()[0],
        Err(error) => 1000 + error.status().map_or(500, |s| s as u64),
    };
    set_cell(23, noted);
    end()
}

/// A client with so many nanoseconds in every fifty milliseconds.
fn client(env: &mut Env, endpoint: Cap<Endpoint>, budget: u64) -> Verdict<Cap<Tcb>> {
    let context = env.context(budget, 50 * MILLISECOND)?;
    let thread = env.passive_thread(BELOW, one_call, u64::from(endpoint.address().0), None)?;
    thread.bind_context(context)?;
    thread.resume()?;
    Ok(thread)
}

fn a_lent_budget_that_runs_out_is_a_fault(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let (server, faults) = passive_server(env, ABOVE, endless_server, endpoint)?;
    // Enough for a call, not for an endless service.
    client(env, endpoint, 2 * MILLISECOND)?;
    let reply: Cap<Reply> = env.make()?;
    let wait = Wait::until(time::after(20 * MILLISECOND));
    let fault = faults.recv(Some(reply), &wait)?;
    check_eq!(
        (fault.kind(), fault.tag()),
        (Ok(Kind::Fault), FaultKind::Timeout as u64)
    );
    check_eq!(cell(20), 1);
    // The handler lets it go on, and the next period pays for the end.
    set_cell(22, 1);
    reply.reply(&Message::new(
        gritos_sys::abi::fault::FaultReply::Retry as u64,
    ))?;
    check!(eventually(|| cell(23) == 56));
    check!(eventually(|| is_receiving(server)));
    Ok(())
}

fn a_dead_donor_leaves_the_server_for_the_next(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let (server, _) = passive_server(env, BELOW, patient_server, endpoint)?;
    let donor = client(env, endpoint, 50 * MILLISECOND)?;
    check!(eventually(|| cell(20) == 1));
    check_eq!(cell(24), 0);
    env.expect_state(server, ThreadState::Ready)?;
    donor.kill()?;
    // The loan lasts until the server is through with the call.
    set_cell(22, 1);
    check!(eventually(|| cell(24) == 1));
    let answer = endpoint.call(&Message::new(0), &Wait::FOREVER)?;
    check_eq!(answer.words()[0], 2);
    env.expect_state(server, ThreadState::BlockedIpcRecv)
}

/// Ends the first service of a patient server after a while.
extern "C" fn release(_: u64) -> ! {
    pause(5 * MILLISECOND);
    set_cell(22, 1);
    end()
}

/// Serves like a server that never stops: errors of its answers do not end it.
extern "C" fn patient_server(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        let nth = add_cell(20, 1) + 1;
        // The first service lasts until somebody ends it.
        while nth == 1 && cell(22) == 0 {}
        received = endpoint.reply_recv(reply, &Message::with(0, [nth]), &Wait::FOREVER);
        if received.is_err_and(|error| error.is(Status::ReplySpent)) {
            add_cell(24, 1);
            received = endpoint.recv(Some(reply), &Wait::FOREVER);
        }
    }
    end()
}

fn a_deadline_spends_the_reply_not_the_loan(env: &mut Env) -> Verdict {
    let endpoint = env.make::<Endpoint>()?;
    let (server, _) = passive_server(env, ABOVE, patient_server, endpoint)?;
    env.spawn(ABOVE - 1, release, 0)?;
    let started = time::now();
    let wait = Wait::until(time::after(MILLISECOND));
    check_refused!(endpoint.call(&Message::new(0), &wait), TimedOut);
    // The caller's time came back when the server was through.
    check!(time::now() - started >= time::ticks(4 * MILLISECOND));
    check_eq!((cell(20), cell(24)), (1, 1));
    let answer = endpoint.call(&Message::new(0), &Wait::FOREVER)?;
    check_eq!(answer.words()[0], 2);
    env.expect_state(server, ThreadState::BlockedIpcRecv)
}

/// Receives with a deadline, waits on a notification, sleeps: notes how each
/// was refused.
extern "C" fn passive_waits(word: u64) -> ! {
    let (endpoint, reply) = (low::<Endpoint>(word), high::<Reply>(word));
    let mut received = endpoint.recv(Some(reply), &Wait::FOREVER);
    while received.is_ok() {
        let deadline = Wait::until(time::after(MILLISECOND));
        let bell = high::<Notification>(cell(31));
        let statuses = [
            low::<Endpoint>(cell(31)).recv(None, &deadline).err(),
            bell.wait(&Wait::FOREVER).err(),
        ]
        .map(|error| error.map_or(0, |e| e.status().map_or(500, |s| s as u64)));
        received = endpoint.reply_recv(reply, &Message::with(0, statuses), &Wait::FOREVER);
    }
    end()
}

fn passive_threads_cannot_do_what_needs_time(env: &mut Env) -> Verdict {
    let (endpoint, quiet) = (env.make::<Endpoint>()?, env.make::<Endpoint>()?);
    let bell = env.make::<Notification>()?;
    set_cell(31, pack(quiet, bell));
    passive_server(env, ABOVE, passive_waits, endpoint)?;
    let answer = endpoint.call(&Message::new(0), &Wait::FOREVER)?;
    check_eq!(answer.words()[..2], [Status::InvalidState as u64; 2]);
    Ok(())
}

fn budgets_out_of_range_are_refused(env: &mut Env) -> Verdict {
    let context: Cap<SchedulingContext> = env.make()?;
    for (budget, period) in [
        (0, 0),
        (0, MILLISECOND),
        (2 * MILLISECOND, MILLISECOND),
        (u64::MAX, u64::MAX),
        (1, 1),
    ] {
        check_refused!(
            Env::BUDGETS.configure(context, budget, period),
            InvalidArgument
        );
    }
    Env::BUDGETS.configure(context, MILLISECOND, 2 * MILLISECOND)?;
    let info = context.info()?;
    check_eq!((info.budget, info.period), (MILLISECOND, 2 * MILLISECOND));
    Ok(())
}
