//! `cargo xtask qemu`: build and boot.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use gritos_abi::boot_image::FLAG_SEMIHOSTING;

use crate::image::Contents;
use crate::qemu::{Board, Devices, Disk, Forward, Network, interactive};
use crate::workspace::Workspace;
use crate::{MachineOptions, exec, report, toolchain, verb};

/// Exit status for options that cannot be served.
const USAGE: u8 = 2;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    programs: verb::image::ProgramOptions,
    /// File with the contents of the disk
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Run this shell command on the target, print what it prints, and power off
    #[arg(long, value_name = "CMD")]
    exec: Vec<String>,
    /// Give up after so many seconds (exit status 124)
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<u8> {
    if let Some(long) = options.exec.iter().find(|c| c.len() > exec::COMMAND_LIMIT) {
        report::error(&anyhow::anyhow!(
            "--exec takes commands of at most {} bytes, and one has {}",
            exec::COMMAND_LIMIT,
            long.len()
        ));
        return Ok(USAGE);
    }
    ensure!(
        options.timeout != Some(0),
        "--timeout 0 leaves no time to boot"
    );
    let mut machine = options.machine.machine()?;
    let page = match machine.board {
        Board::Virt => Some(plug_network(&mut machine.devices)?),
        Board::Rpi4 => None,
    };
    toolchain::ensure_qemu(machine.board == Board::Rpi4)?;
    machine.devices.disk = match &options.disk {
        Some(path) => {
            crate::disk::check(path)?;
            Some(Disk::at(path))
        }
        None => Some(Disk::at(crate::disk::default(workspace)?)),
    };
    let image = workspace.output("qemu.img")?;
    let contents = Contents {
        flags: FLAG_SEMIHOSTING,
        ..Contents::default()
    };
    let destination = machine.destination();
    let built = verb::image::write(workspace, &options.programs, destination, contents, &image)?;
    let timeout = options.timeout.map(Duration::from_secs);
    let mut command = machine.command(workspace, &image)?;
    if !options.exec.is_empty() {
        report::step("Booting", machine.label());
        return exec::run(&mut command, built.symbols, &options.exec, timeout);
    }
    report::step(
        "Booting",
        format!("{} (leave with Ctrl-A X)", machine.label()),
    );
    if let Some(port) = page {
        report::step(
            "Serving",
            format!("http://127.0.0.1:{port}/ from the guest's port 80"),
        );
    }
    interactive(command, built.symbols, timeout)
}

/// Ports of the host that are tried for the guest's web page, the first first.
const PAGE_PORTS: std::ops::Range<u16> = 8080..8180;

/// Gives the guest a network and randomness. The host's port at which its web page is.
fn plug_network(devices: &mut Devices) -> Result<u16> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let host = PAGE_PORTS.clone().find(free).with_context(|| {
        format!(
            "every port of 127.0.0.1 from {} to {} is taken; end what uses one",
            PAGE_PORTS.start,
            PAGE_PORTS.end - 1
        )
    })?;
    devices.network = Some(Network::User(vec![Forward { host, guest: 80 }]));
    devices.entropy = true;
    Ok(host)
}
