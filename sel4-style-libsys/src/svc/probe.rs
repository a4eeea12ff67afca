//! Instructions for tests and measurements: to fault on purpose, to see every
//! register on both sides of a call, to mark what is measured.

use core::arch::{asm, naked_asm};

use gritos_abi::{CapsIn, Outcome, Syscall};

use crate::raw::{Request, Returned};

pub mod loops;

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

/// A system call, and the cycle counter right before and right behind it.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// What came back.
    pub returned: Returned,
    /// The counter before.
    pub begin: u64,
    /// The counter behind.
    pub end: u64,
}

impl Timed {
    /// Cycles from one read to the other.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.end - self.begin
    }
}

/// Executes `svc #NUMBER` between two reads of the cycle counter, marked as
/// measurement `ID`.
#[inline(never)]
#[must_use]
pub fn timed<const NUMBER: u16, const ID: u16>(
    request: &Request,
    caps: &CapsIn,
    deadline: u64,
) -> Timed {
    let [
        mut x0,
        mut x1,
        mut x2,
        mut x3,
        mut x4,
        mut x5,
        mut x6,
        mut x7,
    ] = request.words;
    let (mut x8, mut x9, mut x10) = (request.target, request.tag, request.control.0);
    let [mut x11, mut x12, mut x13, mut x14] = caps.slots;
    let [mut x15, mut x16] = caps.badges;
    let mut x17 = deadline;
    let (begin, end): (u64, u64);
    // SAFETY: as for every system call, see `Svc`; the registers that keep the
    // counter values are among those that the kernel preserves.
    unsafe {
        asm!(
            "movz xzr, #{mark} | 0x4000",
            "mrs {begin}, pmccntr_el0",
            "svc #{number}",
            "mrs {end}, pmccntr_el0",
            "movz xzr, #{mark} | 0x5000",
            mark = const ID,
            number = const NUMBER,
            begin = out(reg) begin,
            end = out(reg) end,
            inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2, inlateout("x3") x3,
            inlateout("x4") x4, inlateout("x5") x5, inlateout("x6") x6, inlateout("x7") x7,
            inlateout("x8") x8, inlateout("x9") x9, inlateout("x10") x10,
            inlateout("x11") x11, inlateout("x12") x12, inlateout("x13") x13,
            inlateout("x14") x14, inlateout("x15") x15, inlateout("x16") x16,
            inlateout("x17") x17,
            options(nostack),
        );
    }
    let returned = Returned {
        words: [x0, x1, x2, x3, x4, x5, x6, x7],
        sender: x8,
        tag: x9,
        outcome: Outcome(x10),
        caps: [x11, x12, x13, x14],
        arrivals: x15,
        zero: [x16, x17],
    };
    Timed {
        returned,
        begin,
        end,
    }
}

/// As [`timed`] for a Call without capabilities, with an FP instruction before
/// the `svc`.
#[inline(never)]
#[must_use]
pub fn timed_fp_call<const ID: u16>(target: u64) -> u64 {
    let (begin, end): (u64, u64);
    // SAFETY: as in `timed`. Code for the softfloat target holds nothing in FP
    // registers.
    unsafe {
        asm!(
            "movz xzr, #{mark} | 0x4000",
            "mrs {begin}, pmccntr_el0",
            ".inst 0x1e201000",
            "svc #{number}",
            "mrs {end}, pmccntr_el0",
            "movz xzr, #{mark} | 0x5000",
            mark = const ID,
            number = const Syscall::Call as u16,
            begin = out(reg) begin,
            end = out(reg) end,
            inlateout("x8") target => _, inlateout("x9") 0_u64 => _, inlateout("x10") 0_u64 => _,
            lateout("x0") _, lateout("x1") _, lateout("x2") _, lateout("x3") _, lateout("x4") _,
            lateout("x5") _, lateout("x6") _, lateout("x7") _, lateout("x11") _,
            lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
            lateout("x16") _, lateout("x17") _,
            options(nostack),
        );
    }
    end - begin
}

