//! Components that fail, are killed and are started again.
//!
//! Most run in the system of `servers/trial`, whose components fail in every way there is, call a server that dies, do all
//! the harm they can, and keep time. What they find they write to the log.

use anyhow::{Context, Result, ensure};

use super::{Board, Case, Guest, Setting};
use crate::qemu::Clock;
use crate::report;

pub(super) const CASES: &[Case] = &[
    Case::new("supervision/the_console_is_started_again", console).alone(),
    Case::new("supervision/each_service_is_started_again", services)
        .on(&[Board::Virt, Board::Rpi4]),
    Case::new("supervision/each_kind_of_fault_is_reported", faults)
        .with(TRIAL)
        .on(&[Board::Virt, Board::Rpi4]),
    Case::new(
        "supervision/one_that_fails_again_and_again_stays_ended",
        in_vain,
    )
    .with(TRIAL),
    Case::new(
        "supervision/no_thread_runs_whose_faults_nobody_hears_of",
        own_thread,
    )
    .with(TRIAL),
    Case::new("supervision/callers_of_a_server_that_dies", callers).with(TRIAL),
    Case::new("supervision/callers_of_a_server_that_stays_dead", gone).with(TRIAL),
    Case::new(
        "supervision/nothing_leaks_when_a_server_dies_20_times",
        leaks,
    )
    .with(TRIAL),
    Case::new("supervision/a_service_answers_soon_after_its_death", speed)
        .with(COUNTED)
        .alone(),
    Case::new("supervision/who_answers_nobody_delays_nobody_else", hoard)
        .with(COUNTED)
        .alone(),
    Case::new("supervision/a_rogue_delays_nobody_more_urgent", rogue)
        .with(COUNTED)
        .alone(),
    Case::new(
        "supervision/one_that_fails_without_end_delays_nobody_more_urgent",
        crashing,
    )
    .with(COUNTED)
    .alone(),
];

/// The system of `servers/trial`.
const TRIAL: Setting = Setting {
    system: "servers/trial/system.toml",
    ..Setting::SHIPPED
};

/// The same, where 8 ns are one instruction.
const COUNTED: Setting = Setting {
    clock: Clock::Instructions(3),
    ..TRIAL
};
const NS_PER_INSTRUCTION: u64 = 8;

/// Most instructions from a deadline to a user thread of high priority running.
const LATENESS_LIMIT: u64 = 1500;
/// Most instructions from a fault to the first answer of the service's next life, the report included.
const RESTART_LIMIT: u64 = 700_000;
/// The same while a rogue does its worst: the kernel's longest stretch with interrupts masked, and one answer of the root
/// task, which is more urgent than everybody.
const HARASSED_LIMIT: u64 = 5000;
/// The same beside one that fails without end, is reported and made anew: the longest of the steps in which the root task
/// does its part of that.
const FAILING_LIMIT: u64 = 7000;

fn console(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo before")?;
    guest.survive("restart console")?;
    ensure!(guest.succeed("echo after")? == "after\n");
    Ok(())
}

fn services(guest: &mut Guest<'_>) -> Result<()> {
    for service in ["log", "time"] {
        guest.succeed(&format!("restart {service}"))?;
    }
    // The Pi has no clock that goes on without power.
    guest.succeed("date -s '2026-12-01 12:00'")?;
    guest.expect("date", "UTC")?;
    guest.expect("log state", "records")?;
    guest.upset("restart shell")?;
    let state = line_of(&guest.succeed("ps")?, "shell")?;
    ensure!(state.contains(" 1 "), "not started again: {state}");
    // The shell's next life is another client with the same name.
    guest.expect("date", "UTC")?;
    Ok(())
}

/// The line of a table that is about `name`.
fn line_of(table: &str, name: &str) -> Result<String> {
    let line = table
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == name));
    Ok(line
        .with_context(|| format!("no line about {name} in\n{table}"))?
        .to_string())
}

/// Waits until `ps` says of a component what it is to say.
fn until_state(guest: &mut Guest<'_>, name: &str, state: &str) -> Result<()> {
    for _ in 0..40 {
        guest.succeed("sleep 0.05")?;
        if line_of(&guest.succeed("ps")?, name)?.contains(state) {
            return Ok(());
        }
    }
    anyhow::bail!("`{name}` is never {state}")
}

