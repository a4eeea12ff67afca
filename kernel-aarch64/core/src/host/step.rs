//! Single steps of a kernel, for whoever drives one without a [`World`].
//!
//! [`World`]: super::World

use super::world::{AGAIN, PC};
use super::{Ask, HostMachine};
use crate::handle::TcbRef;
use crate::kernel::Kernel;
use crate::object::{State, Tag};
use crate::store::Store;

/// How a system call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It returned; the answer is in the registers.
    Returned,
    /// The caller waits.
    Blocked,
    /// Preempted: it will run again from its `svc`.
    Again,
    /// The caller was stopped, ended or destroyed.
    Stopped,
}

impl<S: Store> Kernel<S, HostMachine> {
    /// Puts a system call into the registers of the running thread.
    pub fn prepare(&self, ask: &Ask) {
        if let Some(caller) = self.cpu.current {
            let t = self.tcb(caller);
            t.frame.pc.set(AGAIN);
            for (register, value) in t.frame.x.iter().zip(ask.x) {
                register.set(value);
            }
        }
    }

    /// The running thread makes the system call whose registers are prepared,
    /// by the general path.
    pub fn run_general(&mut self, number: u16) {
        self.pass_svc();
        self.system_call(number);
        self.reschedule();
    }

    /// The same by the fast path, if that applies.
    pub fn run_fast(&mut self, number: u16) -> bool {
        self.pass_svc();
        self.fast_system_call(number)
    }

    fn pass_svc(&self) {
        if let Some(caller) = self.cpu.current {
            self.tcb(caller).frame.pc.set(PC);
        }
    }

    /// How a thread that made a system call stands.
    #[must_use]
    pub fn progress(&self, caller: TcbRef) -> Progress {
        if !self.header(caller.into()).is(Tag::Tcb) {
            return Progress::Stopped;
        }
        let t = self.tcb(caller);
        match t.state() {
            State::Inactive | State::Terminated => Progress::Stopped,
            State::Ready if t.frame.pc.get() == PC => Progress::Returned,
            State::Ready => Progress::Again,
            _ => Progress::Blocked,
        }
    }

    /// Whether the running thread was preempted in a system call.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.cpu
            .current
            .is_some_and(|t| self.tcb(t).frame.pc.get() == AGAIN)
    }

    /// The slice of the running thread ends just as its next period begins.
    pub fn end_slice(&mut self) {
        self.yield_now();
        self.reschedule();
    }

    /// The timer interrupt.
    pub fn tick(&mut self) {
        self.timer_interrupt();
        self.reschedule();
    }
}