/// Cycles around a load, which may fault.
#[inline(never)]
#[must_use]
pub fn timed_load<const ID: u16>(address: u64) -> u64 {
    let (begin, end): (u64, u64);
    // SAFETY: as in `load`.
    unsafe {
        asm!(
            "movz xzr, #{mark} | 0x4000",
            "mrs {begin}, pmccntr_el0",
            "ldr xzr, [{address}]",
            "mrs {end}, pmccntr_el0",
            "movz xzr, #{mark} | 0x5000",
            mark = const ID,
            address = in(reg) address,
            begin = out(reg) begin,
            end = out(reg) end,
            options(nostack, preserves_flags),
        );
    }
    end - begin
}

/// Cycles between two reads with nothing between.
#[inline(never)]
#[must_use]
pub fn timed_nothing() -> u64 {
    let (begin, end): (u64, u64);
    // SAFETY: reads a counter.
    unsafe {
        asm!("mrs {begin}, pmccntr_el0", "mrs {end}, pmccntr_el0",
            begin = out(reg) begin, end = out(reg) end,
            options(nomem, nostack, preserves_flags));
    }
    end - begin
}

/// Reads the cycle counter over and over until two reads lie further apart than
/// `limit`, and returns how far: something ran in between. The loop itself is
/// [`GAP_LOOP`] instructions.
#[inline(never)]
#[must_use]
pub fn wait_for_gap(limit: u64) -> u64 {
    let gap;
    // SAFETY: reads a counter.
    unsafe {
        asm!(
            "mrs {last}, pmccntr_el0",
            "2:",
            "mrs {now}, pmccntr_el0",
            "sub {gap}, {now}, {last}",
            "mov {last}, {now}",
            "cmp {gap}, {limit}",
            "b.ls 2b",
            last = out(reg) _,
            now = out(reg) _,
            gap = out(reg) gap,
            limit = in(reg) limit,
            options(nomem, nostack),
        );
    }
    gap
}

