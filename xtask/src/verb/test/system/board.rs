//! What boards have in common, and what one of them alone has.

mod power;
mod screen;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Board, Case, Guest, Setting};
use crate::card::{self, BootFile};
use crate::workspace::Workspace;

pub(super) const CASES: &[Case] = &[
    Case::new("board/time_passes", time_passes).on(&[Board::Virt, Board::Rpi4]),
    Case::new("board/the_firmware_answers", firmware).on(&[Board::Rpi4]),
    Case::new("board/reboot_resets_the_machine", reboot)
        .on(&[Board::Rpi4])
        .alone(),
    Case::new("board/poweroff_tells_the_firmware_to_stay_off", power_off)
        .on(&[Board::Rpi4])
        .with(AS_A_BOARD)
        .alone(),
    Case::new(
        "board/the_screen_shows_what_the_serial_line_shows",
        screen_shows,
    )
    .on(&[Board::Rpi4])
    .alone(),
    Case::new(
        "board/a_controller_behind_pci_moves_blocks_by_itself",
        by_itself,
    )
    .with(PCI_CARD)
    .alone(),
    Case::new(
        "board/a_large_card_is_used_to_its_end_and_outlives_the_power",
        large_card,
    )
    .on(&[Board::Rpi4])
    .with(LARGE_CARD)
    .alone(),
];

/// The card's driver on `virt`, whose controller has DMA.
const PCI_CARD: Setting = Setting {
    system: "servers/emmc2/pci/system.toml",
    disk: Some(crate::disk::make),
    card: true,
    ..Setting::SHIPPED
};

/// Nothing of the kernel's knows of an emulator.
const AS_A_BOARD: Setting = Setting {
    semihosting: false,
    ..Setting::SHIPPED
};

/// From power-on to the prompt.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

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
        "board        Raspberry Pi 4 Model B 1.5, 2 GiB",
        "temperature  25.0 C",
        "uart         3 MHz",
        "ethernet     52:54:00:12:34:56",
    ] {
        ensure!(said.contains(line), "no `{line}` in `{said}`");
    }
    Ok(())
}

/// The watchdog's reset ends QEMU, whose status is then 0, and the card keeps what was written.
fn reboot(guest: &mut Guest<'_>) -> Result<()> {
    let log = guest.succeed("log")?;
    ensure!(
        log.contains("memory from 0x0 on, 1024 MiB, is at 0xc0000000 for the controller"),
        "the window of the tree is not what the driver has: {log}"
    );
    let (status, written) = power::writes(guest, "reboot")?;
    ensure!(status == 0, "QEMU ended with status {status}");
    power::check(&written, power::FIRST_PARTITION)?;
    guest.boot()?;
    guest.succeed("uptime")?;
    Ok(())
}

/// With no emulator to tell an exit code.
fn power_off(guest: &mut Guest<'_>) -> Result<()> {
    let (status, written) = power::writes(guest, "poweroff")?;
    ensure!(status == 0, "QEMU ended with status {status}");
    power::check(&written, power::STAY_OFF)
}

fn large_card(guest: &mut Guest<'_>) -> Result<()> {
    let log = guest.expect("log", "a card of 4096 MiB, 4 lines")?;
    let grew = "/data grew from 384 MiB to 3.8 GiB";
    ensure!(log.contains(grew), "no `{grew}` in {log}");
    // 4,063,232 KiB: all behind the boot partition.
    guest.expect("df", "ext4         4063232")?;
    guest.expect("cat /boot/config.txt", "arm_64bit=1")?;
    guest.succeed("write /data/kept 'over the cut'")?;
    guest.succeed("sync")?;
    guest.kill();
    guest.boot()?;
    guest.expect("cat /data/kept", "over the cut")?;
    guest.expect("df", "ext4         4063232")?;
    let log = guest.succeed("log")?;
    ensure!(!log.contains("grew"), "it grew twice: {log}");
    super::files::both_ways(guest)
}

/// A power cut, then megabytes both ways, the disk checked by the host.
fn by_itself(guest: &mut Guest<'_>) -> Result<()> {
    guest.expect("log", "4 lines, 26 MHz, High Speed, moves blocks by itself")?;
    guest.expect("log", "device 1 of the PCI Express bus, at 0x10000000")?;
    guest.succeed("write /data/kept 'over the cut'")?;
    guest.succeed("sync")?;
    guest.kill();
    guest.boot()?;
    guest.expect("cat /data/kept", "over the cut")?;
    super::files::both_ways(guest)?;
    let trouble = guest.lines();
    let trouble: Vec<_> = trouble
        .iter()
        .filter(|line| line.contains("a job"))
        .collect();
    ensure!(trouble.is_empty(), "{trouble:?}");
    Ok(())
}

/// From the first line to a full screen that has scrolled, and the shell's editing.
fn screen_shows(guest: &mut Guest<'_>) -> Result<()> {
    guest.wait_for("prompt", BOOT_LIMIT, |text| text.contains("gritos> "))?;
    screen::wait_for(guest, &["gritos> _"])?;
    let lines = screen::read(guest)?;
    let first = lines.first().map_or("", String::as_str);
    ensure!(
        first == "gRiTOS 0.1.0 on Raspberry Pi 4 Model B 1.5, 2 GiB",
        "the first line is `{first}`"
    );
    // The firmware's answers, what the root task says, and what the kernel's banner has on the serial line.
    for start in [
        "revision b03115, 700 MHz, 25.0 C",
        "Raspberry Pi 4, counter ",
        "  ram        0x0..0x3c000000",
        "  interrupts arm,gic-400",
        "  processors 4, one in use",
        "boot image of ",
    ] {
        ensure!(
            lines.iter().any(|line| line.starts_with(start)),
            "`{start}` is not among\n{}",
            lines.join("\n")
        );
    }
    // Typed, changed in the middle, run.
    guest.type_bytes(b"echo the screx\x7fen\x01\x1b[C\x1b[C\x1b[C\x1b[C lives:\r")?;
    screen::wait_for(
        guest,
        &[
            "gritos> echo lives: the screen",
            "lives: the screen",
            "gritos> _",
        ],
    )?;
    guest.type_bytes(b"help\r")?;
    guest.type_bytes(b"echo last of all\r")?;
    screen::wait_for(
        guest,
        &["gritos> echo last of all", "last of all", "gritos> _"],
    )?;
    let lines = screen::read(guest)?;
    let used = lines.iter().filter(|line| !line.is_empty()).count();
    ensure!(used > 30, "a full screen:\n{}", lines.join("\n"));
    // A screen that dies costs nothing, and comes back with what is kept of the text.
    guest.type_bytes(b"kill display\r")?;
    guest.type_bytes(b"echo still here\r")?;
    guest.wait_for("answer", BOOT_LIMIT, |text| text.contains("\nstill here"))?;
    Ok(())
}

fn time_passes(guest: &mut Guest<'_>) -> Result<()> {
    let before = guest.succeed("uptime")?;
    guest.succeed("sleep 0.1")?;
    let after = guest.succeed("uptime")?;
    ensure!(before != after, "twice `{before}`");
    Ok(())
}
