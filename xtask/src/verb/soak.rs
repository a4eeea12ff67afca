//! `cargo xtask soak`: what takes too long for the gate.
//!
//! Each part consists of steps. Finished steps are remembered under the target folder together with
//! the commit they ran on, so that a part that was interrupted goes on where it stopped; on another
//! commit it starts anew. The last result of each part is kept in `docs/soak.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::qemu::{Board, Gic, Machine};
use crate::toolchain::output_of;
use crate::verb::test::{system, target};
use crate::workspace::Workspace;
use crate::{report, toolchain};

mod kills;
mod mutants;
mod network;
mod tools;

#[derive(Args)]
pub(crate) struct Options {
    /// The part to run; all if left away
    name: Option<String>,
    /// List the parts and run none
    #[arg(long)]
    list: bool,
}

/// Something long.
struct Part {
    name: &'static str,
    about: &'static str,
    steps: fn(&Workspace) -> Result<Vec<Step>>,
}

type Action = Box<dyn Fn(&Workspace) -> Result<()>>;

/// A piece of a part that runs in one go.
pub(crate) struct Step {
    label: String,
    run: Action,
}

const PARTS: &[Part] = &[
    Part {
        name: "machines",
        about: "the tests of the target on every machine that QEMU can make of the boards",
        steps: machines,
    },
    Part {
        name: "explore",
        about: "a hundred million states of each shape of the kernel's core",
        steps: |workspace| core_tests(workspace, "explore", "100000000"),
    },
    Part {
        name: "campaign",
        about: "a hundred million random system calls against the kernel's core",
        steps: |_| Ok(campaign()),
    },
    Part {
        name: "kills",
        about: "each shipped component killed a hundred times while a client calls all services",
        steps: kills::steps,
    },
    Part {
        name: "mutants",
        about: "every change that cargo-mutants makes to the kernel's core, against the core's tests",
        steps: mutants::steps,
    },
    Part {
        name: "miri",
        about: "the store, libsys and the rings under Miri, which looks for undefined behaviour",
        steps: tools::miri,
    },
    Part {
        name: "loom",
        about: "every order in which the two sides of a ring can meet",
        steps: tools::loom,
    },
    Part {
        name: "fuzz",
        about: "ten minutes of libFuzzer on each reader of untrusted bytes in the kernel's core, and on the network's stack",
        steps: tools::fuzz,
    },
    Part {
        name: "properties",
        about: "every property test with 100,000 cases, optimised",
        steps: properties,
    },
    Part {
        name: "files",
        about: "ten thousand losses of power, damaged volumes, and long random work on files",
        steps: |_| Ok(files()),
    },
    Part {
        name: "network",
        about: "ten thousand requests, files in and out, bad wires, and driver and service killed 100 times each",
        steps: |_| Ok(network::steps()),
    },
    Part {
        name: "power",
        about: "the power is cut 50 times while files are written",
        steps: |_| Ok(kills(5, "cuts", system::soak_power)),
    },
    Part {
        name: "web",
        about: "ten minutes of clients of the web server that do what they can wrong",
        steps: |_| Ok((1..=10).map(web_storm).collect()),
    },
    Part {
        name: "files-killed",
        about: "the disk's driver and the file server are killed 100 times each while files are written",
        steps: |_| Ok(kills(10, "kills of each", system::soak_components)),
    },
    Part {
        name: "board",
        about: "tests of shell and files on QEMU's Raspberry Pi that the gate has on `virt` only, or on both",
        steps: |_| Ok(system::soak_board_cases().map(board_case).collect()),
    },
];

/// Steps of ten rounds each.
fn kills(count: u64, what: &str, run: fn(&Workspace) -> Result<()>) -> Vec<Step> {
    let step = |number: u64| Step {
        label: format!("{what} {} to {}", 10 * number + 1, 10 * number + 10),
        run: Box::new(run),
    };
    (0..count).map(step).collect()
}

/// A test of the whole system on the other board.
fn board_case(name: &'static str) -> Step {
    Step {
        label: name.to_string(),
        run: Box::new(move |workspace| system::soak_board(workspace, name)),
    }
}

