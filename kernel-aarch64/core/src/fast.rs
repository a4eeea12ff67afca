//! The common calls in as few instructions as possible.
//!
//! Call and `ReplyRecv` when the other side waits and nobody better is ready,
//! also with a deadline that does not fire and one capability in the Call;
//! faults; signals, interrupts and deadlines that wake nobody or a better
//! thread; waits for them. Everything else, errors included, is left to the
//! general path: a function here either does exactly what that would do, or
//! nothing. The same tests run on both. Longer than most files: what is in line
//! together is read together.
//!
//! What makes it short: the thread's state, flags and tag are one word, so one
//! compare asks many questions; a context that is lent stays with the
//! processor, and no field of it is written; the data words never leave x0–x7.
//! Everything is `inline(always)`: a call in here would cost a dozen moves.

use gritos_abi::fault::FaultReply;
use gritos_abi::method::{MemoryObject, Untyped};
use gritos_abi::{Arrival, Control, Kind, ObjectType, Outcome, Rights, Status};

use crate::handle::{ContextRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, TcbRef};
use crate::kernel::{Cpu, Kernel};
use crate::machine::Machine;
use crate::object::notification_state::DELIVERED;
use crate::object::{Endpoint, Reply, Slot, State, Tag, Tcb, flag};
use crate::queue;
use crate::sched::Ready;
use crate::store::Store;
use crate::transfer::{is_badgeable, narrowed};

/// The message goes to this thread, which runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who runs now.
    pub to: TcbRef,
    /// Its x8.
    pub x8: u64,
    /// Its x10.
    pub x10: u64,
    /// Its x11 and x15, which describe a capability; the others are zero.
    pub cap: [u64; 2],
    /// Whether it uses FP registers (the thread left behind then does too).
    pub fp: bool,
    /// Whether it goes on after a fault, with all registers as they were.
    pub resumes: bool,
}

impl Delivery {
    #[inline(always)]
    const fn new(to: TcbRef, x8: u64, x10: u64, fp: bool) -> Self {
        let (cap, resumes) = ([0; 2], false);
        Self {
            to,
            x8,
            x10,
            cap,
            fp,
            resumes,
        }
    }
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

/// Whether a control word is plain but for a deadline, or one capability that
/// is copied, or both. The entry code asks this before [`call_more`].
#[must_use]
pub const fn is_short(control: u64) -> bool {
    control as u32 & !SHORT <= 8
}

/// The part of a control word that is the window's length.
pub const WINDOW_COUNT: u32 = 7 << 11;
/// What [`is_short`] allows beside the number of words.
pub const SHORT: u32 = WINDOW_COUNT | Control::DEADLINE as u32 | ONE_CAP;
/// One capability, in a control word.
const ONE_CAP: u32 = 1 << 4;

#[inline(always)]
const fn outcome(kind: Kind, control: u64) -> u64 {
    Outcome::message(kind, (control & 0xf) as u32, 0).0
}

/// The slot at a root CNode address.
#[inline(always)]
fn slot_of<'a, S: Store>(store: &'a S, t: &Tcb, address: u32) -> Option<&'a Slot> {
    t.root_slot(address).map(|slot| store.slot_at(slot))
}

/// The same as a handle.
#[inline(always)]
fn root_slot(t: &Tcb, address: u32) -> Option<SlotRef> {
    t.root_slot(address).and_then(SlotRef::from_raw)
}

/// x10 of a call with a short control word.
#[inline(always)]
const fn message(control: u64) -> u64 {
    Outcome::message(Kind::Call, control as u32 & 0xf, control as u32 >> 4 & 1).0
}

/// What the entry code has: the kernel in parts, so that the base of the store
/// can stay in a register, and the TCB of the running thread. Saved are the
/// registers that a call preserves, a plain x10 as the frame's window, and x8.
#[derive(Debug)]
pub struct Short<'a, S, M> {
    /// The processor.
    pub cpu: &'a mut Cpu,
    /// Objects.
    pub store: &'a S,
    /// Effects.
    pub machine: &'a mut M,
    /// The running thread.
    pub t: &'a Tcb,
}

/// Who is called through which capability.
type Called<'a> = (&'a Slot, &'a Endpoint, TcbRef);
/// On what somebody receives, with which Reply, and who is answered.
type Answered<'a> = (u32, &'a Endpoint, &'a Reply, u32, TcbRef);

