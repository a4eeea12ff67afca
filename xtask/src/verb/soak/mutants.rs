//! Whether the tests of the kernel's core notice when it is changed.
//!
//! cargo-mutants says which changes there are; building the crate anew for each takes it most of a day. Here all of them
//! are compiled into one copy of the crate, each behind a question, and the tests that come to the place of a mutant are
//! run with it chosen, the quickest first, until one fails. What cannot be written behind a question (constants that
//! only the compiler sees, results without a name for their type) is built by itself.
//!
//! Mutants that no test notices are listed in a file with the reason why; one that is not listed there fails the run.
//! What is known of each mutant is kept under the target folder as long as the crate's source does not change, so that
//! new tests are tried on those that are left. A test is measured again when the files of its program change. When the
//! source changes all are tried anew, each first with the test that noticed the like of it before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::build::Copy;
use self::list::Mutant;
use self::trial::{Measured, Trial};
use super::Step;
use crate::report;
use crate::workspace::Workspace;

mod build;
mod instrument;
mod known;
mod list;
mod trial;

const PACKAGE: &str = "gritos-kernel-core";
/// Its folder in the workspace.
const FOLDER: &str = "kernel-aarch64/core";
/// Of a hundred mutants so many must be noticed.
const AT_LEAST: usize = 90;
/// Limits of processor time, in seconds: all mutants are tried with tests up to one limit before any with longer ones.
/// Tests beyond the last one are left out: they find by chance, and finding nothing would take them days.
const ROUNDS: [f64; 3] = [0.3, 2.0, 8.0];

pub(super) fn steps(_: &Workspace) -> Result<Vec<Step>> {
    Ok(vec![Step {
        label: format!("mutants of {FOLDER}"),
        run: Box::new(run),
    }])
}

fn run(workspace: &Workspace) -> Result<()> {
    let origin = workspace.root.join(FOLDER);
    let mutants = list::list(&workspace.root, PACKAGE, FOLDER)?;
    let folder = workspace.output("mutants/copy")?;
    let (state, trials) = prepare(workspace, &origin, &folder, &mutants)?;
    let State {
        refused, absent, ..
    } = state;
    let mut results = Results::load(workspace, &origin)?;
    let (apart, inside): (Vec<_>, Vec<_>) = mutants
        .iter()
        .partition(|mutant| absent.contains(&mutant.id));
    for mutant in &inside {
        if refused.contains(&mutant.id) {
            results.add(mutant, Outcome::NotViable)?;
        }
    }
    let before = std::mem::take(&mut results.before);
    let results = Mutex::new(results);
    if !before.is_empty() {
        let hinted = |mutant: &Mutant, trial: &Trial| {
            let tests = before.get(&mutant.what());
            tests.is_some_and(|tests| tests.contains(&trial.name()))
        };
        round(&folder, &inside, &trials, &hinted, &results)?;
    }
    let mut shorter = 0.0;
    for limit in ROUNDS {
        let in_round =
            |_: &Mutant, trial: &Trial| trial.seconds <= limit && trial.seconds >= shorter;
        round(&folder, &inside, &trials, &in_round, &results)?;
        shorter = limit;
    }
    let mut results = results
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    build_each(workspace, &origin, &apart, &trials, &mut results)?;
    conclude(workspace, &mutants, &results)
}

/// What the copy was made of, and what was found out about it.
#[derive(Default, Serialize, Deserialize)]
struct State {
    source: String,
    refused: BTreeSet<u32>,
    absent: BTreeSet<u32>,
    trials: Vec<Measured>,
}

