//! `cargo xtask test`: the gate. First the tests that run on this machine, then those that run on
//! the target, on each board in each of its variants.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::qemu::Board;
use crate::workspace::Workspace;
use crate::{report, verb};

mod debugger;
mod host;
mod load;
pub(crate) mod run;
pub(crate) mod system;
pub(crate) mod target;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Run the tests of the host, and not those of the target unless --target is given too
    #[arg(long)]
    host: bool,
    /// Run the tests of the target, and not those of the host unless --host is given too
    #[arg(long)]
    target: bool,
    /// Target tests: on this board only
    #[arg(long, value_enum, value_name = "B")]
    board: Option<Board>,
    /// Target tests: on a real board at this serial line, such as /dev/ttyUSB0
    #[arg(long, value_name = "DEV")]
    serial: Option<PathBuf>,
    /// Name every test of the target, not only those that fail
    #[arg(long, short)]
    verbose: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// How many tests came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs what was asked for; the last line on stdout is `N passed, M failed`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<u8> {
    let target_only = options.target || options.serial.is_some() || options.board.is_some();
    let mut tally = Tally::default();
    if options.host || !target_only {
        report_failure(
            &mut tally,
            "host",
            host::run(workspace, options.filter.as_deref()),
        );
    }
    let all = !target_only && !options.host && options.filter.is_none();
    if all {
        report_failure(&mut tally, "budgets", budgets(workspace));
    }
    if target_only || !options.host {
        report_failure(&mut tally, "target", target::run(workspace, options));
    }
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}

/// Whether the kernel is as small as it must be.
fn budgets(workspace: &Workspace) -> Result<Tally> {
    let within = verb::size::run(workspace)? == 0;
    report::verdict(within, "the kernel's sizes are within their budgets");
    Ok(Tally {
        passed: u32::from(within),
        failed: u32::from(!within),
    })
}

/// Counts a part that could not run as one failure, so that the other part still runs.
fn report_failure(tally: &mut Tally, part: &str, result: Result<Tally>) {
    match result {
        Ok(counted) => *tally += counted,
        Err(error) => {
            report::error(&error);
            report::verdict(
                false,
                format!("{part}: the tests could not be run (see above)"),
            );
            tally.failed += 1;
        }
    }
}