fn faults(guest: &mut Guest<'_>) -> Result<()> {
    let kinds = [
        (
            "wild-pointer",
            "load or store without a mapping that allows it at address 0x1234567008",
        ),
        ("stack-overflow", "stack overflow at address"),
        ("illegal-instruction", "undefined instruction"),
        ("panic", "panicked at servers/trial/src/failing.rs:"),
        (
            "wild-jump",
            "instruction fetch without a mapping that allows it at address 0x1234567000",
        ),
        (
            "write-text",
            "load or store without a mapping that allows it",
        ),
        ("misaligned", "misaligned access"),
        (
            "floating-point",
            "FP or SIMD instruction without permission",
        ),
        ("breakpoint", "breakpoint"),
        ("privileged", "undefined instruction"),
    ];
    for (name, what) in kinds {
        guest.succeed(&format!("restart {name}"))?;
        until_state(guest, name, "failed")?;
        let reported = guest
            .lines()
            .iter()
            .any(|line| line.contains(&format!("root: {name}")) && line.contains(what));
        ensure!(reported, "no report of `{what}` by {name}");
    }
    ensure!(
        guest
            .lines()
            .iter()
            .any(|line| line.contains("3 are too many"))
    );
    // The same is in the log, among what matters most.
    guest.expect("log error root", "stack-overflow+0x")?;
    // A report by register: x30 of the thread that failed lies in its text.
    ensure!(
        guest
            .lines()
            .iter()
            .any(|line| line.contains("x30 0000000000"))
    );
    Ok(())
}

fn own_thread(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("restart check-thread")?;
    until_state(guest, "check-thread", "ended")?;
    guest.expect("log check-thread", "thread: passed")?;
    Ok(())
}

fn in_vain(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("restart fail-always")?;
    until_state(guest, "fail-always", "failed")?;
    // The life that was asked for, and two attempts.
    let times = guest
        .lines()
        .iter()
        .filter(|line| line.contains("root: fail-always panicked"))
        .count();
    ensure!(times == 3, "it was started {times} times");
    guest.expect("log error root", "fail-always is not started again")?;
    Ok(())
}

fn callers(guest: &mut Guest<'_>) -> Result<()> {
    for check in ["death", "retry"] {
        guest.succeed(&format!("restart check-{check}"))?;
        until_state(guest, &format!("check-{check}"), "ended")?;
        guest.expect(&format!("log check-{check}"), &format!("{check}: passed"))?;
    }
    // It called all the time, and was in the queue when the server died in service of another.
    let load = guest.succeed("log load")?;
    ensure!(load.contains("served and 0 died before"), "{load}");
    ensure!(!load.contains("ERROR"), "{load}");
    Ok(())
}

fn gone(guest: &mut Guest<'_>) -> Result<()> {
    // It ended at once when the system started: its callers are told so.
    guest.succeed("restart check-gone")?;
    guest.succeed("sleep 0.2")?;
    guest.succeed("restart fail-always")?;
    until_state(guest, "check-gone", "ended")?;
    let log = guest.expect("log check-gone", "gone: passed")?;
    // Two pauses of the policy, in which calls waited in the queue.
    let longest = number_between(&log, "the slowest after ", " ns")?;
    ensure!(longest >= 100_000_000, "{log}");
    // The same for one that somebody stops, and no longer when it is started again.
    guest.succeed("kill serve")?;
    guest.succeed("restart check-retry")?;
    until_state(guest, "check-retry", "ended")?;
    guest.expect("log check-retry", "Unavailable")?;
    guest.succeed("restart serve && restart load")?;
    guest.succeed("restart check-death")?;
    until_state(guest, "check-death", "ended")?;
    guest.expect("log check-death", "death: passed")?;
    Ok(())
}

/// What `mem` says: memory that `serve` uses, and slots of the root task.
fn holdings(guest: &mut Guest<'_>) -> Result<(String, String)> {
    let mem = guest.succeed("mem")?;
    Ok((line_of(&mem, "serve")?, line_of(&mem, "slots")?))
}

