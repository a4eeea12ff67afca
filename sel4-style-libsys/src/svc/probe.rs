//! Instructions for tests and measurements: to fault on purpose, to see every
//! register on both sides of a call, to mark what is measured.

use core::arch::{asm, naked_asm};

/// Begins measurement `ID`: an instruction without effect, which a counter
/// outside recognises. `MARK` is `0x4000 | id`; the end is `0x5000 | id`.
#[inline(always)]
pub fn mark<const MARK: u16>() {
    // SAFETY: writes the zero register.
    unsafe {
        asm!("movz xzr, #{mark}", mark = const MARK, options(nomem, nostack, preserves_flags))
    };
}

/// The cycle counter. Under an emulator that counts instructions, each is a
/// cycle. Faults unless the boot image lets EL0 read counters.
#[inline(always)]
#[must_use]
pub fn cycles() -> u64 {
    let cycles;
    // SAFETY: reads a counter.
    unsafe {
        asm!("mrs {}, pmccntr_el0", out(reg) cycles, options(nomem, nostack, preserves_flags));
    }
    cycles
}

/// Loads eight bytes from anywhere.
#[inline(never)]
#[must_use]
pub fn load(address: u64) -> u64 {
    let mut value = 0;
    // SAFETY: a load changes nothing; without a mapping it faults, and the
    // handler decides. One that skips it leaves `value` zero.
    unsafe {
        asm!("ldr {value}, [{address}]", value = inout(reg) value, address = in(reg) address,
            options(nostack, preserves_flags));
    }
    value
}

/// Stores eight bytes anywhere but into the data and the stack of this
/// program; says whether it tried.
#[inline(never)]
pub fn store(address: u64, value: u64) -> bool {
    unsafe extern "C" {
        static __data_start: u8;
        static __data_end: u8;
    }
    const STACK_REACH: u64 = 1 << 20;
    let data = (&raw const __data_start).addr() as u64..(&raw const __data_end).addr() as u64;
    let stack = (&raw const value).addr() as u64;
    if data.contains(&address) || address.abs_diff(stack) < STACK_REACH {
        return false;
    }
    // SAFETY: what Rust may write lies in the data and on the stacks. The rest
    // is text, which is not writable, shared memory, or not mapped.
    unsafe {
        asm!("str {value}, [{address}]", value = in(reg) value, address = in(reg) address,
            options(nostack, preserves_flags));
    }
    true
}

/// Loads with exclusive access, which must be aligned.
#[inline(never)]
#[must_use]
pub fn load_exclusive(address: u64) -> u64 {
    let mut value = 0;
    // SAFETY: as in `load`.
    unsafe {
        asm!("ldxr {value}, [{address}]", "clrex", value = inout(reg) value,
            address = in(reg) address, options(nostack, preserves_flags));
    }
    value
}

/// Calls whatever lies at `address`.
///
/// Meant for addresses that cannot be fetched from; the handler of the fault
/// decides how it goes on.
#[inline(never)]
pub fn jump(address: u64) {
    // SAFETY: a fetch from memory that is not executable faults before anything
    // runs. All executable memory is this program's text.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

/// Executes an undefined instruction.
#[inline(never)]
pub fn undefined() {
    // SAFETY: the instruction does nothing but fault.
    unsafe { asm!("udf #0", options(nomem, nostack)) };
}

/// Executes `brk #CODE`, and goes on if the handler lets it.
#[inline(always)]
pub fn brk<const CODE: u16>() {
    // SAFETY: the instruction does nothing but fault.
    unsafe { asm!("brk #{code}", code = const CODE, options(nomem, nostack)) };
}

/// Writes an FP register.
#[inline(never)]
pub fn use_fp() {
    // `fmov s0, #2.0`, spelled so that the softfloat target assembles it.
    //
    // SAFETY: code for that target holds nothing in FP registers.
    unsafe { asm!(".inst 0x1e201000", options(nomem, nostack)) };
}

/// Reads a system register that EL0 may not read.
#[inline(never)]
#[must_use]
pub fn read_privileged() -> u64 {
    let mut value = 0;
    // SAFETY: the access is trapped.
    unsafe { asm!("mrs {}, ttbr1_el1", inout(reg) value, options(nomem, nostack)) };
    value
}

/// x0–x30, then NZCV, `TPIDR_EL0` and the stack pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AllRegisters {
    /// x0–x30.
    pub x: [u64; 31],
    /// Condition flags, `[31:28]`.
    pub nzcv: u64,
    /// `TPIDR_EL0`.
    pub thread_pointer: u64,
    /// Stack pointer; ignored on the way in.
    pub sp: u64,
}

