//! What a MiB costs on a card: moved by the controller itself, and by the driver through the buffer port.
//!
//! The driver of the Raspberry Pi's card on `virt`, whose controller behind PCI Express has DMA, with the shipped shell
//! and file server. Without the line `window` among its arguments the same driver moves the blocks itself.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::Measurement;
use super::whole::{COUNTED, Row, measure_often, print};
use crate::qemu::Clock;
use crate::verb::test::system::Setting;
use crate::workspace::Workspace;

/// Where the driver is described that lets the controller move blocks.
const BY_ITSELF: &str = "servers/emmc2/pci/system.toml";
/// The same without.
const BY_DRIVER: &str = "target/gritos/bench-card.toml";

const SETTING: Setting = Setting {
    system: BY_ITSELF,
    disk: Some(crate::disk::make),
    card: true,
    clock: Clock::Paced(0),
    ..COUNTED
};

const COMMANDS: &[&str] = &["bench large /data/large ext4"];
/// Machines that are booted of each kind: when a card answers is for the host to say.
const BOOTS: usize = 3;

const ROWS: &[Row] = &[
    Row::open("card_dma_read_1m", "1 MiB read, cold, by ADMA2"),
    Row::open("card_dma_write_1m", "1 MiB write + final fsync, by ADMA2"),
    Row::open("card_pio_read_1m", "1 MiB read, cold, by the buffer port"),
    Row::open(
        "card_pio_write_1m",
        "1 MiB write + final fsync, by the buffer port",
    ),
];

pub(super) fn run(workspace: &Workspace, all: &mut Vec<Measurement>) -> Result<()> {
    let text = fs::read_to_string(workspace.root.join(BY_ITSELF))?;
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("window "))
        .collect();
    ensure!(
        without.len() < text.lines().count(),
        "{BY_ITSELF} has no line `window`"
    );
    let path = workspace.output("bench-card.toml")?;
    fs::write(&path, without.join("\n")).context("the description cannot be written")?;
    let mut found = Vec::new();
    for (kind, system) in [("dma", BY_ITSELF), ("pio", BY_DRIVER)] {
        let setting = Setting { system, ..SETTING };
        for mut measured in measure_often(workspace, &setting, COMMANDS, BOOTS)? {
            let what = measured.name.trim_start_matches("ext4_");
            measured.name = format!("card_{kind}_{what}");
            found.push(measured);
        }
    }
    let verdict = print("instructions of a MiB on a card", ROWS, &found);
    all.append(&mut found);
    verdict
}