/// The copy with its tests, measured; the old one if the crate's source is what it was then.
fn prepare(
    workspace: &Workspace,
    origin: &Path,
    folder: &Path,
    mutants: &[Mutant],
) -> Result<(State, Vec<Trial>)> {
    let path = workspace.output("mutants/state.json")?;
    let source = mark_of(origin, &is_source)?;
    let old = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
        .filter(|state| state.source == source);
    let (copy, mut state) = if let Some(state) = old {
        let copy = Copy::found(origin, folder);
        copy.renew_tests()?;
        (copy, state)
    } else {
        let copy = Copy::make(origin, folder, &workspace.root)?;
        report::step(
            "Writing",
            format!("{} mutants into one copy", mutants.len()),
        );
        let (refused, absent) = copy.instrument(mutants)?;
        let trials = Vec::new();
        (
            copy,
            State {
                source,
                refused,
                absent,
                trials,
            },
        )
    };
    fs::write(&path, serde_json::to_vec(&state)?)?;
    report::step(
        "Building",
        format!(
            "the tests; {} mutants need builds of their own",
            state.absent.len()
        ),
    );
    let programs = copy
        .programs()?
        .context("the tests of the copy do not compile")?;
    let mut marks = BTreeMap::new();
    for (name, _) in &programs {
        let of_program =
            |folder: &str, file: &str| !is_source(folder, file) && belongs(folder, file, name);
        marks.insert(name.clone(), mark_of(origin, &of_program)?);
    }
    let trials = trial::all(folder, &programs, &marks, &state.trials)?;
    state.trials = trials.iter().map(Trial::measured).collect();
    fs::write(&path, serde_json::to_vec(&state)?)?;
    let trials = trials.into_iter().filter(|t| t.seconds <= ROUNDS[2]);
    let trials = trials.collect();
    Ok((state, trials))
}

/// Whether a file is part of what is tested.
fn is_source(folder: &str, file: &str) -> bool {
    folder == "src" && !file.starts_with("host")
}

/// Whether a file that is no source is compiled into a program with tests: the support for tests is part of all.
fn belongs(folder: &str, file: &str, program: &str) -> bool {
    let of_tests = file
        .strip_suffix(".rs")
        .and_then(|name| name.split('/').next());
    folder == "src" || of_tests == Some(program)
}

/// Stands for the crate's files that `counts` picks, by their folder and name.
fn mark_of(origin: &Path, counts: &dyn Fn(&str, &str) -> bool) -> Result<String> {
    let mut hash = Sha256::new();
    for folder in ["src", "tests"] {
        for (name, text) in build::sources(origin, folder)? {
            if counts(folder, &name) {
                hash.update(name);
                hash.update(text);
            }
        }
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Tries all mutants that nobody noticed yet with the tests that are for this round.
fn round(
    folder: &Path,
    mutants: &[&Mutant],
    trials: &[Trial],
    is_for: &(dyn Fn(&Mutant, &Trial) -> bool + Sync),
    results: &Mutex<Results>,
) -> Result<()> {
    let lock = || results.lock().unwrap_or_else(|broken| broken.into_inner());
    let open: Vec<_> = {
        let results = lock();
        mutants
            .iter()
            .filter(|mutant| !results.known(mutant))
            .collect()
    };
    report::step("Trying", format!("{} mutants", open.len()));
    let next = Mutex::new(open.iter().enumerate());
    let work = || -> Result<()> {
        loop {
            let taken = next
                .lock()
                .unwrap_or_else(|broken| broken.into_inner())
                .next();
            let Some((number, mutant)) = taken else {
                return Ok(());
            };
            let reaches =
                |trial: &&Trial| trial.reached.contains(&mutant.id) && is_for(mutant, trial);
            let reaching: Vec<_> = trials.iter().filter(reaches).collect();
            if let Some(test) = trial::first_to_notice(&reaching, folder, mutant.id)? {
                lock().add(mutant, Outcome::Noticed(test))?;
            }
            if number % 100 == 99 {
                println!("{} of {}", number + 1, open.len());
            }
        }
    };
    let workers = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        Ok(())
    })
}

/// Those that need a build of their own.
fn build_each(
    workspace: &Workspace,
    origin: &Path,
    mutants: &[&Mutant],
    trials: &[Trial],
    results: &mut Results,
) -> Result<()> {
    let open: Vec<_> = mutants.iter().filter(|m| !results.known(m)).collect();
    if open.is_empty() {
        return Ok(());
    }
    report::step("Building", format!("{} mutants one by one", open.len()));
    let folder = workspace.output("mutants/one")?;
    let copy = Copy::make(origin, &folder, &workspace.root)?;
    for mutant in open {
        copy.write_one(mutant)?;
        let Some(programs) = copy.programs()? else {
            results.add(mutant, Outcome::NotViable)?;
            continue;
        };
        let trials: Vec<_> = trials.iter().map(|t| t.in_programs(&programs)).collect();
        let trials: Vec<_> = trials.iter().collect();
        if let Some(test) = trial::first_to_notice(&trials, &folder, mutant.id)? {
            results.add(mutant, Outcome::Noticed(test))?;
        }
    }
    Ok(())
}

