//! Replies: answering a caller, and the ways in which an answer becomes
//! impossible.

use gritos_abi::{Address, Kind, ObjectType, Rights, Status};

use crate::handle::{ReplyRef, TcbRef};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::{State, flag, reply_state};
use crate::store::Store;
use crate::transfer::Plan;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The Reply that the running thread names in `x8[63:32]`.
    pub(crate) fn named_reply(&self, current: TcbRef) -> Result<ReplyRef, Status> {
        let address = Address((self.tcb(current).x::<8>() >> 32) as u32);
        let slot = self.lookup_cap(current, address, ObjectType::Reply, Rights::RECV)?;
        let slot = self.slot(slot);
        ReplyRef::from_raw(slot.object.get()).ok_or(Status::InvalidState)
    }

    /// The running thread answers through `reply`. A failure leaves it owed.
    /// The context that the caller lent goes home, unless the running thread
    /// `receives` next: then it goes home when that has succeeded, for a
    /// receive that is preempted needs something to run on.
    pub(crate) fn answer(&mut self, current: TcbRef, reply: ReplyRef, receives: bool) -> Done {
        let r = self.reply(reply);
        let Some(caller) = r.caller.get() else {
            return Err(Status::ReplySpent.into());
        };
        if self.tcb(caller).has(flag::FAULTED) {
            self.free_reply(caller);
            if !receives {
                self.take_back(caller, current);
            }
            self.resolve_fault(current, caller, receives);
            return Ok(());
        }
        let mut plan = Plan::default();
        let rights = self.tcb(caller).rights.get();
        self.plan(current, None, rights, caller, &mut plan)?;
        self.clear_deadline(caller);
        self.free_reply(caller);
        self.deliver(current, caller, Kind::Reply, 0, &plan);
        if !receives {
            self.take_back(caller, current);
        }
        self.make_ready(caller, receives);
        Ok(())
    }

    /// The context that `caller` lent goes home, if `server` is who has it.
    fn take_back(&mut self, caller: TcbRef, server: TcbRef) {
        let s = self.tcb(server);
        if s.has(flag::BORROWS) && s.donor.get() == Some(caller) {
            self.send_home(server);
        }
    }

    /// Unties a caller from the Reply that it waits for. If its context is
    /// lent, who has it is noted: the Reply will not tell any more.
    pub(crate) fn free_reply(&mut self, caller: TcbRef) {
        let c = self.tcb(caller);
        if let Some(reply) = c.awaits.get() {
            c.awaits.set(None);
            let r = self.reply(reply);
            if c.has(flag::LENT) && c.borrower.get().is_none() {
                c.borrower.set(r.server.get());
            }
            r.caller.set(None);
            r.header.clear(reply_state::IN_USE);
        }
    }

    /// To whom `lender` lent its context. As long as nothing unusual happens
    /// that is who armed the Reply that it waits for, and is not written down.
    #[must_use]
    pub fn borrower_of(&self, lender: TcbRef) -> Option<TcbRef> {
        let t = self.tcb(lender);
        if !t.has(flag::LENT) {
            return None;
        }
        t.borrower
            .get()
            .or_else(|| t.awaits.get().and_then(|r| self.reply(r).server.get()))
    }

    /// A borrowed context goes back to who lent it: the server replied,
    /// receives again, or stopped.
    pub(crate) fn send_home(&mut self, server: TcbRef) {
        let s = self.tcb(server);
        if !s.has(flag::BORROWS) {
            return;
        }
        if self.is_current(server) {
            self.charge();
        }
        let context = self.context_of(server);
        let borrower = self.borrower_of(server);
        let s = self.tcb(server);
        let donor = s.donor.get();
        if let Some(borrower) = borrower {
            // It lent on what it borrowed: it drops out of the chain.
            s.header.clear(flag::BORROWS | flag::LENT);
            s.donor.set(None);
            s.borrower.set(None);
            self.tcb(borrower).donor.set(donor);
            if let Some(donor) = donor {
                self.tcb(donor).borrower.set(Some(borrower));
            }
            return;
        }
        s.header.clear(flag::BORROWS);
        s.donor.set(None);
        s.context.set(None);
        if s.has(flag::QUEUED) {
            self.dequeue(server);
        }
        if self.is_current(server) {
            self.cpu.context = None;
        }
        match donor {
            Some(donor) => {
                self.tcb(donor).header.clear(flag::LENT);
                self.tcb(donor).borrower.set(None);
                self.hold(donor, context);
                if self.tcb(donor).state() == State::Ready {
                    self.admit(donor, true);
                }
            }
            None => {
                if let Some(context) = context {
                    self.context(context).holder.set(None);
                }
            }
        }
    }
}
