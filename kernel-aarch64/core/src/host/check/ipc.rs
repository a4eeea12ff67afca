//! Queues, Replies, notifications: who waits waits in one place, and both sides
//! of every bond know each other.

use std::vec::Vec;

use super::{Broken, Object, View, ensure};
use crate::handle::TcbRef;
use crate::object::{Queue, State, flag, reply_state};

pub(super) fn check(view: &View<'_>) -> Result<(), Broken> {
    let mut queued = Vec::new();
    for (handle, object) in &view.objects {
        let on = handle.raw();
        match object {
            Object::Endpoint(e) => {
                members(view, &e.senders, State::Send, false, on, &mut queued)?;
                members(view, &e.armed, State::Receive, true, on, &mut queued)?;
                members(view, &e.plain, State::Receive, false, on, &mut queued)?;
                ensure!(
                    e.senders.is_empty() || e.armed.is_empty(),
                    "callers and receivers wait for each other on {handle:x?}"
                );
            }
            Object::Notification(n) => {
                members(view, &n.waiters, State::Wait, false, on, &mut queued)?;
                let bound = n.bound.get();
                if n.bits.get() != 0 {
                    let waits = bound
                        .and_then(|t| view.thread(t))
                        .is_some_and(|t| t.state() == State::Receive);
                    ensure!(
                        n.waiters.is_empty() && !waits,
                        "somebody waits for bits that are there on {handle:x?}"
                    );
                }
                if let Some(thread) = bound {
                    let back = view.thread(thread).and_then(|t| t.notification.get());
                    ensure!(
                        back.is_some_and(|n| n.raw() == on),
                        "{handle:x?} is bound and its thread does not know"
                    );
                }
            }
            Object::Reply(r) => {
                let state = r.header.bits();
                let owed = r.caller.get().is_some();
                ensure!(
                    state == reply_state::IN_USE || state == 0 && !owed,
                    "Reply {handle:x?} has state {state:x}"
                );
                if owed {
                    let caller = r.caller.get().and_then(|c| view.thread(c));
                    ensure!(
                        caller.is_some_and(|c| c.state() == State::Reply
                            && c.awaits.get().is_some_and(|r| r.raw() == on)),
                        "Reply {handle:x?} owes an answer that nobody waits for"
                    );
                }
                if state == reply_state::IN_USE && !owed {
                    let server = r.server.get().and_then(|s| view.thread(s));
                    ensure!(
                        server
                            .is_some_and(|s| s.has(flag::ARMED)
                                && s.armed.get().is_some_and(|r| r.raw() == on)),
                        "Reply {handle:x?} is armed by nobody"
                    );
                }
            }
            _ => {}
        }
    }
    queued.sort_unstable();
    for (handle, t) in &view.threads {
        let waits = matches!(t.state(), State::Send | State::Receive | State::Wait);
        let times = queued.iter().filter(|q| *q == handle).count();
        ensure!(
            times == usize::from(waits),
            "{handle:x?} in state {:?} is in {times} queues",
            t.state()
        );
        thread(view, *handle)?;
    }
    Ok(())
}

/// The members of a queue, whose links must agree.
fn members(
    view: &View<'_>,
    queue: &Queue,
    state: State,
    armed: bool,
    on: u32,
    queued: &mut Vec<TcbRef>,
) -> Result<(), Broken> {
    let mut previous = None;
    let mut next = queue.head.get();
    while let Some(handle) = next {
        let Some(t) = view.thread(handle) else {
            return Err(std::format!("dead thread {handle:x?} is queued on {on:x}"));
        };
        ensure!(
            t.state() == state && t.has(flag::ARMED) == armed && t.queued_on.get() == on,
            "{handle:x?} in state {:?} is queued for {state:?} on {on:x}",
            t.state()
        );
        ensure!(t.prev.get() == previous, "{handle:x?}: wrong previous");
        queued.push(handle);
        ensure!(queued.len() <= view.threads.len(), "a cycle on {on:x}");
        previous = next;
        next = t.next.get();
    }
    ensure!(queue.tail.get() == previous, "wrong tail on {on:x}");
    Ok(())
}

fn thread(view: &View<'_>, handle: TcbRef) -> Result<(), Broken> {
    let kernel = view.kernel;
    let t = kernel.tcb(handle);
    let state = t.state();
    if state == State::Reply {
        let right = t.awaits.get().is_some_and(|reply| {
            matches!(view.object(reply.raw()), Some(Object::Reply(r))
                if r.caller.get() == Some(handle))
        });
        ensure!(right, "{handle:x?} awaits a Reply that does not know it");
    }
    if t.has(flag::ARMED) {
        let right = state == State::Receive
            && t.armed.get().is_some_and(|reply| {
                matches!(view.object(reply.raw()), Some(Object::Reply(r))
                    if r.header.has(reply_state::IN_USE)
                        && r.caller.get().is_none()
                        && r.server.get() == Some(handle))
            });
        ensure!(right, "{handle:x?} is armed with a Reply that denies it");
    }
    if let Some(n) = t.notification.get() {
        ensure!(!t.has(flag::PASSIVE), "passive {handle:x?} is bound");
        let right = matches!(view.object(n.raw()), Some(Object::Notification(n))
            if n.bound.get() == Some(handle));
        ensure!(
            right,
            "{handle:x?} is bound to a notification that denies it"
        );
    }
    ensure!(
        !t.has(flag::FAULTED) || matches!(state, State::Send | State::Reply),
        "{handle:x?} has a fault in state {state:?}"
    );
    let can_time = match state {
        State::Sleep => t.has(flag::TIMED),
        State::Send | State::Reply => !(t.has(flag::TIMED) && t.has(flag::FAULTED)),
        State::Receive | State::Wait => true,
        _ => !t.has(flag::TIMED),
    };
    ensure!(can_time, "{handle:x?} in state {state:?}: wrong deadline");
    if matches!(state, State::Inactive | State::Terminated) {
        ensure!(
            !t.has(flag::REPLIED),
            "{handle:x?} is stopped in the middle of a call"
        );
    }
    Ok(())
}
