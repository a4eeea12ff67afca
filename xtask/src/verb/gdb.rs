//! `cargo xtask gdb`: the machine stopped at its first instruction, a debugger attached.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use gritos_abi::boot_image::FLAG_SEMIHOSTING;

use crate::image::Contents;
use crate::qemu::{Board, Running};
use crate::toolchain::{self, output_of};
use crate::workspace::Workspace;
use crate::{MachineOptions, report, verb};

/// Debuggers that know AArch64, in the order of preference.
const DEBUGGERS: [&str; 4] = [
    "gdb-multiarch",
    "aarch64-none-elf-gdb",
    "aarch64-elf-gdb",
    "aarch64-linux-gnu-gdb",
];

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    programs: verb::image::ProgramOptions,
    /// Start no debugger; print how to attach one
    #[arg(long)]
    wait: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let machine = options.machine.machine()?;
    toolchain::ensure_qemu(machine.board == Board::Rpi4)?;
    let image = workspace.output("gdb.img")?;
    let contents = Contents {
        flags: FLAG_SEMIHOSTING,
        ..Contents::default()
    };
    let destination = machine.destination();
    let symbols = verb::image::write(workspace, &options.programs, destination, contents, &image)?;
    // The port is free now and QEMU takes it at once.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free TCP port")?
        .port();
    let console = workspace.output("gdb-console.log")?;
    let mut command = machine.command(workspace, &image)?;
    command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
    command.args([
        "-monitor",
        "none",
        "-serial",
        &format!("file:{}", console.display()),
    ]);
    let arguments = debugger_arguments(port, &symbols.kernel, symbols.root.as_deref());
    report::step(
        "Stopped",
        format!("{} at its first instruction", machine.label()),
    );
    report::step("Console", console.display());
    let mut qemu = Running::start(command.stdin(Stdio::null()))?;
    if options.wait {
        println!("gdb-multiarch {}", quoted(&arguments));
        qemu.wait(None)?;
        return Ok(());
    }
    let debugger = DEBUGGERS
        .into_iter()
        .find(|debugger| output_of(debugger, &["--version"]).is_ok())
        .with_context(|| {
            format!(
                "none of {} is installed; on Debian: `sudo apt-get install gdb-multiarch`. With \
                 --wait the machine waits for a debugger of yours",
                DEBUGGERS.join(", ")
            )
        })?;
    let status = Command::new(debugger).args(arguments).status()?;
    ensure!(status.success(), "{debugger} ended with {status}");
    Ok(())
}

/// The kernel's symbols lie at high addresses and the root task's at low ones: they do not meet.
fn debugger_arguments(port: u16, kernel: &Path, root: Option<&Path>) -> Vec<String> {
    let mut arguments = vec![kernel.display().to_string()];
    if let Some(root) = root {
        arguments.extend(["-ex".into(), format!("add-symbol-file {}", root.display())]);
    }
    arguments.extend(["-ex".into(), format!("target remote 127.0.0.1:{port}")]);
    arguments
}

fn quoted(arguments: &[String]) -> String {
    let quote = |a: &String| {
        if a.contains(' ') {
            format!("'{a}'")
        } else {
            a.clone()
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}
