//! Notifications: signal, wait, and threads bound to one.

use gritos_abi::{Kind, Outcome};

use crate::handle::{NotificationRef, TcbRef};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::State;
use crate::queue;
use crate::store::Store;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Sets bits; wakes who waits for them.
    pub(crate) fn signal(&mut self, notification: NotificationRef, bits: u64) {
        let n = self.notification(notification);
        n.bits.set(n.bits.get() | bits);
        if n.bits.get() == 0 {
            return;
        }
        let waiter = if let Some(first) = n.waiters.first() {
            queue::remove(&self.store, &n.waiters, first);
            first
        } else if let Some(bound) = n.bound.get()
            && self.tcb(bound).state() == State::Receive
        {
            self.leave_endpoint(bound);
            bound
        } else {
            return;
        };
        self.clear_deadline(waiter);
        self.take_bits(waiter, notification);
        self.make_ready(waiter, false);
    }

    /// Delivers the bits to `thread`; whether there were any.
    pub(crate) fn take_bits(&mut self, thread: TcbRef, notification: NotificationRef) -> bool {
        let n = self.notification(notification);
        let bits = n.bits.get();
        if bits == 0 {
            return false;
        }
        n.bits.set(0);
        self.arrive(thread, Outcome::message(Kind::Notification, 1, 0));
        self.tcb(thread).set_only_word(bits);
        true
    }

    /// The running thread waits for bits.
    pub(crate) fn wait_for_bits(&mut self, current: TcbRef, notification: NotificationRef) {
        self.block(State::Wait);
        self.store.tcb(current).queued_on.set(notification.raw());
        queue::push_back(
            &self.store,
            &self.store.notification(notification).waiters,
            current,
        );
    }
}