/// Executes `svc #NUMBER` with every register set, and tells every register
/// afterwards; the difference of stack pointers is in `sp`.
#[must_use]
pub fn svc_all<const NUMBER: u16>(registers: &AllRegisters) -> AllRegisters {
    let mut after = AllRegisters::default();
    // SAFETY: the routine follows the calling convention; both references are
    // live for the call.
    unsafe { svc_with_registers::<NUMBER>(registers, &mut after) };
    after
}

/// Saves what the calling convention wants kept, loads x0–x30, makes the call,
/// stores x0–x30, restores. Across the `svc` only sp is known: it must come
/// back unchanged, as the kernel promises.
#[unsafe(naked)]
unsafe extern "C" fn svc_with_registers<const NUMBER: u16>(
    before: &AllRegisters,
    after: &mut AllRegisters,
) {
    naked_asm!(
        "sub  sp, sp, #144",
        "stp  x19, x20, [sp, #0]",
        "stp  x21, x22, [sp, #16]",
        "stp  x23, x24, [sp, #32]",
        "stp  x25, x26, [sp, #48]",
        "stp  x27, x28, [sp, #64]",
        "stp  x29, x30, [sp, #80]",
        "mrs  x2, tpidr_el0",
        "stp  x1, x2, [sp, #96]",
        "mov  x2, sp",
        "str  x2, [sp, #128]",
        "ldp  x2, x3, [x0, #248]",
        "msr  nzcv, x2",
        "msr  tpidr_el0, x3",
        "ldp  x2, x3, [x0, #16]",
        "ldp  x4, x5, [x0, #32]",
        "ldp  x6, x7, [x0, #48]",
        "ldp  x8, x9, [x0, #64]",
        "ldp  x10, x11, [x0, #80]",
        "ldp  x12, x13, [x0, #96]",
        "ldp  x14, x15, [x0, #112]",
        "ldp  x16, x17, [x0, #128]",
        "ldp  x18, x19, [x0, #144]",
        "ldp  x20, x21, [x0, #160]",
        "ldp  x22, x23, [x0, #176]",
        "ldp  x24, x25, [x0, #192]",
        "ldp  x26, x27, [x0, #208]",
        "ldp  x28, x29, [x0, #224]",
        "ldr  x30, [x0, #240]",
        "ldp  x0, x1, [x0]",
        "svc  #{number}",
        "stp  x0, x1, [sp, #112]",
        "ldr  x0, [sp, #96]",
        "stp  x2, x3, [x0, #16]",
        "stp  x4, x5, [x0, #32]",
        "stp  x6, x7, [x0, #48]",
        "stp  x8, x9, [x0, #64]",
        "stp  x10, x11, [x0, #80]",
        "stp  x12, x13, [x0, #96]",
        "stp  x14, x15, [x0, #112]",
        "stp  x16, x17, [x0, #128]",
        "stp  x18, x19, [x0, #144]",
        "stp  x20, x21, [x0, #160]",
        "stp  x22, x23, [x0, #176]",
        "stp  x24, x25, [x0, #192]",
        "stp  x26, x27, [x0, #208]",
        "stp  x28, x29, [x0, #224]",
        "str  x30, [x0, #240]",
        "mrs  x2, nzcv",
        "mrs  x3, tpidr_el0",
        "stp  x2, x3, [x0, #248]",
        "ldp  x2, x3, [sp, #112]",
        "stp  x2, x3, [x0]",
        "ldr  x2, [sp, #128]",
        "mov  x3, sp",
        "sub  x2, x3, x2",
        "str  x2, [x0, #264]",
        "ldr  x2, [sp, #104]",
        "msr  tpidr_el0, x2",
        "ldp  x19, x20, [sp, #0]",
        "ldp  x21, x22, [sp, #16]",
        "ldp  x23, x24, [sp, #32]",
        "ldp  x25, x26, [sp, #48]",
        "ldp  x27, x28, [sp, #64]",
        "ldp  x29, x30, [sp, #80]",
        "add  sp, sp, #144",
        "ret",
        number = const NUMBER,
    )
}
