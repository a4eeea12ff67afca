// Exceptions from EL0. Nothing runs there yet: each is reported and stops the machine.

.section .text.trap, "ax"

.macro trap_report name, vector
.globl \name
.type \name, %function
\name:
    msr tpidr_el0, x0
    mov x0, #\vector
    b vectors_fault
.size \name, . - \name
.endm

trap_report lower_sync, 8
trap_report lower_irq, 9
trap_report lower_serror, 11
