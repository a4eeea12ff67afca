//! From capabilities to a served card.

use gritos_block_api::BlockDriver;
use gritos_block_driver::{Absent, Server};
use gritos_emmc2_core::{SdCard, Settings, Speed, Window, pci};
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::{Error, mmio};

use crate::disk::{Disk, Machine, dma};
use crate::pci::Space;

/// Clients at a time; one that attaches anew needs a second place until its old one is empty.
const CLIENTS: usize = 4;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        log::error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (Some(endpoint), Some(device), Some(interrupt)) = (
        environment.endpoint("disk"),
        environment.device("emmc2"),
        environment.interrupt("emmc2", 0),
    ) else {
        log::error!("the system table must give it a service `disk` and the device `emmc2`");
        return Ok(());
    };
    let settings = match Settings::parse(environment.arguments()) {
        Ok(settings) => settings,
        Err(line) => {
            log::error!(
                "its arguments say `{line}`; expected are `pci ADDRESS` and `window DEVICE PHYSICAL BYTES`, \
                 numbers like 0x10"
            );
            return Ok(());
        }
    };
    if let (Some(bus), Some(base)) = (environment.device("pci"), settings.pci) {
        match pci::enable(&mut Space(mmio::Registers::map(bus.registers)?), base) {
            Ok(device) => log::info!("device {device} of the PCI Express bus, at {base:#x}"),
            Err(why) => log::error!("PCI Express: {why}"),
        }
    }
    let mut port = Port::<1>::new(endpoint, 1)?;
    let registers = mmio::Registers::map(device.registers)?;
    // A description knows better than the firmware's tree, where it says anything.
    let seen = environment.window("emmc2").map(|seen| Window {
        device: seen.device,
        physical: seen.physical,
        bytes: seen.bytes,
    });
    let window = settings.window.or(seen);
    if let Some(window) = window {
        log::info!(
            "memory from {:#x} on, {} MiB, is at {:#x} for the controller",
            window.physical,
            window.bytes >> 20,
            window.device
        );
    }
    let dma = window.map(dma).transpose()?;
    let status = match SdCard::start(Machine(registers), dma) {
        Ok(mut card) => {
            if let Some(fault) = card.take_trouble() {
                log::warn!("a first block by DMA failed: {fault}; the driver moves them");
            }
            let about = card.card();
            log::info!(
                "a card of {} MiB, {} lines, {} MHz{}{}{}",
                about.capacity.blocks >> 11,
                about.lines,
                about.clock_hz / 1_000_000,
                if about.speed == Speed::High {
                    ", High Speed"
                } else {
                    ""
                },
                if about.read_only {
                    ", write-protected"
                } else {
                    ""
                },
                if card.has_dma() {
                    ", moves blocks by itself"
                } else {
                    ""
                },
            );
            let geometry = card.geometry();
            let mut server = Server::<_, CLIENTS>::new(Disk(card), geometry)?;
            interrupt.bind(server.interrupts()?, true)?;
            serve::<BlockDriver, _, _>(&mut port, &mut server)
        }
        Err(fault) => {
            log::error!("{fault}; there is no disk");
            serve::<BlockDriver, _, _>(&mut port, &mut Absent)
        }
    };
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}
