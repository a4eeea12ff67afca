//! What boards have in common, and what one of them alone has.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{Board, Case, Guest, Setting};
use crate::card::{self, BootFile};
use crate::workspace::Workspace;

pub(super) const CASES: &[Case] = &[
    Case::new("board/time_passes", time_passes).on(&[Board::Virt, Board::Rpi4]),
    Case::new("board/the_firmware_answers", firmware).on(&[Board::Rpi4]),
    Case::new(
        "board/a_large_card_keeps_what_was_written_when_the_power_goes",
        large_card,
    )
    .on(&[Board::Rpi4])
    .with(LARGE_CARD)
    .alone(),
];

/// A card as `image --board rpi4` lays it out, on one of 4 GiB: it counts in blocks, smaller ones in bytes.
const LARGE_CARD: Setting = Setting {
    disk: Some(make_large_card),
    ..Setting::SHIPPED
};

fn make_large_card(workspace: &Workspace, path: &Path) -> Result<()> {
    let files = [BootFile::new("config.txt", gritos_board::rpi4::CONFIG_TXT)];
    card::write_with(path, &files, Some(&workspace.root.join("servers/fs/data")))?;
    Ok(File::options().write(true).open(path)?.set_len(4 << 30)?)
}

/// What QEMU's firmware says: a Pi 4 B of 2 GiB, 25 degrees, always.
fn firmware(guest: &mut Guest<'_>) -> Result<()> {
    let said = guest.expect("board", "revision     b03115")?;
    for line in [
        "temperature  25.0 C",
        "uart         3 MHz",
        "ethernet     52:54:00:12:34:56",
    ] {
        ensure!(said.contains(line), "no `{line}` in `{said}`");
    }
    Ok(())
}

fn large_card(guest: &mut Guest<'_>) -> Result<()> {
    guest.expect("log", "a card of 4096 MiB, 4 lines")?;
    guest.expect("cat /boot/config.txt", "arm_64bit=1")?;
    guest.succeed("write /data/kept 'over the cut'")?;
    guest.succeed("sync")?;
    guest.kill();
    guest.boot()?;
    guest.expect("cat /data/kept", "over the cut")?;
    Ok(())
}

fn time_passes(guest: &mut Guest<'_>) -> Result<()> {
    let before = guest.succeed("uptime")?;
    guest.succeed("sleep 0.1")?;
    let after = guest.succeed("uptime")?;
    ensure!(before != after, "twice `{before}`");
    Ok(())
}
