//! `cargo xtask gdb`: a debugger stops where it is told to, in the kernel and in one component among many that have
//! other code at the same addresses.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Tally;
use crate::qemu::{Board, Machine};
use crate::verb::gdb::{Session, debugger};
use crate::verb::image::ProgramOptions;
use crate::workspace::Workspace;
use crate::{compile, report};

const NAME: &str = "debugger/stops_in_the_kernel_and_in_one_component";
/// What the debugger is to do.
const COMMANDS: [&str; 8] = [
    "break trap_system_call",
    "continue",
    "delete",
    "break-in-time timers.rs:new",
    "continue",
    // Its name, in the page that it finds at its start.
    "x/s 0x400000028",
    "backtrace 2",
    "kill",
];
/// What it prints then, in this order.
const EXPECTED: [&str; 4] = [
    "Breakpoint 1, trap_system_call",
    "Breakpoint 2, ",
    "0x400000028:\t\"time\"",
    "#0 ",
];
/// For all of it; the machine runs at the host's pace.
const LIMIT: Duration = Duration::from_secs(180);

/// Whether `filter` means this test and nothing else.
pub(super) fn is_meant(filter: &str) -> bool {
    filter.starts_with("debugger/")
}

/// Runs the test if `filter` means it and there is a debugger.
pub(super) fn run(workspace: &Workspace, filter: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    if !NAME.contains(filter) {
        return Ok(tally);
    }
    let Some(debugger) = debugger() else {
        report::skipped(format!(
            "{NAME}: no debugger; on Debian: `sudo apt-get install gdb-multiarch`"
        ));
        return Ok(tally);
    };
    match stops(workspace, debugger) {
        Ok(()) => {
            report::verdict(true, NAME);
            tally.passed += 1;
        }
        Err(error) => {
            report::verdict(false, format!("{NAME}: {error:#}"));
            tally.failed += 1;
        }
    }
    Ok(tally)
}

fn stops(workspace: &Workspace, debugger: &str) -> Result<()> {
    let machine = Machine::new(Board::Virt, None, None)?;
    let session = Session::start(
        workspace,
        &machine,
        &ProgramOptions::starting(compile::ROOT),
    )?;
    let path = workspace.output("gdb-test.log")?;
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(debugger);
    // Nobody's own start-up file.
    command.args(["-nx", "-batch"]).args(session.arguments());
    for text in COMMANDS {
        command.args(["-ex", text]);
    }
    command.stdin(Stdio::null());
    command.stderr(log.try_clone()?).stdout(log);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {debugger}"))?;
    let end = Instant::now() + LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            bail!("no stop for {} s; see {}", LIMIT.as_secs(), path.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let printed = std::fs::read_to_string(&path)?;
    let mut rest = printed.as_str();
    for text in EXPECTED {
        let found = rest.split_once(text);
        ensure!(
            found.is_some(),
            "the debugger was to print `{text}` and printed:\n{printed}"
        );
        rest = found.map_or("", |(_, behind)| behind);
    }
    Ok(())
}
