//! The seam under every system call.
//!
//! [`RawCalls`] is what a kernel looks like from user space: registers in,
//! registers out, nothing interpreted. On the target it is `Svc`, a zero-sized
//! type whose calls are the `svc` instruction. On a host it is whatever a test
//! installs for the current thread, for example the real kernel core, so that
//! client and server code runs unchanged against it.
//!
//! Everything above this module is safe code in terms of these calls.

use gritos_abi::message::{CAP_SLOTS, DATA_WORDS};
use gritos_abi::{Address, CapsIn, Control, Outcome, Syscall};

#[cfg(not(target_os = "none"))]
pub mod host;

/// x0–x10 on the way into the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// x0–x7.
    pub words: [u64; DATA_WORDS],
    /// x8: the capability invoked in the lower half, the Reply in the upper.
    pub target: u64,
    /// x9.
    pub tag: u64,
    /// x10.
    pub control: Control,
}

impl Request {
    /// A message to `target`.
    #[must_use]
    #[inline(always)]
    pub const fn new(
        target: Address,
        tag: u64,
        words: [u64; DATA_WORDS],
        control: Control,
    ) -> Self {
        Self {
            words,
            target: target.0 as u64,
            tag,
            control,
        }
    }

    /// Names the Reply that is answered or armed.
    #[must_use]
    #[inline(always)]
    pub const fn with_reply(mut self, reply: Address) -> Self {
        self.target = self.target & 0xffff_ffff | (reply.0 as u64) << 32;
        self
    }
}

/// x0–x17 on the way out of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// x0–x7.
    pub words: [u64; DATA_WORDS],
    /// x8: badge in the lower half, rights in the upper, of the capability that
    /// the sender used.
    pub sender: u64,
    /// x9.
    pub tag: u64,
    /// x10.
    pub outcome: Outcome,
    /// x11–x14: badge and rights of each capability that came.
    pub caps: [u64; CAP_SLOTS],
    /// x15: how each of them came.
    pub arrivals: u64,
    /// x16 and x17, which the kernel leaves zero.
    pub zero: [u64; 2],
}

/// A kernel, seen from a thread.
///
/// `short` and `full` differ only in what goes in: a message without
/// capabilities and without a deadline leaves x11–x17 alone, which is what
/// keeps an ordinary call at a handful of instructions.
pub trait RawCalls {
    /// Makes a system call with x0–x10.
    fn short(&self, call: Syscall, request: Request) -> Returned;

    /// Makes a system call with x0–x17; `deadline` is read only if the control
    /// word says so.
    fn full(&self, call: Syscall, request: Request, caps: CapsIn, deadline: u64) -> Returned;

    /// The current value of the system counter, in ticks.
    fn counter(&self) -> u64;

    /// Ticks of the system counter per second.
    fn counter_hz(&self) -> u64;
}

/// The kernel that the calling thread runs on.
#[cfg(target_os = "none")]
#[must_use]
#[inline(always)]
pub const fn kernel() -> crate::svc::Svc {
    crate::svc::Svc
}

/// The kernel that the calling thread runs on.
#[cfg(not(target_os = "none"))]
#[must_use]
pub const fn kernel() -> host::Installed {
    host::Installed
}
