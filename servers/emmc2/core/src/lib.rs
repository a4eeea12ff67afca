//! SD cards behind a standard SD host controller, such as the Raspberry Pi 4's EMMC2.
//!
//! From the bottom up: [`register`] names the controller's registers and bits, [`Controller`] sets clock
//! and bus and runs one command at a time, [`Card`] takes a card from power-up to its fastest mode without
//! tuning, and [`SdCard`] is the [`Backend`](gritos_block_core::Backend) of a block driver: it moves the
//! blocks of one job at a time, goes on at each interrupt, and tries again what failed.
//!
//! Everything here is arithmetic on what [`Outside`] reads and writes: it runs on a host against a model of
//! controller and card. Sources: *SD Host Controller Simplified Specification 3.00* ("SDHC spec") and
//! *SD Physical Layer Simplified Specification 6.00* ("SD spec"), cited by section title. What EMMC2 adds
//! stands in `docs/reference/rpi4.md`.
//!
//! Where the controller knows ADMA2 and is told how it sees memory ([`Dma`]), it moves the blocks of a job by itself,
//! at the cost of one interrupt; else the driver moves them through the buffer port, one at each interrupt.
//!
//! Deliberately not here: modes that need tuning or 1.8 V, MMC, commands of the card's own queue.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod card;
mod card_registers;
mod command;
mod controller;
mod disk;
mod dma;
pub mod pci;
pub mod register;
mod settings;

pub use card::{Card, Speed};
pub use card_registers::{Capacity, Csd, Scr};
pub use command::{Command, Direction, Response};
pub use controller::{Controller, Fault};
pub use disk::{BLOCK_BYTES, REQUEST_BLOCKS, SdCard};
pub use dma::{Dma, TABLE_BYTES};
pub use settings::{Settings, Window};

use register::Register;

/// What the driver needs of the machine.
pub trait Outside {
    /// Reads a register of the controller.
    fn read(&mut self, register: Register) -> u32;

    /// Writes a register of the controller.
    fn write(&mut self, register: Register, value: u32);

    /// Nanoseconds since any fixed moment.
    fn now(&self) -> u64;

    /// Comes back after at least so many nanoseconds.
    fn pause(&mut self, nanoseconds: u64);
}
