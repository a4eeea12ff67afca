//! Measurements of the whole system: the shell's `bench` on a machine that counts instructions.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::Measurement;
use crate::qemu::{Board, Clock};
use crate::report;
use crate::verb::test::system::{Guest, Image, Setting};
use crate::workspace::Workspace;

/// The shipped system on `virt`, where programs may read counters.
pub(super) const COUNTED: Setting = Setting {
    counters: true,
    clock: Clock::Instructions(0),
    ..Setting::SHIPPED
};

/// A line of a table.
pub(super) struct Row {
    /// Name of the measurement.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// What Linux 6.1 needs.
    pub(super) linux: &'static str,
    /// Most that is acceptable.
    pub(super) budget: Option<u64>,
    /// Whether figure and budget are thousandths.
    pub(super) milli: bool,
}

impl Row {
    pub(super) const fn new(
        name: &'static str,
        what: &'static str,
        linux: &'static str,
        budget: u64,
    ) -> Self {
        Self {
            name,
            what,
            linux,
            budget: Some(budget),
            milli: false,
        }
    }

    /// The same, where figure and budget are thousandths.
    pub(super) const fn in_thousandths(mut self) -> Self {
        self.milli = true;
        self
    }

    /// One that nobody set a limit to.
    pub(super) const fn open(name: &'static str, what: &'static str) -> Self {
        Self {
            name,
            what,
            linux: "–",
            budget: None,
            milli: false,
        }
    }
}

/// What a run of shell commands on a fresh machine printed as `NAME key=value ...`.
pub(super) fn measure(
    workspace: &Workspace,
    setting: &Setting,
    commands: &[&str],
) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    with_guest(workspace, setting, |guest| {
        for command in commands {
            let printed = guest.succeed(command)?;
            for line in printed.lines().filter(|line| line.contains('=')) {
                found.push(Measurement::parse(line)?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The same on `boots` machines, one after the other: the median of each figure. For work whose course
/// depends on the host, such as that of a disk.
pub(super) fn measure_often(
    workspace: &Workspace,
    setting: &Setting,
    commands: &[&str],
    boots: usize,
) -> Result<Vec<Measurement>> {
    let runs: Vec<Vec<Measurement>> = (0..boots)
        .map(|_| measure(workspace, setting, commands))
        .collect::<Result<_>>()?;
    Ok(medians(&runs))
}

fn medians(runs: &[Vec<Measurement>]) -> Vec<Measurement> {
    let first = runs.first().map(Vec::as_slice).unwrap_or_default();
    let median = |name: &str, key: &str| {
        let same = runs.iter().flatten().filter(|m| m.name == name);
        let mut values: Vec<u64> = same.filter_map(|m| m.value(key)).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let of = |measurement: &Measurement| {
        let keys = measurement.values.keys();
        let values: BTreeMap<String, u64> = keys
            .map(|key| (key.clone(), median(&measurement.name, key)))
            .collect();
        Measurement {
            name: measurement.name.clone(),
            values,
        }
    };
    first.iter().map(of).collect()
}

/// Boots the system of `setting` on `virt` and gives it to `work`; what the console showed last goes
/// with an error.
pub(super) fn with_guest<T>(
    workspace: &Workspace,
    setting: &Setting,
    work: impl FnOnce(&mut Guest<'_>) -> Result<T>,
) -> Result<T> {
    const CONTEXT_LINES: usize = 15;
    let path = workspace.output("bench-system.img")?;
    let image = Image::write(workspace, setting, Board::Virt, path)?;
    let mut guest = Guest::start(workspace, setting, Board::Virt, &image, "bench")?;
    work(&mut guest).with_context(|| {
        let lines = guest.last_lines(CONTEXT_LINES);
        format!("the console showed last:\n{}", lines.join("\n"))
    })
}

/// Prints what was measured: the rows in their order, then what no row knows.
///
/// # Errors
/// Names the rows that are over their budget, or were not measured.
pub(super) fn print(title: &str, rows: &[Row], measurements: &[Measurement]) -> Result<()> {
    println!();
    println!(
        "{title:<48} {:>12} {:>13} {:>12} {:>10} {:>10}",
        "Linux 6.1", "budget", "gRiTOS", "least", "most"
    );
    let mut wrong = Vec::new();
    for row in rows {
        let found = measurements.iter().find(|m| m.name == row.name);
        let value = |key| found.and_then(|m| m.value(key));
        let text = |value: Option<u64>| value.map_or("–".to_string(), |value| row.text(value));
        let figure = value("instructions");
        let verdict = match (figure, row.budget) {
            (None, _) => "  not measured",
            (Some(figure), Some(budget)) if figure > budget => "  over",
            (Some(_), _) => "",
        };
        if !verdict.is_empty() {
            wrong.push(row.what);
        }
        let budget = row
            .budget
            .map_or("–".to_string(), |b| format!("≤ {}", row.text(b)));
        println!(
            "{:<48} {:>12} {budget:>13} {:>12} {:>10} {:>10}{verdict}",
            row.what,
            row.linux,
            text(figure),
            text(value("least")),
            text(value("most")),
        );
    }
    let is_known = |m: &&Measurement| rows.iter().any(|row| row.name == m.name);
    for other in measurements.iter().filter(|m| !is_known(m)) {
        report::warning(format!("no row for `{}`: {:?}", other.name, other.values));
    }
    ensure!(wrong.is_empty(), "over budget, or not measured: {wrong:?}");
    Ok(())
}

impl Row {
    fn text(&self, value: u64) -> String {
        if self.milli {
            format!("{}.{:02}", value / 1000, value % 1000 / 10)
        } else {
            grouped(value)
        }
    }
}

/// Digits in groups of three.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Measurement, Row, grouped, medians, print};

    #[test]
    fn what_is_over_its_budget_or_was_not_measured_is_an_error() {
        const ROWS: &[Row] = &[Row::new("a", "one", "–", 100), Row::open("b", "other")];
        let found = |a: u64| {
            let lines = [
                format!("a instructions={a}"),
                "b instructions=9".to_string(),
            ];
            lines.map(|line| Measurement::parse(&line).expect("a measurement"))
        };
        assert!(print("", ROWS, &found(100)).is_ok());
        let over = print("", ROWS, &found(101)).expect_err("over");
        assert!(over.to_string().contains("[\"one\"]"), "{over}");
        assert!(print("", ROWS, &found(100)[..1]).is_err());
    }

    #[test]
    fn each_figure_is_the_median_of_its_own() {
        let run = |a: u64, b: u64| {
            let text = format!("open instructions={a} most={b}");
            vec![Measurement::parse(&text).expect("a measurement")]
        };
        let found = medians(&[run(5, 30), run(9, 10), run(7, 20)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].value("instructions"), Some(7));
        assert_eq!(found[0].value("most"), Some(20));
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        let row = Row {
            milli: true,
            ..Row::new("a", "a", "2.86", 2800)
        };
        assert_eq!([2801, 50].map(|v| row.text(v)), ["2.80", "0.05"]);
    }
}