/// Compares what nobody noticed with what is known, and writes both down.
fn conclude(workspace: &Workspace, mutants: &[Mutant], results: &Results) -> Result<()> {
    let viable: Vec<_> = mutants
        .iter()
        .filter(|m| !results.is_not_viable(m))
        .collect();
    let survivors: Vec<_> = viable.iter().filter(|m| !results.known(m)).collect();
    let noticed = viable.len() - survivors.len();
    let mut text = String::new();
    for mutant in &survivors {
        text += &format!("{}\n", mutant.name);
    }
    let path = workspace.output("mutants/survivors.txt")?;
    fs::write(&path, text)?;
    println!(
        "{noticed} of {} mutants are noticed ({}.{} %), {} do not compile; the others are in {}",
        viable.len(),
        100 * noticed / viable.len().max(1),
        1000 * noticed / viable.len().max(1) % 10,
        mutants.len() - viable.len(),
        path.display()
    );
    let known = known::load(&workspace.root)?;
    let mut unknown = BTreeMap::<String, usize>::new();
    for mutant in &survivors {
        *unknown.entry(mutant.what()).or_default() += 1;
    }
    unknown.retain(|what, count| known.get(what).is_none_or(|listed| listed < count));
    let list: Vec<_> = unknown
        .iter()
        .map(|(what, n)| format!("{what} ({n})"))
        .collect();
    ensure!(
        100 * noticed >= AT_LEAST * viable.len(),
        "fewer than {AT_LEAST} of a hundred are noticed"
    );
    ensure!(
        list.is_empty(),
        "no test notices these, and {} gives no reason (test them, or give one):\n{}",
        known::PAGE,
        list.join("\n")
    );
    Ok(())
}

enum Outcome {
    Noticed(String),
    NotViable,
}

/// What is known of each mutant: a file whose first line stands for the source.
struct Results {
    path: PathBuf,
    text: String,
    noticed: BTreeSet<String>,
    not_viable: BTreeSet<String>,
    /// Tests that noticed mutants of another source, by what was changed.
    before: BTreeMap<String, BTreeSet<String>>,
}

const NOT_VIABLE: &str = "does not compile";

/// Mutants, and what became of them.
fn rows_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = text.lines().skip(1);
    rows.filter_map(|line| line.split_once('\t'))
}

impl Results {
    fn load(workspace: &Workspace, origin: &Path) -> Result<Self> {
        // Tests may change: what was noticed stays noticed.
        let mark = mark_of(origin, &is_source)?;
        let path = workspace.output("mutants/results.txt")?;
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        let old = workspace.output("mutants/before.txt")?;
        if text.lines().next() != Some(&mark) {
            fs::write(&old, text)?;
            text = mark + "\n";
        }
        let mut before = BTreeMap::<_, BTreeSet<String>>::new();
        for (name, how) in rows_of(&fs::read_to_string(&old).unwrap_or_default()) {
            let tests = before.entry(list::what(name)).or_default();
            tests.insert(how.to_string());
        }
        let with = |viable: bool| {
            rows_of(&text)
                .filter(|(_, how)| (*how != NOT_VIABLE) == viable)
                .map(|(name, _)| name.to_string())
                .collect()
        };
        let (noticed, not_viable) = (with(true), with(false));
        Ok(Self {
            path,
            text,
            noticed,
            not_viable,
            before,
        })
    }

    fn known(&self, mutant: &Mutant) -> bool {
        self.noticed.contains(&mutant.name) || self.is_not_viable(mutant)
    }

    fn is_not_viable(&self, mutant: &Mutant) -> bool {
        self.not_viable.contains(&mutant.name)
    }

    fn add(&mut self, mutant: &Mutant, outcome: Outcome) -> Result<()> {
        if self.known(mutant) {
            return Ok(());
        }
        let (set, how) = match outcome {
            Outcome::Noticed(by) => (&mut self.noticed, by),
            Outcome::NotViable => (&mut self.not_viable, NOT_VIABLE.into()),
        };
        set.insert(mutant.name.clone());
        self.text += &format!("{}\t{how}\n", mutant.name);
        fs::write(&self.path, &self.text).with_context(|| self.path.display().to_string())
    }
}
