//! A card, from power-up to its fastest mode without tuning.
//!
//! SD spec, "Card Initialization and Identification Process" and "Bus Width Selection/Deselection".

use crate::Outside;
use crate::card_registers::{Capacity, Csd, Scr, switched_to_high_speed};
use crate::command::{Command, LOCKED};
use crate::controller::{Controller, Fault, IDENTIFICATION_HZ};

/// The fastest clock of each mode, in Hz. SD spec, "Bus Speed Modes".
const DEFAULT_SPEED_HZ: u32 = 25_000_000;
const HIGH_SPEED_HZ: u32 = 50_000_000;

/// Operating conditions (OCR): 2.7 to 3.6 V; SD spec, "OCR Register".
const VOLTAGES: u32 = 0x00ff_8000;
/// The host knows cards of more than 2 GB; in the answer: this is one.
const HIGH_CAPACITY: u32 = 1 << 30;
/// The card is ready.
const READY: u32 = 1 << 31;
/// How long a card may take. SD spec, "Initialization Command (ACMD41)": 1 s.
const READY_LIMIT: u64 = 1_100_000_000;
/// Between two questions.
const ASK_AGAIN: u64 = 5_000_000;
/// CMD55 was understood: the next command is the card's own kind.
const APP_CMD: u32 = 1 << 5;

/// How data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Up to 25 MHz.
    Default,
    /// Up to 50 MHz.
    High,
}

/// A card that is ready for transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// How much it holds, and how it counts.
    pub capacity: Capacity,
    /// It takes no writes.
    pub read_only: bool,
    /// Its identification (CID, bits 127:8), by which it is known again.
    pub identification: [u32; 4],
    /// Its address on the bus, in bits 31:16.
    pub(crate) address: u32,
    /// How data travels.
    pub speed: Speed,
    /// Data lines in use.
    pub lines: u8,
    /// The card's clock in Hz.
    pub clock_hz: u32,
}

impl Card {
    /// Finds out what card there is and makes it ready. The controller was just started.
    ///
    /// # Errors
    /// Everything that can go wrong with a card.
    pub fn identify<O: Outside>(controller: &mut Controller<O>) -> Result<Self, Fault> {
        controller.run(&Command::GO_IDLE)?;
        let modern = is_modern(controller)?;
        let by_block = power_up(controller, modern)?;
        let identification = controller.run(&Command::ALL_SEND_CID)?;
        let address = controller.run(&Command::SEND_ADDRESS)?[0] & 0xffff_0000;
        let csd = Csd::parse(controller.run(&Command::send_csd(address))?).ok_or(Fault::Unknown)?;
        if csd.capacity.by_block != by_block {
            return Err(Fault::Unknown);
        }
        if controller.run_checked(&Command::select(address))? & LOCKED != 0 {
            return Err(Fault::Locked);
        }
        controller.run_checked(&Command::SET_BLOCK_LENGTH)?;
        controller.set_clock(DEFAULT_SPEED_HZ)?;
        let mut card = Self {
            capacity: csd.capacity,
            read_only: csd.read_only,
            identification,
            address,
            speed: Speed::Default,
            lines: 1,
            clock_hz: IDENTIFICATION_HZ,
        };
        card.speed_up(controller)?;
        card.clock_hz = controller.clock_hz();
        Ok(card)
    }

    /// Uses what card and controller have in common.
    fn speed_up<O: Outside>(&mut self, controller: &mut Controller<O>) -> Result<(), Fault> {
        let mut scr = [0; 8];
        announce(controller, self.address)?;
        controller.read_small(&Command::SEND_SCR, &mut scr)?;
        let scr = Scr::parse(scr);
        if scr.four_bits {
            announce(controller, self.address)?;
            controller.run_checked(&Command::FOUR_BITS)?;
            controller.use_four_bits();
            self.lines = 4;
        }
        if scr.can_switch && controller.has_high_speed() {
            let mut status = [0; 64];
            match controller.read_small(&Command::SWITCH_HIGH_SPEED, &mut status) {
                Ok(()) if switched_to_high_speed(&status) => {
                    controller.use_high_speed();
                    controller.set_clock(HIGH_SPEED_HZ)?;
                    self.speed = Speed::High;
                }
                // It stays as fast as it was. A card need not know the command (SD spec, "Switch Function
                // Command": command class 10 is optional), and then does not answer.
                Ok(()) | Err(Fault::Silent) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// What a command names block `block` by; `None` if the card has no such block.
    #[must_use]
    pub fn argument(&self, block: u64) -> Option<u32> {
        if block >= self.capacity.blocks {
            return None;
        }
        let scale = if self.capacity.by_block { 1 } else { 512 };
        u32::try_from(block.checked_mul(scale)?).ok()
    }
}

/// Whether the card follows version 2 or later of the specification.
fn is_modern<O: Outside>(controller: &mut Controller<O>) -> Result<bool, Fault> {
    match controller.run(&Command::SEND_IF_COND) {
        Ok([answer, ..]) if answer & 0xfff == Command::SEND_IF_COND.argument => Ok(true),
        Ok(_) => Err(Fault::Voltage),
        // Earlier cards do not know the command. Nor does an empty slot.
        Err(Fault::Silent) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Starts the card and waits until it is ready. Whether it counts in blocks.
fn power_up<O: Outside>(controller: &mut Controller<O>, modern: bool) -> Result<bool, Fault> {
    let wanted = if modern {
        VOLTAGES | HIGH_CAPACITY
    } else {
        VOLTAGES
    };
    let end = controller.outside().now().saturating_add(READY_LIMIT);
    loop {
        // The card's status still tells of CMD8, if it did not know that: errors in it are none.
        let [card, ..] = controller.run(&Command::application(0))?;
        if card & APP_CMD == 0 {
            return Err(Fault::Unknown);
        }
        let [conditions, ..] = controller.run(&Command::operating_conditions(wanted))?;
        if conditions & VOLTAGES == 0 {
            return Err(Fault::Voltage);
        }
        if conditions & READY != 0 {
            return Ok(modern && conditions & HIGH_CAPACITY != 0);
        }
        if controller.outside().now() >= end {
            return Err(Fault::NotReady);
        }
        controller.outside().pause(ASK_AGAIN);
    }
}

/// Says that the next command is the card's own kind.
fn announce<O: Outside>(controller: &mut Controller<O>, address: u32) -> Result<(), Fault> {
    controller.run_checked(&Command::application(address))?;
    Ok(())
}
