//! The tests that run on this machine: `cargo test`, its many summaries made into one.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result};

use super::Tally;
use crate::card::firmware;
use crate::report;
use crate::toolchain::disk;
use crate::workspace::Workspace;

/// Why those are ignored that [`trees`] runs.
const NEEDS_TREES: &str = "needs the firmware's device trees";

pub(super) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    // What is still missing then fails the tests that need it, with the reason.
    if let Err(error) = disk::ensure_tools(true) {
        report::warning(format!("{error:#}"));
    }
    report::step("Testing", "on this machine (cargo test --workspace)");
    let mut tally = Tally::default();
    let filter: Vec<&str> = filter.into_iter().collect();
    let all = [&["--workspace"][..], &filter].concat();
    cargo_test(workspace, &all, &mut tally)?;
    trees(workspace, &filter, &mut tally)?;
    report::verdict(tally.failed == 0, format!("host: {tally}"));
    Ok(tally)
}

/// The tests that need device trees of the Raspberry Pi's firmware, which are fetched from Debian once.
fn trees(workspace: &Workspace, filter: &[&str], tally: &mut Tally) -> Result<()> {
    const TEST: &str = "firmware_trees";
    if filter.is_empty()
        && let Err(error) = firmware::from_debian(workspace)
    {
        report::skipped(format!("host: {TEST}: {error:#}"));
        return Ok(());
    }
    if !firmware::is_kept(workspace)? {
        report::skipped(format!(
            "host: {TEST}: `cargo xtask image --board rpi4` fetches the trees"
        ));
        return Ok(());
    }
    let only = ["-p", "gritos-kernel-core", "--test", TEST];
    let ignored = ["--", "--ignored"];
    cargo_test(workspace, &[&only[..], filter, &ignored].concat(), tally)
}

/// Runs `cargo test` with these arguments and counts.
fn cargo_test(workspace: &Workspace, arguments: &[&str], tally: &mut Tally) -> Result<()> {
    let mut child = workspace
        .cargo()
        .args(["test", "--no-fail-fast"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let failed = tally.failed;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read cargo's output")?;
        match Line::of(&line) {
            // What has a turn of its own.
            Line::Skipped(what) if what.contains(NEEDS_TREES) => {}
            Line::Noise => {}
            Line::Summary(counted) => *tally += counted,
            Line::Skipped(what) => report::skipped(format!("host: {what}")),
            Line::Text => println!("{line}"),
        }
    }
    if !child.wait()?.success() && tally.failed == failed {
        report::verdict(
            false,
            "host: a test did not compile or ended its process (see above)",
        );
        tally.failed += 1;
    }
    Ok(())
}

/// A line of a test program's output.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// Says only that all is well.
    Noise,
    /// The result of one program.
    Summary(Tally),
    /// A test that did not run, and why.
    Skipped(&'a str),
    /// Worth showing.
    Text,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                result
                    .split(['.', ';'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            return Self::Summary(Tally {
                passed: count("passed"),
                failed: count("failed"),
            });
        }
        if let Some(test) = line.strip_prefix("test ") {
            if test.ends_with("... ok") {
                return Self::Noise;
            }
            if test.contains("... ignored") {
                return Self::Skipped(test);
            }
        }
        let running = line.starts_with("running ") && line.ends_with(['t', 's']);
        if line.is_empty() || running || line.starts_with("all doctests ran in") {
            return Self::Noise;
        }
        Self::Text
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Tally};

    #[test]
    fn results_are_counted_and_only_what_matters_is_shown() {
        let result = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.17s";
        assert_eq!(
            Line::of(result),
            Line::Summary(Tally {
                passed: 12,
                failed: 3
            })
        );
        for noise in [
            "",
            "running 26 tests",
            "running 1 test",
            "test frame::tests::a ... ok",
        ] {
            assert_eq!(Line::of(noise), Line::Noise, "{noise}");
        }
        assert_eq!(Line::of("test a ... FAILED"), Line::Text);
        assert_eq!(
            Line::of("thread 'a' panicked at src/lib.rs:1:1:"),
            Line::Text
        );
        assert_eq!(
            Line::of("test a ... ignored, needs a board"),
            Line::Skipped("a ... ignored, needs a board")
        );
    }
}
