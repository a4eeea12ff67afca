// The exception vectors ("Exception vectors" in the Arm ARM, part D1).
//
// Nothing in the kernel may fault, and interrupts stay masked in it, so whatever arrives from EL1
// is reported and stops the machine. While a user thread runs, SP_EL1 is not a stack: the path to
// the report touches no memory until it has the address of the emergency stack.

.section .vectors, "ax"

// An exception that is reported. x0 and x1 are parked in thread registers that no thread will
// need any more.
.macro vectors_report vector
    .balign 128
    msr tpidr_el0, x0
    mov x0, #\vector
    b vectors_fault
.endm

.balign 2048
.globl vectors
.type vectors, %object
vectors:
    vectors_report 0            // EL1 with SP_EL0: synchronous, IRQ, FIQ, SError
    vectors_report 1
    vectors_report 2
    vectors_report 3
    vectors_report 4            // EL1 with SP_EL1
    vectors_report 5
    vectors_report 6
    vectors_report 7
    trap_sync                   // EL0, AArch64
    trap_irq
    vectors_report 10
    trap_serror
    vectors_report 12           // EL0, AArch32: no such code is ever started
    vectors_report 13
    vectors_report 14
    vectors_report 15
    .balign 128
.size vectors, . - vectors

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
    bl report_fault                         // does not return
.size vectors_fault, . - vectors_fault
