//! Methods of threads and scheduling contexts; ending waits; deadlines.
//!
//! Longer than most files: every way out of a wait is here, because suspending,
//! resuming, a deadline and a deletion must leave a thread in the same states.

use core::cell::Cell;
use core::num::NonZeroU64;

use gritos_abi::method::{Register, TCB_FLAG_FP, Tcb as Method, ThreadState};
use gritos_abi::{Address, Control, ObjectType, Outcome, Rights, Status};

use crate::handle::{
    CNodeRef, ContextRef, EndpointRef, NotificationRef, SlotRef, SpaceRef, TcbRef,
};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::{Embed, Slot, State, Tag, flag};
use crate::queue;
use crate::store::Store;
use crate::transfer::{caps_in, check_copy, narrowed};

/// Bits of the saved program status that user space may set: the flags.
const FLAGS: u64 = 0xf000_0000;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Methods of a TCB.
    pub(crate) fn invoke_tcb(&mut self, current: TcbRef, target: TcbRef, method: Method) -> Done {
        let (t, c) = (self.tcb(target), self.tcb(current));
        match method {
            Method::Configure => {
                self.configure(current, target)?;
            }
            Method::SetPriority => {
                let authority = self.argument(current, 0, ObjectType::Tcb, Rights::CONTROL)?;
                let limit = self.tcb(self.tcb_of(authority)?).ceiling.get();
                let (priority, ceiling) = (c.x::<0>(), c.x::<1>());
                if priority > 255 || ceiling > 255 {
                    return Err(Status::InvalidArgument.into());
                }
                if priority < u64::from(limit) || ceiling < u64::from(limit) {
                    return Err(Status::PriorityCeiling.into());
                }
                self.set_priority(target, priority as u32);
                self.tcb(target).ceiling.set(ceiling as u32);
            }
            Method::ReadRegisters => {
                let (first, count) = (c.x::<0>(), c.x::<1>());
                let valid = count
                    .checked_sub(1)
                    .and_then(|last| first.checked_add(last));
                if count > 8 || valid.is_none_or(|last| t.register(last).is_none()) {
                    return Err(Status::InvalidArgument.into());
                }
                if self.is_current(target) {
                    return Err(Status::InvalidState.into());
                }
                for (number, word) in (first..).zip(c.frame.x.iter().take(count as usize)) {
                    word.set(t.register(number).map_or(0, |r| r.get()) & shown(number));
                }
                self.succeed(current, count as u32);
                return Ok(());
            }
            Method::WriteRegisters => {
                let (first, count) = (c.x::<0>() & 0xff, c.x::<0>() >> 8);
                let valid = count.checked_sub(1).map(|last| first.saturating_add(last));
                if count > 7 || valid.is_none_or(|last| t.register(last).is_none()) {
                    return Err(Status::InvalidArgument.into());
                }
                self.check_stopped(target)?;
                // It may be anywhere now: no longer in a call whose reply is done.
                t.header.clear(flag::REPLIED);
                for (number, word) in (first..).zip(c.frame.x.iter().skip(1).take(count as usize)) {
                    if let Some(register) = t.register(number) {
                        register.set(word.get() & shown(number));
                    }
                }
            }
            Method::Resume => {
                if t.state() != State::Inactive {
                    return Err(Status::InvalidState.into());
                }
                self.make_ready(target, false);
            }
            Method::Suspend => {
                if t.state() == State::Terminated {
                    return Err(Status::InvalidState.into());
                }
                self.succeed(current, 0);
                self.stop(target, State::Inactive);
                return Ok(());
            }
            Method::Kill => {
                self.succeed(current, 0);
                self.stop(target, State::Terminated);
                return Ok(());
            }
            Method::BindContext => {
                let cap =
                    self.argument(current, 0, ObjectType::SchedulingContext, Rights::MANAGE)?;
                let context = ContextRef::from_raw(self.slot(cap).object.get());
                let context = context.ok_or(Status::InvalidState)?;
                let x = self.context(context);
                if x.owner.get().is_some()
                    || self.holder_of(context).is_some()
                    || !t.has(flag::PASSIVE)
                {
                    return Err(Status::AlreadyBound.into());
                }
                if t.has(flag::BORROWS) || self.cpu.context == Some(context) {
                    return Err(Status::InvalidState.into());
                }
                x.owner.set(Some(target));
                t.header.clear(flag::PASSIVE);
                self.hold(target, Some(context));
                if self.tcb(target).state() == State::Ready {
                    self.admit(target, false);
                }
            }
            Method::UnbindContext => {
                let context = t.context.get().filter(|_| !t.has(flag::PASSIVE));
                let context = context.ok_or(Status::NotBound)?;
                while self.strip_context(context) {
                    self.give_way_to_lost()?;
                }
            }
            Method::BindNotification => {
                let cap = self.argument(current, 0, ObjectType::Notification, Rights::RECV)?;
                let n = NotificationRef::from_raw(self.slot(cap).object.get());
                let n = n.ok_or(Status::InvalidState)?;
                if t.has(flag::PASSIVE) {
                    return Err(Status::InvalidState.into());
                }
                if t.notification.get().is_some() || self.notification(n).bound.get().is_some() {
                    return Err(Status::AlreadyBound.into());
                }
                t.notification.set(Some(n));
                self.notification(n).bound.set(Some(target));
                // Bits may have come while it waits already.
                self.signal(n, 0);
            }
            Method::UnbindNotification => {
                let n = t.notification.get().ok_or(Status::NotBound)?;
                t.notification.set(None);
                self.notification(n).bound.set(None);
            }
            Method::Info => {
                let fp = if t.has(flag::FP) { TCB_FLAG_FP } else { 0 };
                let word = self.visible_state(target) as u64
                    | u64::from(t.priority.get()) << 8
                    | u64::from(t.ceiling.get()) << 16
                    | fp << 24;
                c.set_x::<0>(word);
                self.succeed(current, 1);
                return Ok(());
            }
            Method::SetFlags => {
                let flags = c.x::<0>();
                if flags & !TCB_FLAG_FP != 0 {
                    return Err(Status::InvalidArgument.into());
                }
                self.check_stopped(target)?;
                t.header.clear(flag::FP | flag::FP_SAVED);
                if flags & TCB_FLAG_FP != 0 {
                    t.header.set(flag::FP);
                }
            }
        }
        self.succeed(current, 0);
        Ok(())
    }

    /// The state that `Tcb::Info` shows.
    #[must_use]
    pub fn visible_state(&self, thread: TcbRef) -> ThreadState {
        match self.tcb(thread).state() {
            State::Inactive => ThreadState::Inactive,
            State::Ready if self.is_current(thread) => ThreadState::Running,
            State::Ready => ThreadState::Ready,
            State::Send => ThreadState::BlockedIpcSend,
            State::Receive | State::Reply => ThreadState::BlockedIpcRecv,
            State::Wait => ThreadState::BlockedNotification,
            State::Sleep => ThreadState::BlockedSleep,
            State::Terminated => ThreadState::Terminated,
        }
    }

    fn check_stopped(&self, target: TcbRef) -> Result<(), Status> {
        let stopped = self.tcb(target).state() == State::Inactive;
        stopped.then_some(()).ok_or(Status::InvalidState)
    }

    /// Fills the slots inside a TCB.
    fn configure(&mut self, current: TcbRef, target: TcbRef) -> Done {
        self.check_stopped(target)?;
        self.drain()?;
        let caps = caps_in(self.tcb(current));
        let places = [
            (ObjectType::CNode, Rights::empty(), Embed::CSpace),
            (ObjectType::AddressSpace, Rights::MAP, Embed::VSpace),
            (ObjectType::Endpoint, Rights::SEND, Embed::Fault),
        ];
        let mut plan = [None; 3];
        for (i, (object, rights, embed)) in places.into_iter().enumerate() {
            if caps.source(i).is_null() {
                continue;
            }
            let check = || -> Result<_, Status> {
                let from = self.argument(current, i, object, rights)?;
                let slot = self.slot(from);
                let narrow = narrowed(slot.rights.get(), caps.rights_mask(i))?;
                let badge = check_copy(slot, caps.badge(i))?;
                let to = target.slot(i as u32).ok_or(Status::InvalidState)?;
                if object == ObjectType::AddressSpace {
                    let space =
                        SpaceRef::from_raw(slot.object.get()).ok_or(Status::InvalidState)?;
                    if self.space(space).asid.get() == 0 {
                        return Err(Status::NoAsid);
                    }
                }
                if !self.slot(to).is_empty() {
                    return Err(Status::SlotOccupied);
                }
                Ok((from, to, narrow, badge, embed))
            };
            let item = check().map_err(|s| crate::kernel::Stop::SlotError(s, i as u32))?;
            if let Some(place) = plan.get_mut(i) {
                *place = Some(item);
            }
        }
        for (from, to, rights, badge, embed) in plan.into_iter().flatten() {
            self.derive(from, to, rights, badge);
            self.slot(to).set_embed(embed);
            let object = self.slot(to).object.get();
            let t = self.store.tcb(target);
            match embed {
                Embed::CSpace => {
                    if let Some(cnode) = CNodeRef::from_raw(object) {
                        t.set_root(cnode.slot(0), self.cnode(cnode).len.get());
                    }
                }
                Embed::VSpace => {
                    if let Some(space) = SpaceRef::from_raw(object) {
                        self.enter_space(target, space);
                    }
                }
                Embed::Fault | Embed::No | Embed::Donation => {}
            }
        }
        Ok(())
    }

    fn set_priority(&mut self, target: TcbRef, priority: u32) {
        let queued = self.tcb(target).has(flag::QUEUED);
        if queued {
            self.dequeue(target);
        }
        self.tcb(target).priority.set(priority);
        if queued {
            self.admit(target, false);
        }
    }

    /// Takes a thread out of whatever it does and leaves it in `state`, which
    /// is an end state. A wait that it was in ends with `Aborted`.
    pub(crate) fn stop(&mut self, thread: TcbRef, state: State) {
        let t = self.tcb(thread);
        let waited = !matches!(
            t.state(),
            State::Ready | State::Inactive | State::Terminated
        );
        let in_call = waited && !t.has(flag::FAULTED);
        self.withdraw(thread);
        if in_call {
            self.arrive(thread, Outcome::error(Status::Aborted));
        }
        self.send_home(thread);
        let t = self.tcb(thread);
        t.header.clear(flag::FAULTED);
        t.set_state(state);
    }

    /// Takes a thread out of every queue, from the processor, and out of the
    /// Reply that it waits for.
    pub(crate) fn withdraw(&mut self, thread: TcbRef) {
        self.clear_deadline(thread);
        let t = self.store.tcb(thread);
        let on = t.queued_on.take();
        let (queued, lost) = (t.has(flag::QUEUED), t.has(flag::LOST));
        match t.state() {
            State::Ready if self.is_current(thread) => self.stop_running(),
            State::Ready if queued => self.dequeue(thread),
            State::Ready if lost => self.forget_lost(thread),
            State::Send => {
                if let Some(endpoint) = EndpointRef::from_raw(on) {
                    queue::remove(&self.store, &self.store.endpoint(endpoint).senders, thread);
                }
            }
            State::Receive => {
                t.queued_on.set(on);
                self.leave_endpoint(thread);
            }
            State::Reply => self.free_reply(thread),
            State::Wait => {
                if let Some(n) = NotificationRef::from_raw(on) {
                    queue::remove(&self.store, &self.store.notification(n).waiters, thread);
                }
            }
            State::Ready | State::Sleep | State::Inactive | State::Terminated => {}
        }
    }

    /// Ends the wait of a thread that is in no queue any more.
    pub(crate) fn wake(&mut self, thread: TcbRef, outcome: Outcome) {
        self.clear_deadline(thread);
        self.arrive(thread, outcome);
        self.make_ready(thread, false);
    }

    /// The deadline of a thread passed; its node is out of the tree.
    pub(crate) fn deadline(&mut self, thread: TcbRef) {
        self.tcb(thread).header.clear(flag::TIMED);
        self.withdraw(thread);
        self.wake(thread, Outcome::error(Status::TimedOut));
    }

    /// One step towards taking `context` from everybody who has it, lent it or
    /// owns it; whether more are left.
    pub(crate) fn strip_context(&mut self, context: ContextRef) -> bool {
        let Some(holder) = self.holder_of(context) else {
            self.disown(context);
            return false;
        };
        if self.is_current(holder) {
            self.stop_running();
        }
        let t = self.store.tcb(holder);
        t.context.set(None);
        self.context(context).holder.set(None);
        if !t.has(flag::BORROWS) {
            if t.has(flag::QUEUED) {
                self.dequeue(holder);
            }
            self.disown(context);
            return false;
        }
        let donor = t.donor.get();
        t.donor.set(None);
        if let Some(donor) = donor {
            self.tcb(donor).header.clear(flag::LENT);
            self.tcb(donor).borrower.set(None);
            // Its field too: a call that lends on does not keep it up.
            self.hold(donor, Some(context));
            if self.tcb(donor).state() == State::Ready {
                self.admit(donor, false);
            }
        }
        let t = self.tcb(holder);
        if t.state() == State::Ready {
            if t.has(flag::QUEUED) {
                self.dequeue(holder);
            }
            self.lost_context(holder);
        }
        true
    }

    /// Unties a context that nobody runs on from its owner and from time.
    fn disown(&mut self, context: ContextRef) {
        let c = self.store.context(context);
        if c.timer.height.get() != 0 {
            self.cpu.timers.remove(&self.store, context.into());
        }
        c.holder.set(None);
        self.leave_owner(context);
    }

    /// Makes the owner of a context passive.
    fn leave_owner(&mut self, context: ContextRef) {
        let c = self.context(context);
        if let Some(owner) = c.owner.get() {
            c.owner.set(None);
            let o = self.tcb(owner);
            o.header.set(flag::PASSIVE);
            o.context.set(None);
            if let Some(n) = o.notification.get() {
                // A passive thread cannot be woken by bits.
                o.notification.set(None);
                self.notification(n).bound.set(None);
            }
        }
    }

    /// `SchedulingContext::Info`.
    pub(crate) fn context_info(&mut self, current: TcbRef, context: ContextRef) -> Done {
        if self.cpu.context == Some(context) {
            self.charge();
        }
        let hz = self.machine.counter_hz();
        let c = self.context(context);
        let t = self.tcb(current);
        t.set_x::<0>(nanoseconds(c.budget.get(), hz));
        t.set_x::<1>(nanoseconds(c.period.get(), hz));
        t.set_x::<2>(nanoseconds(c.left.get(), hz));
        t.set_x::<3>(nanoseconds(c.time_used(), hz));
        self.succeed(current, 4);
        Ok(())
    }

    /// `SchedControl::Configure`.
    pub(crate) fn set_budget(&mut self, current: TcbRef) -> Done {
        let cap = self.argument(current, 0, ObjectType::SchedulingContext, Rights::MANAGE)?;
        let context = ContextRef::from_raw(self.slot(cap).object.get());
        let context = context.ok_or(Status::InvalidState)?;
        let hz = self.machine.counter_hz();
        let t = self.tcb(current);
        let (budget, period) = (ticks(t.x::<0>(), hz), ticks(t.x::<1>(), hz));
        let (Some(budget), Some(period)) = (budget, period) else {
            return Err(Status::InvalidArgument.into());
        };
        if budget > period || budget < MIN_BUDGET_TICKS || period > MAX_PERIOD_TICKS {
            return Err(Status::InvalidArgument.into());
        }
        if self.cpu.context == Some(context) {
            self.charge();
        }
        let now = self.machine.now();
        let c = self.context(context);
        c.used.set(c.time_used());
        c.budget.set(budget);
        c.period.set(period);
        c.left.set(budget);
        c.refill_at.set(now.saturating_add(period));
        if self.cpu.context == Some(context) {
            self.start(context);
        }
        let c = self.store.context(context);
        if c.timer.height.get() != 0 {
            self.cpu.timers.remove(&self.store, context.into());
        }
        let waiting = self.holder_of(context).filter(|holder| {
            let t = self.tcb(*holder);
            !self.is_current(*holder) && t.state() == State::Ready && !t.has(flag::QUEUED)
        });
        if let Some(holder) = waiting {
            self.admit(holder, false);
        }
        self.succeed(current, 0);
        Ok(())
    }

    /// The thread that a TCB capability names.
    pub(crate) fn tcb_of(&self, cap: SlotRef) -> Result<TcbRef, Status> {
        TcbRef::from_raw(self.slot(cap).object.get()).ok_or(Status::InvalidState)
    }

    /// Sets up the memory of a new TCB: inactive, lowest priority and ceiling.
    pub(crate) fn init_tcb(&mut self, thread: TcbRef) {
        let empty = self.machine.empty_ttbr0();
        let t = self.tcb(thread);
        t.header.word.set(Tag::Tcb as u32 | flag::PASSIVE);
        t.priority.set(255);
        t.ceiling.set(255);
        t.ttbr0.set(empty);
    }

    /// One step of destroying a thread; whether steps are left.
    pub(crate) fn destroy_thread(&mut self, thread: TcbRef) -> bool {
        if self.tcb(thread).state() != State::Terminated {
            self.stop(thread, State::Terminated);
            return true;
        }
        if let Some(n) = self.tcb(thread).notification.take() {
            self.notification(n).bound.set(None);
            return true;
        }
        // Not in a step of its own: it would seem to have its context back.
        self.forget_lender(thread);
        let t = self.store.tcb(thread);
        if let Some(context) = t.context.get().filter(|_| !t.has(flag::PASSIVE)) {
            if self.holder_of(context) == Some(thread) {
                self.strip_context(context);
            } else {
                // A server runs on it, and goes on until it receives again.
                self.leave_owner(context);
            }
            return true;
        }
        let mut slots = (0..3).filter_map(|i| thread.slot(i));
        let full = slots.find(|slot| !self.slot(*slot).is_empty());
        if let Some(slot) = full {
            self.delete_step(slot);
        }
        full.is_some()
    }

    /// A thread that lent its context is destroyed: the context will go to who
    /// lent it to that thread, or nowhere.
    fn forget_lender(&mut self, lender: TcbRef) {
        if let Some(borrower) = self.borrower_of(lender) {
            self.tcb(borrower).donor.set(None);
        }
        let t = self.tcb(lender);
        t.header.clear(flag::LENT);
        t.borrower.set(None);
    }

    /// What happens to a TCB when one of its slots is emptied.
    pub(crate) fn slot_of_thread_emptied(&mut self, slot: SlotRef, embed: Embed) {
        let Some(thread) = TcbRef::of_slot(slot, embed as u32 - 1) else {
            return;
        };
        if embed == Embed::CSpace {
            self.tcb(thread).set_root(None, 0);
        } else if let Some(space) = SpaceRef::from_raw(self.slot(slot).object.get()) {
            self.leave_space(thread, space);
        }
    }

    /// The slot of a method's capability argument; it must be of this type and
    /// hold these rights.
    pub(crate) fn argument(
        &self,
        current: TcbRef,
        i: usize,
        object: ObjectType,
        rights: Rights,
    ) -> Result<SlotRef, Status> {
        let t = self.tcb(current);
        if i as u32 >= Control(t.x::<10>()).cap_count() {
            return Err(Status::InvalidArgument);
        }
        let address = Address(t.frame.x.get(11 + i).map_or(0, Cell::get) as u32);
        self.lookup_cap(current, address, object, rights)
    }

    /// As [`argument`](Self::argument) 0, where its address names a slot of the
    /// root CNode.
    #[inline(always)]
    pub(crate) fn first_argument(
        &self,
        current: TcbRef,
        object: ObjectType,
        right: Rights,
    ) -> Option<&Slot> {
        let t = self.tcb(current);
        let slot = self.store.slot_at(t.root_slot(t.x::<11>() as u32)?);
        let given = Control(t.x::<10>()).cap_count() != 0;
        (given && slot.is(object) && slot.rights.get() & right.bits() != 0).then_some(slot)
    }

    /// A notification argument that is to be signalled: the object and the
    /// bits of its badge (bit 0 if it has none).
    pub(crate) fn argument_signal(
        &self,
        current: TcbRef,
        i: usize,
    ) -> Result<(NotificationRef, u32), Status> {
        let cap = self.argument(current, i, ObjectType::Notification, Rights::SEND)?;
        let slot: &Slot = self.slot(cap);
        let notification = NotificationRef::from_raw(slot.object.get());
        let bits = if slot.badge.get() == 0 {
            1
        } else {
            slot.badge.get()
        };
        Ok((notification.ok_or(Status::InvalidState)?, bits))
    }
}

/// The bits of a register that programs read and write.
fn shown(number: u64) -> u64 {
    if number == Register::Pstate as u64 {
        FLAGS
    } else {
        u64::MAX
    }
}

/// Shortest budget: what a switch and a timer interrupt take, with margin.
const MIN_BUDGET_TICKS: u64 = 100;
/// Longest period, so that sums of ticks cannot overflow.
const MAX_PERIOD_TICKS: u64 = 1 << 50;

const NS_PER_S: u64 = 1_000_000_000;

/// Whole seconds and the rest apart: each product fits for counters up to
/// 18 GHz.
fn ticks(ns: u64, hz: u64) -> Option<u64> {
    let rest = (ns % NS_PER_S).checked_mul(hz)? / NS_PER_S;
    (ns / NS_PER_S).checked_mul(hz)?.checked_add(rest)
}

fn nanoseconds(ticks: u64, hz: u64) -> u64 {
    let hz = NonZeroU64::new(hz).unwrap_or(NonZeroU64::MIN);
    let rest = (ticks % hz).saturating_mul(NS_PER_S) / hz;
    (ticks / hz).saturating_mul(NS_PER_S).saturating_add(rest)
}