impl<'a, S: Store, M: Machine> Short<'a, S, M> {
    /// Takes the processor's context from a thread that blocks and gives it
    /// that of `next`. `None` if a budget is used up; nothing changed then.
    #[inline(always)]
    fn switch_context(&mut self, new: Option<ContextRef>) -> Option<()> {
        let (end, timer_set) = (self.cpu.budget_end, self.cpu.timer_set);
        let now = self.machine.now();
        let available = self
            .store
            .context_at(new.map_or(0, ContextRef::raw))
            .left
            .get();
        if available == 0 {
            return None;
        }
        let old = self
            .store
            .context_at(self.cpu.context.map_or(0, ContextRef::raw));
        old.left.set(end.saturating_sub(now));
        self.cpu.context = new;
        // Both are below 2^63: see `MAX_PERIOD_TICKS`.
        let end = now.wrapping_add(available);
        self.cpu.budget_end = end;
        if end < timer_set {
            self.cpu.timer_set = end;
            self.machine.set_timer(end);
        }
        Some(())
    }

    /// Sets the deadline of the thread, `thread`, that begins to wait; no timer is
    /// the newest.
    #[inline(always)]
    fn set_deadline(&mut self, thread: TcbRef, at: u64) {
        self.t.header.set(flag::TIMED);
        self.cpu.timers.insert_newest(self.store, thread.into(), at);
        if at < self.cpu.timer_set {
            self.cpu.timer_set = at;
            self.machine.set_timer(at);
        }
    }

    /// Whether a deadline can be the newest: none is, or that of a thread whose
    /// wait ends.
    #[inline(always)]
    fn makes_room(&self, woken: TcbRef) -> bool {
        let newest = self.cpu.timers.newest();
        newest.is_none_or(|newest| newest == woken.into())
    }

