//! What a counter outside the guest finds (`xtask/plugin/counter.c`): what the guest cannot see of itself.
//!
//! Three machines run with it: the one that measures the kernel, the tests of the target, whose calls are
//! the most varied there are, and the shipped system. Where the plugin cannot be used the rows say why.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::whole::grouped;
use super::{Measurement, paths};
use crate::qemu::{Board, Clock, Counter, Machine};
use crate::report;
use crate::symbols::Symbols;
use crate::verb::size::{Budgets, Outside};
use crate::verb::test::system::{Guest, Image, Setting};
use crate::verb::test::target;
use crate::workspace::Workspace;

/// One instruction in 8 ns, as in the tests: deadlines pass while something works.
const CLOCK: Clock = Clock::Instructions(3);

/// The marks of round trips in the bench image (`servers/tests/src/bench.rs`), their name in results and
/// what they are.
const ROUND_TRIPS: &[(u64, &str, &str)] = &[
    (1, "ipc_passive_outside", "round trip, passive server"),
    (2, "ipc_active_outside", "round trip, active server"),
];

/// A figure of a round trip.
struct Figure {
    key: &'static str,
    what: &'static str,
    sel4: &'static str,
    budget: fn(&Outside) -> u64,
}

const FIGURES: &[Figure] = &[
    Figure {
        key: "writes",
        what: "writes of system registers",
        sel4: "14",
        budget: |b| b.round_trip_register_writes,
    },
    Figure {
        key: "isb",
        what: "ISB",
        sel4: "2",
        budget: |b| b.round_trip_barriers,
    },
    Figure {
        key: "dsb",
        what: "DSB",
        sel4: "2",
        budget: |b| b.round_trip_barriers,
    },
    Figure {
        key: "code_lines",
        what: "cache lines of code",
        sel4: "–",
        budget: |b| b.round_trip_code_lines,
    },
    Figure {
        key: "data_lines",
        what: "cache lines of data",
        sel4: "–",
        budget: |b| b.round_trip_data_lines,
    },
];

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    what: String,
    sel4: &'static str,
    budget: u64,
    found: u64,
    most: Option<u64>,
}

/// The counter, where it can be used, and what it has written so far.
pub(super) struct Observer<'a> {
    workspace: &'a Workspace,
    counter: Result<Counter>,
}

impl<'a> Observer<'a> {
    pub(super) fn new(workspace: &'a Workspace, kernel: &Path) -> Self {
        let counter = Counter::build(workspace)
            .and_then(|counter| Ok(counter.with(paths::arguments(kernel)?)));
        Self { workspace, counter }
    }

    /// Arguments for the machine that measures the kernel; none where nothing can be counted.
    pub(super) fn arguments(&self) -> Result<Vec<String>> {
        Ok(match &self.counter {
            Ok(counter) => counter.arguments(&self.results("bench")?, true).into(),
            Err(_) => Vec::new(),
        })
    }

    fn results(&self, machine: &str) -> Result<PathBuf> {
        self.workspace.output(&format!("counter-{machine}.txt"))
    }

    /// Runs the other machines, prints the rows and adds the results of all.
    ///
    /// # Errors
    /// When something cannot be run, or is over its budget.
    pub(super) fn run(self, kernel: &Path, all: &mut Vec<Measurement>) -> Result<()> {
        let counter = match &self.counter {
            Ok(counter) => counter,
            Err(error) => {
                for what in [
                    "a round trip",
                    "boot",
                    "longest stretch with interrupts masked",
                ] {
                    println!("{what:<48} not counted: {error:#}");
                }
                return Ok(());
            }
        };
        let budgets = Budgets::read(self.workspace)?.outside;
        let mut found = read(&self.results("bench")?)?;
        // Its boot image is not the shipped one.
        found.retain(|m| m.name != "boot");
        self.tests(counter)?;
        let tests = read(&self.results("tests")?)?;
        found.extend(tests.into_iter().filter(|m| m.name != "boot"));
        self.system(counter)?;
        found.extend(read(&self.results("system")?)?);
        let (rows, measurements) = evaluate(&found, &budgets)?;
        print(&rows);
        if let Some(masked) = longest(&found) {
            let symbols = Symbols::new(kernel, None);
            let place = |key| {
                let address = format!("{:#x}", masked.value(key).unwrap_or(0));
                symbols.explain(&address).unwrap_or(address)
            };
            println!(
                "  it came behind {} and ended at {}",
                place("after"),
                place("end")
            );
        }
        all.extend(measurements);
        all.extend(paths::evaluate(&found, &budgets.paths)?);
        let over: Vec<_> = rows.iter().filter(|row| row.found > row.budget).collect();
        ensure!(over.is_empty(), "over budget: {over:?}");
        Ok(())
    }

    /// The tests that run on the target.
    fn tests(&self, counter: &Counter) -> Result<()> {
        let image = target::write_image(self.workspace, "", true)?;
        let mut machine = Machine {
            clock: CLOCK,
            ..Machine::new(Board::Virt, None, None)?
        };
        machine.devices.more = counter.arguments(&self.results("tests")?, false).into();
        let tally = target::in_qemu(self.workspace, &machine, &image, false)?;
        ensure!(tally.failed == 0, "tests of the target fail");
        Ok(())
    }

    /// Boot of the shipped system with 1 GiB, a restart, and its end.
    fn system(&self, counter: &Counter) -> Result<()> {
        let arguments = counter.arguments(&self.results("system")?, false);
        let setting = Setting {
            clock: CLOCK,
            // A setting is a constant elsewhere; this one is made once in a run.
            arguments: arguments.map(|a| &*a.leak()).to_vec().leak(),
            ..Setting::SHIPPED
        };
        report::step("Counting", "in the shipped system");
        let path = self.workspace.output("bench-outside.img")?;
        let image = Image::write(self.workspace, &setting, Board::Virt, path)?;
        let mut guest = Guest::start(self.workspace, &setting, Board::Virt, &image, "outside")?;
        for command in ["ps", "caps", "restart time", "mem"] {
            guest.succeed(command)?;
        }
        guest.end("poweroff")?;
        Ok(())
    }
}

