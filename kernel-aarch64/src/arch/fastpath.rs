//! The fast path's frame: `trap.s` hands over, these functions never return.
//!
//! The data words are arguments because that is where they are: x0–x7. No code
//! here touches them, so the compiler leaves them there and the exit sequence
//! begins with the words in place. Everything else is in the TCB.
//!
//! The exit restores what a call preserves of the thread that runs now, clears
//! the other registers, and leaves. Flags arrive as zero.

use core::arch::asm;
use core::mem::offset_of;

use gritos_abi::fault::FaultKind;
use gritos_kernel_core::fast::Short;
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::object::{Frame, Tcb};
use gritos_kernel_core::store::Store;

use super::trap::{Processor, TargetKernel};

const FRAME: usize = offset_of!(Tcb, frame);
/// Where `SP_EL1` points in the TCB of the thread that runs: x8 is saved there, and
/// the room below, for x0-x7, is the stack of the functions here.
pub(super) const SCRATCH: usize = FRAME + offset_of!(Frame, x) + 64;
const _: () = assert!(SCRATCH.is_multiple_of(16));

/// Leaves for the thread that the message was delivered to: the address of its
/// TCB, its x8–x10, and the data words.
macro_rules! leave {
    ($to:expr, $delivery:expr, $tag:expr, $words:expr $(, $cap:ident)?) => {{
        let [w0, w1, w2, w3, w4, w5, w6, w7] = $words;
        // SAFETY: `to` is the address of the TCB of the thread that runs now, whose saved registers
        // were written when it left the processor. The code restores them and never comes back:
        // stack and compiler's registers are given up. Every register that user code can see is
        // written.
        unsafe {
            asm!(
                "add sp, {to}, #{SCRATCH}",
                "ldr x16, [{to}, #{TTBR0}]",
                "ldp x12, x13, [sp, #{SP} - {SCRATCH}]",
                "ldp x14, x18, [sp, #{TP} - {SCRATCH}]",
                "msr ttbr0_el1, x16",
                "msr sp_el0, x12",
                "msr elr_el1, x13",
                "msr spsr_el1, xzr",
                "msr tpidr_el0, x14",
                "ldp x19, x20, [sp, #{PRESERVED} - {SCRATCH}]",
                "ldp x21, x22, [sp, #{PRESERVED} + 16 - {SCRATCH}]",
                "ldp x23, x24, [sp, #{PRESERVED} + 32 - {SCRATCH}]",
                "ldp x25, x26, [sp, #{PRESERVED} + 48 - {SCRATCH}]",
                "ldp x27, x28, [sp, #{PRESERVED} + 64 - {SCRATCH}]",
                "ldp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]",
                leave!(@clear $($cap)?),
                "ldp x13, x14, [sp, #{ZEROS} - {SCRATCH}]",
                "ldp x16, x17, [sp, #{ZEROS} - {SCRATCH}]",
                "eret",
                SCRATCH = const SCRATCH,
                TTBR0 = const offset_of!(Tcb, ttbr0),
                SP = const FRAME + offset_of!(Frame, sp),
                TP = const FRAME + offset_of!(Frame, thread_pointer),
                PRESERVED = const FRAME + offset_of!(Frame, preserved),
                ZEROS = const offset_of!(Tcb, zeros),
                in("x0") w0, in("x1") w1, in("x2") w2, in("x3") w3,
                in("x4") w4, in("x5") w5, in("x6") w6, in("x7") w7,
                in("x8") $delivery.x8, in("x9") $tag, in("x10") $delivery.x10,
                $(in("x11") $delivery.$cap[0], in("x15") $delivery.$cap[1],)?
                to = in(reg) $to,
                options(noreturn),
            )
        }
    }};
    (@clear) => { "ldp x11, x15, [sp, #{ZEROS} - {SCRATCH}]\nmov x12, #0" };
    (@clear $cap:ident) => { "mov x12, #0" };
}

/// Gives the call of the thread whose TCB is at `current` to the general path.
macro_rules! slow {
    ($number:literal, $current:expr, $words:expr) => {{
        let [w0, w1, w2, w3, w4, w5, w6, w7] = $words;
        // SAFETY: `trap_slow` expects the caller's x0–x7 and its TCB, in which the rest is saved,
        // and gives up the stack.
        unsafe {
            asm!(
                "b trap_slow",
                in("x0") w0, in("x1") w1, in("x2") w2, in("x3") w3,
                in("x4") w4, in("x5") w5, in("x6") w6, in("x7") w7,
                in("x11") $current, in("w12") $number,
                options(noreturn),
            )
        }
    }};
}

impl Processor {
    /// The block of the processor that runs this.
    #[inline(always)]
    fn here() -> &'static mut Self {
        let this: *mut Self;
        // SAFETY: reads a system register that is written once, at boot.
        unsafe {
            asm!("mrs {}, tpidr_el1", out(reg) this, options(nomem, nostack, pure, preserves_flags));
        }
        // SAFETY: it points to this processor's block since boot. Code of the kernel runs once at
        // a time and without interrupts, and every way into it makes one reference.
        unsafe { &mut *this }
    }
}

