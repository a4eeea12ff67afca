//! What is known about each board before any device tree has been read.
//!
//! Plain constants with their sources, one module per board. The kernel needs only what lets it
//! speak before it has parsed the device tree ([`Board`]); everything else it takes from the tree
//! of the machine it runs on. Build tools read the rest: where images are loaded, what goes on the
//! SD card, and the device tree QEMU's `raspi4b` does not bring along (feature `device-tree`).
//!
//! Deliberately not here: functions with effects, and anything the device tree already says.

#![no_std]
#![forbid(unsafe_code)]

pub mod qemu_virt;
pub mod rpi4;

/// The boards one kernel image boots on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardId {
    /// QEMU's `virt` machine.
    QemuVirt,
    /// Raspberry Pi 4 Model B, and QEMU's `raspi4b`.
    Rpi4,
}

/// The least a kernel must know to report that it cannot read the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Which board this is.
    pub id: BoardId,
    /// Name as shown in the banner and taken by `--board`.
    pub name: &'static str,
    /// Physical address of the PL011 UART whose lines reach the outside.
    pub uart: u64,
    /// First physical address a device tree can be passed at.
    pub ram_start: u64,
    /// End (exclusive) of the physical addresses a device tree can be passed at.
    pub ram_end: u64,
    /// Physical range of device registers that user space may have: without the interrupt
    /// controller, which is the kernel's alone.
    pub devices: (u64, u64),
    /// End of the memory behind the first bank of RAM that a coprocessor keeps for itself, and in which what it
    /// shows lies: user space may have it as device memory. 0: there is none.
    pub share_end: u64,
    /// Where the flat kernel image lands when its arm64 header asks for `text_offset` 0.
    pub load_address: u64,
}

/// RAM of the Pi starts at 0 and that of `virt` at 1 GiB, and both load kernels low: an image
/// that finds itself below this address runs on a Pi.
pub const PI_LOADS_BELOW: u64 = 1 << 30;

impl Board {
    /// The board on which an image finds itself at physical address `load`.
    #[must_use]
    pub const fn of_load_address(load: u64) -> &'static Self {
        if load < PI_LOADS_BELOW {
            &rpi4::BOARD
        } else {
            &qemu_virt::BOARD
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, qemu_virt, rpi4};

    #[test]
    fn the_load_address_tells_the_boards_apart() {
        for board in [&rpi4::BOARD, &qemu_virt::BOARD] {
            assert_eq!(Board::of_load_address(board.load_address), board);
        }
    }

    #[test]
    fn images_load_into_ram_on_a_block_boundary_clear_of_the_uart() {
        for board in [&rpi4::BOARD, &qemu_virt::BOARD] {
            assert!((board.ram_start..board.ram_end).contains(&board.load_address));
            assert!(!(board.ram_start..board.ram_end).contains(&board.uart));
            assert_eq!(board.load_address % (2 << 20), 0);
        }
    }
}