fn is_masked(measurement: &Measurement) -> bool {
    measurement.name == "masked"
}

/// What the plugin wrote.
fn read(path: &Path) -> Result<Vec<Measurement>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the counter wrote nothing to {}", path.display()))?;
    text.lines().map(Measurement::parse).collect()
}

/// The longest stretch of all machines.
fn longest(found: &[Measurement]) -> Option<&Measurement> {
    let masked = found.iter().filter(|m| is_masked(m));
    masked.max_by_key(|m| m.value("instructions"))
}

/// Rows to print, and results to keep.
fn evaluate(found: &[Measurement], budgets: &Outside) -> Result<(Vec<Row>, Vec<Measurement>)> {
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    let mut keep = |name: &str, from: &Measurement| {
        let (name, values) = (name.to_string(), from.values.clone());
        kept.push(Measurement { name, values });
    };
    for &(id, name, what) in ROUND_TRIPS {
        let is_it = |m: &&Measurement| m.name == "marked" && m.value("id") == Some(id);
        let marked = found.iter().find(is_it);
        let marked = marked.with_context(|| format!("{what}: no run between its marks"))?;
        for figure in FIGURES {
            rows.push(Row {
                what: format!("{what}: {}", figure.what),
                sel4: figure.sel4,
                budget: (figure.budget)(budgets),
                found: marked.value(figure.key).context("the counter names it")?,
                most: marked.value(&format!("{}_max", figure.key)),
            });
        }
        keep(name, marked);
    }
    let boot = found
        .iter()
        .find(|m| m.name == "boot" && m.value("instructions") != Some(0));
    let boot = boot.context("no machine came to its root task")?;
    let masked = longest(found).context("no stretch was counted")?;
    ensure!(
        masked.value("instructions") != Some(0),
        "no stretch was counted"
    );
    for (what, sel4, budget, name, measurement) in [
        (
            "reset to the root task, shipped image, 1 GiB",
            "2.27 M",
            budgets.boot_instructions,
            "boot_kernel",
            boot,
        ),
        (
            "longest stretch with interrupts masked",
            "–",
            budgets.masked_instructions,
            "masked",
            masked,
        ),
    ] {
        rows.push(Row {
            what: what.to_string(),
            sel4,
            budget,
            found: measurement.value("instructions").unwrap_or(0),
            most: None,
        });
        keep(name, measurement);
    }
    Ok((rows, kept))
}

fn print(rows: &[Row]) {
    println!();
    println!(
        "{:<48} {:>9} {:>13} {:>10} {:>10}",
        "counted outside the guest", "seL4", "budget", "gRiTOS", "most"
    );
    for row in rows {
        let verdict = if row.found > row.budget { "  over" } else { "" };
        println!(
            "{:<48} {:>9} {:>13} {:>10} {:>10}{verdict}",
            row.what,
            row.sel4,
            format!("≤ {}", grouped(row.budget)),
            grouped(row.found),
            row.most.map_or("–".to_string(), grouped)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Measurement, Outside, evaluate};

    const BUDGETS: Outside = Outside {
        paths: BTreeMap::new(),
        round_trip_register_writes: 14,
        round_trip_barriers: 0,
        round_trip_code_lines: 26,
        round_trip_data_lines: 24,
        masked_instructions: 3000,
        boot_instructions: 2_270_000,
    };

    fn found(lines: &str) -> Vec<Measurement> {
        lines
            .lines()
            .map(|line| Measurement::parse(line).expect("a result"))
            .collect()
    }

    const WRITTEN: &str = "boot instructions=2184852\n\
        masked instructions=400 stretches=9 after=1 end=2\n\
        marked id=1 n=6000 writes=10 writes_max=11 isb=0 isb_max=0 dsb=0 dsb_max=0 code_lines=19 \
        code_lines_max=40 data_lines=19 data_lines_max=30\n\
        marked id=2 n=6000 writes=10 writes_max=11 isb=1 isb_max=1 dsb=0 dsb_max=0 code_lines=23 \
        code_lines_max=40 data_lines=21 data_lines_max=30\n\
        masked instructions=2069 stretches=5 after=1 end=2";

    #[test]
    fn each_figure_has_a_row_and_the_longest_stretch_of_all_machines_counts() {
        let (rows, kept) = evaluate(&found(WRITTEN), &BUDGETS).expect("complete");
        assert_eq!(rows.len(), 12);
        let over: Vec<_> = rows.iter().filter(|r| r.found > r.budget).collect();
        assert_eq!(over.len(), 1, "{over:?}");
        assert_eq!(over[0].what, "round trip, active server: ISB");
        assert_eq!(rows.last().map(|row| row.found), Some(2069));
        let names: Vec<_> = kept.iter().map(|m| m.name.as_str()).collect();
        let expected = [
            "ipc_passive_outside",
            "ipc_active_outside",
            "boot_kernel",
            "masked",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_was_not_counted_is_no_result() {
        for name in ["marked id=2", "boot", "masked"] {
            let less: Vec<&str> = WRITTEN.lines().filter(|l| !l.starts_with(name)).collect();
            assert!(
                evaluate(&found(&less.join("\n")), &BUDGETS).is_err(),
                "{name}"
            );
        }
        let idle = WRITTEN.replace("boot instructions=2184852", "boot instructions=0");
        assert!(evaluate(&found(&idle), &BUDGETS).is_err());
    }
}
