//! The controller: clock, bus, and one command at a time.

use core::fmt;

use crate::Outside;
use crate::command::{Command, Response, STATUS_ERRORS};
use crate::register::{
    Register, base_clock_hz, clock, control, has_adma2, has_high_speed, mode, present, status,
};

/// Base clock of EMMC2 if the capabilities do not say: what those of boards say, as Linux' `sdhci` prints them
/// (0x45ee6432, bits 15:8). The device tree gives the clock (`cprman`, 51) without a rate.
const BASE_CLOCK_HZ: u32 = 100_000_000;
/// Clock of a card that is not identified yet. SD spec, "Card Identification Mode": at most 400 kHz; EMMC2
/// goes down to 200 kHz (Linux `sdhci-iproc`).
pub(crate) const IDENTIFICATION_HZ: u32 = 400_000;
/// Up to this clock EMMC2 needs four card clocks between two writes (Linux `sdhci-iproc`, on writes).
const SLOW_HZ: u32 = 400_000;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
/// Between two looks at a register.
const LOOK: u64 = 10 * MICROSECOND;
/// For resets, the clock, and commands without data. The controller itself gives up on an answer after 64
/// card clocks.
const COMMAND_LIMIT: u64 = 100 * MILLISECOND;
/// For a card that is busy. SD spec, "Read, Write and Erase Timeout Conditions": up to 500 ms for a write.
pub(crate) const BUSY_LIMIT: u64 = 1_000 * MILLISECOND;

/// Why a command or a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing answers: there is no card, or it does not know the command.
    Silent,
    /// An answer came damaged.
    CommandDamaged,
    /// Data came damaged, here or at the card.
    DataDamaged,
    /// Data did not come, or the card stayed busy.
    DataTimeout,
    /// The controller does not do what it should, in time or at all.
    Stuck,
    /// The card reports errors in its status.
    Status(u32),
    /// The card needs another voltage than there is.
    Voltage,
    /// The card never was ready.
    NotReady,
    /// The card is of a kind that is not known.
    Unknown,
    /// The card is locked by a password.
    Locked,
    /// This is not the card that was there before.
    Exchanged,
    /// The controller could not move data by itself.
    Dma,
    /// The card draws more current than the slot gives.
    Power,
}

impl Fault {
    /// What the error bits of the controller's status say.
    pub(crate) const fn of_status(bits: u32) -> Self {
        if bits & status::COMMAND_TIMEOUT != 0 {
            Self::Silent
        } else if bits & (status::COMMAND_DAMAGED | status::STOP_FAILED) != 0 {
            Self::CommandDamaged
        } else if bits & status::DATA_DAMAGED != 0 {
            Self::DataDamaged
        } else if bits & status::ADMA_ERROR != 0 {
            Self::Dma
        } else if bits & status::DATA_TIMEOUT != 0 {
            Self::DataTimeout
        } else if bits & status::CURRENT_LIMIT != 0 {
            Self::Power
        } else {
            Self::Stuck
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no card answers",
            Self::CommandDamaged => "an answer of the card came damaged",
            Self::DataDamaged => "data came damaged",
            Self::DataTimeout => "the card sent no data, or stays busy",
            Self::Stuck => "the controller does not answer",
            Self::Status(status) => {
                return write!(f, "the card reports errors, status {status:#010x}");
            }
            Self::Voltage => "the card does not run at 3.3 V",
            Self::NotReady => "the card is never ready",
            Self::Unknown => "the card is of an unknown kind",
            Self::Locked => "the card is locked by a password",
            Self::Exchanged => "another card is in the slot",
            Self::Dma => "the controller cannot move data by itself",
            Self::Power => "the card draws more current than the slot gives",
        })
    }
}

impl core::error::Error for Fault {}

/// A controller.
#[derive(Debug)]
pub struct Controller<O> {
    outside: O,
    base_hz: u32,
    clock_hz: u32,
    high_speed: bool,
    adma2: bool,
    /// Bits of `HostControl`.
    control: u32,
}

impl<O: Outside> Controller<O> {
    /// Resets the controller, switches the card's power on and gives it the clock for identification.
    ///
    /// # Errors
    /// `Stuck`.
    pub fn start(outside: O) -> Result<Self, Fault> {
        let mut controller = Self {
            outside,
            base_hz: BASE_CLOCK_HZ,
            clock_hz: IDENTIFICATION_HZ,
            high_speed: false,
            adma2: false,
            control: 0,
        };
        controller.restart()?;
        Ok(controller)
    }

