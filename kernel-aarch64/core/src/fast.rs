//! The common calls in as few instructions as possible.
//!
//! Call and `ReplyRecv` without capabilities and deadlines, when the other side
//! waits and nobody better is ready, and signals that wake nobody. Everything
//! else, errors included, is left to the general path: a function here either
//! does exactly what that would do, or nothing. The same tests run on both.
//!
//! What makes it short: the thread's state, flags and tag are one word, so one
//! compare asks many questions; a context that is lent stays with the
//! processor, and no field of it is written; the data words never leave x0–x7.
//! Everything is `inline(always)`: a call in here would cost a dozen moves.

use gritos_abi::fault::FaultReply;
use gritos_abi::{Kind, ObjectType, Outcome, Rights};

use crate::handle::{ContextRef, NotificationRef, ReplyRef, TcbRef};
use crate::kernel::{Cpu, Kernel};
use crate::machine::Machine;
use crate::object::{Endpoint, ROOT_LEN_SHIFT, Slot, State, Tag, Tcb, flag};
use crate::queue;
use crate::sched::Ready;
use crate::store::Store;

/// The message goes to this thread, which runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who runs now.
    pub to: TcbRef,
    /// Its x8.
    pub x8: u64,
    /// Its x10.
    pub x10: u64,
    /// Whether it uses FP registers (the thread left behind then does too).
    pub fp: bool,
    /// Whether it goes on after a fault, with all registers as they were.
    pub resumes: bool,
}

/// What toggles in a thread's word when a running caller begins to await its
/// answer, and when a waiting receiver begins to serve.
const TO_AWAIT: u32 = State::Reply as u32 ^ State::Ready as u32;
const TO_SERVE: u32 = State::Receive as u32 ^ State::Ready as u32 | flag::ARMED;

/// How the words of a running caller and of a waiting receiver differ when
/// nothing else needs care. Tags and FP flags being equal, both have the same;
/// a running thread has no flags but `PASSIVE`, `BORROWS`, `FP` (and `REPLIED`,
/// which changes nothing here), and a receiver that borrows does not exist.
mod call {
    use super::{State, flag};

    const BASE: u32 = (State::Ready as u32 ^ State::Receive as u32) | flag::ARMED;
    /// To a passive server, on the caller's own context or a borrowed one.
    pub(super) const LEND: u32 = BASE | flag::PASSIVE;
    pub(super) const LEND_ON: u32 = BASE | flag::BORROWS;
    /// To an active server.
    pub(super) const KEEP: u32 = BASE;
}

/// The same for a running server and its caller.
mod answer {
    use super::{State, flag};

    const BASE: u32 = State::Ready as u32 ^ State::Reply as u32;
    /// A passive server gives the context back to its owner, or to another
    /// borrower.
    pub(super) const RETURN: u32 = BASE | flag::LENT | flag::PASSIVE | flag::BORROWS;
    pub(super) const RETURN_ON: u32 = BASE | flag::LENT;
    /// An active server answers an active caller.
    pub(super) const KEEP: u32 = BASE;
}

/// Whether a control word has neither capabilities nor deadline, and is valid.
/// The entry code asks this before it comes here.
#[must_use]
pub const fn is_plain(control: u64) -> bool {
    control as u32 & !WINDOW_COUNT <= 8
}

/// The part of a control word that is the window's length.
pub const WINDOW_COUNT: u32 = 7 << 11;

#[inline(always)]
const fn outcome(kind: Kind, control: u64) -> u64 {
    Outcome::message(kind, (control & 0xf) as u32, 0).0
}

/// The slot at a root CNode address.
#[inline(always)]
fn slot_of<'a, S: Store>(store: &'a S, t: &Tcb, address: u32) -> Option<&'a Slot> {
    let root = t.root.get();
    if u64::from(address) >= root >> ROOT_LEN_SHIFT {
        return None;
    }
    Some(store.slot_below(root, address))
}

