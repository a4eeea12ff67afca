//! Files on the disk, from the shell and from the host.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{Board, Case, Guest, Image, Setting};
use crate::workspace::Workspace;

mod broken;
mod commands;
mod host;
mod killed;
mod suite;

pub(super) use host::both_ways;

/// virtio-blk, and the Pi's card.
const BOTH: &[Board] = &[Board::Virt, Board::Rpi4];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "files/a_disk_without_a_file_system_harms_nobody",
        empty_disk,
    )
    .with(EMPTY_DISK),
    Case::new("files/commands_do_what_they_say", commands::work)
        .with(DISK)
        .on(BOTH),
    Case::new("files/commands_say_why_not", commands::refuse)
        .with(DISK)
        .on(BOTH),
    Case::new("files/names_and_trees_of_all_sorts", commands::names)
        .with(DISK)
        .on(BOTH),
    Case::new("files/the_host_and_the_guest_read_each_other", both_ways)
        .with(DISK)
        .on(BOTH)
        .alone(),
    Case::new("files/the_suite_of_posix_passes", suite::passes)
        .with(SUITE)
        .alone(),
    Case::new("files/a_full_disk_is_said_and_survived", host::full)
        .with(SMALL_DISK)
        .alone(),
    Case::new(
        "files/errors_of_the_disk_are_told",
        broken::reads_and_writes,
    )
    .with(DISK)
    .alone(),
    Case::new("files/a_disk_that_cannot_flush_is_told", broken::flushes)
        .with(DISK)
        .alone(),
    Case::new(
        "files/the_host_and_the_guest_read_each_other_s_fat",
        host::fat_both_ways,
    )
    .with(DISK)
    .on(BOTH)
    .alone(),
    Case::new(
        "files/nothing_durable_is_lost_with_the_power",
        killed::power,
    )
    .with(LOAD)
    .alone(),
    Case::new(
        "files/driver_and_server_are_killed_under_load",
        killed::components,
    )
    .with(LOAD)
    .on(BOTH)
    .alone(),
];

/// The shipped system with a new disk.
const DISK: Setting = Setting {
    disk: Some(crate::disk::make),
    ..Setting::SHIPPED
};

const EMPTY_DISK: Setting = Setting {
    disk: Some(make_empty),
    ..Setting::SHIPPED
};

/// A disk that is one small ext4, without a partition table.
const SMALL_DISK: Setting = Setting {
    disk: Some(host::make_small),
    ..Setting::SHIPPED
};

/// A disk and the components of the suite.
const SUITE: Setting = Setting {
    system: "servers/fs/suite/system.toml",
    disk: Some(crate::disk::make),
    ..Setting::SHIPPED
};

/// A disk with a component that writes to it without end.
const LOAD: Setting = Setting {
    system: "servers/fs/load/system.toml",
    disk: Some(crate::disk::make),
    ..Setting::SHIPPED
};

/// Parts of `cargo xtask soak`: the cases in which something is killed, again and again.
pub(crate) fn soak_power(workspace: &Workspace) -> Result<()> {
    with_load(workspace, |guest| killed::power_cuts(guest, SOAK_ROUNDS))
}

/// As [`soak_power`], for the driver and the server.
pub(crate) fn soak_components(workspace: &Workspace) -> Result<()> {
    with_load(workspace, |guest| killed::restarts(guest, SOAK_ROUNDS))
}

/// Rounds of a step of `cargo xtask soak`.
pub(crate) const SOAK_ROUNDS: u64 = 10;

fn with_load(workspace: &Workspace, work: impl FnOnce(&mut Guest<'_>) -> Result<()>) -> Result<()> {
    let path = workspace.output("soak-files.img")?;
    let image = Image::write(workspace, &LOAD, Board::Virt, path)?;
    work(&mut Guest::start(
        workspace,
        &LOAD,
        Board::Virt,
        &image,
        "soak-files",
    )?)
}

fn make_empty(_workspace: &Workspace, path: &Path) -> Result<()> {
    Ok(File::create(path)?.set_len(64 << 20)?)
}

fn empty_disk(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo")?;
    let mounts = guest.succeed("mount")?;
    ensure!(!mounts.contains("/data"), "{mounts}");
    guest.refuse("write /data/x hello", 1, "read-only")?;
    guest.succeed("write /tmp/x hello")?;
    ensure!(guest.succeed("cat /tmp/x")? == "hello\n");
    ensure!(std::fs::read(guest.disk()?)?.iter().all(|byte| *byte == 0));
    Ok(())
}