    /// As [`start`](Self::start), for a card that is to be identified anew.
    ///
    /// # Errors
    /// `Stuck`.
    pub fn restart(&mut self) -> Result<(), Fault> {
        self.clock_hz = IDENTIFICATION_HZ;
        self.reset(clock::RESET_ALL)?;
        let capabilities = self.outside.read(Register::Capabilities);
        self.base_hz = base_clock_hz(capabilities).unwrap_or(BASE_CLOCK_HZ);
        self.high_speed = has_high_speed(capabilities);
        self.adma2 = has_adma2(capabilities);
        self.control = control::POWER_3V3;
        if self.adma2 {
            self.control |= control::ADMA2;
        }
        self.write(Register::HostControl, self.control);
        self.set_clock(IDENTIFICATION_HZ)?;
        self.write(Register::StatusEnable, status::USED);
        self.write(Register::SignalEnable, 0);
        // SD spec, "Power Up Sequence": a millisecond, and 74 clocks.
        self.outside.pause(2 * MILLISECOND);
        Ok(())
    }

    /// What it was started with.
    pub const fn outside(&mut self) -> &mut O {
        &mut self.outside
    }

    /// The card's clock in Hz.
    #[must_use]
    pub const fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    /// Whether the controller knows High Speed.
    #[must_use]
    pub const fn has_high_speed(&self) -> bool {
        self.high_speed
    }

    /// Whether the controller can move blocks by itself.
    #[must_use]
    pub const fn has_adma2(&self) -> bool {
        self.adma2
    }

    /// Sets the card's clock to at most `hz`. SDHC spec, "SD Clock Supply Sequence".
    ///
    /// # Errors
    /// `Stuck`.
    pub fn set_clock(&mut self, hz: u32) -> Result<(), Fault> {
        let divisor = match self.base_hz.div_ceil(hz.max(1)) {
            0 | 1 => 0,
            ratio => ratio.div_ceil(2).min(clock::DIVISOR_LIMIT),
        };
        self.write(Register::ClockControl, clock::TIMEOUT);
        let bits = clock::TIMEOUT | clock::divisor(divisor) | clock::INTERNAL;
        self.write(Register::ClockControl, bits);
        self.wait(Register::ClockControl, COMMAND_LIMIT, |bits| {
            bits & clock::STABLE != 0
        })?;
        self.write(Register::ClockControl, bits | clock::CARD);
        self.clock_hz = self.base_hz / (2 * divisor).max(1);
        Ok(())
    }

    /// Uses four data lines, as the card does from now on.
    pub fn use_four_bits(&mut self) {
        self.control |= control::FOUR_BITS;
        self.write(Register::HostControl, self.control);
    }

    /// Times data as High Speed does, as the card does from now on.
    pub fn use_high_speed(&mut self) {
        self.control |= control::HIGH_SPEED;
        self.write(Register::HostControl, self.control);
    }

    /// Lets what happens to transfers interrupt, or not.
    pub fn set_interrupts(&mut self, on: bool) {
        let bits = if on { status::INTERRUPTS } else { 0 };
        self.write(Register::SignalEnable, bits);
    }

    /// Sends a command without data and waits for the answer, low bits first. Of a long one these are bits 127:8.
    ///
    /// # Errors
    /// `Silent`, `CommandDamaged`, `DataTimeout`, `Stuck`.
    pub fn run(&mut self, command: &Command) -> Result<[u32; 4], Fault> {
        self.send(command, 0, 0, None)?;
        self.await_status(status::COMMAND_COMPLETE, COMMAND_LIMIT)?;
        let answer = Register::RESPONSE.map(|register| self.outside.read(register));
        if command.response == Response::Busy {
            self.await_status(status::TRANSFER_COMPLETE, BUSY_LIMIT)?;
        }
        Ok(answer)
    }

    /// As [`run`](Self::run), for a command that is answered with the card's status.
    ///
    /// # Errors
    /// As [`run`](Self::run), and `Status`.
    pub fn run_checked(&mut self, command: &Command) -> Result<u32, Fault> {
        let [card, ..] = self.run(command)?;
        match card & STATUS_ERRORS {
            0 => Ok(card),
            _ => Err(Fault::Status(card)),
        }
    }

    /// Sends a command that reads a single block of `data`'s length, a multiple of 4, and waits for it.
    ///
    /// # Errors
    /// As [`run_checked`](Self::run_checked), and `DataDamaged`.
    pub fn read_small(&mut self, command: &Command, data: &mut [u8]) -> Result<(), Fault> {
        let bytes = u32::try_from(data.len()).map_err(|_| Fault::Stuck)?;
        self.send(command, bytes, 1, None)?;
        self.await_status(status::COMMAND_COMPLETE, COMMAND_LIMIT)?;
        let card = self.outside.read(Register::Response0);
        if card & STATUS_ERRORS != 0 {
            return Err(Fault::Status(card));
        }
        self.await_status(status::BUFFER_READ, BUSY_LIMIT)?;
        self.take_block(data);
        self.await_status(status::TRANSFER_COMPLETE, BUSY_LIMIT)
    }