/// Gives the call of the thread whose TCB is at `current` to another function
/// here.
macro_rules! instead {
    ($function:ident, $current:expr, $words:expr) => {{
        let [w0, w1, w2, w3, w4, w5, w6, w7] = $words;
        // SAFETY: that function expects what this one got: the words, and the stack in the TCB.
        unsafe {
            asm!(
                "add sp, x11, #{SCRATCH}",
                "b {function}",
                SCRATCH = const SCRATCH,
                function = sym $function,
                in("x0") w0, in("x1") w1, in("x2") w2, in("x3") w3,
                in("x4") w4, in("x5") w5, in("x6") w6, in("x7") w7,
                in("x11") $current,
                options(noreturn),
            )
        }
    }};
}

macro_rules! fast_function {
    ($(#[$doc:meta])*
        $name:ident, $method:ident($($idle:ident $cap:ident)?), $else:ident!($to:tt)) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            w0: u64, w1: u64, w2: u64, w3: u64, w4: u64, w5: u64, w6: u64, w7: u64,
        ) -> ! {
            let words = [w0, w1, w2, w3, w4, w5, w6, w7];
            let kernel = &mut Processor::here().kernel;
            $(let $idle = kernel.is_idle();)?
            // A copy, whose base the compiler can keep: no store through a cell can change it.
            let store = kernel.store;
            let current = kernel.cpu.current.map_or(0, |current| current.raw());
            let t = store.tcb_at(current);
            let (cpu, machine) = (&mut kernel.cpu, &mut kernel.machine);
            let mut entry = Short { cpu, store: &store, machine, t };
            let Some(delivery) = entry.$method($($idle)?) else {
                $else!($to, store.address(current), words)
            };
            let to = store.address(delivery.to.raw());
            if delivery.resumes {
                resume(to);
            }
            if delivery.fp {
                exit_fp(store.address(current), to);
            }
            let tag = t.x::<9>();
            leave!(to, delivery, tag, words $(, $cap)?)
        }
    };
}

fast_function! {
    /// `Call`.
    fast_call, call(), instead!(fast_call_more)
}
fast_function! {
    /// `Call` of a thread that borrows, or with a deadline or a capability.
    fast_call_more, call_more(idle cap), slow!(0)
}
fast_function! {
    /// `ReplyRecv`.
    fast_reply_recv, reply_recv(), instead!(fast_reply_more)
}
fast_function! {
    /// `ReplyRecv` to a caller that borrows, waits with a deadline, or faulted.
    fast_reply_more, reply_more(), slow!(1)
}

/// Goes on with the thread whose TCB is at `to` as it was when it faulted.
#[inline(always)]
fn resume(to: usize) -> ! {
    // SAFETY: `trap_switch` restores everything from the TCB, which was saved when the thread
    // faulted, and gives up the stack.
    unsafe { asm!("b trap_switch", in("x0") to, options(noreturn)) }
}

/// A fault of the running thread, whose registers are all saved. Returns if the
/// handler does not wait.
#[inline(always)]
pub(super) fn fault(kernel: &mut TargetKernel, kind: FaultKind, address: u64, esr: u64) {
    let store = kernel.store;
    let t = store.tcb_at(kernel.cpu.current.map_or(0, |current| current.raw()));
    let (cpu, machine) = (&mut kernel.cpu, &mut kernel.machine);
    let mut entry = Short {
        cpu,
        store: &store,
        machine,
        t,
    };
    if let Some(delivery) = entry.fault() {
        let frame = &t.frame;
        let flags = frame.pstate.get() & 0xf000_0000;
        let words = [address, frame.pc.get(), frame.sp.get(), esr, flags, 0, 0, 0];
        let to = store.address(delivery.to.raw());
        leave!(to, delivery, kind as u64, words)
    }
}

/// FP registers where both threads use them: the control register stays with
/// its thread, all else is lost in a call and arrives as zero.
#[inline(always)]
fn exit_fp(from: usize, to: usize) {
    // SAFETY: stores and loads the word of the two TCBs that is for this; the compiler uses no FP
    // register in the kernel.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            "mrs {t}, fpcr",
            "str {t}, [{from}, #{CONTROL}]",
            "ldr {t:w}, [{to}, #{CONTROL}]",
            "msr fpcr, {t}",
            "msr fpsr, xzr",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22",
            "movi v\\n\\().2d, #0",
            ".endr",
            ".irp n, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "movi v\\n\\().2d, #0",
            ".endr",
            ".arch_extension nosimd",
            ".arch_extension nofp",
            t = out(reg) _,
            from = in(reg) from,
            to = in(reg) to,
            CONTROL = const FRAME + offset_of!(Frame, fp_control),
            options(nostack, preserves_flags),
        );
    }
}

/// `SendAsync` with this x0 and x8, x0–x9 saved: 0 if it is for the general
/// path, 1 if the sender goes on, else the TCB of the thread that runs now.
#[unsafe(no_mangle)]
extern "C" fn fast_signal(processor: &mut Processor, x0: u64, x8: u64) -> usize {
    match processor.kernel.fast_signal(x0, x8) {
        None => 0,
        Some(None) => 1,
        // A tail call, so that the way above needs no stack.
        Some(Some((waiter, notification, bits))) => {
            fast_wake(processor, waiter, notification, bits)
        }
    }
}

#[inline(never)]
extern "C" fn fast_wake(processor: &mut Processor, waiter: TcbRef, n: u32, bits: u64) -> usize {
    let woken = processor.kernel.wake_better((waiter, n, bits));
    woken.map_or(0, |()| processor.current())
}
