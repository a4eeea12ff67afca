//! Scheduling contexts, and the node that ties them and threads to time.

use core::cell::Cell;

use super::Header;
use crate::handle::{TcbRef, TimerRef};

/// A node of the timer tree. It lies at the same offset in a TCB (its deadline)
/// and in a [`Context`] (its refill), so that one handle type reaches both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TimerNode {
    /// When, in counter ticks.
    pub at: Cell<u64>,
    /// Earlier nodes.
    pub left: Cell<Option<TimerRef>>,
    /// Later nodes.
    pub right: Cell<Option<TimerRef>>,
    /// Parent.
    pub parent: Cell<Option<TimerRef>>,
    /// Height of the subtree; 0 when the node is in no tree.
    pub height: Cell<u32>,
}

/// A scheduling context: a budget of processor time per period.
///
/// A budget that is used up is filled again at once if it was last filled a
/// period ago or longer, else when that period ends. Filling begins a period. So
/// in any window of one period at most twice the budget is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Context {
    /// Common header.
    pub header: Header,
    /// Thread it is bound to.
    pub owner: Cell<Option<TcbRef>>,
    /// Thread that holds it now, unless it is the running one.
    pub holder: Cell<Option<TcbRef>>,
    _pad: [u32; 3],
    /// Ticks left in this period.
    pub left: Cell<u64>,
    /// End of the period, in counter ticks.
    pub refill_at: Cell<u64>,
    /// Ticks used in all before this period.
    pub used: Cell<u64>,
    _pad2: u64,
    /// Refill, while the budget is used up and somebody waits for it.
    pub timer: TimerNode,
    _pad3: u64,
    /// Ticks per period.
    pub budget: Cell<u64>,
    /// Ticks; 0 means never configured.
    pub period: Cell<u64>,
}

impl Context {
    /// Ticks used in all, up to the last charge.
    #[must_use]
    pub fn time_used(&self) -> u64 {
        let now = self.budget.get().wrapping_sub(self.left.get());
        self.used.get().wrapping_add(now)
    }

    /// Whether budget and period were ever set.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.period.get() != 0
    }
}

const _: () = assert!(size_of::<Context>() <= 128);
const _: () = assert!(core::mem::offset_of!(Context, timer) == 64);