/// A minute on a machine of its own.
fn web_storm(seed: u64) -> Step {
    Step {
        label: format!("storm {seed}"),
        run: Box::new(move |workspace| system::soak_web(workspace, seed)),
    }
}

/// The page with the last results, relative to the workspace.
const PAGE: &str = "docs/soak.md";

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.list {
        for part in PARTS {
            println!("{:<12} {}", part.name, part.about);
        }
        return Ok(());
    }
    let chosen: Vec<&Part> = PARTS
        .iter()
        .filter(|part| options.name.as_deref().is_none_or(|name| name == part.name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        bail!(
            "there is no part `{}`; parts are {}",
            options.name.as_deref().unwrap_or(""),
            names.join(", ")
        );
    }
    let mut failed = Vec::new();
    for part in chosen {
        let begun = Instant::now();
        let result = run_part(workspace, part);
        let minutes = begun.elapsed().as_secs().div_ceil(60);
        let text = match &result {
            Ok(steps) => format!("passed, {steps} steps"),
            Err(error) => format!("failed: {}", error.to_string().replace('|', "/")),
        };
        report::verdict(result.is_ok(), format!("{}: {text}", part.name));
        if let Err(error) = &result {
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
        }
        record(workspace, part.name, &format!("{text} | {minutes} min"))?;
        if result.is_err() {
            failed.push(part.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Runs the steps of `part` that did not pass on this commit yet; returns how many it has.
fn run_part(workspace: &Workspace, part: &Part) -> Result<usize> {
    let steps = (part.steps)(workspace)?;
    let mut progress = Progress::load(workspace, part.name)?;
    if steps.iter().all(|step| progress.has(&step.label)) {
        progress.restart()?;
    }
    for (number, step) in (1..).zip(&steps) {
        if progress.has(&step.label) {
            continue;
        }
        report::step(
            "Soaking",
            format!("{} {number}/{}: {}", part.name, steps.len(), step.label),
        );
        (step.run)(workspace).with_context(|| step.label.clone())?;
        progress.add(&step.label)?;
    }
    Ok(steps.len())
}

/// Which steps passed: a file whose first line is the commit.
struct Progress {
    path: PathBuf,
    lines: Vec<String>,
}

impl Progress {
    fn load(workspace: &Workspace, part: &str) -> Result<Self> {
        let path = workspace.output(&format!("soak-{part}.txt"))?;
        let commit = commit(workspace)?;
        let old = fs::read_to_string(&path).unwrap_or_default();
        let mut lines: Vec<String> = old.lines().map(ToString::to_string).collect();
        if lines.first() != Some(&commit) {
            lines = vec![commit];
        }
        Ok(Self { path, lines })
    }

    fn has(&self, step: &str) -> bool {
        self.lines.iter().skip(1).any(|line| line == step)
    }

    fn add(&mut self, step: &str) -> Result<()> {
        self.lines.push(step.to_string());
        self.save()
    }

    fn restart(&mut self) -> Result<()> {
        self.lines.truncate(1);
        self.save()
    }

    fn save(&self) -> Result<()> {
        fs::write(&self.path, self.lines.join("\n") + "\n")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The commit of the source tree, marked if files differ from it.
fn commit(workspace: &Workspace) -> Result<String> {
    let root = workspace.root.to_string_lossy();
    let git = |arguments: &[&str]| output_of("git", &[&["-C", &root], arguments].concat());
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?
        .trim()
        .to_string();
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs/soak.md"])?;
    Ok(if changed.is_empty() {
        commit
    } else {
        commit + " with changes"
    })
}

/// Puts the result of a part into the page.
fn record(workspace: &Workspace, part: &str, result: &str) -> Result<()> {
    let path = workspace.root.join(PAGE);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let date = output_of("date", &["-u", "+%Y-%m-%d"])?;
    let row = format!("{result} | {} | {}", date.trim(), commit(workspace)?);
    fs::write(&path, page(&old, part, &row)).with_context(|| format!("cannot write {PAGE}"))
}

/// The page `old` with the row of `part` replaced or added.
fn page(old: &str, part: &str, row: &str) -> String {
    let mut rows: BTreeMap<String, String> = old
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name.to_string(), rest.trim_end_matches(" |").to_string()))
        .collect();
    rows.insert(part.to_string(), row.to_string());
    let mut page = String::from(
        "# Soak runs\n\n\
         The last result of each part of `cargo xtask soak`, written by it. `cargo xtask soak --list` says\n\
         what the parts do.\n\n\
         | part | result | time | date | commit |\n|---|---|---:|---|---|\n",
    );
    for (name, row) in rows {
        page += &format!("| `{name}` | {row} |\n");
    }
    page
}

/// Interrupt controllers, exception levels, numbers of processors and sizes of memory, each with
/// each, and the Pi if this QEMU has it.
fn machines(workspace: &Workspace) -> Result<Vec<Step>> {
    let qemu = toolchain::ensure_qemu(false)?;
    let image = target::write_image(workspace, "", true)?;
    let mut machines = Vec::new();
    for gic in [Gic::V2, Gic::V3] {
        for el2 in [true, false] {
            for smp in [1, 2, 4, 8] {
                for memory in ["256M", "512M", "1G", "2G", "4G", "8G"] {
                    let memory = Some(memory.to_string());
                    let machine = Machine::new(Board::Virt, Some(smp), memory)?;
                    machines.push(Machine {
                        gic,
                        el2,
                        ..machine
                    });
                }
            }
        }
    }
    if qemu.raspi4b {
        machines.push(Machine::new(Board::Rpi4, None, None)?);
    }
    let step = |machine: Machine| {
        let image = image.clone();
        Step {
            label: machine.label(),
            run: Box::new(move |workspace| {
                let tally = target::in_qemu(workspace, &machine, &image, false)?;
                ensure!(tally.failed == 0 && tally.passed > 0, "{tally}");
                Ok(())
            }),
        }
    };
    Ok(machines.into_iter().map(step).collect())
}

/// One step for each test of the core's test program `program`, with `GRITOS_SOAK` set to `amount`,
/// whose unit is the program's.
fn core_tests(
    workspace: &Workspace,
    program: &'static str,
    amount: &'static str,
) -> Result<Vec<Step>> {
    let command = move |workspace: &Workspace| {
        let mut command = workspace.cargo();
        command.args(["test", "--quiet", "--release", "--all-features"]);
        command.args(["--package", "gritos-kernel-core", "--test", program, "--"]);
        command
    };
    let list = command(workspace)
        .args(["--list", "--format", "terse"])
        .output()?;
    ensure!(
        list.status.success(),
        "{}",
        String::from_utf8_lossy(&list.stderr)
    );
    let step = |name: &str| {
        let name = name.to_string();
        Step {
            label: name.clone(),
            run: Box::new(move |workspace| {
                let mut command = command(workspace);
                command.args(["--exact", &name, "--nocapture"]);
                toolchain::run(command.env("GRITOS_SOAK", amount))
            }),
        }
    };
    let list = String::from_utf8_lossy(&list.stdout);
    Ok(list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(step)
        .collect())
}

/// A hundred million calls in pieces of a million. A million takes less than 11,000 runs, so that no run is in two.
fn campaign() -> Vec<Step> {
    const RUNS: u64 = 11_000;
    let step = |piece: u64| Step {
        label: format!("a million calls from run {}", piece * RUNS),
        run: Box::new(move |workspace| {
            let mut command = workspace.cargo();
            command.args(["test", "--quiet", "--release", "--all-features"]);
            command.args(["--package", "gritos-kernel-core", "--test", "campaign"]);
            command.args(["--", "--nocapture"]);
            command.env("GRITOS_FIRST", (piece * RUNS).to_string());
            toolchain::run(command.env("GRITOS_SOAK", "1000"))
        }),
    };
    (0..100).map(step).collect()
}

/// The file server's tests, far longer than the gate has them: what they take is said in the
/// environment.
fn files() -> Vec<Step> {
    let step = |label: String, test: &'static str, settings: Vec<(&'static str, String)>| Step {
        label,
        run: Box::new(move |workspace| {
            let mut command = workspace.cargo();
            command.args([
                "test",
                "--quiet",
                "--release",
                "--package",
                "gritos-fs-core",
            ]);
            command.args(["--test", "suite", "--", "--exact", test, "--nocapture"]);
            toolchain::run(command.envs(settings.iter().cloned()))
        }),
    };
    let power = (0..10).map(|part| {
        let seed = (1000 * (part + 1)).to_string();
        step(
            format!("power, from seed {seed}"),
            "power::nothing_that_was_synced_is_lost_with_the_power",
            vec![
                ("GRITOS_POWER_POINTS", String::from("1000")),
                ("GRITOS_POWER_SEED", seed),
            ],
        )
    });
    let long = [
        (
            "damage::damaged_volumes_are_survived",
            "GRITOS_DAMAGE_ROUNDS",
            "5000",
        ),
        (
            "damage::what_was_synced_outlives_a_device_that_fails",
            "GRITOS_DAMAGE_ROUNDS",
            "2000",
        ),
        (
            "grow::power::power_may_go_at_any_moment",
            "GRITOS_GROW_ROUNDS",
            "50",
        ),
        (
            "stress::many_clients_keep_what_is_theirs",
            "GRITOS_STRESS_STEPS",
            "200000",
        ),
        (
            "tree::random_trees_agree_with_a_model",
            "GRITOS_TREE_STEPS",
            "50000",
        ),
        (
            "rules::a_file_agrees_with_its_copy_through_the_client_library",
            "GRITOS_FSX_STEPS",
            "100000",
        ),
        (
            "linux::memory_does_as_linux",
            "GRITOS_LINUX_STEPS",
            "200000",
        ),
        ("linux::ext4_does_as_linux", "GRITOS_LINUX_STEPS", "200000"),
        ("linux::fat_does_as_linux", "GRITOS_LINUX_STEPS", "200000"),
        (
            "hostile::memory_that_goes_away_harms_its_owner_alone",
            "GRITOS_REVOKE_ROUNDS",
            "10000",
        ),
    ];
    let long = long.map(|(test, name, amount)| {
        step(String::from(test), test, vec![(name, String::from(amount))])
    });
    power.chain(long).collect()
}

/// One step for each member, so that an interruption costs little.
fn properties(workspace: &Workspace) -> Result<Vec<Step>> {
    let uses_proptest = |package: &&cargo_metadata::Package| {
        package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "proptest")
    };
    let step = |package: &cargo_metadata::Package| {
        let name = package.name.to_string();
        Step {
            label: name.clone(),
            run: Box::new(move |workspace| {
                toolchain::run(
                    workspace
                        .cargo()
                        .args(["test", "--quiet", "--release", "--package", &name])
                        .env("PROPTEST_CASES", "100000"),
                )
            }),
        }
    };
    let members = workspace.metadata.workspace_packages();
    Ok(members
        .into_iter()
        .filter(uses_proptest)
        .map(step)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{PARTS, page};

    #[test]
    fn a_row_is_replaced_and_the_others_stay() {
        let one = page(
            "",
            "machines",
            "passed, 97 steps | 12 min | 2026-01-01 | abc",
        );
        let two = page(&one, "properties", "failed: x | 3 min | 2026-01-02 | def");
        let three = page(
            &two,
            "machines",
            "passed, 98 steps | 13 min | 2026-01-03 | 012",
        );
        assert_eq!(three.matches("| `machines` |").count(), 1);
        assert!(three.contains("| `machines` | passed, 98 steps | 13 min | 2026-01-03 | 012 |\n"));
        assert!(three.contains("| `properties` | failed: x | 3 min | 2026-01-02 | def |\n"));
    }

    #[test]
    fn parts_have_names_of_their_own() {
        for (i, part) in PARTS.iter().enumerate() {
            assert!(
                PARTS
                    .iter()
                    .skip(i + 1)
                    .all(|other| other.name != part.name)
            );
        }
    }
}
