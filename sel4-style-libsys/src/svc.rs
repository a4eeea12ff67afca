//! The instructions that Rust has no words for: `svc`, reading the counter,
//! cache maintenance, `brk`.
//!
//! This is the only inline assembly of user space, with its submodules for
//! measurements and tests. Everything is `#[inline(always)]`: with a constant call number the
//! `match` in [`Svc::short`] folds to one `svc`, and results that the caller
//! ignores cost nothing.

use core::arch::asm;

use gritos_abi::{CapsIn, Outcome, Syscall};

use crate::raw::{RawCalls, Request, Returned};

#[cfg(feature = "probe")]
pub mod probe;
pub mod retired;

/// The kernel under this task.
#[derive(Clone, Copy, Debug, Default)]
pub struct Svc;

/// The `svc` instruction with its operands.
///
/// - `inlateout("x0")` … `inlateout("x10")`: the message goes in and another
///   one comes out of the same registers. *late*, because every input is
///   consumed before any output is written: both happen in the kernel.
/// - x11–x17: outputs always, because the kernel zeroes or fills them; inputs
///   only in the long form. An output that nobody reads is a clobber.
/// - x18–x30, sp and `TPIDR_EL0` are preserved by the kernel and not named.
/// - v0–v31 do not survive a call that blocks or switches. They are clobbers;
///   on the softfloat target they do not exist and the names cost nothing.
/// - `nostack`: the kernel uses its own stack.
/// - Not `nomem`, not `readonly`: the other side of a message may have changed
///   memory that both can see, so no value may be kept across the call.
/// - Not `preserves_flags`: NZCV comes back zero.
macro_rules! svc {
    ($number:expr, $r:ident, $x11:ident $x12:ident $x13:ident $x14:ident $x15:ident $x16:ident
        $x17:ident: $($x11_to_x17:tt)*) => {{
        let [mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6, mut x7] = $r.words;
        let (mut x8, mut x9, mut x10) = ($r.target, $r.tag, $r.control.0);
        let ($x11, $x12, $x13, $x14): (u64, u64, u64, u64);
        let ($x15, $x16, $x17): (u64, u64, u64);
        // SAFETY: the kernel never touches user memory; the registers that it
        // changes are the operands and clobbers below. What a call does to
        // memory (Unmap, Revoke, WriteRegisters) is decided by the
        // capabilities of the objects concerned, whose owners answer for it.
        unsafe {
            asm!(
                "svc #{number}",
                number = const $number,
                inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2,
                inlateout("x3") x3, inlateout("x4") x4, inlateout("x5") x5,
                inlateout("x6") x6, inlateout("x7") x7, inlateout("x8") x8,
                inlateout("x9") x9, inlateout("x10") x10,
                $($x11_to_x17)*
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                out("v8") _, out("v9") _, out("v10") _, out("v11") _,
                out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                out("v20") _, out("v21") _, out("v22") _, out("v23") _,
                out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                options(nostack),
            );
        }
        Returned {
            words: [x0, x1, x2, x3, x4, x5, x6, x7],
            sender: x8,
            tag: x9,
            outcome: Outcome(x10),
            caps: [$x11, $x12, $x13, $x14],
            arrivals: $x15,
            zero: [$x16, $x17],
        }
    }};
}

impl Svc {
    /// `svc #NUMBER` with x0–x10, also with numbers that are no system call.
    #[inline(always)]
    #[must_use]
    pub fn trap<const NUMBER: u16>(r: Request) -> Returned {
        svc!(NUMBER, r, x11 x12 x13 x14 x15 x16 x17:
            lateout("x11") x11, lateout("x12") x12, lateout("x13") x13, lateout("x14") x14,
            lateout("x15") x15, lateout("x16") x16, lateout("x17") x17,)
    }

    /// `svc #NUMBER` with x0–x17.
    #[inline(always)]
    #[must_use]
    pub fn trap_full<const NUMBER: u16>(r: Request, caps: CapsIn, deadline: u64) -> Returned {
        svc!(NUMBER, r, x11 x12 x13 x14 x15 x16 x17:
            inlateout("x11") caps.slots[0] => x11, inlateout("x12") caps.slots[1] => x12,
            inlateout("x13") caps.slots[2] => x13, inlateout("x14") caps.slots[3] => x14,
            inlateout("x15") caps.badges[0] => x15, inlateout("x16") caps.badges[1] => x16,
            inlateout("x17") deadline => x17,)
    }
}

