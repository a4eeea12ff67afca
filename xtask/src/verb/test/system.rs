//! System tests: the shipped system, or another description, booted in QEMU and used from outside
//! as a person would, by the shell's commands, the network and the disk.
//!
//! Each area has a file with a table of [`Case`]s. Cases of the same [`Setting`] on the same board
//! share one boot, in the order of their table, except those that say that they leave the machine
//! unfit for others; a case that fails gets the next one a fresh boot too. Two machines run at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use gritos_abi::boot_image::{FLAG_COUNTERS, FLAG_SEMIHOSTING};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Options, Tally};
use crate::image::Contents;
use crate::qemu::{Board, Clock, Machine};
use crate::symbols::Symbols;
use crate::toolchain::Qemu;
use crate::workspace::Workspace;
use crate::{report, system, verb};

mod board;
mod examples;
mod files;
mod guest;
mod network;
mod shell;
mod supervision;

pub(crate) use files::{soak_components, soak_power};

/// Cases that run on `virt` in the gate and hold on a Raspberry Pi too: what `cargo xtask soak board`
/// runs there. Not those that need a network, or errors of the disk: QEMU's card hides them.
const ALSO_ON_A_PI: [&str; 19] = [
    "shell/nothing_of_a_large_paste_is_lost",
    "shell/garbage_and_endless_lines_are_survived",
    "files/a_disk_without_a_file_system_harms_nobody",
    "files/a_full_disk_is_said_and_survived",
    "files/the_suite_of_posix_passes",
    "files/nothing_durable_is_lost_with_the_power",
    "supervision/the_console_is_started_again",
    "supervision/one_that_fails_again_and_again_stays_ended",
    "supervision/no_thread_runs_whose_faults_nobody_hears_of",
    "supervision/callers_of_a_server_that_dies",
    "supervision/callers_of_a_server_that_stays_dead",
    "supervision/nothing_leaks_when_a_server_dies_20_times",
    "supervision/a_service_answers_soon_after_its_death",
    "supervision/who_answers_nobody_delays_nobody_else",
    "supervision/a_rogue_delays_nobody_more_urgent",
    "supervision/one_that_fails_without_end_delays_nobody_more_urgent",
    "examples/a_client_hears_what_it_said",
    "examples/a_client_calculates_with_another_process",
    "examples/a_client_in_c_calls_a_server_in_rust",
];

/// The names of those cases.
pub(crate) fn soak_board_cases() -> impl Iterator<Item = &'static str> {
    ALSO_ON_A_PI.into_iter()
}

/// Runs one of them on QEMU's `raspi4b`, with a card of its own.
pub(crate) fn soak_board(workspace: &Workspace, name: &str) -> Result<()> {
    let mut cases = AREAS.iter().copied().flatten();
    let case = cases
        .find(|case| case.name == name)
        .with_context(|| format!("there is no case {name}"))?;
    let path = workspace.output("soak-board.img")?;
    let image = Image::write(workspace, &case.setting, Board::Rpi4, path)?;
    let mut guest = Guest::start(workspace, &case.setting, Board::Rpi4, &image, "soak-board")?;
    (case.run)(&mut guest).with_context(|| {
        let lines = guest.last_lines(CONTEXT_LINES).join("\n     | ");
        format!("{name}; the console ended with\n     | {lines}")
    })
}
pub(crate) use guest::Guest;
use network::peers;
pub(crate) use network::soak as soak_network;
pub(crate) use network::soak_web;

/// All tables, in the order in which they run.
const AREAS: &[&[Case]] = &[
    shell::CASES,
    supervision::CASES,
    examples::CASES,
    files::CASES,
    network::CASES,
    network::PEERS,
    network::FRAMES,
    board::CASES,
];

/// Machines that run at the same time.
const WORKERS: usize = 2;
/// Lines of the console that are shown when a case fails.
const CONTEXT_LINES: usize = 25;

/// A test of the whole system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// `area/what_it_shows`.
    name: &'static str,
    boards: &'static [Board],
    setting: Setting,
    alone: bool,
    run: fn(&mut Guest<'_>) -> Result<()>,
}

