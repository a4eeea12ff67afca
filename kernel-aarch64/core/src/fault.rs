//! Faults: a thread that cannot go on sends a message to its fault endpoint.

use gritos_abi::fault::{FaultKind, FaultReply};
use gritos_abi::{ObjectType, Rights};

use crate::handle::{EndpointRef, TcbRef};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::{State, flag};
use crate::queue;
use crate::store::Store;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The running thread faults. Its whole frame is saved.
    pub fn fault(&mut self, kind: FaultKind, address: u64, syndrome: u32) {
        if let Some(current) = self.cpu.current {
            self.stop_running();
            self.raise(current, kind, address, syndrome);
        }
    }

    /// A borrowed context ran out under the running thread.
    pub(crate) fn timeout_fault(&mut self) {
        self.fault(FaultKind::Timeout, 0, 0);
    }

    /// A thread that should run finds the context that it borrowed gone. It will
    /// fault, but not from here: telling its handler may wake others.
    pub(crate) fn lost_context(&mut self, thread: TcbRef) {
        self.tcb(thread).header.set(flag::LOST);
        queue::push_back(&self.store, &self.cpu.lost, thread);
    }

    /// The next thread that lost its context faults; whether there was one.
    pub(crate) fn raise_lost(&mut self) -> bool {
        let Some(thread) = self.cpu.lost.first() else {
            return false;
        };
        self.forget_lost(thread);
        self.raise(thread, FaultKind::Timeout, 0, 0);
        true
    }

    /// Takes a thread out of those that lost their context.
    pub(crate) fn forget_lost(&mut self, thread: TcbRef) {
        self.tcb(thread).header.clear(flag::LOST);
        queue::remove(&self.store, &self.cpu.lost, thread);
    }

    /// Makes the fault of a thread that is not running and in no queue known to
    /// its handler. Without a handler that could take it the thread stays
    /// stopped.
    fn raise(&mut self, thread: TcbRef, kind: FaultKind, address: u64, syndrome: u32) {
        let t = self.tcb(thread);
        t.fault_kind.set(kind as u32);
        t.fault_syndrome.set(syndrome);
        t.fault_address.set(address);
        t.header.set(flag::FAULTED);
        let handler = thread.slot(2).map(|slot| self.slot(slot)).filter(|slot| {
            slot.is(ObjectType::Endpoint) && slot.rights.get() & Rights::SEND.bits() != 0
        });
        let Some((handler, endpoint)) =
            handler.and_then(|h| EndpointRef::from_raw(h.object.get()).map(|e| (h, e)))
        else {
            return self.abandon_fault(thread);
        };
        t.badge.set(handler.badge.get());
        t.rights.set(handler.rights.get());
        match self.endpoint(endpoint).armed.first() {
            Some(receiver) => {
                if self.hand_over(thread, endpoint, receiver).is_err() {
                    self.abandon_fault(thread);
                }
            }
            None => self.join(thread, endpoint),
        }
    }

    /// The fault cannot be handled: the thread stops.
    pub(crate) fn abandon_fault(&mut self, thread: TcbRef) {
        self.tcb(thread).header.clear(flag::FAULTED);
        self.send_home(thread);
        self.tcb(thread).set_state(State::Inactive);
    }

    /// Does with the faulted thread what the handler's reply says.
    /// It runs `first` among its priority if the handler waits next.
    pub(crate) fn resolve_fault(&mut self, handler: TcbRef, thread: TcbRef, first: bool) {
        let (h, t) = (self.tcb(handler), self.tcb(thread));
        let tag = h.x::<9>();
        t.header.clear(flag::FAULTED);
        if tag != FaultReply::Retry as u64 {
            t.header.clear(flag::REPLIED);
        }
        if tag == FaultReply::Skip as u64 {
            t.frame.pc.set(t.frame.pc.get().wrapping_add(4));
        } else if tag == FaultReply::Jump as u64 {
            t.frame.pc.set(h.x::<0>());
            t.frame.sp.set(h.x::<1>());
        } else if tag != FaultReply::Retry as u64 {
            let end = if tag == FaultReply::Kill as u64 {
                State::Terminated
            } else {
                State::Inactive
            };
            self.send_home(thread);
            return self.tcb(thread).set_state(end);
        }
        self.make_ready(thread, first);
    }
}