    /// The endpoint that the thread calls, and who would receive and run at once.
    #[inline(always)]
    fn called(&self) -> Option<Called<'a>> {
        let store = self.store;
        let slot = slot_of(store, self.t, self.t.x::<8>() as u32)?;
        if slot.word.get() != ObjectType::Endpoint as u32
            || slot.rights.get() & Rights::SEND.bits() == 0
        {
            return None;
        }
        let e = store.endpoint_at(slot.object.get());
        let to = e.armed.head.get()?;
        (store.tcb(to).priority.get() <= self.cpu.best).then_some((slot, e, to))
    }

    /// `Call`.
    #[inline(always)]
    pub fn call(&mut self) -> Option<Delivery> {
        let called @ (.., to) = self.called()?;
        let r = self.store.tcb(to);
        let (word, theirs) = (self.t.header.word.get(), r.header.word.get());
        let difference = word ^ theirs;
        // Not a closure: it would be inlined only if it is used once.
        macro_rules! deliver {
            ($lends:literal) => {
                Delivery {
                    x10: outcome(Kind::Call, self.t.frame.window.get()),
                    ..self.deliver_call(called, word, theirs, $lends)
                }
            };
        }
        if difference == call::LEND {
            return Some(deliver!(true));
        }
        if difference != call::KEEP {
            return None;
        }
        self.switch_context(r.context.get())?;
        Some(deliver!(false))
    }

    /// `Call` that [`call`](Self::call) leaves: from a thread that borrows, with a
    /// deadline, or with a capability that unwraps. The control word is short; x11,
    /// x15 and x17 are saved as well unless it is plain. `idle`: no deletion is pending.
    #[inline(always)]
    pub fn call_more(&mut self, idle: bool) -> Option<Delivery> {
        let called @ (slot, _, to) = self.called()?;
        let (store, t) = (self.store, self.t);
        let control = t.frame.window.get();
        if !idle || self.has_deadline() && !self.makes_room(to) {
            return None;
        }
        let mut cap = [0; 2];
        if control as u32 & ONE_CAP != 0 {
            let x11 = t.x::<11>();
            let sent = slot_of(store, t, x11 as u32)?;
            let rights = narrowed(sent.rights.get(), (x11 >> 32) as u32).ok()?;
            if sent.object.get() != slot.object.get() || !sent.is(ObjectType::Endpoint) {
                return None;
            }
            let badge = u64::from(sent.badge.get());
            cap = [
                badge | u64::from(rights) << 32,
                Arrival::Unwrapped.encode().into(),
            ];
        }
        let (lends, theirs) = self.begin_call(to)?;
        let (from, word) = (self.cpu.current, t.header.word.get());
        let delivery = self.deliver_call(called, word, theirs, lends);
        if let (true, Some(from)) = (self.has_deadline(), from) {
            self.set_deadline(from, t.x::<17>());
        }
        Some(Delivery {
            x10: message(control),
            cap,
            ..delivery
        })
    }

    /// Whether a call to `to` lends, and the word of that thread; the processor
    /// has the right context then.
    #[inline(always)]
    fn begin_call(&mut self, to: TcbRef) -> Option<(bool, u32)> {
        let r = self.store.tcb(to);
        let theirs = r.header.word.get();
        let difference = self.t.header.word.get() ^ theirs;
        if difference == call::LEND || difference == call::LEND_ON {
            return Some((true, theirs));
        }
        let timed = theirs & flag::TIMED;
        if difference ^ timed != call::KEEP
            || timed != 0 && self.cpu.timers.newest() != Some(to.into())
        {
            return None;
        }
        self.switch_context(r.context.get())?;
        if timed != 0 {
            self.cpu.timers.remove_newest(self.store, to.into());
        }
        Some((false, theirs ^ timed))
    }

    #[inline(always)]
    fn deliver_call(
        &mut self,
        called: Called<'_>,
        word: u32,
        theirs: u32,
        lends: bool,
    ) -> Delivery {
        let (slot, e, to) = called;
        let (store, t, from) = (self.store, self.t, self.cpu.current);
        let r = store.tcb(to);
        queue::pop(store, &e.armed, to);
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
        self.cpu.current = Some(to);
        let fp = theirs & flag::FP != 0;
        Delivery::new(to, authority, 0, fp)
    }

    /// The capabilities that a `ReplyRecv` names, and who would be answered and
    /// run at once.
    #[inline(always)]
    fn answered(&self) -> Option<Answered<'a>> {
        let (store, t) = (self.store, self.t);
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
        let named = slot_of(store, t, (x8 >> 32) as u32)?;
        if named.word.get() != ObjectType::Reply as u32
            || named.rights.get() & Rights::RECV.bits() == 0
        {
            return None;
        }
        let (endpoint, named) = (slot.object.get(), named.object.get());
        let (e, reply) = (store.endpoint_at(endpoint), store.reply_at(named));
        // Then the Reply need not be told who arms it. The thread must be told:
        // it may have armed another since.
        if reply.server.get().map_or(0, TcbRef::raw) != self.cpu.current.map_or(0, TcbRef::raw)
            || e.senders.head.get().is_some()
        {
            return None;
        }
        // A Reply has a caller as long as it owes an answer.
        let to = reply.caller.get()?;
        (store.tcb(to).priority.get() <= self.cpu.best).then_some((endpoint, e, reply, named, to))
    }

    /// Whether a server keeps its context when it receives, for it borrowed
    /// none, and no bits await it, nor interrupts that its wait acknowledges.
    #[inline(always)]
    fn is_active(&self, word: u32) -> bool {
        // A thread with a bound notification is never passive.
        word & flag::PASSIVE == 0 && self.t.notification.get().is_none_or(|n| self.is_quiet(n))
    }

    /// Whether a wait for this notification has nothing to take or to do.
    #[inline(always)]
    fn is_quiet(&self, n: NotificationRef) -> bool {
        let n = self.store.notification_at(n.raw());
        n.header.word.get() == Tag::Notification as u32 && n.bits.get() == 0
    }

    /// `ReplyRecv`.
    #[inline(always)]
    pub fn reply_recv(&mut self) -> Option<Delivery> {
        let answered @ (.., to) = self.answered()?;
        let c = self.store.tcb(to);
        let (word, theirs) = (self.t.header.word.get(), c.header.word.get());
        let difference = word ^ theirs;
        if difference == answer::RETURN {
            if self.t.donor.get() != Some(to) {
                return None;
            }
            return Some(self.deliver_reply(answered, word, theirs, true));
        }
        // Two that borrow do not differ either, but this one must give back.
        if difference != answer::KEEP || !self.is_active(word) {
            return None;
        }
        self.switch_context(c.context.get())?;
        Some(self.deliver_reply(answered, word, theirs, false))
    }

    /// `ReplyRecv` for what [`reply_recv`](Self::reply_recv) leaves: the caller
    /// borrows, waits with a deadline, or for what becomes of its fault; or the
    /// server receives with a deadline, which is all that the control word may
    /// have beside words and window. x17 is saved then.
    #[inline(always)]
    pub fn reply_more(&mut self) -> Option<Delivery> {
        let answered @ (.., to) = self.answered()?;
        let (store, t) = (self.store, self.t);
        let c = store.tcb(to);
        let (word, theirs) = (t.header.word.get(), c.header.word.get());
        let difference = word ^ theirs;
        let special = difference & (flag::FAULTED | flag::TIMED);
        let rest = difference ^ special;
        let tag = t.x::<9>();
        if special & flag::FAULTED != 0 && (theirs & flag::FP != 0 || tag > FaultReply::Skip as u64)
            || special & flag::TIMED != 0 && self.cpu.timers.newest() != Some(to.into())
        {
            return None;
        }
        let returns = rest != answer::KEEP;
        if returns {
            if self.has_deadline()
                || rest != answer::RETURN && rest != answer::RETURN_ON
                || t.donor.get() != Some(to)
            {
                return None;
            }
        } else if self.is_active(word) && (!self.has_deadline() || self.makes_room(to)) {
            self.switch_context(c.context.get())?;
        } else {
            return None;
        }
        // Read anew: there are fewer registers than values.
        let theirs = c.header.word.get();
        if theirs & flag::TIMED != 0 {
            self.cpu.timers.remove_newest(store, to.into());
        }
        let resumes = theirs & flag::FAULTED != 0;
        if resumes && t.x::<9>() == FaultReply::Skip as u64 {
            c.frame.pc.set(c.frame.pc.get().wrapping_add(4));
        }
        let (from, word) = (self.cpu.current, t.header.word.get());
        let theirs = theirs & !(flag::TIMED | flag::FAULTED);
        let delivery = self.deliver_reply(answered, word, theirs, returns);
        if let (true, Some(from)) = (self.has_deadline(), from) {
            self.set_deadline(from, t.x::<17>());
        }
        Some(Delivery {
            resumes,
            ..delivery
        })
    }

    /// Whether the control word has a deadline.
    #[inline(always)]
    fn has_deadline(&self) -> bool {
        self.t.frame.window.get() & Control::DEADLINE != 0
    }

    #[inline(always)]
    fn deliver_reply(
        &mut self,
        answered: Answered<'_>,
        word: u32,
        theirs: u32,
        lends: bool,
    ) -> Delivery {
        let (endpoint, e, reply, named, to) = answered;
        let (store, t, from) = (self.store, self.t, self.cpu.current);
        let c = store.tcb(to);
        t.queued_on.set(endpoint);
        t.armed.set(ReplyRef::from_raw(named));
        reply.caller.set(None);
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
        self.cpu.current = Some(to);
        let (x10, fp) = (
            outcome(Kind::Reply, t.frame.window.get()),
            theirs & flag::FP != 0,
        );
        Delivery::new(to, 0, x10, fp)
    }

    /// A fault of the thread, whose registers are all saved: its handler runs,
    /// if that waits. What the handler finds in x0–x7 and x9 is up to the caller.
    #[inline(always)]
    pub fn fault(&mut self) -> Option<Delivery> {
        let [.., slot] = &self.t.slots;
        let word = self.t.header.word.get();
        if !slot.is(ObjectType::Endpoint)
            || slot.rights.get() & Rights::SEND.bits() == 0
            || word & flag::FP != 0
        {
            return None;
        }
        let e = self.store.endpoint_at(slot.object.get());
        let to = e.armed.head.get()?;
        if self.store.tcb(to).priority.get() > self.cpu.best {
            return None;
        }
        let (lends, theirs) = self.begin_call(to)?;
        let x10 = Outcome::message(Kind::Fault, 5, 0).0;
        let delivery = self.deliver_call((slot, e, to), word | flag::FAULTED, theirs, lends);
        Some(Delivery { x10, ..delivery })
    }
}

