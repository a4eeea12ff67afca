//! `Call`, `SendAsync` and `Recv` on endpoints.

use gritos_abi::{Address, Control, Kind, ObjectType, Outcome, Rights, Status};

use crate::handle::{EndpointRef, ReplyRef, SlotRef, TcbRef};
use crate::kernel::{Done, Kernel, Stop};
use crate::machine::Machine;
use crate::object::{State, flag, reply_state};
use crate::queue;
use crate::store::Store;
use crate::transfer::Plan;

/// What a receive waits on, once it has passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Endpoint(EndpointRef, Option<ReplyRef>),
    Notification(crate::handle::NotificationRef),
    Nothing,
}

/// Queued senders whose transfer may fail before a receive starts anew.
const FAILED_SENDERS: u32 = 4;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The endpoint, badge and rights of a capability to send through.
    fn sending(&self, cap: SlotRef) -> Result<(EndpointRef, u32, u32), Status> {
        let s = self.slot(cap);
        let (badge, rights) = (s.badge.get(), s.rights.get());
        if rights & Rights::SEND.bits() == 0 {
            return Err(Status::MissingRight);
        }
        let endpoint = EndpointRef::from_raw(s.object.get()).ok_or(Status::InvalidState)?;
        Ok((endpoint, badge, rights))
    }

    /// The running thread calls through an endpoint capability.
    pub(crate) fn call_endpoint(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let (endpoint, badge, rights) = self.sending(cap)?;
        let t = self.tcb(current);
        let deadline = Control(t.x::<10>()).has_deadline().then(|| t.x::<17>());
        t.badge.set(badge);
        t.rights.set(rights);
        match self.endpoint(endpoint).armed.first() {
            Some(receiver) => self.hand_over(current, endpoint, receiver)?,
            None => {
                self.block(State::Send);
                self.join(current, endpoint);
            }
        }
        if let Some(at) = deadline {
            self.set_deadline(current, at);
        }
        Ok(())
    }

    /// Queues a thread that was stopped as a sender.
    pub(crate) fn join(&mut self, sender: TcbRef, endpoint: EndpointRef) {
        let s = self.store.tcb(sender);
        s.set_state(State::Send);
        s.queued_on.set(endpoint.raw());
        queue::push_back(&self.store, &self.store.endpoint(endpoint).senders, sender);
    }

    /// Gives the message of `sender` (running, or stopped by a fault) to the
    /// waiting `receiver`.
    pub(crate) fn hand_over(
        &mut self,
        sender: TcbRef,
        endpoint: EndpointRef,
        receiver: TcbRef,
    ) -> Done {
        let Some(reply) = self.tcb(receiver).armed.get() else {
            return Err(Status::InvalidState.into());
        };
        let mut plan = Plan::default();
        self.check_call(sender, endpoint, receiver, &mut plan)?;
        queue::remove(&self.store, &self.store.endpoint(endpoint).armed, receiver);
        self.clear_deadline(receiver);
        if self.is_current(sender) {
            self.stop_running();
        }
        self.accept(sender, receiver, reply, &plan);
        self.make_ready(receiver, true);
        Ok(())
    }

    /// Everything that can be wrong with a call from `sender` to `receiver`;
    /// fills in the empty `plan`.
    fn check_call(
        &mut self,
        sender: TcbRef,
        via: EndpointRef,
        receiver: TcbRef,
        plan: &mut Plan,
    ) -> Done {
        if self.tcb(receiver).has(flag::PASSIVE) && self.context_of(sender).is_none() {
            return Err(Status::PassiveReceiver.into());
        }
        let s = self.tcb(sender);
        if s.has(flag::FAULTED) {
            return Ok(());
        }
        self.plan(sender, Some(via), s.rights.get(), receiver, plan)
    }

    /// Makes the checked message of `sender`, which is not running and in no
    /// queue, arrive at `receiver`, which answers through `reply`.
    fn accept(&mut self, sender: TcbRef, receiver: TcbRef, reply: ReplyRef, plan: &Plan) {
        self.write_message(sender, receiver, plan);
        let s = self.tcb(sender);
        s.set_state(State::Reply);
        s.awaits.set(Some(reply));
        let r = self.reply(reply);
        r.caller.set(Some(sender));
        r.server.set(Some(receiver));
        r.header.set(reply_state::IN_USE);
        let t = self.tcb(receiver);
        t.armed.set(Some(reply));
        t.header.clear(flag::ARMED);
        if t.has(flag::PASSIVE) {
            self.lend(sender, receiver);
        }
    }

    /// The message registers, as the receiver finds them.
    fn write_message(&mut self, sender: TcbRef, receiver: TcbRef, plan: &Plan) {
        let (s, r) = (self.tcb(sender), self.tcb(receiver));
        let authority = u64::from(s.badge.get()) | u64::from(s.rights.get()) << 32;
        if s.has(flag::FAULTED) {
            r.clear_caps();
            r.set_x::<8>(authority);
            r.set_x::<0>(s.fault_address.get());
            r.set_x::<1>(s.frame.pc.get());
            r.set_x::<2>(s.frame.sp.get());
            r.set_x::<3>(u64::from(s.fault_syndrome.get()));
            r.set_x::<4>(s.frame.pstate.get() & 0xf000_0000);
            r.set_x::<5>(0);
            r.set_x::<6>(0);
            r.set_x::<7>(0);
            r.set_x::<9>(u64::from(s.fault_kind.get()));
            r.set_x::<10>(Outcome::message(Kind::Fault, 5, 0).0);
        } else {
            self.deliver(sender, receiver, Kind::Call, authority, plan);
        }
    }

    /// Words, tag and capabilities of `sender` arrive.
    pub(crate) fn deliver(
        &mut self,
        sender: TcbRef,
        receiver: TcbRef,
        kind: Kind,
        authority: u64,
        plan: &Plan,
    ) {
        self.carry_out(plan, receiver);
        let (s, r) = (self.tcb(sender), self.tcb(receiver));
        let words = Control(s.x::<10>()).word_count();
        r.copy_words(s);
        r.set_x::<8>(authority);
        r.set_x::<9>(s.x::<9>());
        r.set_x::<10>(Outcome::message(kind, words, plan.count()).0);
    }

    /// Lends the context of a caller, which is not running, to a passive
    /// server.
    fn lend(&mut self, caller: TcbRef, server: TcbRef) {
        let context = self.context_of(caller);
        self.tcb(caller).header.set(flag::LENT);
        let s = self.tcb(server);
        s.header.set(flag::BORROWS);
        s.donor.set(Some(caller));
        self.hold(server, context);
        if self.is_current(server) {
            self.cpu.context = context;
            if let Some(context) = context {
                self.start(context);
            }
            if context.is_some_and(|c| !self.refill(c)) {
                // The caller had used up its budget when it began to wait.
                self.stop_running();
                self.admit(server, false);
            }
        }
    }

    /// Sends a one-way message now, or not at all.
    pub(crate) fn send_async(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let (endpoint, badge, rights) = self.sending(cap)?;
        let e = self.endpoint(endpoint);
        let receiver = e
            .plain
            .first()
            .or(e.armed.first())
            .ok_or(Status::WouldBlock)?;
        if self.tcb(receiver).has(flag::PASSIVE) {
            return Err(Status::PassiveReceiver.into());
        }
        let mut plan = Plan::default();
        self.plan(current, Some(endpoint), rights, receiver, &mut plan)?;
        self.leave_endpoint(receiver);
        self.clear_deadline(receiver);
        let authority = u64::from(badge) | u64::from(rights) << 32;
        self.deliver(current, receiver, Kind::OneWay, authority, &plan);
        self.make_ready(receiver, false);
        self.succeed(current, 0);
        Ok(())
    }

    /// Takes a waiting receiver out of its endpoint; its Reply is free again.
    pub(crate) fn leave_endpoint(&mut self, receiver: TcbRef) {
        let t = self.store.tcb(receiver);
        let Some(endpoint) = EndpointRef::from_raw(t.queued_on.take()) else {
            return;
        };
        let e = self.store.endpoint(endpoint);
        let armed = t.has(flag::ARMED);
        queue::remove(
            &self.store,
            if armed { &e.armed } else { &e.plain },
            receiver,
        );
        if armed {
            t.header.clear(flag::ARMED);
            if let Some(reply) = t.armed.get() {
                self.reply(reply).header.clear(reply_state::IN_USE);
            }
        }
    }

    /// Checks the receive that the running thread asks for. `answered` is the
    /// Reply that will be free by then.
    pub(crate) fn check_recv(
        &self,
        current: TcbRef,
        wait: bool,
        answered: Option<ReplyRef>,
    ) -> Result<Source, Status> {
        let t = self.tcb(current);
        let x8 = t.x::<8>();
        let deadline = Control(t.x::<10>()).has_deadline();
        let address = Address(x8 as u32);
        if address.is_null() {
            return if wait && deadline {
                Ok(Source::Nothing)
            } else {
                Err(Status::InvalidAddress)
            };
        }
        let slot = self.slot(self.lookup(current, address)?);
        let (object, rights) = (slot.object.get(), slot.rights.get());
        let source = match slot.object_type() {
            ObjectType::Null => return Err(Status::EmptySlot),
            ObjectType::Endpoint => {
                let reply = self.check_arm(current, Address((x8 >> 32) as u32), answered)?;
                EndpointRef::from_raw(object).map(|e| Source::Endpoint(e, reply))
            }
            ObjectType::Notification => {
                crate::handle::NotificationRef::from_raw(object).map(Source::Notification)
            }
            _ => return Err(Status::WrongType),
        };
        if rights & Rights::RECV.bits() == 0 {
            return Err(Status::MissingRight);
        }
        // A passive thread can only be woken by a caller that lends.
        if wait
            && t.has(flag::PASSIVE)
            && (deadline || !matches!(source, Some(Source::Endpoint(_, Some(_)))))
        {
            return Err(Status::InvalidState);
        }
        source.ok_or(Status::InvalidState)
    }

    fn check_arm(
        &self,
        current: TcbRef,
        address: Address,
        answered: Option<ReplyRef>,
    ) -> Result<Option<ReplyRef>, Status> {
        if address.is_null() {
            return Ok(None);
        }
        let slot = self.lookup_cap(current, address, ObjectType::Reply, Rights::RECV)?;
        let slot = self.slot(slot);
        let reply = ReplyRef::from_raw(slot.object.get()).ok_or(Status::InvalidState)?;
        if answered != Some(reply) && self.reply(reply).header.has(reply_state::IN_USE) {
            return Err(Status::ReplyInUse);
        }
        Ok(Some(reply))
    }

    /// The running thread receives from what was checked.
    pub(crate) fn recv(&mut self, current: TcbRef, source: Source, wait: bool) -> Done {
        let t = self.tcb(current);
        let deadline = Control(t.x::<10>()).has_deadline().then(|| t.x::<17>());
        match source {
            Source::Nothing => self.block(State::Sleep),
            Source::Notification(n) => {
                if self.take_bits(current, n) {
                    return Ok(());
                }
                if !wait {
                    return Err(Status::WouldBlock.into());
                }
                self.acknowledge_waits(n);
                self.wait_for_bits(current, n);
            }
            Source::Endpoint(endpoint, reply) => {
                let bound = t.notification.get();
                if let Some(n) = bound
                    && self.take_bits(current, n)
                {
                    return Ok(());
                }
                if let Some(reply) = reply
                    && self.recv_queued(current, endpoint, reply)?
                {
                    return Ok(());
                }
                if !wait {
                    return Err(Status::WouldBlock.into());
                }
                if let Some(n) = bound {
                    self.acknowledge_waits(n);
                }
                self.wait_for_message(current, endpoint, reply);
            }
        }
        if let Some(at) = deadline {
            self.set_deadline(current, at);
        }
        Ok(())
    }

    /// Takes the first queued message that can be delivered; whether there was
    /// one. Senders whose transfer fails are woken with their error.
    fn recv_queued(
        &mut self,
        current: TcbRef,
        endpoint: EndpointRef,
        reply: ReplyRef,
    ) -> Done<bool> {
        for _ in 0..FAILED_SENDERS {
            let Some(sender) = self.endpoint(endpoint).senders.first() else {
                return Ok(false);
            };
            let mut plan = Plan::default();
            let checked = match self.check_call(sender, endpoint, current, &mut plan) {
                Err(Stop::Preempted) => return Err(Stop::Preempted),
                checked => checked,
            };
            queue::remove(&self.store, &self.store.endpoint(endpoint).senders, sender);
            match checked {
                Ok(()) => {
                    self.send_home(current);
                    self.accept(sender, current, reply, &plan);
                    return Ok(true);
                }
                Err(Stop::Error(status)) => self.refuse_sender(sender, Outcome::error(status)),
                Err(Stop::SlotError(status, slot)) => {
                    self.refuse_sender(sender, Outcome::slot_error(status, slot));
                }
                Err(Stop::Preempted) => {}
            }
        }
        Err(Stop::Preempted)
    }

    fn refuse_sender(&mut self, sender: TcbRef, outcome: Outcome) {
        if self.tcb(sender).has(flag::FAULTED) {
            self.abandon_fault(sender);
        } else {
            self.wake(sender, outcome);
        }
    }

    fn wait_for_message(
        &mut self,
        current: TcbRef,
        endpoint: EndpointRef,
        reply: Option<ReplyRef>,
    ) {
        self.send_home(current);
        self.block(State::Receive);
        let t = self.store.tcb(current);
        t.queued_on.set(endpoint.raw());
        let e = self.store.endpoint(endpoint);
        match reply {
            Some(reply) => {
                t.armed.set(Some(reply));
                t.header.set(flag::ARMED);
                let r = self.store.reply(reply);
                r.header.set(reply_state::IN_USE);
                r.server.set(Some(current));
                queue::push_back(&self.store, &e.armed, current);
            }
            None => queue::push_back(&self.store, &e.plain, current),
        }
    }
}
