//! `cargo xtask bench`: what operations cost, in instructions of the guest.
//!
//! The machine runs with one instruction per tick of QEMU's clock. For the kernel a bench image takes the
//! root task's place; it measures and takes its own instructions off, every run gives the same numbers,
//! and they are set beside those of seL4 16 on the same emulator (release build, fast paths on). The
//! other parts measure the shipped system, beside Linux 6.1 on the same emulator.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use gritos_abi::boot_image::{FLAG_COUNTERS, FLAG_QUIET, FLAG_SEMIHOSTING};
use gritos_abi::frame::Channel;
use serde::Serialize;

use crate::frames::{Item, Next, Stream};
use crate::image::Contents;
use crate::qemu::{Board, Clock, Machine, Running};
use crate::workspace::Workspace;
use crate::{compile, report, toolchain, verb};

mod card;
mod files;
mod network;
mod outside;
mod paths;
mod system;
mod whole;

use outside::Observer;

/// Longest time without a result.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Args)]
pub(crate) struct Options {
    /// Measure this part only
    #[arg(long, value_enum, value_name = "PART")]
    part: Option<Part>,
    /// Write the results here as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The kernel's calls, interrupts and faults
    Kernel,
    /// Boot, idling and memory of the whole system
    System,
    /// Files
    Files,
    /// A card, with DMA and without
    Card,
    /// The network
    Network,
}

/// A line of the table.
struct Row {
    /// Name of the measurement in its frame.
    name: &'static str,
    what: &'static str,
    sel4: &'static str,
    sel4_mcs: &'static str,
    /// Most instructions of the kernel that are acceptable.
    target: u64,
}

macro_rules! rows {
    ($($name:literal $what:literal, $sel4:literal, $mcs:literal, $target:literal;)*) => {
        &[$(Row { name: $name, what: $what, sel4: $sel4, sel4_mcs: $mcs, target: $target },)*]
    };
}

const ROWS: &[Row] = rows! {
    "ipc_passive_0" "Call + ReplyRecv, passive server, 0 words", "–", "474–521", 225;
    "ipc_passive_4" "the same, 4 words", "–", "474–521", 225;
    "ipc_passive_8" "the same, 8 words", "–", "1989+", 225;
    "ipc_active_0" "Call + ReplyRecv, active server, 0 words", "405–452", "–", 250;
    "ipc_active_4" "the same, 4 words", "405–452", "–", 250;
    "ipc_active_8" "the same, 8 words", "1338+", "–", 250;
    "ipc_bound_0" "the same, with a bound notification, 0 words", "–", "–", 260;
    "ipc_bound_4" "the same, 4 words", "–", "–", 260;
    "ipc_bound_8" "the same, 8 words", "–", "–", 260;
    "ipc_fp" "the same, both sides use FP registers", "510", "579", 320;
    "ipc_deadline" "the same, with a deadline", "–", "–", 350;
    "ipc_timed" "the server receives with a deadline and a bound notification", "–", "–", 450;
    "cap_transfer" "Call with 1 capability into a slot, one way", "952", "1182", 450;
    "cap_unwrap" "Call with 1 capability that unwraps, one way", "–", "–", 140;
    "invalid_syscall" "invalid system call", "91", "–", 45;
    "signal" "Signal, no waiter", "339", "139–409", 80;
    "signal_wake" "Signal, waiter runs and waits again", "881", "1151", 500;
    "page_fault" "page fault to a handler and back", "419–1035", "456–1677", 420;
    "timer" "timer interrupt to a handler, waiting again", "1080", "1406", 550;
    "map" "map 4 KiB", "535", "609", 350;
    "unmap" "unmap 4 KiB", "487", "561", 350;
    "retype_endpoint" "retype an endpoint", "679", "782", 500;
    "retype_tcb" "retype a TCB", "681", "780", 600;
    "revoke_64" "revoke, 64 children", "14,973", "15,516", 12_000;
};

