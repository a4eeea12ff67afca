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

use gritos_abi::{Kind, ObjectType, Outcome, Rights};

use crate::handle::{ContextRef, EndpointRef, NotificationRef, ReplyRef, SlotRef, TcbRef};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::{Slot, State, Tag, Tcb, flag, reply_state};
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
}

const TCB: u32 = Tag::Tcb as u32;
/// A receiver that can take a Call, but for `PASSIVE` and `FP`.
const RECEIVING: u32 = TCB | State::Receive as u32 | flag::ARMED;
/// A running thread, but for `PASSIVE`, `BORROWS` and `FP`.
const RUNNING: u32 = TCB | State::Ready as u32;
/// A caller that waits for its answer, but for `LENT` and `FP`.
const AWAITING: u32 = TCB | State::Reply as u32;

/// Whether a control word has neither capabilities nor deadline, and is valid.
/// The entry code asks this before it comes here.
///
/// More than 8 words carry out of their field in the sum.
#[must_use]
pub const fn is_plain(control: u64) -> bool {
    control as u32 & PLAIN_ZERO == 0 && (control as u32 | (control as u32).wrapping_add(7)) & PLAIN_ZERO == 0
}

/// Bits of a control word that are zero in a plain one: all but words and
/// window.
pub const PLAIN_ZERO: u32 = !(7 << 11 | 0xf);

