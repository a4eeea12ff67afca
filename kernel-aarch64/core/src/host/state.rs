//! The state of a kernel as far as it can matter to what comes.
//!
//! Fields whose value nobody will ever read are left out: what a running thread
//! has in its TCB as context, whom a Reply that is free last belonged to, and
//! so on (see the documentation of the fields). Times count from now. Two
//! kernels with the same facts behave the same from here on.
//!
//! Facts that follow from others (counts, heads of queues) are there too, so
//! that whatever breaks one of them is a new state, which is then checked.

use std::format;
use std::string::String;
use std::vec::Vec;

use gritos_abi::ObjectType;

use super::{HostKernel, Object};
use crate::handle::{ObjectRef, TcbRef, TimerRef};
use crate::object::{Context, Embed, Notification, Queue, Slot, State, TimerNode, flag};
use crate::store::Store;

/// Takes the facts one by one, with names for people.
trait Facts {
    fn put(&mut self, name: &'static str, value: u64);
}

impl Facts for Vec<u64> {
    #[inline]
    fn put(&mut self, _: &'static str, value: u64) {
        self.push(value);
    }
}

impl Facts for Vec<String> {
    fn put(&mut self, name: &'static str, value: u64) {
        self.push(format!("{name} {value:#x}"));
    }
}

/// Appends the state to `facts`.
pub fn facts(kernel: &HostKernel, facts: &mut Vec<u64>) {
    collect(kernel, facts);
}

/// The state in words, for comparing two.
#[must_use]
pub fn describe(kernel: &HostKernel) -> Vec<String> {
    let mut lines = Vec::new();
    collect(kernel, &mut lines);
    lines
}

fn collect<F: Facts>(kernel: &HostKernel, out: &mut F) {
    let cpu = &kernel.cpu;
    out.put("current", cpu.current.map_or(0, |t| t.raw().into()));
    out.put("best", cpu.best.into());
    out.put("dying", kernel.dying.map_or(0, |o| o.raw().into()));
    out.put("revoking", kernel.revoking.map_or(0, |s| s.raw().into()));
    out.put(
        "preempt",
        kernel
            .machine
            .preempt_after
            .get()
            .map_or(0, |n| 1 + u64::from(n)),
    );
    for (number, object) in kernel.store.objects() {
        let Some(header) = object.header().filter(|h| h.word.get() != 0) else {
            continue;
        };
        out.put("object", number.into());
        out.put("word", header.word.get().into());
        out.put("capabilities", header.refs.get().into());
        if header.refs.get() == 0 {
            out.put(
                "next dying",
                header.dying.get().map_or(0, |o| o.raw().into()),
            );
        }
        for (offset, slot) in object.slots() {
            if !slot.is_empty() {
                out.put("slot", (number + offset).into());
                self::slot(slot, out);
            }
        }
        if let Some(handle) = ObjectRef::from_raw(number) {
            self::object(kernel, handle, object, out);
        }
    }
    timers(kernel, out);
}

fn slot<F: Facts>(slot: &Slot, out: &mut F) {
    let pair = |a: u32, b: u32| u64::from(a) | u64::from(b) << 32;
    out.put("names", pair(slot.object.get(), slot.word.get()));
    out.put("rights, badge", pair(slot.rights.get(), slot.badge.get()));
    let (first, last) = (slot.first.get(), slot.last.get());
    out.put("children", pair(first.raw(), last.raw()));
    out.put(
        "neighbours",
        pair(slot.prev.get().raw(), slot.next.get().raw()),
    );
    if slot.is(ObjectType::Untyped) {
        let unused = first.sibling().is_none() && slot.embed() != Embed::Donation;
        // What was used before the last child went begins anew.
        let fresh = unused && slot.page.get() != 0;
        let (page, clean) = (slot.page.get(), slot.offset.get());
        out.put("used", if fresh { 0 } else { pair(page, clean) });
        // Of memory that is zero already: whether it is in the cache.
        let known = !fresh && clean > page;
        out.put(
            "memory type",
            if known { slot.entered.get().into() } else { 0 },
        );
    } else if slot.has(Slot::MAPPED) {
        out.put("space", pair(slot.space.get(), slot.page.get()));
        out.put("range", pair(slot.offset.get(), slot.pages.get()));
        out.put("progress", pair(slot.entered.get(), slot.protected.get()));
    }
}

fn object<F: Facts>(kernel: &HostKernel, handle: ObjectRef, object: &Object, out: &mut F) {
    match object {
        Object::CNode(c, _) => out.put("cleared", c.cleared.get().into()),
        Object::Tcb(_) => thread(kernel, handle.into(), out),
        Object::Endpoint(e) => {
            queue("senders", &e.senders, out);
            queue("armed", &e.armed, out);
            queue("plain", &e.plain, out);
        }
        Object::Notification(n) => notification(n, out),
        Object::Reply(r) => {
            out.put("caller", r.caller.get().map_or(0, |c| c.raw().into()));
            if r.header.has(crate::object::reply_state::IN_USE) && r.caller.get().is_none() {
                out.put("server", r.server.get().map_or(0, |s| s.raw().into()));
            }
        }
        Object::Context(c) => context(kernel, handle, c, out),
        Object::Space(s) => {
            out.put("asid", s.asid.get().into());
            out.put("mappings", s.mappings.get().map_or(0, |s| s.raw().into()));
            out.put("threads", s.threads.get().map_or(0, |t| t.raw().into()));
            let root = crate::handle::SpaceRef::from(handle).root();
            if let Some(root) = root.filter(|_| !s.header.has(crate::object::Space::DEAD)) {
                table(kernel, root.raw(), 1, out);
            }
        }
        Object::Table(_) => {}
    }
}

fn notification<F: Facts>(n: &Notification, out: &mut F) {
    queue("waiters", &n.waiters, out);
    out.put("bits", n.bits.get());
    out.put("bound", n.bound.get().map_or(0, |t| t.raw().into()));
    out.put(
        "line",
        u64::from(n.irq.get()) | u64::from(n.header.bits()) << 32,
    );
}

fn queue<F: Facts>(name: &'static str, queue: &Queue, out: &mut F) {
    let raw = |end: Option<TcbRef>| end.map_or(0, |t| u64::from(t.raw()));
    out.put(name, raw(queue.head.get()) | raw(queue.tail.get()) << 32);
}

fn thread<F: Facts>(kernel: &HostKernel, handle: TcbRef, out: &mut F) {
    let t = kernel.tcb(handle);
    let state = t.state();
    out.put(
        "priority",
        u64::from(t.priority.get()) | u64::from(t.ceiling.get()) << 32,
    );
    out.put("cspace", t.root.get());
    out.put("ttbr0", t.ttbr0.get());
    out.put(
        "notification",
        t.notification.get().map_or(0, |n| n.raw().into()),
    );
    out.put(
        "context",
        kernel.context_of(handle).map_or(0, |c| c.raw().into()),
    );
    out.put(
        "borrower",
        kernel.borrower_of(handle).map_or(0, |b| b.raw().into()),
    );
    if t.has(flag::BORROWS) {
        out.put("donor", t.donor.get().map_or(0, |d| d.raw().into()));
    }
    if t.has(flag::ARMED) {
        out.put("armed", t.armed.get().map_or(0, |r| r.raw().into()));
    }
    if state == State::Reply {
        out.put("awaits", t.awaits.get().map_or(0, |r| r.raw().into()));
        out.put("called with", t.rights.get().into());
    }
    let queued = matches!(state, State::Send | State::Receive | State::Wait);
    if queued {
        out.put("queued on", t.queued_on.get().into());
    }
    if queued || t.has(flag::QUEUED) {
        out.put("next", t.next.get().map_or(0, |t| t.raw().into()));
        out.put("previous", t.prev.get().map_or(0, |t| t.raw().into()));
    }
    if t.ttbr0.get() != 0 {
        out.put(
            "next in space",
            t.space_next.get().map_or(0, |t| t.raw().into()),
        );
    }
    let faulted = t.has(flag::FAULTED);
    if state == State::Send {
        out.put("badge", t.badge.get().into());
        out.put("rights", t.rights.get().into());
    }
    if state == State::Send && faulted {
        out.put("fault", t.fault_kind.get().into());
        out.put("syndrome", t.fault_syndrome.get().into());
        out.put("address", t.fault_address.get());
    }
    let again = state == State::Ready && t.frame.pc.get() == super::world::AGAIN;
    if again || state == State::Send && !faulted {
        // What it sends, now or when it runs again.
        for x in &t.frame.x {
            out.put("x", x.get());
        }
    }
    if again {
        out.put("pc", t.frame.pc.get());
    }
    if matches!(state, State::Receive | State::Reply | State::Send) && !faulted {
        out.put("window", t.frame.window.get() & 0xffff_ffff_0000_3800);
    }
}

fn context<F: Facts>(kernel: &HostKernel, handle: ObjectRef, c: &Context, out: &mut F) {
    let cpu = &kernel.cpu;
    let now = kernel.machine.now;
    let running = cpu.context.is_some_and(|r| r.raw() == handle.raw());
    let left = if running {
        cpu.budget_end.saturating_sub(now)
    } else {
        c.left.get()
    };
    out.put("owner", c.owner.get().map_or(0, |t| t.raw().into()));
    out.put("left", left);
    out.put("refill", c.refill_at.get().saturating_sub(now));
    out.put("budget", c.budget.get());
    out.put("period", c.period.get());
}

/// The entries in use below a table.
fn table<F: Facts>(kernel: &HostKernel, at: u32, level: u32, out: &mut F) {
    let Some(Object::Table(table)) = kernel.store.get(at) else {
        return;
    };
    for (index, entry) in super::entries(table) {
        if entry != 0 {
            out.put("index", index | u64::from(level) << 32);
            out.put("entry", entry);
            if entry & 3 == 3 && level < 3 {
                let below = (entry & 0xffff_ffff_f000) >> 4;
                self::table(kernel, below as u32, level + 1, out);
            }
        }
    }
}

/// Who waits for time, in order; the shape of the tree, and whether the newest
/// is in it, do not matter.
fn timers<F: Facts>(kernel: &HostKernel, out: &mut F) {
    let node = |handle: TimerRef| -> &TimerNode { kernel.store.timer(handle) };
    let timers = &kernel.cpu.timers;
    let mut order = Vec::new();
    let mut path = Vec::new();
    let mut here = timers.root();
    loop {
        while let Some(down) = here {
            path.push(down);
            here = node(down).left.get();
        }
        let Some(next) = path.pop() else { break };
        order.push(next);
        here = node(next).right.get();
    }
    if let Some(newest) = timers.newest() {
        let at = node(newest).at.get();
        let place = order.partition_point(|other| node(*other).at.get() <= at);
        order.insert(place, newest);
    }
    for handle in order {
        out.put("timer", handle.raw().into());
        let at = node(handle).at.get();
        out.put("at", at.saturating_sub(kernel.machine.now));
    }
}