/// Takes the processor's context from a thread that blocks and gives it that of
/// `next`. `None` if a budget is used up; nothing changed then.
#[inline(always)]
fn switch_context<S: Store, M: Machine>(
    cpu: &mut Cpu,
    store: &S,
    machine: &mut M,
    new: Option<ContextRef>,
) -> Option<()> {
    let (end, timer_set) = (cpu.budget_end, cpu.timer_set);
    let now = machine.now();
    let available = store.context_at(new.map_or(0, ContextRef::raw)).left.get();
    if available == 0 {
        return None;
    }
    let old = store.context_at(cpu.context.map_or(0, ContextRef::raw));
    old.left.set(end.saturating_sub(now));
    cpu.context = new;
    // Both are below 2^63: see `MAX_PERIOD_TICKS`.
    let end = now.wrapping_add(available);
    cpu.budget_end = end;
    if end < timer_set {
        cpu.timer_set = end;
        machine.set_timer(end);
    }
    Some(())
}

/// `Call` of the running thread, whose TCB is `t`. The entry code has saved the
/// registers that a call preserves, a plain x10 as the frame's window, and x8.
#[inline(always)]
pub fn call<S: Store, M: Machine>(
    cpu: &mut Cpu,
    store: &S,
    machine: &mut M,
    t: &Tcb,
) -> Option<Delivery> {
    let slot = slot_of(store, t, t.x::<8>() as u32)?;
    if slot.word.get() != ObjectType::Endpoint as u32
        || slot.rights.get() & Rights::SEND.bits() == 0
    {
        return None;
    }
    let e = store.endpoint_at(slot.object.get());
    let to = e.armed.head.get()?;
    let r = store.tcb(to);
    if r.priority.get() > cpu.best {
        return None;
    }
    let (word, theirs) = (t.header.word.get(), r.header.word.get());
    let difference = word ^ theirs;
    let from = cpu.current;
    // Not a closure: it would be inlined only if it is used once.
    macro_rules! deliver {
        ($lends:literal) => {
            Delivery {
                x10: outcome(Kind::Call, t.frame.window.get()),
                ..deliver_call(cpu, store, from, t, slot, e, to, word, theirs, $lends)
            }
        };
    }
    if difference == call::LEND {
        let delivery = deliver!(true);
        machine.keep_apart::<1>();
        return Some(delivery);
    }
    machine.keep_apart::<2>();
    if difference == call::KEEP {
        switch_context(cpu, store, machine, r.context.get())?;
        let delivery = deliver!(false);
        machine.keep_apart::<3>();
        return Some(delivery);
    }
    machine.keep_apart::<4>();
    (difference == call::LEND_ON).then(|| deliver!(true))
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one body for the arms of `call`")]
fn deliver_call<S: Store>(
    cpu: &mut Cpu,
    store: &S,
    from: Option<TcbRef>,
    t: &Tcb,
    slot: &Slot,
    e: &Endpoint,
    to: TcbRef,
    word: u32,
    theirs: u32,
    lends: bool,
) -> Delivery {
    let r = store.tcb(to);
    let next = r.next.get();
    e.armed.head.set(next);
    if let Some(next) = next {
        r.next.set(None);
        store.tcb(next).prev.set(None);
    } else {
        e.armed.tail.set(None);
    }
    let authority = u64::from(slot.badge.get()) | u64::from(slot.rights.get()) << 32;
    let reply = r.armed.get();
    let answer = store.reply_at(reply.map_or(0, ReplyRef::raw));
    answer.caller.set(from);
    t.rights.set((authority >> 32) as u32);
    t.awaits.set(reply);
    if lends {
        r.donor.set(from);
        t.header.word.set(word ^ (TO_AWAIT | flag::LENT));
        r.header.word.set(theirs ^ (TO_SERVE | flag::BORROWS));
    } else {
        t.header.word.set(word ^ TO_AWAIT);
        r.header.word.set(theirs ^ TO_SERVE);
    }
    cpu.current = Some(to);
    Delivery {
        to,
        x8: authority,
        x10: 0,
        fp: theirs & flag::FP != 0,
        resumes: false,
    }
}

/// `ReplyRecv` of the running thread, whose TCB is `t`. The entry code has saved
/// what it saves for a `Call`.
#[inline(always)]
pub fn reply_recv<S: Store, M: Machine>(
    cpu: &mut Cpu,
    store: &S,
    machine: &mut M,
    t: &Tcb,
) -> Option<Delivery> {
    let x8 = t.x::<8>();
    let slot = slot_of(store, t, x8 as u32)?;
    // Address 0 means no endpoint and no Reply, whatever lies in slot 0.
    if x8 as u32 == 0
        || x8 >> 32 == 0
        || slot.word.get() != ObjectType::Endpoint as u32
        || slot.rights.get() & Rights::RECV.bits() == 0
    {
        return None;
    }
    let e = store.endpoint_at(slot.object.get());
    let named = slot_of(store, t, (x8 >> 32) as u32)?;
    if named.word.get() != ObjectType::Reply as u32 || named.rights.get() & Rights::RECV.bits() == 0
    {
        return None;
    }
    let reply = store.reply_at(named.object.get());
    // Then the Reply need not be told who arms it. The thread must be told: it
    // may have armed another since.
    if reply.server.get().map_or(0, TcbRef::raw) != cpu.current.map_or(0, TcbRef::raw)
        || e.senders.head.get().is_some()
    {
        return None;
    }
    // A Reply has a caller as long as it owes an answer.
    let to = reply.caller.get()?;
    let c = store.tcb(to);
    if c.priority.get() > cpu.best {
        return None;
    }
    let (word, theirs) = (t.header.word.get(), c.header.word.get());
    let difference = word ^ theirs;
    let from = cpu.current;
    // A thread with a bound notification is never passive.
    let is_active = || word & flag::PASSIVE == 0 && t.notification.get().is_none();
    macro_rules! deliver {
        ($returns:expr) => {
            deliver_reply(cpu, store, from, t, slot, named, to, word, theirs, $returns)
        };
    }
    if difference == answer::RETURN {
        if t.donor.get() != Some(to) {
            return None;
        }
        let delivery = deliver!(true);
        machine.keep_apart::<1>();
        return Some(delivery);
    }
    machine.keep_apart::<2>();
    // Two that borrow do not differ either, but this one must give back.
    if difference == answer::KEEP && is_active() {
        switch_context(cpu, store, machine, c.context.get())?;
        let delivery = deliver!(false);
        machine.keep_apart::<3>();
        return Some(delivery);
    }
    machine.keep_apart::<4>();
    if difference == answer::RETURN_ON && t.donor.get() == Some(to) {
        return Some(deliver!(true));
    }
    let returns = difference == answer::RETURN | flag::FAULTED && t.donor.get() == Some(to);
    let tag = t.x::<9>();
    let keeps = difference == answer::KEEP | flag::FAULTED && is_active();
    if !(returns || keeps) || theirs & flag::FP != 0 || tag > FaultReply::Skip as u64 {
        return None;
    }
    if !returns {
        switch_context(cpu, store, machine, c.context.get())?;
    }
    if tag == FaultReply::Skip as u64 {
        c.frame.pc.set(c.frame.pc.get().wrapping_add(4));
    }
    let delivery = deliver!(returns);
    c.header.word.set(c.header.word.get() & !flag::FAULTED);
    Some(Delivery {
        resumes: true,
        ..delivery
    })
}

/// A fault of the running thread, whose TCB is `t` and whose registers are all
/// saved: its handler runs, if that waits. What the handler finds in x0–x7 and
/// x9 is up to the caller.
#[inline(always)]
pub fn fault<S: Store, M: Machine>(
    cpu: &mut Cpu,
    store: &S,
    machine: &mut M,
    t: &Tcb,
) -> Option<Delivery> {
    let [.., slot] = &t.slots;
    let word = t.header.word.get();
    if !slot.is(ObjectType::Endpoint)
        || slot.rights.get() & Rights::SEND.bits() == 0
        || word & flag::FP != 0
    {
        return None;
    }
    let e = store.endpoint_at(slot.object.get());
    let to = e.armed.head.get()?;
    let r = store.tcb(to);
    let theirs = r.header.word.get();
    let difference = word ^ theirs;
    let lends = difference == call::LEND;
    if r.priority.get() > cpu.best || !lends && difference != call::KEEP {
        return None;
    }
    if !lends {
        switch_context(cpu, store, machine, r.context.get())?;
    }
    let word = word | flag::FAULTED;
    Some(Delivery {
        x10: Outcome::message(Kind::Fault, 5, 0).0,
        ..deliver_call(cpu, store, cpu.current, t, slot, e, to, word, theirs, lends)
    })
}

#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "one body for the arms of `reply_recv`"
)]
fn deliver_reply<S: Store>(
    cpu: &mut Cpu,
    store: &S,
    from: Option<TcbRef>,
    t: &Tcb,
    slot: &Slot,
    named: &Slot,
    to: TcbRef,
    word: u32,
    theirs: u32,
    lends: bool,
) -> Delivery {
    let c = store.tcb(to);
    let (e, reply) = (store.endpoint_at(slot.object.get()), named.object.get());
    t.queued_on.set(slot.object.get());
    t.armed.set(ReplyRef::from_raw(reply));
    store.reply_at(reply).caller.set(None);
    if lends {
        c.header.word.set(theirs ^ (TO_AWAIT | flag::LENT));
        t.header.word.set(word ^ (TO_SERVE | flag::BORROWS));
    } else {
        c.header.word.set(theirs ^ TO_AWAIT);
        t.header.word.set(word ^ TO_SERVE);
    }
    let tail = e.armed.tail.get();
    e.armed.tail.set(from);
    if let Some(tail) = tail {
        store.tcb(tail).next.set(from);
        t.prev.set(Some(tail));
    } else {
        e.armed.head.set(from);
    }
    cpu.current = Some(to);
    Delivery {
        to,
        x8: 0,
        x10: outcome(Kind::Reply, t.frame.window.get()),
        fp: theirs & flag::FP != 0,
        resumes: false,
    }
}

