//! Registers of a standard SD host controller, as 32-bit words.
//!
//! The standard has registers of 8, 16 and 32 bits; EMMC2 is accessed by whole words only (Linux
//! `sdhci-iproc`: its accessors), so that what shares a word is written together. Offsets and bits: SDHC
//! spec, "SD Host Standard Register" and the section named at each.

/// A word, by its offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Register {
    /// "Block Size Register" in bits 11:0, "Block Count Register" in 31:16.
    BlockSizeCount = 0x04,
    /// "Argument 1 Register".
    Argument = 0x08,
    /// "Transfer Mode Register" in bits 15:0, "Command Register" in 31:16. Writing it starts the command.
    TransferCommand = 0x0c,
    /// "Response Register", bits 31:0 of the answer.
    Response0 = 0x10,
    /// Bits 63:32.
    Response1 = 0x14,
    /// Bits 95:64.
    Response2 = 0x18,
    /// Bits 127:96.
    Response3 = 0x1c,
    /// "Buffer Data Port Register": the next four bytes of a block. Reading takes them.
    Buffer = 0x20,
    /// "Present State Register".
    PresentState = 0x24,
    /// "Host Control 1 Register" in bits 7:0, "Power Control Register" in 15:8.
    HostControl = 0x28,
    /// "Clock Control Register" in bits 15:0, "Timeout Control Register" in 23:16, "Software Reset
    /// Register" in 31:24.
    ClockControl = 0x2c,
    /// "Normal Interrupt Status Register" in bits 15:0, "Error Interrupt Status Register" in 31:16. Ones
    /// that are written clear their bits.
    Status = 0x30,
    /// "… Interrupt Status Enable Register": which bits of the status can be set.
    StatusEnable = 0x34,
    /// "… Interrupt Signal Enable Register": which of them interrupt.
    SignalEnable = 0x38,
    /// "Capabilities Register", bits 31:0.
    Capabilities = 0x40,
    /// "ADMA System Address Register", bits 31:0: of the next descriptor.
    AdmaAddress = 0x58,
    /// "Host Controller Version Register" in bits 31:16.
    Version = 0xfc,
}

impl Register {
    /// The four words of an answer, low bits first.
    pub const RESPONSE: [Self; 4] = [
        Self::Response0,
        Self::Response1,
        Self::Response2,
        Self::Response3,
    ];
}

/// "Transfer Mode Register".
pub mod mode {
    /// The controller moves the blocks itself.
    pub const DMA: u32 = 1 << 0;
    /// The block count counts.
    pub const BLOCK_COUNT: u32 = 1 << 1;
    /// The controller sends CMD12 behind the last block.
    pub const AUTO_CMD12: u32 = 1 << 2;
    /// From card to host.
    pub const READ: u32 = 1 << 4;
    /// More than one block.
    pub const MULTIPLE: u32 = 1 << 5;
}

/// "Command Register", as it lies in the word.
pub mod command {
    /// An answer of 136 bits.
    pub const ANSWER_136: u32 = 1 << 16;
    /// An answer of 48 bits.
    pub const ANSWER_48: u32 = 2 << 16;
    /// An answer of 48 bits, and the card may be busy behind it.
    pub const ANSWER_48_BUSY: u32 = 3 << 16;
    /// The checksum of the answer is checked.
    pub const CHECK_CRC: u32 = 1 << 19;
    /// The index in the answer is checked.
    pub const CHECK_INDEX: u32 = 1 << 20;
    /// Data follows.
    pub const DATA: u32 = 1 << 21;
    /// Abort: CMD12.
    pub const ABORT: u32 = 3 << 22;
    /// Where the index lies.
    pub const INDEX_SHIFT: u32 = 24;
}

/// "Present State Register".
pub mod present {
    /// No command can be sent.
    pub const COMMAND_INHIBIT: u32 = 1 << 0;
    /// No command that uses the data lines can be sent.
    pub const DATA_INHIBIT: u32 = 1 << 1;
}

