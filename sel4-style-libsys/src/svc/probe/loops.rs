//! Threads for the other side of a measurement: a handful of instructions, no
//! stack, no data, so that an AddressSpace with nothing but this program's text
//! can hold them, and what they execute is known to the instruction.
//!
//! Each begins with x0 = x8 of its calls, x1 = x10 of its calls, and does not
//! return. The constant beside each is what one round of it executes, its `svc`
//! included.

use core::arch::naked_asm;

use gritos_abi::fault::FaultReply;
use gritos_abi::{Control, Syscall};

/// What these functions are to a thread builder.
pub type Loop = extern "C" fn() -> !;

/// Instructions of a round of [`echo`].
pub const ECHO: u64 = 4;

/// Receives, then answers each call with its own words.
#[unsafe(naked)]
pub extern "C" fn echo() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mov x21, x1",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{recv}",
        "2:",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{reply_recv}",
        "b 2b",
        recv = const Syscall::Recv as u16,
        reply_recv = const Syscall::ReplyRecv as u16,
    )
}

/// Instructions of a round of [`echo_timed`].
pub const ECHO_TIMED: u64 = 5;

/// As [`echo`], with a deadline of tick 2^62 in every receive.
#[unsafe(naked)]
pub extern "C" fn echo_timed() -> ! {
    naked_asm!(
        "mov x20, x0",
        "orr x21, x1, #{deadline}",
        "mov x8, x20",
        "mov x10, x21",
        "mov x17, #0x4000000000000000",
        "svc #{recv}",
        "2:",
        "mov x8, x20",
        "mov x10, x21",
        "mov x17, #0x4000000000000000",
        "svc #{reply_recv}",
        "b 2b",
        deadline = const Control::DEADLINE,
        recv = const Syscall::Recv as u16,
        reply_recv = const Syscall::ReplyRecv as u16,
    )
}

/// Instructions of a round of [`echo_fp`].
pub const ECHO_FP: u64 = 5;

/// As [`echo`], with an FP instruction in every round.
#[unsafe(naked)]
pub extern "C" fn echo_fp() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mov x21, x1",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{recv}",
        "2:",
        ".inst 0x1e201000",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{reply_recv}",
        "b 2b",
        recv = const Syscall::Recv as u16,
        reply_recv = const Syscall::ReplyRecv as u16,
    )
}

/// Receives, then answers each call with the cycle counter as it was on
/// arrival; ends measurement `ID` there.
#[unsafe(naked)]
pub extern "C" fn stamp<const ID: u16>() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mov x21, x1",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{recv}",
        "2:",
        "mrs x0, pmccntr_el0",
        "movz xzr, #{mark} | 0x5000",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{reply_recv}",
        "b 2b",
        mark = const ID,
        recv = const Syscall::Recv as u16,
        reply_recv = const Syscall::ReplyRecv as u16,
    )
}

/// Instructions of a round of [`wait`].
pub const WAIT: u64 = 4;

/// Waits for the bits of a notification, for ever.
#[unsafe(naked)]
pub extern "C" fn wait() -> ! {
    naked_asm!(
        "mov x20, x0",
        "2:",
        "mov x8, x20",
        "mov x10, xzr",
        "svc #{recv}",
        "b 2b",
        recv = const Syscall::Recv as u16,
    )
}

/// Instructions of a round of [`skip_faults`].
pub const SKIP_FAULTS: u64 = 5;

/// Handles faults: continues each behind its instruction.
#[unsafe(naked)]
pub extern "C" fn skip_faults() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mov x21, x1",
        "mov x8, x20",
        "mov x10, x21",
        "svc #{recv}",
        "2:",
        "mov x8, x20",
        "mov x9, #{skip}",
        "mov x10, x21",
        "svc #{reply_recv}",
        "b 2b",
        skip = const FaultReply::Skip as u64,
        recv = const Syscall::Recv as u16,
        reply_recv = const Syscall::ReplyRecv as u16,
    )
}

/// Instructions of a round of [`tick`].
pub const TICK: u64 = 6;

/// Sleeps, over and over, for as many ticks of the counter as x0 says.
#[unsafe(naked)]
pub extern "C" fn tick() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mov x21, #{control}",
        "2:",
        "mrs x17, cntvct_el0",
        "add x17, x17, x20",
        "mov x8, xzr",
        "mov x10, x21",
        "svc #{recv}",
        "b 2b",
        control = const Control::DEADLINE,
        recv = const Syscall::Recv as u16,
    )
}
