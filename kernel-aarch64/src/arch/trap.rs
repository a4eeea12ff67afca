//! Exceptions from EL0: the way from the vectors into the core, and the one way
//! back.

use core::arch::global_asm;
use core::mem::offset_of;

use aarch64_cpu::registers::{TPIDR_EL1, Writeable};
use gritos_abi::fault::FaultKind;
use gritos_abi::{Control, Syscall};
use gritos_kernel_core::fast::{SHORT, WINDOW_COUNT};
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::kernel::Kernel;
use gritos_kernel_core::object::{FP_OFFSET, Frame, Tcb, flag};

use super::machine::{self, Hardware};
use crate::drivers::console::Console;
use crate::drivers::timer;
use crate::store::LinearStore;

/// The kernel of this machine.
pub(crate) type TargetKernel = Kernel<LinearStore, Hardware>;

/// What `TPIDR_EL1` points to.
#[repr(C)]
pub(crate) struct Processor {
    pub(crate) kernel: TargetKernel,
    /// The root task, whose unhandled fault stops the machine.
    pub(crate) root: Option<TcbRef>,
}

const FRAME: usize = offset_of!(Tcb, frame);

global_asm!(
    include_str!("trap.s"),
    include_str!("vectors.s"),
    SCRATCH = const super::fastpath::SCRATCH,
    X = const FRAME + offset_of!(Frame, x),
    PRESERVED = const FRAME + offset_of!(Frame, preserved),
    SP = const FRAME + offset_of!(Frame, sp),
    TP = const FRAME + offset_of!(Frame, thread_pointer),
    WINDOW = const FRAME + offset_of!(Frame, window),
    FP_CONTROL = const FRAME + offset_of!(Frame, fp_control),
    TTBR0 = const offset_of!(Tcb, ttbr0),
    FP = const FP_OFFSET,
    FP_BIT = const flag::FP.trailing_zeros(),
    FP_SAVED_BIT = const flag::FP_SAVED.trailing_zeros(),
    FP_SAVED = const flag::FP_SAVED,
    SHORT = const SHORT,
    DEADLINE = const Control::DEADLINE as u32,
    ZEROS = const offset_of!(Tcb, zeros),
);

const _: () = {
    assert!(offset_of!(Frame, pc) == offset_of!(Frame, sp) + 8);
    assert!(offset_of!(Frame, x18) == offset_of!(Frame, thread_pointer) + 8);
    assert!(offset_of!(Frame, pstate) == offset_of!(Frame, window) + 8);
    assert!(WINDOW_COUNT == 0x3800, "trap.s has it as an immediate");
    assert!(Syscall::Call as u32 == 0 && Syscall::Recv as u32 == 3);
};

/// Leaves the boot code for the first thread.
pub(crate) fn enter_user(processor: &'static mut Processor) -> ! {
    unsafe extern "C" {
        fn trap_first(tcb: usize) -> !;
    }
    let first = processor.next();
    TPIDR_EL1.set(&raw mut *processor as u64);
    // SAFETY: `next` names a thread whose frame is complete, and TPIDR_EL1 is what the entry code
    // expects. `processor` was given up: from here on only the entry code makes references to it.
    unsafe { trap_first(first) }
}

impl Processor {
    /// Decides who runs; waits while nobody can. The address of its TCB.
    #[inline(always)]
    fn next(&mut self) -> usize {
        self.kernel.reschedule();
        loop {
            if let Some(current) = self.kernel.cpu.current {
                return self.kernel.store.address(current.raw());
            }
            machine::idle();
            self.take_interrupts();
            self.kernel.reschedule();
        }
    }

    /// Handles the interrupts that are signalled, a few at a time. Whether it is
    /// settled who runs.
    fn take_interrupts(&mut self) -> bool {
        /// The rest signals again at once, with the time between unmasked.
        const AT_ONCE: u32 = 4;
        let kernel = &mut self.kernel;
        for round in 0..AT_ONCE {
            let Some(irq) = kernel.machine.gic.ack() else {
                break;
            };
            let is_timer = irq == kernel.machine.timer_irq;
            let settled = round == 0
                && if is_timer {
                    kernel.fast_timer().is_some()
                } else {
                    kernel.fast_interrupt(irq).is_some()
                };
            if !settled && is_timer {
                timer::disarm();
                kernel.timer_interrupt();
            } else if !settled {
                kernel.interrupt(irq);
            }
            kernel.machine.gic.eoi(irq);
            if settled {
                return true;
            }
        }
        false
    }

