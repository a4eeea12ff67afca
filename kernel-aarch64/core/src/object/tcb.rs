//! Thread control blocks.

use core::cell::Cell;

use super::{Header, SLOT_UNITS, Slot, TimerNode};
use crate::handle::{ContextRef, NotificationRef, ReplyRef, SlotRef, TcbRef};

/// What a thread is doing; bits 17–19 of the header word.
///
/// The numbers make the common changes of state and flags runs of adjacent
/// bits, which one instruction toggles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum State {
    /// Never resumed, or suspended.
    Inactive = 0,
    /// Running, or able to as soon as it has budget and its turn comes.
    Ready = 1 << 17,
    /// Waiting for the answer of a Reply.
    Reply = 2 << 17,
    /// Queued on an endpoint as a caller, or as a faulted thread.
    Send = 3 << 17,
    /// Ended for good.
    Terminated = 4 << 17,
    /// Queued on an endpoint as a receiver.
    Receive = 5 << 17,
    /// Queued on a notification.
    Wait = 6 << 17,
    /// Sleeping until its deadline.
    Sleep = 7 << 17,
}

/// Bits of the header word of a TCB.
///
/// What the fast path asks for lies in bits 16–23, where one instruction can
/// compare any combination; bits 8–13 are clear in a running thread.
pub mod flag {
    /// Mask of the [`State`](super::State).
    pub const STATE: u32 = 7 << 17;
    /// Its context is lent to a server.
    pub const LENT: u32 = 1 << 16;
    /// Waits to receive with a Reply armed.
    pub const ARMED: u32 = 1 << 20;
    /// Runs on a borrowed context.
    pub const BORROWS: u32 = 1 << 21;
    /// No context of its own is bound: runs on its callers'.
    pub const PASSIVE: u32 = 1 << 22;
    /// May use FP and SIMD registers.
    pub const FP: u32 = 1 << 23;
    /// Has a deadline in the timer tree.
    pub const TIMED: u32 = 1 << 8;
    /// Is in a ready queue.
    pub const QUEUED: u32 = 1 << 9;
    /// Its message is a fault, not a Call.
    pub const FAULTED: u32 = 1 << 10;
    /// The reply half of a `ReplyRecv` is done; its receive starts anew.
    pub const REPLIED: u32 = 1 << 11;
    /// Found the context that it borrowed gone: queued to fault for it.
    pub const LOST: u32 = 1 << 13;
    /// Its FP registers lie in the TCB and must be restored.
    pub const FP_SAVED: u32 = 1 << 12;
}

/// Where the number of slots begins in [`Tcb::root`].
const ROOT_LEN_SHIFT: u32 = 47;

/// The registers of a thread that is not running.
///
/// In the order in which the entry code saves them: what a call preserves
/// fills two cache lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// x19–x30.
    pub preserved: [Cell<u64>; 12],
    /// Stack pointer.
    pub sp: Cell<u64>,
    /// Program counter.
    pub pc: Cell<u64>,
    /// `TPIDR_EL0`.
    pub thread_pointer: Cell<u64>,
    /// x18.
    pub x18: Cell<u64>,
    /// The control word of the receive or call that it waits in: its window.
    pub window: Cell<u64>,
    /// `SPSR_EL1`.
    pub pstate: Cell<u64>,
    /// x0–x17.
    pub x: [Cell<u64>; 18],
    /// `FPCR` in the low half, `FPSR` in the high half.
    pub fp_control: Cell<u64>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tcb {
    /// Common header; state and [`flag`]s in its word.
    pub header: Header,
    /// Priority, 0 highest.
    pub priority: Cell<u32>,
    /// Next in the queue that the thread is in.
    pub next: Cell<Option<TcbRef>>,
    /// Previous in that queue; none at its head.
    pub prev: Cell<Option<TcbRef>>,
    /// Root CNode: number of slots `[63:47]`, handle of the first `[31:0]`.
    pub root: Cell<u64>,
    /// The context it holds; see `Kernel::context_of` for when this is valid.
    pub context: Cell<Option<ContextRef>>,
    /// The Reply armed by its last receive.
    pub armed: Cell<Option<ReplyRef>>,
    /// The Reply whose answer it waits for.
    pub awaits: Cell<Option<ReplyRef>>,
    /// Who lent the context it borrows; none if the lender is gone.
    pub donor: Cell<Option<TcbRef>>,
    /// Translation table base and ASID, ready for `TTBR0_EL1`.
    pub ttbr0: Cell<u64>,
    /// Notification bound to it.
    pub notification: Cell<Option<NotificationRef>>,
    /// Handle of the endpoint or notification it is queued on.
    pub queued_on: Cell<u32>,
    /// Its deadline.
    pub timer: TimerNode,
    /// Badge of the endpoint capability it sends through.
    pub badge: Cell<u32>,
    /// Rights of that capability, until it has its answer.
    pub rights: Cell<u32>,
    /// Highest priority it can hand out.
    pub ceiling: Cell<u32>,
    /// To whom its context is lent, while `LENT`.
    pub borrower: Cell<Option<TcbRef>>,
    /// List of threads of its address space.
    pub space_next: Cell<Option<TcbRef>>,
    /// See [`space_next`](Self::space_next).
    pub space_prev: Cell<Option<TcbRef>>,
    /// Kind of its fault, a `gritos_abi::fault::FaultKind` number.
    pub fault_kind: Cell<u32>,
    /// Syndrome of its fault.
    pub fault_syndrome: Cell<u32>,
    /// Address of its fault.
    pub fault_address: Cell<u64>,
    /// Its registers.
    pub frame: Frame,
    /// Never written: registers are cleared from here.
    pub zeros: [u64; 3],
    /// Root CNode, AddressSpace and fault endpoint.
    pub slots: [Slot; 3],
}