impl Case {
    /// A case on `virt` with the shipped system, which others may follow on the same machine.
    pub(crate) const fn new(name: &'static str, run: fn(&mut Guest<'_>) -> Result<()>) -> Self {
        Self {
            name,
            boards: &[Board::Virt],
            setting: Setting::SHIPPED,
            alone: false,
            run,
        }
    }

    /// The same on these boards.
    pub(crate) const fn on(mut self, boards: &'static [Board]) -> Self {
        self.boards = boards;
        self
    }

    /// The same on a machine like this.
    pub(crate) const fn with(mut self, setting: Setting) -> Self {
        self.setting = setting;
        self
    }

    /// The same on a machine that no other case uses: because it ends it, counts what was used since the
    /// start, or needs a console that was never asked by frames.
    pub(crate) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}

/// Makes a disk's contents at a path.
pub(crate) type MakeDisk = fn(&Workspace, &Path) -> Result<()>;

/// What a case needs of its machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Description of what runs, relative to the workspace.
    pub(crate) system: &'static str,
    /// Memory as QEMU's `-m` takes it; the board's usual if `None`.
    pub(crate) memory: Option<&'static str>,
    /// What makes the disk (on the Pi the card) that every boot of the case's machine starts with.
    pub(crate) disk: Option<MakeDisk>,
    /// On `virt` the disk is a card behind PCI Express.
    pub(crate) card: bool,
    /// TCP ports of the guest that the host can reach; with none the guest still has a network.
    pub(crate) ports: &'static [u16],
    /// Whether there is a network (`virt` only).
    pub(crate) network: bool,
    /// The case is the network, frame by frame (`virt` only); there are no ports then.
    pub(crate) frames: bool,
    /// Whether QEMU has a network of its own, in which the case starts programs (`virt` only).
    pub(crate) apart: bool,
    /// Whether there is a source of entropy (`virt` only).
    pub(crate) entropy: bool,
    /// Whether programs on the target may read the performance counters.
    pub(crate) counters: bool,
    /// Whether the machine ends with an exit code for the emulator, and not as a board does.
    pub(crate) semihosting: bool,
    /// What the guest's time is.
    pub(crate) clock: Clock,
    /// Arguments of QEMU that follow.
    pub(crate) arguments: &'static [&'static str],
}

impl Setting {
    /// The system as it is shipped, without disk and network.
    pub(crate) const SHIPPED: Self = Self {
        system: system::SYSTEM_FILE,
        memory: None,
        disk: None,
        card: false,
        ports: &[],
        network: false,
        frames: false,
        apart: false,
        entropy: false,
        counters: false,
        semihosting: true,
        clock: Clock::Host,
        arguments: &[],
    };

    /// Whether cases of both can share a machine.
    fn is_like(&self, other: &Self) -> bool {
        let disk = match (self.disk, other.disk) {
            (None, None) => true,
            (Some(a), Some(b)) => std::ptr::fn_addr_eq(a, b),
            _ => false,
        };
        let rest = |s: &Self| {
            (
                (s.system, s.memory, s.ports, s.network, s.frames),
                (s.entropy, s.counters, s.semihosting, s.clock),
                (s.arguments, s.card, s.apart),
            )
        };
        disk && rest(self) == rest(other)
    }

    fn machine(&self, board: Board) -> Result<Machine> {
        let mut machine = Machine::new(board, None, self.memory.map(str::to_string))?;
        machine.clock = self.clock;
        machine.devices.entropy = self.entropy;
        machine.devices.card = self.card;
        machine.devices.more = self.arguments.iter().map(ToString::to_string).collect();
        Ok(machine)
    }

    /// What an image for this setting depends on.
    fn image_key(&self, board: Board) -> (Board, &'static str, Option<&'static str>, u32) {
        (board, self.system, self.memory, self.flags())
    }

    /// Flags of that image.
    fn flags(&self) -> u32 {
        let counters = if self.counters { FLAG_COUNTERS } else { 0 };
        let semihosting = if self.semihosting {
            FLAG_SEMIHOSTING
        } else {
            0
        };
        counters | semihosting
    }
}

/// Cases that run one after the other on the same machine.
#[derive(Debug)]
struct Group {
    board: Board,
    setting: Setting,
    cases: Vec<Case>,
    alone: bool,
}

