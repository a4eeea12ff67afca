//! Virtual addresses and descriptor bits of the kernel's half (TTBR1), as the reset code and the
//! MMU module both need them. Drawn in `docs/reference/memory-map.md`.
//!
//! 39-bit addresses, 4 KiB granule: translation starts at level 1, one entry there covers 1 GiB, one
//! at level 2 a block of 2 MiB. Section titles are those of the Arm ARM (DDI 0487), part D8 "The
//! AArch64 Virtual Memory System Architecture".

/// A page, and a translation table.
pub(crate) const PAGE: usize = 4096;
/// What one entry of a level-2 table maps.
pub(crate) const BLOCK: usize = 2 << 20;

/// Start of the linear map: RAM in which the kernel owns no Rust object, at `LINEAR_BASE` + physical
/// address, for the first 64 GiB of physical addresses.
pub(crate) const LINEAR_BASE: usize = 0xffff_ff80_0000_0000;
/// Start of the window: 512 slots of one block each, for devices, and during boot for memory.
pub(crate) const WINDOW_BASE: usize = 0xffff_ffc0_4000_0000;
/// Start of the kernel image. `kernel.ld` says so too.
pub(crate) const KERNEL_BASE: usize = 0xffff_ffff_8000_0000;

/// Window slot through which the UART is reached from the moment the MMU is on.
pub(crate) const UART_SLOT: usize = 0;
/// First of the two window slots that show the blocks around the kernel's own tables until boot ends.
pub(crate) const IMAGE_SLOT: usize = 510;

/// Index of the entry for `address` in a level-1 table.
pub(crate) const fn level1_index(address: usize) -> usize {
    address >> 30 & 511
}

/// Index of the entry for `address` in a level-2 table.
pub(crate) const fn level2_index(address: usize) -> usize {
    address >> 21 & 511
}

/// Index of the entry for `address` in a level-3 table.
pub(crate) const fn level3_index(address: usize) -> usize {
    address >> 12 & 511
}

/// `MAIR_EL1`: memory types by attribute index: 0 Device-nGnRnE, 1 Normal write-back, 2 Normal
/// non-cacheable, 3 Device-nGnRE.
pub(crate) const MAIR: u64 = 0xff << 8 | 0x44 << 16 | 0x04 << 24;

/// Descriptor of a table ("VMSAv8-64 Table descriptor format").
pub(crate) const TABLE: u64 = 0b11;
/// Descriptor type of a level-3 page ("VMSAv8-64 Block descriptor and Page descriptor formats").
pub(crate) const PAGE_TYPE: u64 = 0b11;
/// Descriptor type of a level-1 or level-2 block.
pub(crate) const BLOCK_TYPE: u64 = 0b01;

/// Access flag: never fault on first use.
const ACCESSED: u64 = 1 << 10;
/// Inner shareable.
const INNER: u64 = 0b11 << 8;
/// Writes fault.
const READ_ONLY: u64 = 1 << 7;
/// Not executable at EL1.
const PXN: u64 = 1 << 53;
/// Not executable at EL0.
const UXN: u64 = 1 << 54;

/// Normal write-back memory that the kernel executes: attribute index 1.
pub(crate) const CODE: u64 = 1 << 2 | INNER | ACCESSED | READ_ONLY | UXN;
/// Normal write-back memory that the kernel reads.
pub(crate) const CONSTANT: u64 = CODE | PXN;
/// Normal write-back memory that the kernel writes.
pub(crate) const DATA: u64 = CONSTANT & !READ_ONLY;
/// Device-nGnRnE: attribute index 0.
pub(crate) const DEVICE: u64 = ACCESSED | PXN | UXN;

/// `SCTLR_EL1` while the kernel runs: MMU, caches, stack alignment checks; what is writable is not
/// executable (WXN), EL0 included; EL0 may clean and invalidate caches by address (UCI, DZE, UCT)
/// and wait (nTWI, nTWE). The rest are the RES1 bits of Armv8.0.
pub(crate) const SCTLR: u64 = 0x30d0_0800
    | 1 << 0 // M
    | 1 << 2 // C
    | 1 << 3 // SA
    | 1 << 4 // SA0
    | 1 << 12 // I
    | 1 << 14 // DZE
    | 1 << 15 // UCT
    | 1 << 16 // nTWI
    | 1 << 18 // nTWE
    | 1 << 19 // WXN
    | 1 << 26; // UCI
