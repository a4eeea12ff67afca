// The exception vectors ("Exception vectors" in the Arm ARM, part D1).
//
// Between the vectors lies code that fits there: 29 instructions behind each that reports.
//
// Nothing in the kernel may fault, and interrupts stay masked in it, so whatever arrives from EL1
// is reported and stops the machine. While a user thread runs, SP_EL1 is not a stack: the path to
// the report touches no memory until it has the address of the emergency stack.

.section .vectors, "ax"

// An exception that is reported. x0 and x1 are parked in thread registers that no thread will
// need any more.
.macro vectors_report vector
    .balign 128, 0
.type vectors_report_\vector, %function
vectors_report_\vector:
    msr tpidr_el0, x0
    mov x0, #\vector
    b vectors_fault
.size vectors_report_\vector, . - vectors_report_\vector
.endm

.balign 2048
.globl vectors
.type vectors, %object
vectors:
    vectors_report 0            // EL1 with SP_EL0: synchronous, IRQ, FIQ, SError
// Another thread runs now: x0, its TCB.
.type trap_switch, %function
trap_switch:
    ldr w1, [x0]
    mrs x2, cpacr_el1
    tbnz w1, #{FP_BIT}, trap_switch_fp
    tbz x2, #21, trap_space
    bic x2, x2, #0x200000           // FPEN = 01: FP traps at EL0
    msr cpacr_el1, x2
