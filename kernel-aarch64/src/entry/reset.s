// Reset: from the boot loader's jump to Rust in the kernel's half of the address space.
//
// In:  x0 = physical address of the device tree; EL2 or EL1, MMU and data cache off (the arm64 boot
//      protocol, Linux Documentation/arch/arm64/booting.rst).
// Out: EL1, MMU on, image mapped W^X, window mapped, TTBR0 empty, stack set; calls
//      boot(device tree, load address, entry EL).
//
// Until `reset_high` everything is position-independent: addresses come from adrp, and are physical.
// Kept throughout: x19 device tree, x20 load address, x21 entry EL, x22 UART (physical).

.section .head, "ax"

.globl head
head:
    b reset                         // "code0", then code1
    .long 0
    .quad 0                         // text_offset: at the start of a 2 MiB block, please
    .quad __kernel_size             // image_size; who appends a boot image adds its length
    .quad 0xa                       // little endian, 4 KiB pages, anywhere in memory
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

.macro reset_address register, symbol
    adrp \register, \symbol
    add \register, \register, :lo12:\symbol
.endm

reset:
    msr daifset, #0xf
    mrs x1, mpidr_el1
    and x1, x1, #0xffffff
    cbnz x1, reset_park             // only the boot processor; firmware should hold the others
    mov x19, x0
    adr x20, head
    lsr x1, x20, #30                // gritos_board::PI_LOADS_BELOW
    cbnz x1, 1f
    ldr x22, ={PI_UART}
    bl reset_pi_pins
    b 2f
1:  ldr x22, ={VIRT_UART}
2:  bl reset_uart
    tst x20, #4095
    b.ne reset_misaligned           // adrp works from here on
    reset_address x1, CONSOLE_BASE
    str x22, [x1]                   // reports use the UART's physical address
    mrs x21, currentel
    lsr x21, x21, #2
    cmp x21, #2
    b.eq reset_el2
    b.lo reset_el1

    adr x0, reset_text_el3
    b reset_die
reset_misaligned:
    adr x0, reset_text_misaligned
reset_die:
    ldrb w1, [x0], #1
    cbz w1, reset_park
