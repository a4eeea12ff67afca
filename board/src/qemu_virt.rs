//! QEMU's `virt` machine, as of QEMU 10.0.
//!
//! Source: `docs/system/arm/virt.rst` and the device tree that QEMU generates. The guest is
//! promised that RAM starts at 1 GiB and that the tree's location is passed in x0; the UART's
//! address has been the same since the machine exists.

use crate::{Board, BoardId};

/// What is known before the device tree is read.
pub const BOARD: Board = Board {
    id: BoardId::QemuVirt,
    name: "virt",
    uart: 0x0900_0000,
    ram_start: 0x4000_0000,
    // RAM ends at most here without high memory; the tree is placed in the first 128 MiB.
    ram_end: 0x100_0000_0000,
    // Behind GIC and its MSI frames: UART, clock, GPIO, virtio, platform bus, PCIe window.
    devices: (0x0900_0000, 0x4000_0000),
    share_end: 0,
    load_address: 0x4020_0000,
};