/// What generated stubs execute for a method with two words each way: name, what, most
/// instructions that are acceptable.
const STUBS: &[(&str, &str, u64)] = &[
    ("stub_client", "stub of a client, 2 words each way", 25),
    ("stub_server", "loop of a server, the same", 40),
    ("buffer_client", "stub of a client, a registered buffer", 75),
    (
        "buffer_server",
        "loop of a server, the same, with its table",
        160,
    ),
    (
        "buffer_read_4096",
        "the same, both sides, 4 KiB into the buffer",
        850,
    ),
    (
        "buffer_write_4096",
        "the same, 4 KiB out of the buffer",
        850,
    ),
    ("copy_4096", "copy 4 KiB, aligned", 700),
    ("copy_4096_aside", "copy 4 KiB, unaligned", 700),
    ("shared_read_4096", "copy 4 KiB out of shared memory", 620),
    ("shared_write_4096", "copy 4 KiB into shared memory", 620),
];

/// A measurement as the task reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Measurement {
    name: String,
    /// What was measured, by name: `kernel` (mode of the kernel's instructions), `kernel_max`,
    /// `user`, `n` and whatever else the task finds worth telling.
    values: BTreeMap<String, u64>,
}

impl Measurement {
    /// Reads `NAME key=value ...`.
    fn parse(payload: &str) -> Result<Self> {
        let mut words = payload.split_whitespace();
        let name = words.next().context("a result without a name")?.to_string();
        let values = words
            .map(|word| {
                let (key, value) = word
                    .split_once('=')
                    .with_context(|| format!("`{word}` is not key=value"))?;
                let value = value
                    .parse()
                    .with_context(|| format!("`{word}` has no number"))?;
                Ok((key.to_string(), value))
            })
            .collect::<Result<_>>()
            .with_context(|| format!("result `{payload}`"))?;
        Ok(Self { name, values })
    }

    fn value(&self, key: &str) -> Option<u64> {
        self.values.get(key).copied()
    }
}

#[derive(Default, Serialize)]
struct Report {
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_constant_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_static_ram_bytes: Option<u64>,
    measurements: Vec<Measurement>,
}

/// Measures what is asked for. What one part could not measure keeps no other from being measured.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    toolchain::ensure_qemu(false)?;
    let mut report = Report {
        unit: "guest instructions",
        ..Report::default()
    };
    let mut failed = Vec::new();
    for part in [
        Part::Kernel,
        Part::System,
        Part::Files,
        Part::Card,
        Part::Network,
    ] {
        if options.part.is_some_and(|only| only != part) {
            continue;
        }
        let measurements = &mut report.measurements;
        let result = match part {
            Part::Kernel => kernel(workspace, &mut report),
            Part::System => system::run(workspace, measurements),
            Part::Files => files::run(workspace, measurements),
            Part::Card => card::run(workspace, measurements),
            Part::Network => network::run(workspace, measurements),
        };
        if let Err(error) = result {
            report::error(&error.context(format!("{part:?} could not be measured")));
            failed.push(part);
        }
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    ensure!(failed.is_empty(), "not measured, or not fully: {failed:?}");
    Ok(())
}

/// Measures the kernel.
fn kernel(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let contents = Contents {
        flags: FLAG_SEMIHOSTING | FLAG_COUNTERS | FLAG_QUIET,
        data: vec![(verb::image::COMMAND_LINE.into(), b"bench".to_vec())],
        ..Contents::default()
    };
    let image = workspace.output("bench.img")?;
    let programs = verb::image::ProgramOptions::starting(compile::TESTS);
    let destination = verb::image::Destination::board(Board::Virt);
    let built = verb::image::write(workspace, &programs, destination, contents, &image)?;
    let observer = Observer::new(workspace, &built.kernel);
    let mut machine = Machine {
        clock: Clock::Instructions(0),
        ..Machine::new(Board::Virt, None, None)?
    };
    machine.devices.more = observer.arguments()?;
    report::step(
        "Measuring",
        format!("on {}, one instruction per tick", machine.label()),
    );
    let mut qemu = Running::start_headless(&mut machine.command(workspace, &image)?)?;
    let measurements = collect(&Stream::new(qemu.serial()?))?;
    let code = qemu.wait(Some(LIMIT))?;
    print_table(&measurements);
    let sizes = verb::size::Sizes::of(&built.kernel)?;
    println!(
        "{:<48} {:>9}",
        "kernel text + read-only data, bytes", sizes.constant_bytes
    );
    println!(
        "{:<48} {:>9}",
        "kernel static RAM, bytes", sizes.static_ram_bytes
    );
    report.kernel_constant_bytes = Some(sizes.constant_bytes);
    report.kernel_static_ram_bytes = Some(sizes.static_ram_bytes);
    report.measurements.extend(measurements.iter().cloned());
    ensure!(!measurements.is_empty(), "the bench image measured nothing");
    for (name, what, target) in STUBS {
        let user = measurements.iter().find(|m| m.name == *name);
        ensure!(
            user.and_then(|m| m.value("user"))
                .is_some_and(|user| user <= *target),
            "{what}: more than {target} instructions"
        );
    }
    ensure!(
        code == Some(0),
        "the bench image ended with {code:?} instead of status 0"
    );
    let over = |row: &&Row| {
        let found = measurements.iter().find(|m| m.name == row.name);
        found
            .and_then(|m| m.value("kernel"))
            .is_none_or(|kernel| kernel > row.target)
    };
    let over: Vec<&str> = ROWS.iter().filter(over).map(|row| row.what).collect();
    ensure!(
        over.is_empty(),
        "over the target, or not measured: {over:?}"
    );
    observer.run(&built.kernel, &mut report.measurements)
}

