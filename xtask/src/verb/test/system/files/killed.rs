//! Power, driver and server go while files are written.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Guest, host};

/// How long the load may take for a step that is waited for.
const LIMIT: Duration = Duration::from_secs(120);
/// How often each is killed in the gate.
const TIMES: u64 = 3;

/// The number behind `word` in the last line that has it.
fn last(guest: &Guest<'_>, word: &str) -> Option<u64> {
    let lines = guest.lines();
    lines
        .iter()
        .rev()
        .find_map(|line| number_behind(line, word))
}

fn number_behind(line: &str, word: &str) -> Option<u64> {
    let (_, rest) = line.split_once(word)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// What the load says when it reads what it never wrote.
fn ensure_right(guest: &Guest<'_>) -> Result<()> {
    match guest.lines().iter().find(|line| line.contains("WRONG")) {
        Some(line) => bail!("{line}"),
        None => Ok(()),
    }
}

/// Waits until the load has made step `number` durable; returns the last that it has.
fn reach(guest: &mut Guest<'_>, number: u64) -> Result<u64> {
    let end = std::time::Instant::now() + LIMIT;
    loop {
        // The records of the log come with the end of a command.
        guest.run("sleep 0.05")?;
        ensure_right(guest)?;
        if let Some(now) = last(guest, "durable ").filter(|now| *now >= number) {
            return Ok(now);
        }
        ensure!(
            std::time::Instant::now() < end,
            "step {number} is not reached"
        );
    }
}

pub(super) fn power(guest: &mut Guest<'_>) -> Result<()> {
    power_cuts(guest, TIMES)
}

/// Cuts the power so often, and looks each time at what is there afterwards.
pub(super) fn power_cuts(guest: &mut Guest<'_>, times: u64) -> Result<()> {
    let mut durable = reach(guest, 4)?;
    for round in 0..times {
        // Some way into a step, another one each time.
        std::thread::sleep(Duration::from_millis(17 * (round % 13 + 1)));
        guest.kill();
        host::check_after_cut(guest.disk()?)?;
        guest.boot()?;
        let next = reach(guest, durable + 3)?;
        // What was logged before the shell listened is in the log all the same.
        let log = guest.succeed("log")?;
        let found = log
            .lines()
            .rev()
            .find_map(|line| number_behind(line, "found "))
            .context("the load looked at nothing")?;
        ensure!(
            found >= durable,
            "step {durable} was durable, and after the power came back {found} was the last"
        );
        durable = next;
    }
    guest.end("poweroff")?;
    host::check_after_cut(guest.disk()?)
}

pub(super) fn components(guest: &mut Guest<'_>) -> Result<()> {
    restarts(guest, TIMES)
}

/// Kills driver and server so often, one after the other.
pub(super) fn restarts(guest: &mut Guest<'_>, times: u64) -> Result<()> {
    let mut durable = reach(guest, 4)?;
    let running = guest.succeed("ps")?;
    let drivers = ["virtio-blk", "emmc2"];
    let driver = drivers.into_iter().find(|name| running.contains(name));
    let driver = driver.with_context(|| format!("no driver of a disk in\n{running}"))?;
    for _ in 0..times {
        for component in [driver, "fs"] {
            guest.succeed(&format!("restart {component}"))?;
            durable = reach(guest, durable + 3)?;
        }
    }
    guest.end("poweroff")?;
    host::check_after_cut(guest.disk()?)
}