/// Puts the cases whose name contains `filter` into groups; `wanted` says on which boards.
fn group(areas: &[&[Case]], filter: &str, wanted: &dyn Fn(Board) -> bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for case in areas.iter().copied().flatten() {
        if !case.name.contains(filter) {
            continue;
        }
        if let Some(reason) = examples::impossible(case)
            .map(str::to_string)
            .or_else(|| peers::impossible(case))
        {
            report::skipped(format!("{}: {reason}", case.name));
            continue;
        }
        for &board in case.boards.iter().filter(|board| wanted(**board)) {
            let fits = |group: &&mut Group| {
                let shared = !group.alone && !case.alone;
                shared && group.board == board && group.setting.is_like(&case.setting)
            };
            match groups.iter_mut().find(fits) {
                Some(group) => group.cases.push(*case),
                None => groups.push(Group {
                    board,
                    setting: case.setting,
                    cases: vec![*case],
                    alone: case.alone,
                }),
            }
        }
    }
    groups
}

/// Whether `filter` can only mean system tests: it begins with the name of an area.
pub(super) fn is_meant(filter: &str) -> bool {
    let areas = AREAS.iter().copied().flatten();
    areas
        .filter_map(|case| case.name.split_once('/'))
        .any(|(area, _)| {
            filter
                .strip_prefix(area)
                .is_some_and(|rest| rest.starts_with('/'))
        })
}

/// Runs the cases that `options` ask for.
pub(super) fn run(workspace: &Workspace, options: &Options, qemu: &Qemu) -> Result<Tally> {
    let filter = options.filter.as_deref().unwrap_or("");
    let wanted = |board: Board| {
        let possible = board == Board::Virt || qemu.raspi4b;
        possible && options.board.is_none_or(|only| only == board)
    };
    let groups = group(AREAS, filter, &wanted);
    let mut tally = Tally::default();
    if groups.is_empty() {
        return Ok(tally);
    }
    let begun = Instant::now();
    let queue = Mutex::new(VecDeque::from(prepare(workspace, groups)?));
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    };
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("system: {pos} done, now {wide_msg}") {
        progress.set_style(style);
    }
    let (sender, events) = channel();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(group) = next() {
                    run_group(workspace, &group, &sender);
                }
            });
        }
        drop(sender);
        for event in events {
            match event {
                Event::Begins(label) => progress.set_message(label),
                Event::Ended(label, result) => {
                    progress.inc(1);
                    progress.suspend(|| note(&mut tally, &label, result, options.verbose));
                }
            }
        }
    });
    progress.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f32();
    report::verdict(
        tally.failed == 0,
        format!("system: {tally} ({seconds:.0} s)"),
    );
    Ok(tally)
}

/// A group whose image is there.
struct Ready {
    group: Group,
    image: Image,
    /// Tells its files from those of other groups.
    number: usize,
}

/// Builds the images, each once.
fn prepare(workspace: &Workspace, groups: Vec<Group>) -> Result<Vec<Ready>> {
    let mut images: Vec<(_, Image)> = Vec::new();
    let mut ready = Vec::new();
    for (number, group) in groups.into_iter().enumerate() {
        let (setting, board) = (&group.setting, group.board);
        let key = setting.image_key(board);
        let image = match images.iter().find(|(known, _)| *known == key) {
            Some((_, image)) => image.clone(),
            None => {
                let path = workspace.output(&format!("system-test/image-{}.img", images.len()))?;
                let image = Image::write(workspace, setting, board, path)
                    .with_context(|| format!("the image of {}", setting.system))?;
                images.push((key, image.clone()));
                image
            }
        };
        ready.push(Ready {
            group,
            image,
            number,
        });
    }
    Ok(ready)
}

/// A boot image, and what addresses in its programs mean.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    path: PathBuf,
    symbols: Symbols,
}

impl Image {
    /// Writes the image that `setting` asks for on `board` to `path`.
    pub(crate) fn write(
        workspace: &Workspace,
        setting: &Setting,
        board: Board,
        path: PathBuf,
    ) -> Result<Self> {
        let contents = Contents {
            flags: setting.flags(),
            ..Contents::default()
        };
        let description = workspace.root.join(setting.system);
        let programs = verb::image::ProgramOptions::described_by(description);
        let destination = setting.machine(board)?.destination();
        let built = verb::image::write(workspace, &programs, destination, contents, &path)?;
        Ok(Self {
            path,
            symbols: built.symbols,
        })
    }
}

