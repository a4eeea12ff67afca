//! The examples of docs/guide/write-a-server.md, each server and client a process of its own.

use anyhow::{Result, bail};

use super::{Case, Guest, Setting};
use crate::compile;

pub(super) const CASES: &[Case] = &[
    Case::new("examples/a_client_hears_what_it_said", echo).with(EXAMPLES),
    Case::new(
        "examples/a_client_calculates_with_another_process",
        calculator,
    )
    .with(EXAMPLES),
    Case::new(C_CLIENT, c_client).with(Setting {
        system: "idlc/examples/c-client.toml",
        ..Setting::SHIPPED
    }),
];

const C_CLIENT: &str = "examples/a_client_in_c_calls_a_server_in_rust";

/// Whether a case cannot be run on this machine, and why.
pub(super) fn impossible(case: &Case) -> Option<&'static str> {
    let missing = case.name == C_CLIENT && compile::c::compiler().is_none();
    missing.then_some("there is no C compiler for AArch64 (package gcc-aarch64-linux-gnu)")
}

const EXAMPLES: Setting = Setting {
    system: "idlc/examples/system.toml",
    ..Setting::SHIPPED
};

fn echo(guest: &mut Guest<'_>) -> Result<()> {
    prints(guest, "echo-client", &["hello"])
}

fn calculator(guest: &mut Guest<'_>) -> Result<()> {
    let lines = [
        "calculator: the sum of all results is 41",
        "calculator: nothing is divided by zero",
    ];
    prints(guest, "calculator-client", &lines)
}

fn c_client(guest: &mut Guest<'_>) -> Result<()> {
    prints(guest, "c-client", &["C: all as it should be"])
}

/// Passes if a client, which began when the machine was switched on, prints each of these lines and
/// ends by itself.
fn prints(guest: &mut Guest<'_>, client: &str, lines: &[&str]) -> Result<()> {
    for _ in 0..50 {
        let state = guest.succeed("ps")?;
        let is_over = state
            .lines()
            .any(|line| line.contains(client) && line.contains("ended"));
        let seen = guest.lines();
        let is_there = |line: &&str| seen.iter().any(|found| found.trim_end() == *line);
        if is_over && lines.iter().all(is_there) {
            return Ok(());
        }
    }
    bail!("`{client}` has not printed each of {lines:?} and ended")
}
