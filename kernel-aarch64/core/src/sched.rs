//! Who runs: priorities, round robin, budgets and periods, lent contexts.
//!
//! Which context a thread holds:
//! - the running thread holds `cpu.context`; its TCB field is not kept up;
//! - a thread with `LENT` holds none, whatever its TCB field says;
//! - a `PASSIVE` thread without `BORROWS` holds none;
//! - any other thread holds the one in its TCB.
//!
//! That a call need not write the field is what makes donation cheap.

use crate::handle::{ContextRef, TcbRef};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::{Queue, State, flag};
use crate::queue;
use crate::store::Store;

/// The ready queues of a processor: one FIFO for each of 256 priorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Bit p of word p / 64, counted from the top: queue p is not empty.
    map: [u64; 4],
    queues: [Queue; 256],
}

impl Ready {
    /// "Best priority" of empty queues.
    pub const NONE: u32 = 256;

    /// Empty queues.
    pub(crate) const fn new() -> Self {
        use core::cell::Cell;
        Self {
            map: [0; 4],
            queues: [const {
                Queue {
                    head: Cell::new(None),
                    tail: Cell::new(None),
                }
            }; 256],
        }
    }

    /// The queue of a priority; there is one for every value.
    #[must_use]
    pub fn queue(&self, priority: u32) -> &Queue {
        #[expect(
            clippy::indexing_slicing,
            reason = "the mask keeps the index below 256"
        )]
        &self.queues[(priority & 255) as usize]
    }

    fn best(&self) -> u32 {
        let [a, b, c, d] = self.map;
        if a != 0 {
            a.leading_zeros()
        } else if b != 0 {
            64 + b.leading_zeros()
        } else if c != 0 {
            128 + c.leading_zeros()
        } else {
            // No bit set: 64 zeros, the end.
            192 + d.leading_zeros()
        }
    }

    fn mark(&mut self, priority: u32, filled: bool) {
        let bit = 1 << (63 - (priority & 63));
        if let Some(word) = self.map.get_mut((priority as usize / 64) & 3) {
            *word = if filled { *word | bit } else { *word & !bit };
        }
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The context that a thread holds.
    #[must_use]
    pub fn context_of(&self, thread: TcbRef) -> Option<ContextRef> {
        let t = self.tcb(thread);
        let word = t.header.word.get();
        if self.is_current(thread) {
            self.cpu.context
        } else if word & flag::LENT != 0 || word & (flag::PASSIVE | flag::BORROWS) == flag::PASSIVE
        {
            None
        } else {
            t.context.get()
        }
    }

    /// Who holds a context. Where a call has not written down that its owner
    /// has it back, it is the owner.
    #[must_use]
    pub fn holder_of(&self, context: ContextRef) -> Option<TcbRef> {
        if self.cpu.context == Some(context) {
            return self.cpu.current;
        }
        let c = self.context(context);
        let holds = |thread: &TcbRef| self.context_of(*thread) == Some(context);
        c.holder
            .get()
            .filter(holds)
            .or_else(|| c.owner.get().filter(holds))
    }

    /// Gives a thread that is not running a context to hold, or none.
    pub(crate) fn hold(&mut self, thread: TcbRef, context: Option<ContextRef>) {
        self.tcb(thread).context.set(context);
        if let Some(context) = context {
            self.context(context).holder.set(Some(thread));
        }
    }

    /// Puts a ready thread into its queue.
    pub(crate) fn enqueue(&mut self, thread: TcbRef, front: bool) {
        let t = self.store.tcb(thread);
        let priority = t.priority.get();
        t.header.set(flag::QUEUED);
        let q = self.cpu.ready.queue(priority);
        if front {
            queue::push_front(&self.store, q, thread);
        } else {
            queue::push_back(&self.store, q, thread);
        }
        self.cpu.ready.mark(priority, true);
        self.cpu.best = self.cpu.best.min(priority);
    }

    /// Takes a thread out of its ready queue.
    pub(crate) fn dequeue(&mut self, thread: TcbRef) {
        let t = self.store.tcb(thread);
        let priority = t.priority.get();
        t.header.clear(flag::QUEUED);
        let q = self.cpu.ready.queue(priority);
        queue::remove(&self.store, q, thread);
        if q.is_empty() {
            self.cpu.ready.mark(priority, false);
            self.cpu.best = self.cpu.ready.best();
        }
    }

    /// Lets a thread that is in no queue run when it has the means and its turn
    /// comes: before others of its priority if it is `first`, because the running
    /// one hands it the processor.
    pub(crate) fn make_ready(&mut self, thread: TcbRef, first: bool) {
        self.tcb(thread).set_state(State::Ready);
        self.admit(thread, first);
    }

    /// Queues a ready thread that is not queued, if it holds a context with
    /// budget; else arranges for the refill.
    pub(crate) fn admit(&mut self, thread: TcbRef, front: bool) {
        match self.context_of(thread) {
            Some(context) => {
                if self.refill(context) {
                    self.enqueue(thread, front);
                } else {
                    self.await_refill(context, thread);
                }
            }
            // What it borrowed is gone, unless it lent it on and will get it back.
            None => {
                let t = self.tcb(thread);
                if t.has(flag::BORROWS) && !t.has(flag::LENT) {
                    self.lost_context(thread);
                }
            }
        }
    }

    /// Fills a budget that is used up, if the last time was a period ago;
    /// whether budget is left.
    pub(crate) fn refill(&mut self, context: ContextRef) -> bool {
        let c = self.context(context);
        if c.left.get() != 0 {
            return true;
        }
        let now = self.machine.now();
        if now < c.refill_at.get() || !c.is_configured() {
            return false;
        }
        c.used.set(c.time_used());
        c.left.set(c.budget.get());
        c.refill_at.set(now.saturating_add(c.period.get()));
        if self.cpu.context == Some(context) {
            self.start(context);
        }
        true
    }

    fn await_refill(&mut self, context: ContextRef, thread: TcbRef) {
        let c = self.store.context(context);
        c.holder.set(Some(thread));
        if c.timer.height.get() == 0 && c.is_configured() {
            let at = c.refill_at.get();
            self.cpu.timers.insert(&self.store, context.into(), at);
        }
    }

    /// Writes down what is left of the running thread's budget.
    pub(crate) fn charge(&mut self) {
        let now = self.machine.now();
        if let Some(context) = self.cpu.context {
            let left = self.cpu.budget_end.saturating_sub(now);
            self.context(context).left.set(left);
        }
    }

    /// Makes `context`, which has budget left, the one that is used up from now
    /// on.
    pub(crate) fn start(&mut self, context: ContextRef) {
        self.cpu.context = Some(context);
        let left = self.context(context).left.get();
        self.cpu.budget_end = self.machine.now().saturating_add(left);
    }

    /// Takes the processor from the running thread; it keeps its context.
    pub(crate) fn stop_running(&mut self) {
        if let Some(current) = self.cpu.current.take() {
            let context = self.cpu.context.take();
            if let Some(context) = context {
                let left = self.cpu.budget_end.saturating_sub(self.machine.now());
                self.context(context).left.set(left);
            }
            self.hold(current, context);
        }
    }

    /// The running thread stops to wait in `state`.
    pub(crate) fn block(&mut self, state: State) {
        if let Some(current) = self.cpu.current {
            self.stop_running();
            self.tcb(current).set_state(state);
        }
    }

    /// Decides who runs next, and for when the timer must be set. Ends every
    /// entry into the kernel.
    pub fn reschedule(&mut self) {
        while self.raise_lost() {}
        // A passive server that has replied has nothing left to run on.
        if let Some(current) = self.cpu.current
            && (self.cpu.context.is_none() || self.tcb(current).priority.get() > self.cpu.best)
        {
            self.stop_running();
            self.admit(current, true);
        }
        while self.cpu.current.is_none() && self.cpu.best != Ready::NONE {
            let Some(next) = self.cpu.ready.queue(self.cpu.best).first() else {
                break;
            };
            self.dequeue(next);
            self.run(next);
        }
        self.set_timer();
    }

    /// Gives the processor to a ready thread, if it still holds a context with
    /// budget.
    fn run(&mut self, next: TcbRef) {
        let Some(context) = self.context_of(next) else {
            return;
        };
        if !self.refill(context) {
            return self.await_refill(context, next);
        }
        self.cpu.current = Some(next);
        self.start(context);
    }

    pub(crate) fn set_timer(&mut self) {
        let mut at = match self.cpu.timers.first(&self.store) {
            Some(first) => self.store.timer(first).at.get(),
            None => u64::MAX,
        };
        if self.cpu.context.is_some() {
            at = at.min(self.cpu.budget_end);
        }
        if at != self.cpu.timer_set {
            self.cpu.timer_set = at;
            self.machine.set_timer(at);
        }
    }

    /// The running thread goes behind the others of its priority.
    pub(crate) fn yield_now(&mut self) {
        if let Some(current) = self.cpu.current {
            self.stop_running();
            self.admit(current, false);
        }
    }

    /// Most due nodes that one timer interrupt handles; the rest follow in the
    /// next, so that the time without interrupts is bounded.
    const DUE_PER_INTERRUPT: u32 = 4;

    /// The timer interrupt: charges, refills, ends waits whose deadline passed.
    pub fn timer_interrupt(&mut self) {
        // It stays pending until it is set anew, even if there is nothing to set
        // it for.
        self.cpu.timer_set = 0;
        self.charge();
        if let (Some(current), Some(context)) = (self.cpu.current, self.cpu.context)
            && self.context(context).left.get() == 0
        {
            if self.refill(context) {
                self.yield_now();
            } else if self.tcb(current).has(flag::BORROWS) {
                self.timeout_fault();
            } else {
                self.stop_running();
                self.await_refill(context, current);
            }
        }
        let now = self.machine.now();
        for _ in 0..Self::DUE_PER_INTERRUPT {
            let Some(first) = self.cpu.timers.first(&self.store) else {
                break;
            };
            if self.store.timer(first).at.get() > now {
                break;
            }
            self.cpu.timers.remove(&self.store, first);
            // Both kinds begin with a header, whose tag tells them apart.
            let Some(object) = crate::handle::ObjectRef::from_raw(first.raw()) else {
                break;
            };
            if self.header(object).is(crate::object::Tag::Tcb) {
                self.deadline(object.into());
            } else {
                self.refilled(object.into());
            }
        }
    }

    /// A context whose budget was used up begins a new period.
    fn refilled(&mut self, context: ContextRef) {
        if let Some(holder) = self.holder_of(context)
            && !self.is_current(holder)
        {
            let t = self.tcb(holder);
            if t.state() == State::Ready && !t.has(flag::QUEUED) {
                self.admit(holder, false);
            }
        }
    }

    /// Sets the deadline of a thread that waits.
    pub(crate) fn set_deadline(&mut self, thread: TcbRef, at: u64) {
        self.tcb(thread).header.set(flag::TIMED);
        self.cpu.timers.insert(&self.store, thread.into(), at);
    }

    /// Forgets the deadline of a thread, if it has one.
    #[inline]
    pub(crate) fn clear_deadline(&mut self, thread: TcbRef) {
        if self.tcb(thread).has(flag::TIMED) {
            self.tcb(thread).header.clear(flag::TIMED);
            self.cpu.timers.remove(&self.store, thread.into());
        }
    }
}