/// A loop written out: the kernel is built without loop unrolling, and every
/// call passes here.
macro_rules! each {
    ($i:ident in $($n:literal)*: $body:expr) => {
        $({
            #[expect(non_upper_case_globals, reason = "stands for a variable of the loop")]
            const $i: usize = $n;
            $body;
        })*
    };
}

impl Tcb {
    /// What the thread is doing.
    #[inline(always)]
    #[must_use]
    pub fn state(&self) -> State {
        match self.header.word.get() >> 17 & 7 {
            0 => State::Inactive,
            1 => State::Ready,
            2 => State::Reply,
            3 => State::Send,
            4 => State::Terminated,
            5 => State::Receive,
            6 => State::Wait,
            _ => State::Sleep,
        }
    }

    /// Changes what the thread is doing.
    #[inline(always)]
    pub fn set_state(&self, state: State) {
        self.header
            .word
            .set(self.header.word.get() & !flag::STATE | state as u32);
    }

    /// Whether all these flags are set.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, flags: u32) -> bool {
        self.header.has(flags)
    }

    /// Number of the handle of slot `index` of the root CNode, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn root_slot(&self, index: u32) -> Option<u32> {
        let root = self.root.get();
        if u64::from(index) >= root >> ROOT_LEN_SHIFT {
            return None;
        }
        Some((root as u32).wrapping_add(index.wrapping_mul(SLOT_UNITS)))
    }

    /// Sets the root CNode: its first slot and the number of slots.
    pub fn set_root(&self, first: Option<SlotRef>, len: u32) {
        let first = first.map_or(0, SlotRef::raw);
        self.root
            .set(u64::from(len) << ROOT_LEN_SHIFT | u64::from(first));
    }

    /// Register x`N`, `N` at most 17.
    #[inline(always)]
    #[must_use]
    pub fn x<const N: usize>(&self) -> u64 {
        const { assert!(N < 18) };
        #[expect(clippy::indexing_slicing, reason = "checked at compile time")]
        self.frame.x[N].get()
    }

    /// Sets register x`N`, `N` at most 17.
    #[inline(always)]
    pub fn set_x<const N: usize>(&self, value: u64) {
        const { assert!(N < 18) };
        #[expect(clippy::indexing_slicing, reason = "checked at compile time")]
        self.frame.x[N].set(value);
    }

    /// Clears x11–x17.
    #[inline]
    pub fn clear_caps(&self) {
        each!(i in 11 12 13 14 15 16 17: self.set_x::<i>(0));
    }

    /// Sets x0, and clears x1–x7.
    #[inline]
    pub fn set_only_word(&self, word: u64) {
        self.set_x::<0>(word);
        each!(i in 1 2 3 4 5 6 7: self.set_x::<i>(0));
    }

    /// Takes x0–x7 from another thread.
    #[inline]
    pub fn copy_words(&self, from: &Self) {
        each!(i in 0 1 2 3 4 5 6 7: self.set_x::<i>(from.x::<i>()));
    }

    /// Register by its number in `ReadRegisters`.
    #[must_use]
    pub fn register(&self, number: u64) -> Option<&Cell<u64>> {
        let number = usize::try_from(number).ok()?;
        match number {
            0..=17 => self.frame.x.get(number),
            18 => Some(&self.frame.x18),
            19..=30 => self.frame.preserved.get(number - 19),
            31 => Some(&self.frame.sp),
            32 => Some(&self.frame.pc),
            33 => Some(&self.frame.pstate),
            34 => Some(&self.frame.thread_pointer),
            _ => None,
        }
    }
}

impl TcbRef {
    /// Slot of the root CNode (0), the AddressSpace (1), the fault endpoint (2).
    #[must_use]
    pub fn slot(self, index: u32) -> Option<SlotRef> {
        SlotRef::from_raw(self.raw().wrapping_add(SLOTS_UNITS + SLOT_UNITS * index))
    }

    /// The thread that embedded slot `index` belongs to.
    #[must_use]
    pub fn of_slot(slot: SlotRef, index: u32) -> Option<Self> {
        Self::from_raw(slot.raw().wrapping_sub(SLOTS_UNITS + SLOT_UNITS * index))
    }
}

const SLOTS_UNITS: u32 = (core::mem::offset_of!(Tcb, slots) / 16) as u32;

/// Offset of the FP registers v0–v31 behind the TCB proper, for the entry code.
pub const FP_OFFSET: usize = 640;
/// Bytes of a TCB with its FP registers.
const TCB_BYTES: usize = 1152;

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Tcb, timer) == 64);
    assert!(offset_of!(Tcb, frame) == 128 && offset_of!(Frame, x) == 144);
    assert!(offset_of!(Tcb, slots) == 448 && size_of::<Tcb>() == FP_OFFSET);
    assert!(FP_OFFSET + 512 == TCB_BYTES);
};