/// Who waits, for which notification (the number of its handle), and what
/// arrives.
pub type Waiter = (TcbRef, u32, u64);

/// A running or waiting thread that holds a context of its own: its word but
/// for FP flags.
const fn plain_word(word: u32) -> u32 {
    word & !(flag::FP | flag::FP_SAVED)
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// What the fast path works on, for a running thread.
    fn short(&mut self, thread: TcbRef) -> Short<'_, S, M> {
        Short {
            cpu: &mut self.cpu,
            store: &self.store,
            machine: &mut self.machine,
            t: self.store.tcb(thread),
        }
    }

    /// `SendAsync` of the running thread on a notification, with this x0 and x8
    /// and a plain x10. None: it is for the general path. Nobody waits: the bits
    /// are set, and the sender's registers are up to the caller. Else nothing
    /// happened yet, see [`wake_better`](Self::wake_better).
    #[inline(always)]
    pub fn fast_signal(&self, x0: u64, x8: u64) -> Option<Option<Waiter>> {
        let t = self.store.tcb_at(self.cpu.current.map_or(0, TcbRef::raw));
        let slot = slot_of(&self.store, t, x8 as u32)?;
        if slot.word.get() != ObjectType::Notification as u32
            || slot.rights.get() & Rights::SEND.bits() == 0
        {
            return None;
        }
        let n = self.store.notification_at(slot.object.get());
        if n.bound.get().is_some() {
            return None;
        }
        let badge = u64::from(slot.badge.get());
        let bits = n.bits.get() | if badge == 0 { x0 } else { badge };
        let Some(waiter) = n.waiters.head.get() else {
            n.bits.set(bits);
            return Some(None);
        };
        (bits != 0).then_some(Some((waiter, slot.object.get(), bits)))
    }

    /// Wakes who waits for a signal of the running thread, if it runs at once;
    /// whether it does. All registers are in frames then.
    pub fn wake_better(&mut self, waiter: Waiter) -> Option<()> {
        self.try_wake(waiter, true)
    }

    fn try_wake(&mut self, (waiter, notification, bits): Waiter, by_signal: bool) -> Option<()> {
        let sender = self.switch_to_better(waiter, State::Wait as u32)?;
        let w = self.store.tcb(waiter);
        let n = self.store.notification_at(notification);
        queue::pop(&self.store, &n.waiters, waiter);
        n.bits.set(bits);
        w.queued_on.set(0);
        w.header
            .word
            .set(w.header.word.get() ^ (State::Wait as u32 ^ State::Ready as u32));
        if by_signal {
            self.succeed(sender, 0);
        }
        self.take_bits(waiter, NotificationRef::from_raw(notification)?);
        Some(())
    }

    /// Gives the processor to a thread that waits, its word being `word`, if it
    /// is better than the running one, which is returned. Its wait is for the
    /// caller to end.
    #[inline(always)]
    fn switch_to_better(&mut self, waiter: TcbRef, word: u32) -> Option<TcbRef> {
        let current = self.cpu.current?;
        let (t, w) = (self.store.tcb(current), self.store.tcb(waiter));
        let priority = w.priority.get();
        if plain_word(w.header.word.get()) != Tag::Tcb as u32 | word
            || plain_word(t.header.word.get()) != Tag::Tcb as u32 | State::Ready as u32
            || priority >= t.priority.get()
            || priority >= self.cpu.best
        {
            return None;
        }
        let context = w.context.get();
        self.short(current).switch_context(context)?;
        self.cpu.current = Some(waiter);
        self.enqueue(current, true);
        Some(current)
    }

    /// `Call` of the running thread, whose registers are all saved, where it has
    /// no bearing on who is ready: a capability arrives in a slot of a server
    /// that waits, or memory is mapped, or made into objects. Whether it was one
    /// of these, and is done.
    pub fn fast_invoke(&mut self) -> Option<()> {
        let current = self.cpu.current?;
        let t = self.store.tcb(current);
        let control = t.x::<10>();
        if !is_short(control) || control & Control::DEADLINE != 0 || !self.is_idle() {
            return None;
        }
        let cap = root_slot(t, t.x::<8>() as u32)?;
        t.frame.window.set(control);
        let s = self.store.slot(cap);
        let tag = t.x::<9>();
        let done = if s.is(ObjectType::MemoryObject) {
            self.invoke_memory(current, cap, MemoryObject::from_tag(tag)?)
        } else if s.is(ObjectType::Untyped) && s.rights.get() & Rights::MANAGE.bits() != 0 {
            // The right is that of this method alone.
            (tag == Untyped::Retype as u64).then_some(())?;
            self.invoke_untyped(current, cap, Untyped::Retype)
        } else {
            return self.call_with_cap(current);
        };
        self.end_call(current, done);
        Some(())
    }

    fn call_with_cap(&mut self, current: TcbRef) -> Option<()> {
        let mut entry = self.short(current);
        let (store, t) = (entry.store, entry.t);
        let (control, x11) = (t.x::<10>(), t.x::<11>());
        if control as u32 & ONE_CAP == 0 {
            return None;
        }
        let called @ (slot, _, to) = entry.called()?;
        let r = store.tcb(to);
        let from = root_slot(t, x11 as u32)?;
        let sent = store.slot(from);
        let rights = narrowed(sent.rights.get(), (x11 >> 32) as u32).ok()?;
        let window = Control(r.frame.window.get());
        let place = root_slot(r, window.window_first().0)?;
        if sent.rights.get() & slot.rights.get() & Rights::GRANT.bits() == 0
            || sent.is_empty()
            || sent.is(ObjectType::Untyped)
            || sent.is(ObjectType::Endpoint) && sent.object.get() == slot.object.get()
            || t.x::<15>() as u32 != 0
            || window.window_count() == 0
            || !store.slot(place).is_empty()
        {
            return None;
        }
        let (lends, theirs) = entry.begin_call(to)?;
        let delivery = entry.deliver_call(called, t.header.word.get(), theirs, lends);
        let badge = sent.badge.get();
        let shown = if is_badgeable(sent) { badge } else { 0 };
        let object = sent.object_type();
        self.derive(from, place, rights, badge);
        let (t, r) = (self.tcb(current), self.tcb(to));
        r.copy_words(t);
        self.arrive(to, Outcome(message(control)));
        r.set_x::<8>(delivery.x8);
        r.set_x::<9>(t.x::<9>());
        r.set_x::<11>(u64::from(shown) | u64::from(rights) << 32);
        r.set_x::<15>(
            Arrival::InSlot {
                object,
                position: 0,
            }
            .encode()
            .into(),
        );
        Some(())
    }

    /// A device interrupt, if it wakes a better thread; whether it does. Its
    /// effect is that of [`interrupt`](Self::interrupt) then.
    pub fn fast_interrupt(&mut self, irq: u32) -> Option<()> {
        let (notification, bits) = self.irqs.signal(irq)?;
        let n = self.store.notification(notification);
        let waiter = (n.waiters.first()?, notification.raw(), n.bits.get() | bits);
        self.try_wake(waiter, false)?;
        self.hold_back(irq);
        Some(())
    }

    /// The timer interrupt, if all that is due is the sleep of a better thread;
    /// whether it is. Its effect is that of
    /// [`timer_interrupt`](Self::timer_interrupt) then.
    pub fn fast_timer(&mut self) -> Option<()> {
        let now = self.machine.now();
        let newest = self.cpu.timers.newest()?;
        // A context's node has a word that no thread has.
        let object = ObjectRef::from_raw(newest.raw())?;
        if self.store.timer(newest).at.get() > now
            || self.cpu.timers.first_in_tree(&self.store) <= now
            || self.cpu.budget_end <= now
            || !self.header(object).is(Tag::Tcb)
        {
            return None;
        }
        let sleeper = object.into();
        self.switch_to_better(sleeper, State::Sleep as u32 | flag::TIMED)?;
        self.cpu.timers.remove_newest(&self.store, newest);
        let t = self.store.tcb(sleeper);
        t.header.clear(flag::TIMED);
        t.set_state(State::Ready);
        self.arrive(sleeper, Outcome::error(Status::TimedOut));
        // It stays pending until it is set anew.
        self.cpu.timer_set = 0;
        self.set_timer();
        Some(())
    }

    /// `Recv` of the running thread on a notification without bits, or on
    /// nothing until a deadline, when another thread is ready; whether it was
    /// one.
    pub fn fast_wait(&mut self) -> Option<()> {
        let current = self.cpu.current?;
        let t = self.store.tcb(current);
        let (address, control) = (t.x::<8>() as u32, t.x::<10>());
        let timed = control & Control::DEADLINE != 0;
        if !is_plain(control & !Control::DEADLINE)
            || timed && self.cpu.timers.newest().is_some()
            || plain_word(t.header.word.get()) != Tag::Tcb as u32 | State::Ready as u32
            || self.cpu.best == Ready::NONE
        {
            return None;
        }
        // Address 0 means to sleep, whatever lies in slot 0.
        let source = if address == 0 {
            if !timed {
                return None;
            }
            None
        } else {
            let slot = slot_of(&self.store, t, address)?;
            if slot.word.get() != ObjectType::Notification as u32
                || slot.rights.get() & Rights::RECV.bits() == 0
            {
                return None;
            }
            let n = NotificationRef::from_raw(slot.object.get())?;
            if self.store.notification(n).bits.get() != 0 {
                return None;
            }
            Some(n)
        };
        let next = self.cpu.ready.queue(self.cpu.best).first()?;
        let r = self.store.tcb(next);
        if r.header.word.get() & (flag::LENT | flag::PASSIVE) != 0 {
            return None;
        }
        let context = r.context.get();
        self.short(current).switch_context(context)?;
        // First: the thread that waits may be in no queue yet.
        self.dequeue(next);
        self.cpu.current = Some(next);
        if let Some(n) = source
            && self.store.notification(n).header.has(DELIVERED)
        {
            self.acknowledge_waits(n);
        }
        let t = self.store.tcb(current);
        if let Some(n) = source {
            t.queued_on.set(n.raw());
            let waiters = &self.store.notification(n).waiters;
            queue::push_back(&self.store, waiters, current);
        }
        let state = if source.is_some() {
            State::Wait
        } else {
            State::Sleep
        };
        t.header
            .word
            .set(t.header.word.get() ^ (State::Ready as u32 ^ state as u32));
        if timed {
            let at = t.x::<17>();
            self.short(current).set_deadline(current, at);
        }
        Some(())
    }
}