/// "Host Control 1 Register" and "Power Control Register".
pub mod control {
    /// Four data lines.
    pub const FOUR_BITS: u32 = 1 << 1;
    /// Data changes at the rising edge: High Speed.
    pub const HIGH_SPEED: u32 = 1 << 2;
    /// What DMA is: 32-bit ADMA2.
    pub const ADMA2: u32 = 2 << 3;
    /// Power at 3.3 V.
    pub const POWER_3V3: u32 = 0xf << 8;
}

/// "Clock Control Register", "Timeout Control Register" and "Software Reset Register".
pub mod clock {
    /// The internal clock runs.
    pub const INTERNAL: u32 = 1 << 0;
    /// The internal clock is stable; read only.
    pub const STABLE: u32 = 1 << 1;
    /// The card gets the clock.
    pub const CARD: u32 = 1 << 2;
    /// Largest divisor: the clock is the base clock by twice this.
    pub const DIVISOR_LIMIT: u32 = 1023;
    /// The longest data timeout, 2^27 cycles of the timeout clock.
    pub const TIMEOUT: u32 = 0xe << 16;
    /// Resets everything; clears itself.
    pub const RESET_ALL: u32 = 1 << 24;
    /// Resets what has to do with commands; clears itself.
    pub const RESET_COMMAND: u32 = 1 << 25;
    /// Resets what has to do with data; clears itself.
    pub const RESET_DATA: u32 = 1 << 26;

    /// The divisor as the register has it: bits 7:0 in 15:8, bits 9:8 in 7:6.
    #[must_use]
    pub const fn divisor(divisor: u32) -> u32 {
        (divisor & 0xff) << 8 | (divisor >> 8 & 3) << 6
    }
}

/// "Normal Interrupt Status Register" and "Error Interrupt Status Register".
pub mod status {
    /// The command is over and its answer there.
    pub const COMMAND_COMPLETE: u32 = 1 << 0;
    /// The transfer is over, or the card no longer busy.
    pub const TRANSFER_COMPLETE: u32 = 1 << 1;
    /// The buffer takes a block.
    pub const BUFFER_WRITE: u32 = 1 << 4;
    /// The buffer holds a block.
    pub const BUFFER_READ: u32 = 1 << 5;
    /// One of the errors.
    pub const ERROR: u32 = 1 << 15;
    /// No answer came.
    pub const COMMAND_TIMEOUT: u32 = 1 << 16;
    /// The answer came damaged: checksum, end bit or index.
    pub const COMMAND_DAMAGED: u32 = 7 << 17;
    /// No data came, or the card stays busy.
    pub const DATA_TIMEOUT: u32 = 1 << 20;
    /// Data came damaged, or arrived so at the card: checksum or end bit.
    pub const DATA_DAMAGED: u32 = 3 << 21;
    /// The card draws too much current.
    pub const CURRENT_LIMIT: u32 = 1 << 23;
    /// CMD12, which the controller sends by itself behind several blocks, went wrong.
    pub const STOP_FAILED: u32 = 1 << 24;
    /// The controller could not move data: a descriptor, or the memory.
    pub const ADMA_ERROR: u32 = 1 << 25;
    /// What the driver wants to know: all errors, and what is named above.
    pub const USED: u32 = 0xffff_0000 | 0x33;
    /// What interrupts: not the end of a command, which something else always follows.
    pub const INTERRUPTS: u32 = USED & !COMMAND_COMPLETE;
}

/// Base clock in Hz as "Capabilities Register" has it, in MHz in bits 15:8; `None` if it does not say.
#[must_use]
pub const fn base_clock_hz(capabilities: u32) -> Option<u32> {
    match capabilities >> 8 & 0xff {
        0 => None,
        mhz => Some(mhz * 1_000_000),
    }
}

/// Whether "Capabilities Register" promises High Speed.
#[must_use]
pub const fn has_high_speed(capabilities: u32) -> bool {
    capabilities & 1 << 21 != 0
}

/// Whether "Capabilities Register" promises ADMA2.
#[must_use]
pub const fn has_adma2(capabilities: u32) -> bool {
    capabilities & 1 << 19 != 0
}
