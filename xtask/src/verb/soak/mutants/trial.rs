//! Tests as they are run against a mutant: one at a time, with a limit of processor time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::build::Program;

/// Addresses that a test may use, in KiB: some mutants allocate without end.
const MEMORY_KIB: u64 = 8 << 20;
/// Tests that take longer than all others together.
const LEFT_OUT: [&str; 3] = [
    "shapes::memory",
    "shapes::tree",
    "random_sequences_do_what_the_specification_says",
];
/// A part of the campaign, in thousands of calls: it finds most of what all of it finds.
const PART: &str = "20";

/// One test.
#[derive(Clone)]
pub(super) struct Trial {
    program: Program,
    test: String,
    /// Stands for the files of its program.
    mark: String,
    /// `GRITOS_SOAK` for the campaign.
    amount: Option<&'static str>,
    /// Seconds of processor time, on the copy without a chosen mutant.
    pub(super) seconds: f64,
    /// The mutants whose places it comes to.
    pub(super) reached: BTreeSet<u32>,
}

/// What a test said.
#[derive(PartialEq, Eq)]
enum Verdict {
    Passed,
    /// This one failed.
    Failed(String),
}

impl Trial {
    pub(super) fn name(&self) -> String {
        let amount = self.amount.map(|n| format!(" ({n} thousand)"));
        format!(
            "{}::{}{}",
            self.program.0,
            self.test,
            amount.unwrap_or_default()
        )
    }

    /// What is kept of it.
    pub(super) fn measured(&self) -> Measured {
        Measured {
            name: self.name(),
            mark: self.mark.clone(),
            seconds: self.seconds,
            reached: self.reached.clone(),
        }
    }

    /// The same test of another build.
    pub(super) fn in_programs(&self, programs: &[Program]) -> Self {
        let mut trial = self.clone();
        if let Some(program) = programs.iter().find(|program| program.0 == self.program.0) {
            trial.program = program.clone();
        }
        trial
    }
}

/// Runs tests of one program in one process, with a limit of processor time.
fn run(trials: &[&Trial], folder: &Path, limit: u64, setting: (&str, &str)) -> Result<Verdict> {
    let Some(first) = trials.first() else {
        return Ok(Verdict::Passed);
    };
    // One at a time: some shells take the last of several.
    let limits = format!("ulimit -t {limit} && ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &limits]);
    command
        .arg(&first.program.1)
        .args(["--exact", "--test-threads=1"]);
    command.args(trials.iter().map(|trial| &trial.test));
    command.env(setting.0, setting.1);
    if let Some(amount) = first.amount {
        command.env("GRITOS_SOAK", amount);
    }
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().context("no test can be started")?;
    if output.status.success() {
        return Ok(Verdict::Passed);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = |trial: &&&Trial| text.contains(&format!("test {} ... FAILED", trial.test));
    // One that is neither told to have passed nor to have failed ended the process.
    let ended = |trial: &&&Trial| !text.contains(&format!("test {} ... ok", trial.test));
    let trial = trials.iter().find(failed);
    let trial = trial.or_else(|| trials.iter().find(ended)).unwrap_or(first);
    Ok(Verdict::Failed(trial.name()))
}

/// The first of `trials` that notices mutant `id`. Those of one program run together.
pub(super) fn first_to_notice(trials: &[&Trial], folder: &Path, id: u32) -> Result<Option<String>> {
    let id = id.to_string();
    let mut programs: Vec<Vec<&Trial>> = Vec::new();
    for trial in trials {
        let same = programs
            .iter_mut()
            .find(|p| p.first().is_some_and(|t| t.program == trial.program));
        match same {
            Some(program) => program.push(trial),
            None => programs.push(vec![trial]),
        }
    }
    for program in programs {
        let seconds: f64 = program.iter().map(|trial| trial.seconds).sum();
        let limit = (seconds * 10.0) as u64 + 4;
        if let Verdict::Failed(test) = run(&program, folder, limit, ("GRITOS_MUTANT", &id))? {
            return Ok(Some(test));
        }
    }
    Ok(None)
}

/// What a test takes, and the mutants that it reaches.
#[derive(Serialize, Deserialize)]
pub(super) struct Measured {
    name: String,
    mark: String,
    seconds: f64,
    reached: BTreeSet<u32>,
}

/// Every test of `programs`, the quickest first. `marks` stand for the programs' files; `known` are those that were
/// measured before.
pub(super) fn all(
    folder: &Path,
    programs: &[Program],
    marks: &BTreeMap<String, String>,
    known: &[Measured],
) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for program in programs {
        let output = Command::new(&program.1)
            .current_dir(folder)
            .args(["--list", "--format", "terse"])
            .output()?;
        let list = String::from_utf8_lossy(&output.stdout);
        for test in list.lines().filter_map(|line| line.strip_suffix(": test")) {
            if LEFT_OUT.contains(&test) {
                continue;
            }
            trials.push(Trial {
                program: program.clone(),
                test: test.to_string(),
                mark: marks.get(&program.0).cloned().unwrap_or_default(),
                amount: (program.0 == "campaign").then_some(PART),
                seconds: 0.0,
                reached: BTreeSet::new(),
            });
        }
    }
    let path = folder.join("reached.txt");
    for trial in &mut trials {
        let name = trial.name();
        let same = |known: &&Measured| known.name == name && known.mark == trial.mark;
        if let Some(known) = known.iter().find(same) {
            trial.seconds = known.seconds;
            trial.reached.clone_from(&known.reached);
            continue;
        }
        fs::write(&path, "")?;
        let before = children_seconds()?;
        let setting = ("GRITOS_REACHED", &*path.to_string_lossy());
        let verdict = run(&[trial], folder, 600, setting)?;
        ensure!(
            verdict == Verdict::Passed,
            "{} fails without a mutant",
            trial.name()
        );
        trial.seconds = children_seconds()? - before;
        println!("{:8.2} s {}", trial.seconds, trial.name());
        let reached = fs::read_to_string(&path)?;
        trial.reached = reached
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect();
    }
    trials.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(trials)
}

/// Processor time of all programs that we started and that ended.
fn children_seconds() -> Result<f64> {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").context("mutants are tried on Linux only")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |index: usize| {
        let text = behind_name.split_whitespace().nth(index);
        text.and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0)
    };
    Ok((field(13) + field(14)) / TICKS)
}