/// What a signal did on the fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Nothing: it is for the general path.
    No,
    /// It set bits. The sender goes on; its registers are up to the caller.
    Quietly,
    /// Nothing yet: somebody waits. See [`Kernel::wake_better`].
    Wakes {
        /// Who.
        waiter: TcbRef,
        /// For which notification, by the number of its handle.
        notification: u32,
        /// What arrives.
        bits: u64,
    },
}

/// A running or waiting thread that holds a context of its own: its word but
/// for FP flags.
const fn plain_word(word: u32) -> u32 {
    word & !(flag::FP | flag::FP_SAVED)
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// `SendAsync` of the running thread on a notification, with this x0 and x8
    /// and a plain x10.
    #[inline(always)]
    pub fn fast_signal(&self, x0: u64, x8: u64) -> Signalled {
        let t = self.store.tcb_at(self.cpu.current.map_or(0, TcbRef::raw));
        let Some(slot) = slot_of(&self.store, t, x8 as u32) else {
            return Signalled::No;
        };
        if slot.word.get() != ObjectType::Notification as u32
            || slot.rights.get() & Rights::SEND.bits() == 0
        {
            return Signalled::No;
        }
        let n = self.store.notification_at(slot.object.get());
        if n.bound.get().is_some() {
            return Signalled::No;
        }
        let badge = u64::from(slot.badge.get());
        let bits = n.bits.get() | if badge == 0 { x0 } else { badge };
        let Some(waiter) = n.waiters.head.get() else {
            n.bits.set(bits);
            return Signalled::Quietly;
        };
        if bits == 0 {
            return Signalled::No;
        }
        let notification = slot.object.get();
        Signalled::Wakes {
            waiter,
            notification,
            bits,
        }
    }

    /// Wakes the first waiter of a notification, if it runs at once; whether it
    /// does. All registers are in frames then.
    #[inline(never)]
    pub fn wake_better(&mut self, waiter: TcbRef, notification: u32, bits: u64) -> bool {
        self.try_wake(waiter, notification, bits).is_some()
    }

    #[inline(always)]
    fn try_wake(&mut self, waiter: TcbRef, notification: u32, bits: u64) -> Option<()> {
        let current = self.cpu.current?;
        let (t, w) = (self.store.tcb(current), self.store.tcb(waiter));
        let priority = w.priority.get();
        if plain_word(w.header.word.get()) != Tag::Tcb as u32 | State::Wait as u32
            || plain_word(t.header.word.get()) != Tag::Tcb as u32 | State::Ready as u32
            || priority >= t.priority.get()
            || priority >= self.cpu.best
        {
            return None;
        }
        switch_context(
            &mut self.cpu,
            &self.store,
            &mut self.machine,
            w.context.get(),
        )?;
        let n = self.store.notification_at(notification);
        queue::remove(&self.store, &n.waiters, waiter);
        n.bits.set(bits);
        w.queued_on.set(0);
        w.set_state(State::Ready);
        self.cpu.current = Some(waiter);
        self.enqueue(current, true);
        self.succeed(current, 0);
        self.take_bits(waiter, NotificationRef::from_raw(notification)?);
        Some(())
    }

    /// `Recv` of the running thread on a notification without bits and
    /// interrupt lines, when another thread is ready; whether it was one.
    #[inline]
    pub fn fast_wait(&mut self) -> bool {
        self.wait_for_signal().is_some()
    }

    fn wait_for_signal(&mut self) -> Option<()> {
        let current = self.cpu.current?;
        let t = self.store.tcb(current);
        // Address 0 means to sleep, whatever lies in slot 0.
        if !is_plain(t.x::<10>()) || t.x::<8>() as u32 == 0 {
            return None;
        }
        let slot = slot_of(&self.store, t, t.x::<8>() as u32)?;
        if slot.word.get() != ObjectType::Notification as u32
            || slot.rights.get() & Rights::RECV.bits() == 0
            || plain_word(t.header.word.get()) != Tag::Tcb as u32 | State::Ready as u32
        {
            return None;
        }
        let n = self.store.notification_at(slot.object.get());
        if n.bits.get() != 0 || n.irq.get() != 0 || self.cpu.best == Ready::NONE {
            return None;
        }
        let next = self.cpu.ready.queue(self.cpu.best).first()?;
        let r = self.store.tcb(next);
        if r.has(flag::LENT) || r.has(flag::PASSIVE) {
            return None;
        }
        switch_context(
            &mut self.cpu,
            &self.store,
            &mut self.machine,
            r.context.get(),
        )?;
        t.queued_on.set(slot.object.get());
        t.set_state(State::Wait);
        queue::push_back(&self.store, &n.waiters, current);
        self.dequeue(next);
        self.cpu.current = Some(next);
        Some(())
    }
}