/// Instructions from one read of [`wait_for_gap`] to the next.
pub const GAP_LOOP: u64 = 5;

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
    if !is_foreign(address) {
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

/// Whether an address lies outside what Rust may write: data and stack.
fn is_foreign(address: u64) -> bool {
    unsafe extern "C" {
        static __data_start: u8;
        static __data_end: u8;
    }
    const STACK_REACH: u64 = 1 << 20;
    let data = (&raw const __data_start).addr() as u64..(&raw const __data_end).addr() as u64;
    let stack = (&raw const data).addr() as u64;
    !data.contains(&address) && address.abs_diff(stack) >= STACK_REACH
}

/// Loads four bytes from a device or anywhere.
#[inline(never)]
#[must_use]
pub fn load_word(address: u64) -> u32 {
    let mut value = 0;
    // SAFETY: as in `load`.
    unsafe {
        asm!("ldr {value:w}, [{address}]", value = inout(reg) value, address = in(reg) address,
            options(nostack, preserves_flags));
    }
    value
}

/// Stores four bytes to a device; says whether it tried, see [`store`].
#[inline(never)]
pub fn store_word(address: u64, value: u32) -> bool {
    if !is_foreign(address) {
        return false;
    }
    // SAFETY: as in `store`.
    unsafe {
        asm!("str {value:w}, [{address}]", value = in(reg) value, address = in(reg) address,
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

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident($operand:ident) = [$($text:literal),* $(,)?];)*) => {$(
        $(#[$doc])*
        ///
        /// What was read, or the argument.
        #[inline(never)]
        #[must_use]
        pub fn $name(which: usize, mut $operand: u64) -> u64 {
            let mut number = 0;
            $(
                if which == number {
                    // SAFETY: traps, or does what any program may do at any time with memory of its own.
                    unsafe { asm!($text, $operand = inout(reg) $operand, options(nostack)) };
                }
                number += 1;
            )*
            let _ = number;
            $operand
        }
    )*};
}

/// How many instructions [`privileged`] knows.
pub const PRIVILEGED: usize = 28;
/// How many instructions [`permitted`] knows.
pub const PERMITTED: usize = 10;

instructions! {
    /// Executes one of the instructions that no program may execute, nor any in an image without
    /// `FLAG_COUNTERS`. `docs/reference/memory-map.md` says what keeps each from it.
    privileged(value) = [
        "mrs {value}, sctlr_el1", "mrs {value}, midr_el1", "mrs {value}, isr_el1",
        "msr tpidrro_el0, {value}", "msr ttbr0_el1, {value}", "msr cntkctl_el1, {value}",
        "mrs {value}, daif", "msr daif, {value}", "msr daifset, #2 // {value}",
        "msr spsel, #1 // {value}",
        "mrs {value}, cntpct_el0", "mrs {value}, cntv_ctl_el0", "msr cntv_ctl_el0, {value}",
        "msr cntv_cval_el0, {value}", "mrs {value}, cntp_ctl_el0", "msr cntp_cval_el0, {value}",
        "mrs {value}, pmccntr_el0", "mrs {value}, pmcr_el0", "msr pmcntenset_el0, {value}",
        "mrs {value}, mdccsr_el0", "mrs {value}, dbgdtr_el0", "msr dbgdtr_el0, {value}",
        "tlbi vmalle1 // {value}", "ic iallu // {value}", "dc isw, {value}",
        "eret // {value}", "hvc #0 // {value}", "smc #0 // {value}",
    ];
    /// Executes one of the instructions that every program may execute, those that take an address on `value`.
    permitted(value) = [
        "mrs {value}, ctr_el0", "mrs {value}, dczid_el0", "mrs {value}, cntfrq_el0",
        "mrs {value}, cntvct_el0", "mrs {value}, tpidrro_el0", "mrs {value}, pmuserenr_el0",
        "dc cvau, {value}", "dc civac, {value}", "ic ivau, {value}", "dc zva, {value}",
    ];
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

/// v0–v31, then `FPCR` and `FPSR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FpRegisters {
    /// v0–v31, two words each.
    pub v: [[u64; 2]; 32],
    /// Control.
    pub fpcr: u64,
    /// Status.
    pub fpsr: u64,
}

/// Makes a call (x8 and x10 given) with `pattern` in every half of v0–v31,
/// rounding towards zero and every status bit set, and tells the FP registers
/// afterwards. The thread must be allowed to use them.
#[must_use]
pub fn svc_with_fp<const NUMBER: u16>(target: u64, control: u64, pattern: u64) -> FpRegisters {
    let mut after = FpRegisters::default();
    // SAFETY: the routine follows the calling convention of the softfloat
    // target, in which FP registers hold nothing; the reference is live for the
    // call.
    unsafe { svc_with_fp_registers::<NUMBER>(target, control, pattern, &mut after) };
    after
}

#[unsafe(naked)]
unsafe extern "C" fn svc_with_fp_registers<const NUMBER: u16>(
    target: u64,
    control: u64,
    pattern: u64,
    after: &mut FpRegisters,
) {
    naked_asm!(
        ".arch_extension simd",
        "str  x3, [sp, #-16]!",
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "dup  v\\n\\().2d, x2",
        ".endr",
        "mov  x4, #0xc00000",
        "msr  fpcr, x4",
        "mov  x4, #0x9f",
        "msr  fpsr, x4",
        "mov  x8, x0",
        "mov  x9, #1",
        "mov  x10, x1",
        "svc  #{number}",
        "ldr  x0, [sp], #16",
        "stp  q0, q1, [x0], #32",
        "stp  q2, q3, [x0], #32",
        "stp  q4, q5, [x0], #32",
        "stp  q6, q7, [x0], #32",
        "stp  q8, q9, [x0], #32",
        "stp  q10, q11, [x0], #32",
        "stp  q12, q13, [x0], #32",
        "stp  q14, q15, [x0], #32",
        "stp  q16, q17, [x0], #32",
        "stp  q18, q19, [x0], #32",
        "stp  q20, q21, [x0], #32",
        "stp  q22, q23, [x0], #32",
        "stp  q24, q25, [x0], #32",
        "stp  q26, q27, [x0], #32",
        "stp  q28, q29, [x0], #32",
        "stp  q30, q31, [x0], #32",
        "mrs  x1, fpcr",
        "mrs  x2, fpsr",
        "stp  x1, x2, [x0]",
        ".arch_extension nosimd",
        "ret",
        number = const NUMBER,
    )
}
