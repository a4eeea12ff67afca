//! Who runs, who is ready, and that each context is held by one thread.

use std::vec::Vec;

use super::{Broken, Object, View, ensure};
use crate::handle::{ContextRef, TcbRef};
use crate::object::{Context, State, Tcb, flag};
use crate::sched::Ready;

pub(super) fn check(view: &View<'_>) -> Result<(), Broken> {
    running(view)?;
    let mut best = Ready::NONE;
    for (handle, t) in &view.threads {
        if t.has(flag::QUEUED) {
            best = best.min(t.priority.get());
            ready(view, *handle, t)?;
        }
        lending(view, *handle, t)?;
    }
    let cpu = &view.kernel.cpu;
    ensure!(cpu.best == best, "best priority {} is not {best}", cpu.best);
    for priority in 0..256 {
        let queue = cpu.ready.queue(priority);
        for end in [queue.head.get(), queue.tail.get()] {
            let right = end.is_none_or(|e| {
                view.thread(e)
                    .is_some_and(|t| t.has(flag::QUEUED) && t.priority.get() == priority)
            });
            ensure!(right, "{end:x?} should not be in queue {priority}");
        }
    }
    contexts(view)
}

fn running(view: &View<'_>) -> Result<(), Broken> {
    let cpu = &view.kernel.cpu;
    let Some(current) = cpu.current else {
        ensure!(cpu.context.is_none(), "a context runs and no thread");
        ensure!(
            cpu.best == Ready::NONE,
            "somebody could run and nobody does"
        );
        return Ok(());
    };
    let Some(t) = view.thread(current) else {
        return Err(std::format!("dead thread {current:x?} runs"));
    };
    ensure!(
        t.state() == State::Ready && !t.has(flag::QUEUED),
        "{current:x?} runs in state {:?}",
        t.state()
    );
    ensure!(cpu.context.is_some(), "{current:x?} runs without context");
    ensure!(
        t.priority.get() <= cpu.best,
        "{current:x?} runs before a better thread"
    );
    Ok(())
}

/// A queued thread can run and is linked at both sides.
fn ready(view: &View<'_>, handle: TcbRef, t: &Tcb) -> Result<(), Broken> {
    let kernel = view.kernel;
    ensure!(
        t.state() == State::Ready,
        "{handle:x?} in state {:?} is in a ready queue",
        t.state()
    );
    let context = kernel.context_of(handle).map(|c| kernel.context(c));
    ensure!(
        context.is_some_and(|c| c.left.get() != 0),
        "{handle:x?} is in a ready queue without budget"
    );
    let queue = kernel.cpu.ready.queue(t.priority.get());
    let same = |other: TcbRef| {
        view.thread(other)
            .filter(|o| o.has(flag::QUEUED) && o.priority.get() == t.priority.get())
    };
    let before = match t.prev.get() {
        None => queue.head.get() == Some(handle),
        Some(other) => same(other).is_some_and(|o| o.next.get() == Some(handle)),
    };
    let behind = match t.next.get() {
        None => queue.tail.get() == Some(handle),
        Some(other) => same(other).is_some_and(|o| o.prev.get() == Some(handle)),
    };
    ensure!(before && behind, "{handle:x?} is badly linked in its queue");
    // The list may not be a ring.
    let mut here = handle;
    for _ in 0..view.threads.len() {
        match kernel.tcb(here).prev.get() {
            Some(prev) => here = prev,
            None => return Ok(()),
        }
    }
    Err(std::format!("{handle:x?} is in a ring"))
}

/// Who lent and who borrows know each other.
fn lending(view: &View<'_>, handle: TcbRef, t: &Tcb) -> Result<(), Broken> {
    let kernel = view.kernel;
    if t.has(flag::BORROWS) {
        ensure!(t.has(flag::PASSIVE), "{handle:x?} borrows and has its own");
        if let Some(donor) = t.donor.get() {
            let right = view.thread(donor).is_some_and(|d| d.has(flag::LENT))
                && kernel.borrower_of(donor) == Some(handle);
            ensure!(right, "{handle:x?} borrows from who did not lend");
        }
    }
    if t.has(flag::LENT) {
        let borrower = kernel.borrower_of(handle);
        let right = borrower
            .and_then(|b| view.thread(b))
            .is_some_and(|b| b.has(flag::BORROWS) && b.donor.get() == Some(handle));
        ensure!(
            right,
            "{handle:x?} lent to who did not borrow: {borrower:x?}"
        );
        ensure!(
            !t.has(flag::PASSIVE) || t.has(flag::BORROWS),
            "{handle:x?} lent what it does not have"
        );
    } else {
        ensure!(t.borrower.get().is_none(), "{handle:x?}: stale borrower");
    }
    if t.state() == State::Ready && !t.has(flag::QUEUED) && !kernel.is_current(handle) {
        let waits = kernel.context_of(handle).is_none_or(|c| {
            let c = kernel.context(c);
            !c.is_configured() || (c.left.get() == 0 && c.timer.height.get() != 0)
        });
        ensure!(waits, "{handle:x?} could run and nobody will let it");
    }
    Ok(())
}

/// Each context is with exactly one thread, from its owner on down the chain.
fn contexts(view: &View<'_>) -> Result<(), Broken> {
    let kernel = view.kernel;
    let mut held: Vec<(ContextRef, TcbRef)> = Vec::new();
    for (handle, t) in &view.threads {
        if let Some(context) = kernel.context_of(*handle) {
            let alive = matches!(view.object(context.raw()), Some(Object::Context(_)));
            ensure!(alive, "{handle:x?} holds dead context {context:x?}");
            let other = held.iter().find(|(c, _)| *c == context);
            ensure!(
                other.is_none(),
                "{context:x?} is held by {handle:x?} and {other:x?}"
            );
            held.push((context, *handle));
        }
        if !t.has(flag::PASSIVE) {
            let owns = view.objects.iter().any(|(c, o)| {
                matches!(o, Object::Context(x) if x.owner.get() == Some(*handle)
                    && (t.context.get().map(ContextRef::raw) == Some(c.raw())
                        || kernel.is_current(*handle)))
            });
            ensure!(owns, "{handle:x?} is active and owns no context");
        }
    }
    for (handle, object) in &view.objects {
        let Object::Context(c) = object else { continue };
        let context = ContextRef::from(*handle);
        let holder = held.iter().find(|(h, _)| *h == context).map(|(_, t)| *t);
        if holder.is_none_or(|h| !kernel.is_current(h)) {
            ensure!(
                c.holder.get() == holder,
                "{handle:x?} is held by {holder:x?}, not {:x?}",
                c.holder.get()
            );
        }
        owner(view, context, c, holder)?;
    }
    Ok(())
}

fn owner(
    view: &View<'_>,
    context: ContextRef,
    c: &Context,
    holder: Option<TcbRef>,
) -> Result<(), Broken> {
    let Some(owner) = c.owner.get() else {
        return Ok(());
    };
    let Some(t) = view.thread(owner) else {
        return Err(std::format!("{context:x?} belongs to a dead thread"));
    };
    ensure!(
        !t.has(flag::PASSIVE),
        "{context:x?} belongs to {owner:x?}, which is passive"
    );
    let mut here = owner;
    for _ in 0..=view.threads.len() {
        if holder == Some(here) {
            return Ok(());
        }
        match view.kernel.borrower_of(here) {
            Some(next) => here = next,
            None => break,
        }
    }
    Err(std::format!(
        "{context:x?} of {owner:x?} is with {holder:x?}, to whom it was not lent"
    ))
}