3:  ldr w2, [x22, #0x18]            // FR
    tbnz w2, #5, 3b                 // TXFF
    str w1, [x22]                   // DR
    b reset_die

reset_park:
    wfi
    b reset_park

// Leaves EL2 with everything that EL2 could trap or virtualise switched off.
reset_el2:
    mov x1, #1 << 31                // HCR_EL2.RW: EL1 is AArch64
    msr hcr_el2, x1
    isb                             // E2H = 0 decides how the next ones are laid out
    mov x1, #3                      // CNTHCTL_EL2.EL1PCEN, EL1PCTEN: counter and timer are EL1's
    msr cnthctl_el2, x1
    msr cntvoff_el2, xzr
    mov x1, #0x33ff                 // CPTR_EL2: the RES1 bits, no traps
    msr cptr_el2, x1
    msr hstr_el2, xzr
    msr vttbr_el2, xzr
    mrs x1, midr_el1
    msr vpidr_el2, x1
    mrs x1, mpidr_el1
    msr vmpidr_el2, x1
    mrs x1, pmcr_el0
    ubfx x1, x1, #11, #5            // MDCR_EL2.HPMN = PMCR_EL0.N: all counters are EL1's
    msr mdcr_el2, x1
    mrs x1, id_aa64pfr0_el1
    ubfx x1, x1, #24, #4            // GIC: system registers?
    cbz x1, 1f
    mrs x1, s3_4_c12_c9_5           // ICC_SRE_EL2
    mov x2, #9                      // Enable, SRE: EL1 may use them
    orr x1, x1, x2
    msr s3_4_c12_c9_5, x1
    isb
    msr s3_4_c12_c11_0, xzr         // ICH_HCR_EL2
1:  ldr x1, =0x30d00800             // SCTLR_EL1: the RES1 bits, MMU off, before EL1 is entered
    msr sctlr_el1, x1
    mov x1, #0x3c5                  // EL1 with its own SP, DAIF masked
    msr spsr_el2, x1
    adr x1, reset_el1
    msr elr_el2, x1
    eret

reset_el1:
    ldr x1, =0x30d00800
    msr sctlr_el1, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el1, x1
    msr cpacr_el1, xzr              // FP traps until someone decides otherwise
    mov x1, #1 << 12                // MDSCR_EL1.TDCC: no debug channel for EL0; no debug events
    msr mdscr_el1, x1
    msr tpidrro_el0, xzr
    isb

    // A boot loader may leave the image dirty in caches; what is written below with the MMU off
    // must not be overwritten by that later, nor hidden by it.
    mov x0, x20
    adrp x1, __kernel_end
    bl reset_clean

    // Image: pages by section, from the boundaries in kernel.ld. What is not mapped here (tables,
    // and with them the guards below the stacks) stays unmapped.
    adrp x24, __image_pages
    mov x0, x20
    adrp x1, __text_end
    ldr x2, ={CODE_PAGE}
    bl reset_map
    adrp x1, __rodata_end
    ldr x2, ={CONSTANT_PAGE}
    bl reset_map
    adrp x1, __data_end
    ldr x2, ={DATA_PAGE}
    bl reset_map
    adrp x0, __kernel_stack
    adrp x1, __kernel_stack_top
    bl reset_map
    adrp x0, __emergency_stack
    adrp x1, __emergency_stack_top
    bl reset_map

    adrp x23, __root_table
    adrp x25, __image_table
    adrp x26, __window_table
    orr x1, x24, #{TABLE}
    str x1, [x25]
    orr x1, x25, #{TABLE}
    str x1, [x23, #8 * {KERNEL_BASE_INDEX}]
    orr x1, x26, #{TABLE}
    str x1, [x23, #8 * {WINDOW_BASE_INDEX}]

    // Window: the UART, and the tables' surroundings for Rust to build on.
    ldr x2, ={DEVICE_BLOCK}
    and x1, x22, #~0x1fffff
    orr x1, x1, x2
    str x1, [x26, #8 * {UART_SLOT}]
    ldr x2, ={DATA_BLOCK}
    and x1, x26, #~0x1fffff
    orr x1, x1, x2
    str x1, [x26, #8 * {IMAGE_SLOT}]
    add x1, x1, #0x200000
    str x1, [x26, #8 * ({IMAGE_SLOT} + 1)]

    // The block around this code at its own address, for the step from MMU off to on. The two
    // tables for it lie in the kernel stack, which nobody uses yet.
    adrp x0, __kernel_stack
    add x1, x0, #4096
    orr x2, x1, #{TABLE}
    ubfx x3, x20, #30, #9
    str x2, [x0, x3, lsl #3]
    ldr x2, ={CODE_BLOCK}
    and x3, x20, #~0x1fffff
    orr x2, x2, x3
    ubfx x3, x20, #21, #9
    str x2, [x1, x3, lsl #3]

    msr ttbr0_el1, x0
    msr ttbr1_el1, x23
    mov x0, x20
    adrp x1, __kernel_end
    bl reset_clean                  // also what instruction fetches pulled in meanwhile

    ldr x1, ={MAIR}
    msr mair_el1, x1
    // TCR_EL1: both halves 39 bits, 4 KiB granule, walks cached and inner shareable.
    ldr x1, =(25 | 1 << 8 | 1 << 10 | 3 << 12 | 25 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30)
    mrs x2, id_aa64mmfr0_el1
    and x3, x2, #0xf                // PARange, up to 48 bits
    mov x4, #5
    cmp x3, x4
    csel x3, x3, x4, lo
    bfi x1, x3, #32, #3             // IPS
    ubfx x3, x2, #5, #1             // ASIDBits: 2 means 16 bits
    bfi x1, x3, #36, #1             // AS
    msr tcr_el1, x1
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    adrp x23, __empty_table         // physical, for the last time
    ldr x2, =reset_high
    ldr x1, ={SCTLR}
    msr sctlr_el1, x1
    isb
    br x2

reset_high:
    reset_address x1, vectors
    msr vbar_el1, x1
    msr ttbr0_el1, x23
    isb
    tlbi vmalle1
    dsb nsh
    isb
    adrp x1, __kernel_stack_top
    mov sp, x1
    ldr x2, ={WINDOW_BASE} + {UART_SLOT} * 0x200000
    and x1, x22, #0x1fffff
    add x1, x1, x2
    reset_address x2, CONSOLE_BASE
    str x1, [x2]
    mov x29, xzr
    mov x0, x19
    mov x1, x20
    mov x2, x21
    bl boot                         // does not return

// Maps the pages from x0 to x1 with attributes x2 in the table x24. Out: x0 = x1.
reset_map:
    cmp x0, x1
    b.hs 1f
    sub x3, x0, x20
    lsr x3, x3, #12
    orr x4, x0, x2
    str x4, [x24, x3, lsl #3]
    add x0, x0, #4096
    b reset_map
1:  ret

// Cleans and invalidates the lines from x0 to x1 to the point of coherency.
reset_clean:
    mrs x2, ctr_el0
    ubfx x2, x2, #16, #4            // DminLine, log2 of words
    mov x3, #4
    lsl x2, x3, x2
    dsb sy
1:  dc civac, x0
    add x0, x0, x2
    cmp x0, x1
    b.lo 1b
    dsb sy
    ret

// Connects GPIO 14 and 15 to the PL011 (ALT0), without pulls.
reset_pi_pins:
    ldr x1, ={PI_GPIO}
    ldr w2, [x1, #4]                // GPFSEL1: 3 bits a pin, from GPIO 10
    mov w3, #0b100100
    bfi w2, w3, #12, #6
    str w2, [x1, #4]
    ldr w2, [x1, #0xe4]             // GPIO_PUP_PDN_CNTRL_REG0: 2 bits a pin
    and w2, w2, #0x0fffffff
    str w2, [x1, #0xe4]
    ret

// 8n1, FIFOs on, interrupts off; the baud rate only on the Pi (virt has none).
reset_uart:
    ldr w1, [x22, #0x18]            // FR
    tbnz w1, #3, reset_uart         // BUSY: let a boot loader's last words out
    str wzr, [x22, #0x30]           // CR: off while it is changed
    lsr x1, x20, #30
    cbnz x1, 1f
    mov w1, #{PI_BAUD_DIVISOR} >> 6
    str w1, [x22, #0x24]            // IBRD
    mov w1, #{PI_BAUD_DIVISOR} & 63
    str w1, [x22, #0x28]            // FBRD
1:  mov w1, #0x70
    str w1, [x22, #0x2c]            // LCRH, which also takes the rate over
    str wzr, [x22, #0x38]           // IMSC
    mov w1, #0x301
    str w1, [x22, #0x30]            // CR: transmit, receive, enable
    ret

reset_text_el3:
    .asciz "gRiTOS: entered at EL3; start me at EL2 or EL1 (boot a flat image, not an ELF file)\r\n"
reset_text_misaligned:
    .asciz "gRiTOS: loaded off a 4 KiB boundary; load me at a multiple of 2 MiB\r\n"
    .balign 4
    .ltorg