fn leaks(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("restart serve")?;
    let before = holdings(guest)?;
    for _ in 0..20 {
        guest.succeed("restart serve")?;
    }
    let after = holdings(guest)?;
    ensure!(before == after, "before {before:?}, after {after:?}");
    let load = guest.succeed("log load")?;
    ensure!(!load.contains("ERROR"), "{load}");
    ensure!(
        line_of(&guest.succeed("ps")?, "load")?.contains('%'),
        "its client is gone"
    );
    Ok(())
}

/// Until all that is to end when the system starts has ended: it is as urgent as what is measured.
fn settle(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("sleep 1")?;
    Ok(())
}

fn speed(guest: &mut Guest<'_>) -> Result<()> {
    settle(guest)?;
    guest.succeed("kill load")?;
    guest.succeed("restart check-speed")?;
    until_state(guest, "check-speed", "ended")?;
    let log = guest.expect("log check-speed", "speed: passed")?;
    let taken = number_between(&log, "an answer ", " ns")? / NS_PER_INSTRUCTION;
    report::step(
        "Measured",
        format!("an answer {taken} instructions after a fault"),
    );
    ensure!(
        taken <= RESTART_LIMIT,
        "{taken} instructions from the fault to the first answer"
    );
    Ok(())
}

fn number_between(text: &str, before: &str, behind: &str) -> Result<u64> {
    let number = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(behind))
        .and_then(|(number, _)| number.parse().ok());
    number.with_context(|| format!("no number between `{before}` and `{behind}` in {text}"))
}

fn rogue(guest: &mut Guest<'_>) -> Result<()> {
    settle(guest)?;
    let alone = lateness(guest)?;
    guest.succeed("restart rogue")?;
    let harassed = lateness(guest)?;
    guest.succeed("sleep 1")?;
    guest.expect("log rogue", "could do no more")?;
    measured(alone, harassed, "a rogue");
    ensure!(
        alone <= LATENESS_LIMIT && harassed <= HARASSED_LIMIT,
        "{alone} instructions late without the rogue, {harassed} with it"
    );
    Ok(())
}

fn hoard(guest: &mut Guest<'_>) -> Result<()> {
    settle(guest)?;
    guest.succeed("restart hoard")?;
    guest.succeed("restart check-hoard")?;
    let beside = lateness(guest)?;
    guest.succeed("sleep 0.5")?;
    guest.expect("log hoard", "4 callers are kept")?;
    guest.expect("log check-hoard", "hoard: passed")?;
    // What it keeps can be taken from it.
    guest.succeed("restart hoard")?;
    guest.succeed("echo here")?;
    ensure!(
        beside <= LATENESS_LIMIT,
        "{beside} instructions late beside who answers nobody"
    );
    Ok(())
}

fn crashing(guest: &mut Guest<'_>) -> Result<()> {
    settle(guest)?;
    let alone = lateness(guest)?;
    guest.succeed("restart crashing")?;
    let beside = lateness(guest)?;
    guest.succeed("kill crashing")?;
    // It was reported and started again all the time.
    let state = line_of(&guest.succeed("ps")?, "crashing")?;
    let restarts: Option<u32> = state
        .split_whitespace()
        .rev()
        .nth(2)
        .and_then(|n| n.parse().ok());
    ensure!(restarts.is_some_and(|restarts| restarts >= 20), "{state}");
    measured(alone, beside, "one that fails without end");
    ensure!(
        alone <= LATENESS_LIMIT && beside <= FAILING_LIMIT,
        "{alone} instructions late alone, {beside} beside one that fails without end"
    );
    Ok(())
}

fn measured(alone: u64, beside: u64, whom: &str) {
    let text = format!("at most {alone} instructions late alone, {beside} beside {whom}");
    report::step("Measured", text);
}

/// The most that a thread of high priority ran behind its deadlines, in instructions.
fn lateness(guest: &mut Guest<'_>) -> Result<u64> {
    guest.succeed("restart metronome")?;
    // Nothing but what is to be measured runs meanwhile: the root task is more urgent than everybody.
    guest.succeed("sleep 0.3")?;
    let log = guest.succeed("log -1 metronome")?;
    Ok(number_between(&log, " to ", " ns")? / NS_PER_INSTRUCTION)
}
