//! Fault messages and the replies that repair, resume or end a thread.
//!
//! A fault arrives as a message of kind
//! [`Fault`](crate::message::Kind::Fault) with tag [`FaultKind`] and
//! MR0 = address, MR1 = pc, MR2 = sp, MR3 = syndrome (`ESR_EL1`), MR4 = flags.
//! The badge of the fault endpoint's capability, in x8, tells which thread it
//! was. The tag of the reply is a [`FaultReply`].

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum FaultKind {
    /// A load or store that no mapping allows.
    DataAbort = 0,
    /// An instruction fetch that no mapping allows.
    InstructionAbort = 1,
    /// An undefined or forbidden instruction.
    Undefined = 2,
    /// A misaligned pc or sp, or an access that must be aligned.
    Alignment = 3,
    /// A BRK instruction; the immediate is in the syndrome.
    Breakpoint = 4,
    /// An FP or SIMD instruction in a thread without
    /// [`TCB_FLAG_FP`](crate::method::TCB_FLAG_FP).
    FpAccess = 5,
    /// An asynchronous external abort.
    SError = 6,
    /// The borrowed scheduling context ran out or was destroyed.
    Timeout = 7,
    /// Any other exception.
    Other = 8,
}

/// What the handler wants done; the tag of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum FaultReply {
    /// Run the same instruction again.
    Retry = 0,
    /// Go on behind the instruction (pc + 4).
    Skip = 1,
    /// Go on at pc = MR0 with sp = MR1.
    Jump = 2,
    /// Suspend the thread; also what any unknown tag does.
    Suspend = 3,
    /// End the thread for good.
    Kill = 4,
}
