//! Long work in bounded steps.
//!
//! Two things can take long: deleting everything derived from a capability, and
//! dismantling objects whose last capability is gone. Both keep their progress
//! in plain fields, and the kernel keeps the root of each: [`Kernel::revoking`]
//! and the list [`Kernel::dying`]. Destruction never recurses: what dies joins
//! the list.
//!
//! Whoever is about to change the derivation tree first finishes this work
//! ([`Kernel::drain`]). So a derivation under a node that is being revoked
//! waits for the revocation, instead of racing with it, and no memory is reused
//! while something in it is still being dismantled. Calls, signals and faults
//! that carry no capability do not wait.

use gritos_abi::{ObjectType, Outcome, Status};

use crate::handle::{EndpointRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, SpaceRef};
use crate::kernel::{Done, Kernel, Stop};
use crate::machine::Machine;
use crate::object::{Embed, Slot, Tag, flag, reply_state};
use crate::queue;
use crate::store::Store;
use crate::transfer::has_header;

/// Empty slots that one step of dismantling a CNode passes over.
const SLOTS_PER_STEP: u32 = 16;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Makes sure that no work is pending. If some was, it is done as far as
    /// interrupts allow, and the system call runs again from its start: the
    /// work may have taken away what was already resolved, or the caller.
    ///
    /// # Errors
    /// [`Stop::Preempted`] when work was pending.
    #[inline]
    pub(crate) fn drain(&mut self) -> Done {
        if self.is_idle() {
            return Ok(());
        }
        self.finish()?;
        Err(Stop::Preempted)
    }

    /// Whether no work is pending.
    #[inline(always)]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.dying.map_or(0, ObjectRef::raw) | self.revoking.map_or(0, SlotRef::raw) == 0
    }

    /// Does pending work to its end.
    ///
    /// # Errors
    /// [`Stop::Preempted`] when an interrupt waits; at least one step was made.
    fn finish(&mut self) -> Done {
        while self.step() {
            self.give_way_to_lost()?;
        }
        Ok(())
    }

    /// As [`give_way`](Self::give_way), also if a thread lost its context: the
    /// faults of a long chain would take too long at the end of all steps.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn give_way_to_lost(&self) -> Done {
        if self.cpu.lost.is_empty() {
            self.give_way()
        } else {
            Err(Stop::Preempted)
        }
    }

    /// A point at which an interrupt may come in.
    ///
    /// # Errors
    /// [`Stop::Preempted`] when one waits.
    #[inline]
    pub(crate) fn give_way(&self) -> Done {
        if self.machine.interrupt_pending() {
            Err(Stop::Preempted)
        } else {
            Ok(())
        }
    }

    /// One step of pending work; whether there was any.
    #[inline]
    pub fn step(&mut self) -> bool {
        if let Some(object) = self.dying {
            if !self.destroy_step(object) {
                // The object kept its place at the head: steps only append.
                self.dying = self.header(object).dying.get();
                self.header(object).dying.set(None);
                self.header(object).word.set(0);
            }
            return true;
        }
        let Some(root) = self.revoking else {
            return false;
        };
        match self.slot(root).first.get().sibling() {
            Some(child) => {
                self.delete_step(child);
            }
            None => self.revoking = None,
        }
        true
    }

    /// Deletes everything derived from `slot`.
    ///
    /// # Errors
    /// [`Stop::Preempted`]; running the call again goes on.
    pub(crate) fn revoke(&mut self, slot: SlotRef) -> Done {
        self.drain()?;
        self.revoking = Some(slot);
        self.finish()
    }

    /// Empties `slot`. Empty already is success, so that a preempted call can
    /// run again.
    ///
    /// # Errors
    /// [`Stop::Preempted`]; running the call again goes on.
    pub(crate) fn delete(&mut self, slot: SlotRef) -> Done {
        self.drain()?;
        while !self.delete_step(slot) {
            self.give_way()?;
        }
        self.finish()
    }

    /// One step of emptying `slot`; whether it is empty now.
    pub(crate) fn delete_step(&mut self, slot: SlotRef) -> bool {
        let s = self.slot(slot);
        if s.is_empty() {
            return true;
        }
        if s.has(Slot::MAPPED) && !self.unmap_step(slot) {
            return false;
        }
        let s = self.slot(slot);
        match s.embed() {
            Embed::No | Embed::Fault => {}
            Embed::Donation => {
                // Its tables lie in this memory: the whole space goes.
                if let Some(space) = SpaceRef::of_donation(slot)
                    && self.dismantle_space(space)
                {
                    return false;
                }
            }
            embed @ (Embed::CSpace | Embed::VSpace) => self.slot_of_thread_emptied(slot, embed),
        }
        self.unlink(slot);
        let s = self.slot(slot);
        let (object, number) = (s.object_type(), s.object.get());
        s.reset();
        if has_header(object) {
            if let Some(object) = ObjectRef::from_raw(number) {
                self.drop_ref(object);
            }
        } else if object == ObjectType::IrqHandler && self.irqs.drop_ref(number) {
            self.unbind_irq(number);
        }
        true
    }

    fn drop_ref(&mut self, object: ObjectRef) {
        let header = self.header(object);
        let refs = header.refs.get().saturating_sub(1);
        header.refs.set(refs);
        if refs == 0 {
            // Behind the head, which may be what is being dismantled.
            match self.dying {
                Some(head) => {
                    header.dying.set(self.header(head).dying.get());
                    self.header(head).dying.set(Some(object));
                }
                None => self.dying = Some(object),
            }
        }
    }

    /// One step of dismantling an object; whether steps are left.
    fn destroy_step(&mut self, object: ObjectRef) -> bool {
        let header = self.header(object);
        if header.is(Tag::Endpoint) {
            self.destroy_endpoint(object.into())
        } else if header.is(Tag::Notification) {
            self.destroy_notification(object.into())
        } else if header.is(Tag::Reply) {
            self.destroy_reply(object.into());
            false
        } else if header.is(Tag::CNode) {
            self.destroy_cnode(object)
        } else if header.is(Tag::Tcb) {
            self.destroy_thread(object.into())
        } else if header.is(Tag::Context) {
            self.strip_context(object.into())
        } else if header.is(Tag::Space) {
            self.destroy_space(object.into())
        } else {
            false
        }
    }

    fn destroy_cnode(&mut self, object: ObjectRef) -> bool {
        let cnode = object.into();
        for _ in 0..SLOTS_PER_STEP {
            let c = self.cnode(cnode);
            let index = c.cleared.get();
            if index >= c.len.get() {
                return false;
            }
            let Some(slot) = cnode.slot(index) else {
                return false;
            };
            let busy = !self.slot(slot).is_empty();
            if busy && !self.delete_step(slot) {
                return true;
            }
            self.cnode(cnode).cleared.set(index + 1);
            if busy {
                return true;
            }
        }
        true
    }

    fn destroy_endpoint(&mut self, endpoint: EndpointRef) -> bool {
        let e = self.store.endpoint(endpoint);
        if let Some(sender) = e.senders.first() {
            queue::remove(&self.store, &e.senders, sender);
            if self.tcb(sender).has(flag::FAULTED) {
                self.abandon_fault(sender);
            } else {
                self.wake(sender, Outcome::error(Status::Deleted));
            }
            return true;
        }
        if let Some(receiver) = e.armed.first().or(e.plain.first()) {
            self.leave_endpoint(receiver);
            self.wake(receiver, Outcome::error(Status::Deleted));
            return true;
        }
        false
    }

    fn destroy_notification(&mut self, notification: NotificationRef) -> bool {
        let n = self.store.notification(notification);
        if let Some(waiter) = n.waiters.first() {
            queue::remove(&self.store, &n.waiters, waiter);
            self.wake(waiter, Outcome::error(Status::Deleted));
            return true;
        }
        if let Some(bound) = n.bound.get() {
            self.tcb(bound).notification.set(None);
            n.bound.set(None);
        }
        if let Some(irq) = n.irq.get().checked_sub(1) {
            return self.unbind_irq(irq);
        }
        false
    }

    fn destroy_reply(&mut self, reply: ReplyRef) {
        let r = self.reply(reply);
        if let Some(caller) = r.caller.get() {
            self.free_reply(caller);
            if self.tcb(caller).has(flag::FAULTED) {
                self.abandon_fault(caller);
            } else {
                self.wake(caller, Outcome::error(Status::ServerDied));
            }
        } else if let Some(server) = r.server.get().filter(|_| r.header.has(reply_state::IN_USE)) {
            self.leave_endpoint(server);
            self.wake(server, Outcome::error(Status::Deleted));
        }
    }
}
