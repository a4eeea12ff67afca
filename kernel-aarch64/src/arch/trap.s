// Exceptions from EL0: saving, and the one way back. Some of it lies in the room that the vectors
// leave, see vectors.s.
//
// While a thread runs SP_EL1 points into its TCB, so its registers are saved without a scratch
// register: to where x8 is saved. Below that is room for x0-x7, which the fast path leaves in their
// registers: 64 bytes for it to use as a stack. Rust code preserves x19-x28 by itself: they are saved only when the processor
// goes to another thread. SP_EL0, TPIDR_EL0 and SPSR likewise stay in their registers until then,
// but are stored at once: the core shows and changes them.

// The only code that touches FP registers; the compiler must not.
.arch_extension fp
.arch_extension simd

.section .text.trap, "ax"

.macro trap_words op, base, offset
    \op x0, x1, [\base, #{X} - \offset]
    \op x2, x3, [\base, #{X} + 16 - \offset]
    \op x4, x5, [\base, #{X} + 32 - \offset]
    \op x6, x7, [\base, #{X} + 48 - \offset]
.endm

// x10-x17.
.macro trap_others op
    \op x10, x11, [sp, #{X} + 80 - {SCRATCH}]
    \op x12, x13, [sp, #{X} + 96 - {SCRATCH}]
    \op x14, x15, [sp, #{X} + 112 - {SCRATCH}]
    \op x16, x17, [sp, #{X} + 128 - {SCRATCH}]
.endm

// Saves x0-x18 and the system registers; moves to the kernel's stack. x29 and x30 are saved.
// Out: x29 the TCB, x0 the processor block.
.macro trap_save
    trap_words stp, sp, {SCRATCH}
    stp x8, x9, [sp, #{X} + 64 - {SCRATCH}]
    trap_others stp
    mrs x0, sp_el0
    mrs x1, elr_el1
    mrs x2, spsr_el1
    mrs x3, tpidr_el0
    sub x29, sp, #{SCRATCH}
    stp x0, x1, [x29, #{SP}]
    stp x3, x18, [x29, #{TP}]
    str x2, [x29, #{WINDOW} + 8]
    adrp x1, __kernel_stack_top
    mrs x0, tpidr_el1
    mov sp, x1
.endm

.macro trap_preserved op, base, offset
    \op x19, x20, [\base, #{PRESERVED} - \offset]
    \op x21, x22, [\base, #{PRESERVED} + 16 - \offset]
    \op x23, x24, [\base, #{PRESERVED} + 32 - \offset]
    \op x25, x26, [\base, #{PRESERVED} + 48 - \offset]
    \op x27, x28, [\base, #{PRESERVED} + 64 - \offset]
.endm

// v0-v31 to or from x2, which moves along.
.macro trap_vectors op
    \op {{v0.2d-v3.2d}}, [x2], #64
    \op {{v4.2d-v7.2d}}, [x2], #64
    \op {{v8.2d-v11.2d}}, [x2], #64
    \op {{v12.2d-v15.2d}}, [x2], #64
    \op {{v16.2d-v19.2d}}, [x2], #64
    \op {{v20.2d-v23.2d}}, [x2], #64
    \op {{v24.2d-v27.2d}}, [x2], #64
    \op {{v28.2d-v31.2d}}, [x2], #64
.endm

// Saves what a call preserves and x8-x10. The saved flags are zero, as a call leaves them.
.macro trap_keep
    trap_preserved stp, sp, {SCRATCH}
    mrs x29, sp_el0
    mrs x30, elr_el1
    stp x29, x30, [sp, #{SP} - {SCRATCH}]
    mrs x29, tpidr_el0
    stp x29, x18, [sp, #{TP} - {SCRATCH}]
    stp x10, xzr, [sp, #{WINDOW} - {SCRATCH}]
    stp x8, x9, [sp, #{X} + 64 - {SCRATCH}]
.endm

// Goes to the Rust function `to` with the data words in x0-x7 if the control word is plain: words
// up to 8, any window, nothing else. x11-x17 are not kept then.
.macro trap_plain to
    and w30, w10, #~0x3800          // fast::WINDOW_COUNT
    cmp w30, #8
    b.ls \to
.endm

// In the vector itself: Call comes first and saves a branch.
.macro trap_sync
    .balign 128, 0
    stp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]
    mrs x29, esr_el1
    mov w30, #0x56000000            // SVC in AArch64 state, 32-bit instruction, number 0
    subs w30, w29, w30
    b.ne lower_sync
    trap_keep
    trap_plain fast_call
    b trap_more
.endm

.type lower_sync, %function
lower_sync:
    cmp w30, #1
    b.ne 1f
    trap_keep
    trap_plain fast_reply_recv
    and w30, w30, #~{DEADLINE}
    cmp w30, #8
    b.hi trap_kept
    str x17, [sp, #{X} + 136 - {SCRATCH}]
    b fast_reply_more
1:  cmp w30, #2
    b.eq trap_send
    cmp w30, #8
    b.hs 2f
    b trap_general
2:  cmp w30, #0x10, lsl #12
    b.hs trap_fault_entry
    mov x8, #0                      // no such system call: its status, and nothing else happened
    mov x9, #0
    mov x10, #1
    b trap_clear
.size lower_sync, . - lower_sync

// SendAsync: a signal that wakes nobody changes x8-x17 alone.
.type trap_send, %function
trap_send:
    trap_plain 4f
    b trap_general
4:  trap_words stp, sp, {SCRATCH}
    stp x8, x9, [sp, #{X} + 64 - {SCRATCH}]
    sub x29, sp, #{SCRATCH}
    str x10, [x29, #{WINDOW}]
    str x18, [x29, #{TP} + 8]
    mov x1, x0
    mov x2, x8
    adrp x30, __kernel_stack_top
    mrs x0, tpidr_el1
    mov sp, x30
    bl fast_signal
    cbz x0, trap_send_slow
    cmp x0, #1
    b.ne trap_send_leave
    add sp, x29, #{SCRATCH}
    trap_words ldp, x29, 0
    ldr x18, [x29, #{TP} + 8]
    mov x8, #0
    mov x9, #0
    mov x10, #4 << 18               // Outcome: Reply, Ok
trap_clear:
    mov x11, #0
    ldp x12, x13, [sp, #{ZEROS} - {SCRATCH}]
    ldp x14, x15, [sp, #{ZEROS} - {SCRATCH}]
    ldp x16, x17, [sp, #{ZEROS} - {SCRATCH}]
    ldp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]
    eret
.size trap_send, . - trap_send

// In the vectors themselves.
.macro trap_serror
    .balign 128, 0
    stp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]
    trap_save
    trap_preserved stp, x29, 0
    mrs x1, esr_el1
    mov x2, #0
    bl trap_fault
    b trap_interrupted
.endm

.macro trap_irq
    .balign 128, 0
    stp x29, x30, [sp, #{PRESERVED} + 80 - {SCRATCH}]
    trap_save
    bl trap_interrupt
    b trap_interrupted
.endm

// A thread x29 that was interrupted keeps everything. In: x0 who runs now.
.type trap_interrupted, %function
trap_interrupted:
    cmp x0, x29
    b.eq trap_resume
    trap_preserved stp, x29, 0
    ldr w1, [x29]
    tbz w1, #{FP_BIT}, trap_switch
    add x2, x29, #{FP}
    trap_vectors st1
    mrs x3, fpcr
    mrs x4, fpsr
    orr x3, x3, x4, lsl #32
    str x3, [x29, #{FP_CONTROL}]
    orr w1, w1, #{FP_SAVED}
    str w1, [x29]
    b trap_switch
.size trap_interrupted, . - trap_interrupted

// As above, for a thread with FP registers: w1 is its word, x2 CPACR_EL1.
.type trap_switch_fp, %function
trap_switch_fp:
    orr x2, x2, #0x200000
    msr cpacr_el1, x2
    ldr x3, [x0, #{FP_CONTROL}]
    mov w4, w3
    msr fpcr, x4
    tbz w1, #{FP_SAVED_BIT}, 3f
    lsr x3, x3, #32
    msr fpsr, x3
    bic w1, w1, #{FP_SAVED}
    str w1, [x0]
    add x2, x0, #{FP}
    trap_vectors ld1
    b trap_space
3:  msr fpsr, xzr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movi v\n\().2d, #0
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    movi v\n\().2d, #0
    .endr
    b trap_space
.size trap_switch_fp, . - trap_switch_fp

.arch_extension nosimd
.arch_extension nofp