/// Switches a machine for the group on.
fn start<'a>(workspace: &'a Workspace, ready: &Ready) -> Result<Guest<'a>> {
    let folder = format!("system-test/machine-{}", ready.number);
    let Group { setting, board, .. } = &ready.group;
    Guest::start(workspace, setting, *board, &ready.image, &folder)
}

/// What a worker tells.
enum Event {
    Begins(String),
    Ended(String, Result<(), Failure>),
}

/// Why a case failed, and what the console showed last.
struct Failure {
    reason: anyhow::Error,
    console: Vec<String>,
}

/// Runs the cases of a group on one machine, or on several if cases fail.
fn run_group(workspace: &Workspace, ready: &Ready, events: &Sender<Event>) {
    let group = &ready.group;
    let mut machine: Option<Guest<'_>> = None;
    for case in &group.cases {
        let label = format!("{} {}", board_name(group.board), case.name);
        // The receiver lives as long as the workers.
        let _ = events.send(Event::Begins(label.clone()));
        let begun = Instant::now();
        let result = (|| {
            let guest = match &mut machine {
                Some(guest) => guest,
                None => machine.insert(start(workspace, ready).map_err(Failure::without_console)?),
            };
            // A case that panics has failed, and the others go on.
            let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(guest)));
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("the case panicked (see above)")));
            outcome.map_err(|reason| Failure {
                reason,
                console: guest.last_lines(CONTEXT_LINES),
            })
        })();
        if result.is_err() {
            machine = None;
        }
        let seconds = begun.elapsed().as_secs_f32();
        let _ = events.send(Event::Ended(format!("{label} ({seconds:.1} s)"), result));
    }
}

impl Failure {
    fn without_console(reason: anyhow::Error) -> Self {
        Self {
            reason,
            console: Vec::new(),
        }
    }
}

fn board_name(board: Board) -> &'static str {
    match board {
        Board::Virt => "virt",
        Board::Rpi4 => "rpi4",
    }
}

fn note(tally: &mut Tally, label: &str, result: Result<(), Failure>, verbose: bool) {
    match result {
        Ok(()) => {
            tally.passed += 1;
            if verbose {
                report::verdict(true, label);
            }
        }
        Err(Failure { reason, console }) => {
            tally.failed += 1;
            report::verdict(false, format!("{label}: {reason:#}"));
            for line in console {
                println!("     | {line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AREAS, Board, Case, Setting, group, is_meant};

    fn case(name: &'static str) -> Case {
        Case::new(name, |_| Ok(()))
    }

    const SMALL: Setting = Setting {
        memory: Some("512M"),
        ..Setting::SHIPPED
    };

    #[test]
    fn cases_of_one_setting_share_a_machine_unless_they_spoil_it() {
        let cases = [
            case("a/1"),
            case("a/2").alone(),
            case("a/3").with(SMALL),
            case("b/4").on(&[Board::Virt, Board::Rpi4]),
            case("b/5").alone(),
        ];
        let groups = group(&[&cases], "", &|_| true);
        let names: Vec<Vec<&str>> = groups
            .iter()
            .map(|group| group.cases.iter().map(|case| case.name).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec!["a/1", "b/4"],
                vec!["a/2"],
                vec!["a/3"],
                vec!["b/4"],
                vec!["b/5"]
            ]
        );
    }

    #[test]
    fn filter_and_boards_choose() {
        let cases = [case("a/1"), case("b/2").on(&[Board::Rpi4])];
        assert_eq!(group(&[&cases], "b/", &|_| true).len(), 1);
        assert_eq!(group(&[&cases], "", &|board| board == Board::Virt).len(), 1);
        assert!(group(&[&cases], "c", &|_| true).is_empty());
    }

    #[test]
    fn names_begin_with_their_area_and_are_unique() {
        let all: Vec<&Case> = AREAS.iter().copied().flatten().collect();
        for (i, case) in all.iter().enumerate() {
            assert!(case.name.contains('/'), "{}", case.name);
            assert!(!case.boards.is_empty(), "{}", case.name);
            let others = all.iter().skip(i + 1);
            assert!(
                others.clone().all(|other| other.name != case.name),
                "{}",
                case.name
            );
        }
        for name in super::soak_board_cases() {
            assert!(all.iter().any(|case| case.name == name), "{name}");
        }
        assert!(is_meant("shell/") && !is_meant("shell") && !is_meant("endpoint"));
    }
}
