// In:  x0 = device tree; EL2 (or EL1), MMU and data cache off, as the firmware enters a kernel.
// Out: calls loader_main(device tree) with the instruction cache on.

.section .head, "ax"

.globl head
head:
    b loader_reset                  // the header of the arm64 boot protocol, as the kernel's
    .long 0
    .quad 0                         // text_offset: at the start of a 2 MiB block
    .quad __loader_end - head       // image_size
    .quad 0xa                       // little endian, 4 KiB pages
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

loader_reset:
    msr daifset, #0xf
    mrs x1, mpidr_el1
    and x1, x1, #0xffffff
    cbnz x1, loader_park            // only the boot processor
    mrs x1, currentel
    lsr x1, x1, #2
    cmp x1, #2
    b.ne 1f
    mrs x1, sctlr_el2
    orr x1, x1, #1 << 12            // SCTLR_EL2.I: instructions may be cached with the MMU off
    msr sctlr_el2, x1
    isb
1:  adrp x1, __loader_stack
    add x1, x1, :lo12:__loader_stack
    mov sp, x1
    bl loader_main
loader_park:
    wfe
    b loader_park