#[cfg(any(test, feature = "host"))]
impl<S: Store, M: Machine> Kernel<S, M> {
    /// As the entry code of a target does: tries the fast path for system call
    /// `number` of the running thread, whose registers are in its frame, and
    /// completes the registers of who runs next. Whether it applied.
    pub fn fast_system_call(&mut self, number: u16) -> bool {
        let Some(current) = self.cpu.current else {
            return false;
        };
        let t = self.store.tcb(current);
        let (x0, x8, x9, x10) = (t.x::<0>(), t.x::<8>(), t.x::<9>(), t.x::<10>());
        if !is_plain(x10) {
            return false;
        }
        t.frame.window.set(x10);
        let (cpu, store, machine) = (&mut self.cpu, &self.store, &mut self.machine);
        let delivery = match number {
            0 => call(cpu, store, machine, t),
            1 => reply_recv(cpu, store, machine, t),
            2 => {
                return match self.fast_signal(x0, x8) {
                    Signalled::No => false,
                    Signalled::Quietly => {
                        self.succeed(current, 0);
                        true
                    }
                    Signalled::Wakes {
                        waiter,
                        notification,
                        bits,
                    } => self.wake_better(waiter, notification, bits),
                };
            }
            3 => return self.fast_wait(),
            _ => return false,
        };
        let Some(delivery) = delivery else {
            return false;
        };
        if delivery.resumes {
            return true;
        }
        let (from, to) = (self.tcb(current), self.tcb(delivery.to));
        to.copy_words(from);
        self.arrive(delivery.to, Outcome(delivery.x10));
        self.tcb(delivery.to).set_x::<8>(delivery.x8);
        self.tcb(delivery.to).set_x::<9>(x9);
        true
    }
}