/// Chooses the instruction by the number of the call.
macro_rules! by_number {
    ($call:expr, $trap:ident, $($argument:expr),*) => {
        match $call {
            Syscall::Call => Self::$trap::<{ Syscall::Call as u16 }>($($argument),*),
            Syscall::ReplyRecv => Self::$trap::<{ Syscall::ReplyRecv as u16 }>($($argument),*),
            Syscall::SendAsync => Self::$trap::<{ Syscall::SendAsync as u16 }>($($argument),*),
            Syscall::Recv => Self::$trap::<{ Syscall::Recv as u16 }>($($argument),*),
            Syscall::Poll => Self::$trap::<{ Syscall::Poll as u16 }>($($argument),*),
            Syscall::Reply => Self::$trap::<{ Syscall::Reply as u16 }>($($argument),*),
            Syscall::Yield => Self::$trap::<{ Syscall::Yield as u16 }>($($argument),*),
            Syscall::DebugPutchar => {
                Self::$trap::<{ Syscall::DebugPutchar as u16 }>($($argument),*)
            }
        }
    };
}

impl RawCalls for Svc {
    #[inline(always)]
    fn short(&self, call: Syscall, request: Request) -> Returned {
        by_number!(call, trap, request)
    }

    #[inline(always)]
    fn full(&self, call: Syscall, request: Request, caps: CapsIn, deadline: u64) -> Returned {
        by_number!(call, trap_full, request, caps, deadline)
    }

    #[inline(always)]
    fn counter(&self) -> u64 {
        let ticks;
        // The ISB keeps the read from being done early, among instructions
        // before it (Arm ARM, "The Generic Timer": reads of the counter are
        // not ordered with other instructions).
        //
        // SAFETY: both instructions touch no memory and only the output
        // register; the kernel lets EL0 read the virtual counter.
        unsafe {
            asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks,
                options(nomem, nostack, preserves_flags));
        }
        ticks
    }

    #[inline(always)]
    fn counter_hz(&self) -> u64 {
        let hz;
        // SAFETY: reads a constant register that EL0 may read.
        unsafe {
            asm!("mrs {}, cntfrq_el0", out(reg) hz,
                options(pure, nomem, nostack, preserves_flags));
        }
        hz
    }
}

/// Makes code written to `len` bytes at `start` visible to instruction fetch on every
/// processor (Arm ARM, "Concurrent modification and execution of
/// instructions"): clean each line to the point of unification, invalidate it
/// in the instruction caches.
pub(crate) fn synchronize_code(start: usize, len: usize) {
    // Lines are at least 16 bytes; stepping by a smaller line than the
    // processor has only repeats work.
    const LINE_BYTES: usize = 16;
    for line in (start..start + len).step_by(LINE_BYTES) {
        // SAFETY: cleaning a line changes no contents; where nothing is mapped
        // it faults.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    for line in (start..start + len).step_by(LINE_BYTES) {
        // SAFETY: as above, for the instruction cache.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Stops the thread with a breakpoint fault that carries `CODE`.
#[inline(always)]
pub fn breakpoint<const CODE: u16>() -> ! {
    loop {
        // SAFETY: the fault goes to the handler of this thread. One that
        // continues behind the instruction comes back to it.
        unsafe { asm!("brk #{code}", code = const CODE, options(nomem, nostack)) };
    }
}

/// Stops the thread with a breakpoint fault that carries `CODE`, with `words` in
/// x0 to x30.
pub fn last_words<const CODE: u16>(words: &[u64; 31]) -> ! {
    // The block does not return, so that it may use every register, also those
    // that the compiler keeps for itself.
    //
    // SAFETY: it reads the array that x30 points to and nothing else; the fault
    // goes to the handler of this thread, and one that continues behind the
    // instruction comes back to it.
    unsafe {
        asm!(
            "ldp x0, x1, [x30]",
            "ldp x2, x3, [x30, #16]",
            "ldp x4, x5, [x30, #32]",
            "ldp x6, x7, [x30, #48]",
            "ldp x8, x9, [x30, #64]",
            "ldp x10, x11, [x30, #80]",
            "ldp x12, x13, [x30, #96]",
            "ldp x14, x15, [x30, #112]",
            "ldp x16, x17, [x30, #128]",
            "ldp x18, x19, [x30, #144]",
            "ldp x20, x21, [x30, #160]",
            "ldp x22, x23, [x30, #176]",
            "ldp x24, x25, [x30, #192]",
            "ldp x26, x27, [x30, #208]",
            "ldp x28, x29, [x30, #224]",
            "ldr x30, [x30, #240]",
            "2: brk #{code}",
            "b 2b",
            code = const CODE,
            in("x30") words,
            options(noreturn),
        )
    }
}
