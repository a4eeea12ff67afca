//! The fast path's frame: `trap.s` hands over, these functions never return.
//!
//! The data words are arguments because that is where they are: x0–x7. No code
//! here touches them, so the compiler leaves them there and the exit sequence
//! begins with the words in place. Everything else comes on the stack.
//!
//! The exit restores what a call preserves of the thread that runs now, clears
//! the other registers, and leaves. Flags arrive as zero.

use core::arch::asm;
use core::mem::offset_of;

use gritos_kernel_core::fast::Delivery;
use gritos_kernel_core::object::{Frame, Tcb};

use super::trap::Processor;

const FRAME: usize = offset_of!(Tcb, frame);

/// Leaves for the thread that the message was delivered to: the address of its
/// TCB, its x8–x10, and the data words.
macro_rules! leave {
    ($to:expr, $delivery:expr, $tag:expr, $words:expr) => {{
        let [w0, w1, w2, w3, w4, w5, w6, w7] = $words;
        // SAFETY: `to` is the address of the TCB of the thread that runs now, whose saved registers
        // were written when it left the processor. The code restores them and never comes back:
        // stack and compiler's registers are given up. Every register that user code can see is
        // written.
        unsafe {
            asm!(
                "mov sp, x11",
                "ldr x15, [sp, #{TTBR0}]",
                "ldp x12, x13, [sp, #{SP}]",
                "ldr x14, [sp, #{TP}]",
                "msr ttbr0_el1, x15",
                "msr sp_el0, x12",
                "msr elr_el1, x13",
                "msr spsr_el1, xzr",
                "msr tpidr_el0, x14",
                "ldr x18, [sp, #{X18}]",
                "ldp x19, x20, [sp, #{PRESERVED}]",
                "ldp x21, x22, [sp, #{PRESERVED} + 16]",
                "ldp x23, x24, [sp, #{PRESERVED} + 32]",
                "ldp x25, x26, [sp, #{PRESERVED} + 48]",
                "ldp x27, x28, [sp, #{PRESERVED} + 64]",
                "ldp x29, x30, [sp, #{PRESERVED} + 80]",
                "mov x11, #0",
                "mov x12, #0",
                "mov x13, #0",
                "mov x14, #0",
                "mov x15, #0",
                "mov x16, #0",
                "mov x17, #0",
                "eret",
                TTBR0 = const offset_of!(Tcb, ttbr0),
                SP = const FRAME + offset_of!(Frame, sp),
                TP = const FRAME + offset_of!(Frame, thread_pointer),
                X18 = const FRAME + offset_of!(Frame, x18),
                PRESERVED = const FRAME + offset_of!(Frame, preserved),
                in("x0") w0, in("x1") w1, in("x2") w2, in("x3") w3,
                in("x4") w4, in("x5") w5, in("x6") w6, in("x7") w7,
                in("x8") $delivery.x8, in("x9") $tag, in("x10") $delivery.x10,
                in("x11") $to,
                options(noreturn),
            )
        }
    }};
}

/// Gives the call to the general path.
macro_rules! slow {
    ($number:literal, $current:expr, $x8:expr, $tag:expr, $x10:expr, $words:expr) => {{
        let [w0, w1, w2, w3, w4, w5, w6, w7] = $words;
        // SAFETY: `trap_slow` expects the caller's x0–x10 and its TCB, and gives up the stack.
        unsafe {
            asm!(
                "b trap_slow",
                in("x0") w0, in("x1") w1, in("x2") w2, in("x3") w3,
                in("x4") w4, in("x5") w5, in("x6") w6, in("x7") w7,
                in("x8") $x8, in("x9") $tag, in("x10") $x10,
                in("x11") $current, in("w12") $number,
                options(noreturn),
            )
        }
    }};
}

impl Processor {
    #[inline(always)]
    fn current(&self) -> usize {
        let current = self.kernel.cpu.current.map_or(0, |current| current.raw());
        self.kernel.store.address(current)
    }

    #[inline(always)]
    fn place(&self, delivery: Delivery) -> usize {
        self.kernel.store.address(delivery.to.raw())
    }
}

macro_rules! fast_function {
    ($(#[$doc:meta])* $name:ident, $number:literal) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            w0: u64, w1: u64, w2: u64, w3: u64, w4: u64, w5: u64, w6: u64, w7: u64,
            x8: u64, x10: u64, processor: &mut Processor, tag: u64,
        ) -> ! {
            let words = [w0, w1, w2, w3, w4, w5, w6, w7];
            let from = processor.current();
            match processor.kernel.$name(x8, x10) {
                None => slow!($number, from, x8, tag, x10, words),
                Some(delivery) if delivery.fp => {
                    let to = processor.place(delivery);
                    exit_fp(from, to);
                    leave!(to, delivery, tag, words)
                }
                Some(delivery) => {
                    let to = processor.place(delivery);
                    leave!(to, delivery, tag, words)
                }
            }
        }
    };
}

fast_function! {
    /// `Call`.
    fast_call, 0
}
fast_function! {
    /// `ReplyRecv`.
    fast_reply_recv, 1
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
            "movi v0.2d, #0", "movi v1.2d, #0", "movi v2.2d, #0", "movi v3.2d, #0",
            "movi v4.2d, #0", "movi v5.2d, #0", "movi v6.2d, #0", "movi v7.2d, #0",
            "movi v8.2d, #0", "movi v9.2d, #0", "movi v10.2d, #0", "movi v11.2d, #0",
            "movi v12.2d, #0", "movi v13.2d, #0", "movi v14.2d, #0", "movi v15.2d, #0",
            "movi v16.2d, #0", "movi v17.2d, #0", "movi v18.2d, #0", "movi v19.2d, #0",
            "movi v20.2d, #0", "movi v21.2d, #0", "movi v22.2d, #0", "movi v23.2d, #0",
            "movi v24.2d, #0", "movi v25.2d, #0", "movi v26.2d, #0", "movi v27.2d, #0",
            "movi v28.2d, #0", "movi v29.2d, #0", "movi v30.2d, #0", "movi v31.2d, #0",
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

/// `SendAsync` with this x0 and x8: whether it was a signal that woke nobody.
#[unsafe(no_mangle)]
extern "C" fn fast_signal(processor: &mut Processor, x0: u64, x8: u64) -> bool {
    processor.kernel.fast_signal(x0, x8)
}