#[inline(always)]
const fn outcome(kind: Kind, control: u64) -> u64 {
    Outcome::message(kind, (control & 0xf) as u32, 0).0
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The slot at a root CNode address of the running thread.
    #[inline(always)]
    fn fast_slot(&self, t: &Tcb, address: u32) -> Option<&Slot> {
        if address >= t.cspace_len.get() {
            return None;
        }
        // A CNode of any length has a first slot.
        let first = t.cspace.get().map_or(0, SlotRef::raw);
        let slot = SlotRef::from_raw(first.wrapping_add(address << 2))?;
        Some(self.store.slot(slot))
    }

    /// Takes the processor's context from a thread that blocks and gives it
    /// that of `next`. `None` if a budget is used up; nothing changed then.
    #[inline(always)]
    fn fast_switch_context(&mut self, from: TcbRef, next: TcbRef) -> Option<()> {
        let now = self.machine.now();
        let old = self.cpu.context?;
        let new: ContextRef = self.store.tcb(next).context.get()?;
        let (o, n) = (self.store.context(old), self.store.context(new));
        let spent = now.wrapping_sub(self.cpu.started);
        let left = o.left.get().checked_sub(spent).filter(|left| *left != 0)?;
        let available = n.left.get();
        if available == 0 {
            return None;
        }
        o.left.set(left);
        o.used.set(o.used.get().wrapping_add(spent));
        o.holder.set(Some(from));
        self.store.tcb(from).context.set(Some(old));
        self.cpu.context = Some(new);
        self.cpu.started = now;
        let end = now.saturating_add(available);
        if end < self.cpu.timer_set {
            self.cpu.timer_set = end;
            self.machine.set_timer(end);
        }
        Some(())
    }

    /// `Call` with this x8 and this plain x10, which the entry code has saved as
    /// the frame's window.
    #[inline(always)]
    pub fn fast_call(&mut self, x8: u64, control: u64) -> Option<Delivery> {
        let from = self.cpu.current?;
        let t = self.store.tcb(from);
        let slot = self.fast_slot(t, x8 as u32)?;
        let badge = u64::from(slot.badge.get()) | u64::from(slot.rights.get()) << 32;
        if slot.word.get() != ObjectType::Endpoint as u32
            || badge & (Rights::SEND.bits() as u64) << 32 == 0
        {
            return None;
        }
        let endpoint = EndpointRef::from_raw(slot.object.get())?;
        let e = self.store.endpoint(endpoint);
        let to = e.armed.head.get()?;
        let r = self.store.tcb(to);
        let word = t.header.word.get();
        let fp = word & flag::FP;
        let theirs = r.header.word.get() ^ fp;
        let passive = theirs == RECEIVING | flag::PASSIVE;
        if !(passive || theirs == RECEIVING) || r.priority.get() > self.cpu.best {
            return None;
        }
        let reply = r.armed.get()?;
        if !passive {
            self.fast_switch_context(from, to)?;
        }

        let e = self.store.endpoint(endpoint);
        let (t, r) = (self.store.tcb(from), self.store.tcb(to));
        let next = r.next.take();
        e.armed.head.set(next);
        match next {
            None => e.armed.tail.set(None),
            Some(next) => self.store.tcb(next).prev.set(None),
        }
        let granted = if badge & (Rights::GRANT.bits() as u64) << 32 == 0 { 0 } else { reply_state::GRANT };
        let answer = self.store.reply(reply);
        answer.header.word.set(Tag::Reply as u32 | reply_state::OWED | granted);
        answer.caller.set(Some(from));
        t.awaits.set(Some(reply));
        let waiting = word - State::Ready as u32 + State::Reply as u32;
        if passive {
            t.header.word.set(waiting | flag::LENT);
            r.header.word.set(RUNNING | flag::PASSIVE | flag::BORROWS | fp);
            r.donor.set(Some(from));
        } else {
            t.header.word.set(waiting);
            r.header.word.set(RUNNING | fp);
        }
        self.cpu.current = Some(to);
        Some(Delivery { to, x8: badge, x10: outcome(Kind::Call, control), fp: fp != 0 })
    }

    /// `ReplyRecv` with this x8 and this plain x10, which the entry code has
    /// saved as the frame's window.
    #[inline(always)]
    pub fn fast_reply_recv(&mut self, x8: u64, control: u64) -> Option<Delivery> {
        let from = self.cpu.current?;
        let t = self.store.tcb(from);
        let slot = self.fast_slot(t, x8 as u32)?;
        if slot.word.get() != ObjectType::Endpoint as u32
            || slot.rights.get() & Rights::RECV.bits() == 0
        {
            return None;
        }
        let endpoint = EndpointRef::from_raw(slot.object.get())?;
        let slot = self.fast_slot(t, (x8 >> 32) as u32)?;
        if slot.word.get() != ObjectType::Reply as u32
            || slot.rights.get() & Rights::RECV.bits() == 0
        {
            return None;
        }
        let reply = ReplyRef::from_raw(slot.object.get())?;
        // Whoever armed the Reply last is already written down in it.
        if t.armed.get() != Some(reply) || t.notification.get().is_some() {
            return None;
        }
        let answer = self.store.reply(reply);
        if answer.header.word.get() & !reply_state::GRANT != Tag::Reply as u32 | reply_state::OWED {
            return None;
        }
        let e = self.store.endpoint(endpoint);
        if e.senders.head.get().is_some() {
            return None;
        }
        let to = answer.caller.get()?;
        let c = self.store.tcb(to);
        let word = t.header.word.get();
        let fp = word & flag::FP;
        let theirs = c.header.word.get();
        let returns = theirs & !(flag::PASSIVE | flag::BORROWS) == AWAITING | flag::LENT | fp
            && word == RUNNING | flag::PASSIVE | flag::BORROWS | fp
            && t.donor.get() == Some(to);
        let keeps = theirs & !(flag::PASSIVE | flag::BORROWS) == AWAITING | fp && word == RUNNING | fp;
        if !(returns || keeps) || c.priority.get() > self.cpu.best {
            return None;
        }
        if !returns {
            self.fast_switch_context(from, to)?;
        }

        let (t, c) = (self.store.tcb(from), self.store.tcb(to));
        let (e, answer) = (self.store.endpoint(endpoint), self.store.reply(reply));
        answer.header.word.set(Tag::Reply as u32 | reply_state::ARMED);
        c.header.word.set((theirs & !flag::LENT) - State::Reply as u32 + State::Ready as u32);
        t.header.word.set(RECEIVING | (word & (flag::PASSIVE | flag::FP)));
        t.queued_on.set(endpoint.raw());
        let tail = e.armed.tail.get();
        e.armed.tail.set(Some(from));
        match tail {
            None => e.armed.head.set(Some(from)),
            Some(tail) => {
                self.store.tcb(tail).next.set(Some(from));
                t.prev.set(Some(tail));
            }
        }
        self.cpu.current = Some(to);
        Some(Delivery { to, x8: 0, x10: outcome(Kind::Reply, control), fp: fp != 0 })
    }

    /// `SendAsync` on a notification that wakes nobody, with this x0 and x8 and a
    /// plain x10; whether it was one.
    #[inline(always)]
    pub fn fast_signal(&mut self, x0: u64, x8: u64) -> bool {
        let signal = || {
            let t = self.store.tcb(self.cpu.current?);
            let slot = self.fast_slot(t, x8 as u32)?;
            if slot.word.get() != ObjectType::Notification as u32
                || slot.rights.get() & Rights::SEND.bits() == 0
            {
                return None;
            }
            let n = NotificationRef::from_raw(slot.object.get())?;
            let n = self.store.notification(n);
            if n.waiters.head.get().is_some() || n.bound.get().is_some() {
                return None;
            }
            let badge = u64::from(slot.badge.get());
            n.bits.set(n.bits.get() | if badge == 0 { x0 } else { badge });
            Some(())
        };
        signal().is_some()
    }

    /// As the entry code of a target does: tries the fast path for system call
    /// `number` of the running thread, whose registers are in its frame, and
    /// completes the registers of who runs next. Whether it applied.
    #[cfg(any(test, feature = "host"))]
    pub fn fast_system_call(&mut self, number: u16) -> bool {
        let Some(current) = self.cpu.current else { return false };
        let t = self.tcb(current);
        let (x0, x8, x9, x10) = (t.x::<0>(), t.x::<8>(), t.x::<9>(), t.x::<10>());
        if !is_plain(x10) {
            return false;
        }
        t.frame.window.set(x10);
        let delivery = match number {
            0 => self.fast_call(x8, x10),
            1 => self.fast_reply_recv(x8, x10),
            2 => {
                let signalled = self.fast_signal(x0, x8);
                if signalled {
                    self.succeed(current, 0);
                }
                return signalled;
            }
            _ => return false,
        };
        let Some(delivery) = delivery else { return false };
        let (from, to) = (self.tcb(current), self.tcb(delivery.to));
        crate::endpoint::copy_words(from, to);
        self.arrive(delivery.to, Outcome(delivery.x10));
        self.tcb(delivery.to).set_x::<8>(delivery.x8);
        self.tcb(delivery.to).set_x::<9>(x9);
        true
    }
}