trap_space:
    ldr x2, [x0, #{TTBR0}]
    mrs x3, ttbr0_el1
    cmp x2, x3
    b.eq 2f
    msr ttbr0_el1, x2               // see docs/reference/memory-map.md for why there is no barrier
2:  add sp, x0, #{SCRATCH}
    ldp x1, x2, [x0, #{SP}]
    ldp x4, x18, [x0, #{TP}]
    ldr x3, [x0, #{WINDOW} + 8]
    msr sp_el0, x1
    msr elr_el1, x2
    msr spsr_el1, x3
    msr tpidr_el0, x4
    trap_preserved ldp, x0, 0
    b trap_return
.size trap_switch, . - trap_switch
    vectors_report 1
// The thread x29 goes on: its pc may have changed, and its address space may be gone.
.type trap_resume, %function
trap_resume:
    ldr x2, [x29, #{TTBR0}]
    mrs x3, ttbr0_el1
    cmp x2, x3
    b.eq 1f
    msr ttbr0_el1, x2
1:  ldr x2, [x29, #{SP} + 8]
    add sp, x29, #{SCRATCH}
    msr elr_el1, x2
    // Falls through.
.size trap_resume, . - trap_resume
.type trap_return, %function
trap_return:
    ldp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]
    ldr x18, [sp, #{TP} + 8 - {SCRATCH}]
    trap_words ldp, sp, {SCRATCH}
    ldp x8, x9, [sp, #{X} + 64 - {SCRATCH}]
    trap_others ldp
    eret
.size trap_return, . - trap_return
    vectors_report 2
// The fast path did not apply. In: x0-x7 as the thread x11 had them, w12 the system call. x8, x9,
// x18-x30 and the system registers are saved, flags aside; x10 is the window.
.globl trap_slow
.type trap_slow, %function
trap_slow:
    mov x29, x11
    trap_words stp, x29, 0
    ldr x4, [x29, #{WINDOW}]
    mrs x3, spsr_el1
    str x4, [x29, #{X} + 80]
    str x3, [x29, #{WINDOW} + 8]
    adrp x2, __kernel_stack_top
    mrs x0, tpidr_el1
    mov w1, w12
    mov sp, x2
    bl trap_system_call
    cmp x0, x29
    b.ne trap_left
    trap_preserved ldp, x29, 0
    b trap_resume
.size trap_slow, . - trap_slow
    vectors_report 3
// Call with more than words: if that is a deadline or a capability, as above.
.type trap_more, %function
trap_more:
    mov w30, #{SHORT}
    bic w30, w10, w30
    cmp w30, #8
    b.hi trap_kept
    str x11, [sp, #{X} + 88 - {SCRATCH}]
    str x15, [sp, #{X} + 120 - {SCRATCH}]
    str x17, [sp, #{X} + 136 - {SCRATCH}]
    b fast_call_more
.size trap_more, . - trap_more
// The same where only x0-x10 and x18 of the thread x29 are saved, and x19-x28 are its own.
.type trap_slow_unsaved, %function
trap_slow_unsaved:
    mrs x0, sp_el0
    mrs x1, elr_el1
    mrs x2, spsr_el1
    mrs x3, tpidr_el0
    stp x0, x1, [x29, #{SP}]
    str x3, [x29, #{TP}]
    str x2, [x29, #{WINDOW} + 8]
    mrs x0, tpidr_el1
    mov w1, w12
    bl trap_system_call
    cmp x0, x29
    b.eq trap_resume
    b trap_leave
.size trap_slow_unsaved, . - trap_slow_unsaved
    vectors_report 4            // EL1 with SP_EL1
// Not a plain control word. Saved is what `trap_keep` saves.
.type trap_kept, %function
trap_kept:
    trap_words stp, sp, {SCRATCH}
    trap_others stp
    mrs x2, spsr_el1
    sub x29, sp, #{SCRATCH}
    mrs x1, esr_el1
    str x2, [x29, #{WINDOW} + 8]
    adrp x2, __kernel_stack_top
    mrs x0, tpidr_el1
    and w1, w1, #0xffff
    mov sp, x2
    bl trap_system_call
    cmp x0, x29
    b.ne trap_left
    b trap_resume
.size trap_kept, . - trap_kept
    vectors_report 5
.type trap_general, %function
trap_general:
    mrs x30, esr_el1
    trap_save
    and w1, w30, #0xffff
    bl trap_system_call
    cmp x0, x29
    b.eq trap_resume
    b trap_leave
.size trap_general, . - trap_general
    vectors_report 6
.type trap_fault_entry, %function
trap_fault_entry:
    trap_save
    trap_preserved stp, x29, 0      // trap_fault may leave by itself
    mrs x1, esr_el1
    mrs x2, far_el1
    bl trap_fault
    b trap_interrupted
.size trap_fault_entry, . - trap_fault_entry
    vectors_report 7
    trap_sync                   // EL0, AArch64
    trap_irq
    vectors_report 10
// A better thread was woken.
.type trap_send_leave, %function
trap_send_leave:
    mrs x1, sp_el0
    mrs x2, elr_el1
    mrs x3, spsr_el1
    mrs x4, tpidr_el0
    stp x1, x2, [x29, #{SP}]
    str x4, [x29, #{TP}]
    str x3, [x29, #{WINDOW} + 8]
    b trap_leave
.size trap_send_leave, . - trap_send_leave
.type trap_send_slow, %function
trap_send_slow:
    ldr x10, [x29, #{WINDOW}]
    str x10, [x29, #{X} + 80]
    mov w12, #2
    b trap_slow_unsaved
.size trap_send_slow, . - trap_send_slow
    trap_serror
    vectors_report 12           // EL0, AArch32: no such code is ever started
// The thread x29 leaves the processor, after a call. In: x0 who runs now.
.type trap_leave, %function
trap_leave:
    trap_preserved stp, x29, 0
trap_left:
    ldr w1, [x29]
    tbz w1, #{FP_BIT}, trap_switch
.arch_extension fp
    mrs x2, fpcr                    // a call that switches loses all else of FP
.arch_extension nofp
    str x2, [x29, #{FP_CONTROL}]
    b trap_switch
.size trap_leave, . - trap_leave
    vectors_report 13
// The first thread of all. In: x0 its TCB.
.globl trap_first
.type trap_first, %function
trap_first:
    mov x1, #0x100000               // CPACR_EL1.FPEN = 01
    msr cpacr_el1, x1
    b trap_switch
.size trap_first, . - trap_first
    vectors_report 14
    vectors_report 15
// Saves all registers as a `fault::Registers` on the emergency stack and reports.
// In: x0 the vector, TPIDR_EL0 what x0 was. Position-independent: works before the MMU is on.
.globl vectors_fault
.type vectors_fault, %function
vectors_fault:
    msr tpidrro_el0, x1
    adrp x1, __emergency_stack_top          // page-aligned
    sub x1, x1, #256
    stp x2, x3, [x1, #16]
    stp x4, x5, [x1, #32]
    stp x6, x7, [x1, #48]
    stp x8, x9, [x1, #64]
    stp x10, x11, [x1, #80]
    stp x12, x13, [x1, #96]
    stp x14, x15, [x1, #112]
    stp x16, x17, [x1, #128]
    stp x18, x19, [x1, #144]
    stp x20, x21, [x1, #160]
    stp x22, x23, [x1, #176]
    stp x24, x25, [x1, #192]
    stp x26, x27, [x1, #208]
    stp x28, x29, [x1, #224]
    mov x2, sp
    stp x30, x2, [x1, #240]
    mrs x2, tpidr_el0
    mrs x3, tpidrro_el0
    stp x2, x3, [x1]
    mov sp, x1
    b report_fault                          // does not return
.size vectors_fault, . - vectors_fault
.org vectors + 2048             // an error if code between them is too long
.size vectors, . - vectors