    /// Waits until the command that was sent has been answered, and the controller has moved its blocks by itself.
    ///
    /// # Errors
    /// As [`read_small`](Self::read_small), and `Dma`.
    pub(crate) fn await_moved(&mut self) -> Result<(), Fault> {
        self.await_status(status::COMMAND_COMPLETE, COMMAND_LIMIT)?;
        let card = self.outside.read(Register::Response0);
        if card & STATUS_ERRORS != 0 {
            return Err(Fault::Status(card));
        }
        self.await_status(status::TRANSFER_COMPLETE, BUSY_LIMIT)
    }

    /// Sends a command. Its data, if it has any, are `blocks` blocks of `block_bytes` bytes, which the controller
    /// moves by itself if there is a `table` of descriptors at that address of its own.
    ///
    /// # Errors
    /// `Stuck`: commands are under way that never end.
    pub(crate) fn send(
        &mut self,
        command: &Command,
        block_bytes: u32,
        blocks: u32,
        table: Option<u32>,
    ) -> Result<(), Fault> {
        use crate::command::Direction;
        let uses_data = command.data.is_some() || command.response == Response::Busy;
        // CMD12 is sent while data is under way.
        let busy = if uses_data && *command != Command::STOP {
            present::COMMAND_INHIBIT | present::DATA_INHIBIT
        } else {
            present::COMMAND_INHIBIT
        };
        self.wait(Register::PresentState, BUSY_LIMIT, |bits| bits & busy == 0)?;
        self.clear(u32::MAX);
        let mut word = command.bits();
        if let Some(direction) = command.data {
            self.write(Register::BlockSizeCount, block_bytes | blocks << 16);
            word |= mode::BLOCK_COUNT;
            if let Some(table) = table {
                self.write(Register::AdmaAddress, table);
                word |= mode::DMA;
            }
            if direction == Direction::Read {
                word |= mode::READ;
            }
            if blocks > 1 {
                word |= mode::MULTIPLE | mode::AUTO_CMD12;
            }
        }
        self.write(Register::Argument, command.argument);
        self.write(Register::TransferCommand, word);
        Ok(())
    }

    /// The status now.
    pub(crate) fn status(&mut self) -> u32 {
        self.outside.read(Register::Status)
    }

    /// Clears bits of the status.
    pub(crate) fn clear(&mut self, bits: u32) {
        self.write(Register::Status, bits);
    }

    /// The answer to the last command.
    pub(crate) fn answer(&mut self) -> u32 {
        self.outside.read(Register::Response0)
    }

    /// Takes a block out of the buffer.
    pub(crate) fn take_block(&mut self, data: &mut [u8]) {
        for word in data.chunks_exact_mut(4) {
            word.copy_from_slice(&self.outside.read(Register::Buffer).to_le_bytes());
        }
    }

    /// Puts a block into the buffer.
    pub(crate) fn put_block(&mut self, data: &[u8]) {
        for word in data.as_chunks::<4>().0 {
            self.write(Register::Buffer, u32::from_le_bytes(*word));
        }
    }

    /// Ends whatever is under way, after an error. SDHC spec, "Error Recovery".
    ///
    /// # Errors
    /// `Stuck`.
    pub(crate) fn reset_lines(&mut self) -> Result<(), Fault> {
        self.reset(clock::RESET_COMMAND)?;
        self.reset(clock::RESET_DATA)?;
        self.clear(u32::MAX);
        Ok(())
    }

    fn reset(&mut self, bits: u32) -> Result<(), Fault> {
        let word = if bits == clock::RESET_ALL {
            0
        } else {
            self.outside.read(Register::ClockControl)
        };
        self.write(Register::ClockControl, word | bits);
        self.wait(Register::ClockControl, COMMAND_LIMIT, |now| now & bits == 0)
    }

    /// Waits until one of `bits` is set, and clears it.
    fn await_status(&mut self, bits: u32, limit: u64) -> Result<(), Fault> {
        let end = self.outside.now().saturating_add(limit);
        loop {
            let now = self.status();
            if now & status::ERROR != 0 {
                self.reset_lines()?;
                return Err(Fault::of_status(now));
            }
            if now & bits != 0 {
                self.clear(now & bits);
                return Ok(());
            }
            if self.outside.now() >= end {
                self.reset_lines()?;
                return Err(Fault::Stuck);
            }
            self.outside.pause(LOOK);
        }
    }

    fn wait(
        &mut self,
        register: Register,
        limit: u64,
        done: impl Fn(u32) -> bool,
    ) -> Result<(), Fault> {
        let end = self.outside.now().saturating_add(limit);
        while !done(self.outside.read(register)) {
            if self.outside.now() >= end {
                return Err(Fault::Stuck);
            }
            self.outside.pause(LOOK);
        }
        Ok(())
    }

    fn write(&mut self, register: Register, value: u32) {
        self.outside.write(register, value);
        if self.clock_hz <= SLOW_HZ {
            let clocks = 4_000_000_000 / u64::from(self.clock_hz.max(1));
            self.outside.pause(clocks);
        }
    }
}
