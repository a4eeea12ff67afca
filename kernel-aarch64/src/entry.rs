//! From reset to the first line that is not about booting.
//!
//! `reset.s` runs with the MMU off, leaves EL1 with the kernel mapped and calls [`boot::boot`],
//! which reads the device tree and hands [`start::start`] what it found.

use core::arch::global_asm;

use crate::arch::layout;

mod boot;
mod start;

global_asm!(
    include_str!("entry/reset.s"),
    KERNEL_BASE_INDEX = const layout::level1_index(layout::KERNEL_BASE),
    WINDOW_BASE = const layout::WINDOW_BASE,
    WINDOW_BASE_INDEX = const layout::level1_index(layout::WINDOW_BASE),
    UART_SLOT = const layout::UART_SLOT,
    IMAGE_SLOT = const layout::IMAGE_SLOT,
    MAIR = const layout::MAIR,
    TABLE = const layout::TABLE,
    CODE_PAGE = const layout::CODE | layout::PAGE_TYPE,
    CONSTANT_PAGE = const layout::CONSTANT | layout::PAGE_TYPE,
    DATA_PAGE = const layout::DATA | layout::PAGE_TYPE,
    CODE_BLOCK = const layout::CODE | layout::BLOCK_TYPE,
    DATA_BLOCK = const layout::DATA | layout::BLOCK_TYPE,
    SCTLR = const layout::SCTLR,
    DEVICE_BLOCK = const layout::DEVICE | layout::BLOCK_TYPE,
    PI_UART = const gritos_board::rpi4::UART0,
    PI_GPIO = const gritos_board::rpi4::GPIO,
    PI_BAUD_DIVISOR = const gritos_board::rpi4::UART_BAUD_DIVISOR,
    VIRT_UART = const gritos_board::qemu_virt::BOARD.uart,
);