#[cfg(any(test, feature = "host"))]
impl<S: Store, M: Machine> Kernel<S, M> {
    /// As the entry code of a target does: tries the fast path for a fault of the
    /// running thread. Whether it applied.
    pub fn fast_fault(&mut self) -> bool {
        let current = self.cpu.current;
        current.is_some_and(|current| self.short(current).fault().is_some())
    }

    /// As the entry code of a target does: tries the fast path for system call
    /// `number` of the running thread, whose registers are in its frame, and
    /// completes the registers of who runs next. Whether it applied.
    pub fn fast_system_call(&mut self, number: u16) -> bool {
        let Some(current) = self.cpu.current else {
            return false;
        };
        let t = self.store.tcb(current);
        let (x0, x8, x9, x10) = (t.x::<0>(), t.x::<8>(), t.x::<9>(), t.x::<10>());
        if number == 3 {
            return self.fast_wait().is_some();
        }
        let timed = is_plain(x10 & !Control::DEADLINE);
        let more = number == 0 && is_short(x10) || number == 1 && timed;
        if !is_plain(x10) && !more {
            return false;
        }
        t.frame.window.set(x10);
        let idle = self.is_idle();
        let mut entry = self.short(current);
        let delivery = match number {
            0 if is_plain(x10) => entry.call().or_else(|| entry.call_more(idle)),
            0 => entry.call_more(idle),
            1 if is_plain(x10) => entry.reply_recv().or_else(|| entry.reply_more()),
            1 => entry.reply_more(),
            2 => {
                return match self.fast_signal(x0, x8) {
                    None => false,
                    Some(None) => {
                        self.succeed(current, 0);
                        true
                    }
                    Some(Some(waiter)) => self.wake_better(waiter).is_some(),
                };
            }
            _ => return false,
        };
        let Some(delivery) = delivery else {
            return number == 0 && self.fast_invoke().is_some();
        };
        if delivery.resumes {
            return true;
        }
        let (from, to) = (self.tcb(current), self.tcb(delivery.to));
        to.copy_words(from);
        self.arrive(delivery.to, Outcome(delivery.x10));
        self.tcb(delivery.to).set_x::<8>(delivery.x8);
        self.tcb(delivery.to).set_x::<9>(x9);
        let [x11, x15] = delivery.cap;
        self.tcb(delivery.to).set_x::<11>(x11);
        self.tcb(delivery.to).set_x::<15>(x15);
        true
    }
}