    /// The address of the TCB of the thread that runs.
    pub(super) fn current(&self) -> usize {
        let current = self.kernel.cpu.current.map_or(0, |current| current.raw());
        self.kernel.store.address(current)
    }
}

/// A system call: x0–x18 and what a call preserves are in the frame.
#[unsafe(no_mangle)]
extern "C" fn trap_system_call(processor: &mut Processor, number: u32) -> usize {
    let kernel = &mut processor.kernel;
    let quick = match number {
        0 => kernel.fast_invoke(),
        3 => kernel.fast_wait(),
        _ => None,
    };
    match quick {
        Some(()) => processor.current(),
        None => system_call(processor, number),
    }
}

/// The general path, apart because it needs many registers.
#[inline(never)]
fn system_call(processor: &mut Processor, number: u32) -> usize {
    processor.kernel.system_call(number as u16);
    processor.next()
}

/// An interrupt of user code.
#[unsafe(no_mangle)]
extern "C" fn trap_interrupt(processor: &mut Processor) -> usize {
    if processor.take_interrupts() {
        processor.current()
    } else {
        processor.next()
    }
}

/// Any other synchronous exception of user code, or an `SError`.
#[unsafe(no_mangle)]
extern "C" fn trap_fault(processor: &mut Processor, esr: u64, far: u64) -> usize {
    let kind = fault_kind(esr as u32);
    let has_address = matches!(
        kind,
        FaultKind::DataAbort | FaultKind::InstructionAbort | FaultKind::Alignment
    );
    let address = if has_address { far } else { 0 };
    if processor.root.is_some() && processor.kernel.cpu.current == processor.root {
        report_root(processor, kind, address, esr);
    }
    let esr = esr & 0xffff_ffff;
    super::fastpath::fault(&mut processor.kernel, kind, address, esr);
    processor.kernel.fault(kind, address, esr as u32);
    processor.next()
}

/// Says that the root task cannot go on, and stops.
#[cold]
fn report_root(processor: &Processor, kind: FaultKind, address: u64, esr: u64) -> ! {
    use gritos_kernel_core::store::Store;
    let out = Console.text("\nroot task faulted: ").text(name(kind));
    out.text(" at ")
        .hex(address, 1)
        .text(", syndrome ")
        .hex(esr, 8);
    if let Some(root) = processor.root {
        let frame = &processor.kernel.store.tcb(root).frame;
        out.text("\n  pc ")
            .hex(frame.pc.get(), 1)
            .text(" sp ")
            .hex(frame.sp.get(), 1);
        out.text(" lr ").hex(frame.preserved[11].get(), 1);
    }
    out.text("\n");
    machine::stop()
}

fn name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::DataAbort => "data abort",
        FaultKind::InstructionAbort => "instruction abort",
        FaultKind::Undefined => "undefined instruction",
        FaultKind::Alignment => "alignment",
        FaultKind::Breakpoint => "breakpoint",
        FaultKind::FpAccess => "FP access",
        FaultKind::SError => "SError",
        FaultKind::Timeout => "budget",
        FaultKind::Other => "exception",
    }
}

/// From the exception class (Arm ARM, "`ESR_EL1`, Exception Syndrome Register").
fn fault_kind(esr: u32) -> FaultKind {
    const ALIGNMENT_FAULT: u32 = 0x21;
    match esr >> 26 {
        0x00 | 0x0e | 0x18 => FaultKind::Undefined,
        0x07 | 0x2c => FaultKind::FpAccess,
        0x20 => FaultKind::InstructionAbort,
        0x24 if esr & 0x3f == ALIGNMENT_FAULT => FaultKind::Alignment,
        0x24 => FaultKind::DataAbort,
        0x22 | 0x26 => FaultKind::Alignment,
        0x2f => FaultKind::SError,
        0x30 | 0x32 | 0x34 | 0x3c => FaultKind::Breakpoint,
        _ => FaultKind::Other,
    }
}