/// Collects results until the machine ends.
fn collect(stream: &Stream) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    loop {
        match stream.next(Instant::now() + LIMIT) {
            Next::Item(Item::Frame(Channel::Bench, payload)) => {
                measurements.push(Measurement::parse(&payload)?);
            }
            Next::Item(Item::Damaged) => bail!("a result arrived damaged"),
            Next::Item(Item::Line(line)) if !line.is_empty() => report::step("Console", line),
            Next::Item(_) => {}
            Next::TimedOut => bail!("no result for {} s", LIMIT.as_secs()),
            Next::End => return Ok(measurements),
        }
    }
}

fn print_table(measurements: &[Measurement]) {
    println!(
        "{:<48} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7}",
        "kernel instructions", "seL4", "seL4 MCS", "target", "gRiTOS", "max", "user"
    );
    let number = |value: Option<u64>| value.map_or("–".to_string(), |value| value.to_string());
    for row in ROWS {
        let found = measurements.iter().find(|m| m.name == row.name);
        let value = |key| found.and_then(|m| m.value(key));
        let kernel = value("kernel");
        let verdict = match kernel {
            None => "  not measured",
            Some(kernel) if kernel > row.target => "  over",
            Some(_) => "",
        };
        println!(
            "{:<48} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7}{verdict}",
            row.what,
            row.sel4,
            row.sel4_mcs,
            format!("≤ {}", row.target),
            number(kernel),
            number(value("kernel_max")),
            number(value("user")),
        );
    }
    println!();
    println!(
        "{:<48} {:>39} {:>7}",
        "user instructions", "target", "gRiTOS"
    );
    for (name, what, target) in STUBS {
        let found = measurements.iter().find(|m| m.name == *name);
        let user = found.and_then(|m| m.value("user"));
        let verdict = match user {
            None => "  not measured",
            Some(user) if user > *target => "  over",
            Some(_) => "",
        };
        println!(
            "{what:<48} {:>39} {:>7}{verdict}",
            format!("≤ {target}"),
            number(user)
        );
    }
    let is_known = |name: &str| {
        ROWS.iter().any(|row| row.name == name) || STUBS.iter().any(|stub| stub.0 == name)
    };
    for other in measurements.iter().filter(|m| !is_known(&m.name)) {
        let values: Vec<_> = other
            .values
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        println!("{:<48} {}", other.name, values.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::{Measurement, ROWS};

    #[test]
    fn a_result_is_a_name_and_numbers() {
        let m = Measurement::parse("signal kernel=79 kernel_max=81 n=2000").expect("a result");
        assert_eq!(m.name, "signal");
        assert_eq!(
            (m.value("kernel"), m.value("kernel_max"), m.value("user")),
            (Some(79), Some(81), None)
        );
        for bad in ["", "signal kernel", "signal kernel=many"] {
            assert!(Measurement::parse(bad).is_err(), "`{bad}`");
        }
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        for (i, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS.iter().skip(i + 1).all(|other| other.name != row.name),
                "{}",
                row.name
            );
        }
    }
}
