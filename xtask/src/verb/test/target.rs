//! The tests that run on the target: boots the test task and follows its frames.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use gritos_abi::boot_image::FLAG_SEMIHOSTING;

use super::run::Run;
use super::{Options, Tally, debugger, load, system};
use crate::frames::Stream;
use crate::image::Contents;
use crate::load::{FIRST_SPEED, Loader, Patience};
use crate::qemu::{Board, Clock, Devices, Gic, Machine, Running};
use crate::toolchain;
use crate::workspace::Workspace;
use crate::{compile, report, verb};

/// Time from power-on to the first event, in QEMU.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Time for somebody to press a real board's reset button.
const RESET_LIMIT: Duration = Duration::from_secs(600);
/// Time for QEMU to end after the last event.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The gate must not depend on how busy this machine is. 8 ns an instruction is about what the Pi
/// needs.
const CLOCK: Clock = Clock::Instructions(3);

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let filter = options.filter.as_deref().unwrap_or("");
    if let Some(line) = &options.serial {
        let image = write_image(workspace, filter, false)?;
        return on_serial_line(workspace, line, &image, options.verbose);
    }
    let wanted = |board| options.board.is_none_or(|only| only == board);
    let qemu = toolchain::ensure_qemu(options.board == Some(Board::Rpi4))?;
    if debugger::is_meant(filter) {
        return debugger::run(workspace, filter);
    }
    if system::is_meant(filter) {
        let mut tally = system::run(workspace, options, &qemu)?;
        if wanted(Board::Rpi4) && qemu.raspi4b {
            tally += load::run(workspace, filter, options.verbose)?;
        }
        return Ok(tally);
    }
    let image = write_image(workspace, filter, true)?;
    let mut tally = Tally::default();
    if wanted(Board::Virt) {
        for machine in virt_machines() {
            tally += in_qemu(workspace, &machine, &image, options.verbose)?;
        }
    }
    if wanted(Board::Rpi4) {
        if qemu.raspi4b {
            let machine = Machine {
                clock: CLOCK,
                ..Machine::new(Board::Rpi4, None, None)?
            };
            tally += in_qemu(workspace, &machine, &image, options.verbose)?;
            tally += load::run(workspace, filter, options.verbose)?;
        } else {
            let (major, minor) = qemu.version;
            report::skipped(format!(
                "rpi4: QEMU {major}.{minor} has no raspi4b (9.0 has)"
            ));
        }
    }
    if wanted(Board::Virt) {
        tally += debugger::run(workspace, filter)?;
    }
    tally += system::run(workspace, options, &qemu)?;
    Ok(tally)
}

/// Writes the test image, which runs the tests whose name contains `filter`.
pub(crate) fn write_image(workspace: &Workspace, filter: &str, emulator: bool) -> Result<PathBuf> {
    let contents = Contents {
        flags: if emulator { FLAG_SEMIHOSTING } else { 0 },
        data: vec![(verb::image::COMMAND_LINE.into(), filter.into())],
        ..Contents::default()
    };
    let image = workspace.output("test.img")?;
    let programs = verb::image::ProgramOptions::starting(compile::TESTS);
    let destination = verb::image::Destination::board(Board::Virt);
    verb::image::write(workspace, &programs, destination, contents, &image)?;
    Ok(image)
}

/// Both interrupt controllers, entered at both exception levels, with one processor and several,
/// and with different amounts of memory.
fn virt_machines() -> Vec<Machine> {
    [
        (Gic::V2, true, 4, "1G"),
        (Gic::V2, false, 1, "512M"),
        (Gic::V3, true, 1, "2G"),
        (Gic::V3, false, 4, "1G"),
    ]
    .map(|(gic, el2, smp, memory)| Machine {
        board: Board::Virt,
        gic,
        el2,
        smp,
        memory: memory.to_string(),
        clock: CLOCK,
        devices: Devices::default(),
    })
    .into()
}

/// Boots `image` on `machine` and follows its tests; those that pass are named only if `verbose`.
pub(crate) fn in_qemu(
    workspace: &Workspace,
    machine: &Machine,
    image: &Path,
    verbose: bool,
) -> Result<Tally> {
    let (label, begun) = (machine.label(), Instant::now());
    let mut qemu = Running::start_headless(&mut machine.command(workspace, image)?)?;
    let stream = Stream::new(qemu.serial()?);
    let log = workspace.output(&format!("test-{}.log", label.replace(' ', "-")))?;
    let mut run = Run::new(&label, verbose);
    run.follow(&stream, BOOT_LIMIT, &log)?;
    if let Some(done) = run.done {
        match qemu.wait(Some(END_LIMIT))? {
            Some(code) if (code == 0) == (done.failed == 0) => {}
            Some(code) => run.fail(
                "power off",
                &format!("exit status {code} contradicts the tests"),
            ),
            None => run.fail("power off", "the machine goes on after its tests"),
        }
    }
    run.summarise(begun);
    Ok(run.tally)
}

/// Loads `image` into a board at the serial line `line`, which has the loader on its card, and follows its
/// tests. At their end the board resets itself and waits for the next image.
pub(super) fn on_serial_line(
    workspace: &Workspace,
    line: &Path,
    image: &Path,
    verbose: bool,
) -> Result<Tally> {
    let mut loader = Loader::new(verb::load::open(line)?, Patience::BOARD);
    report::step(
        "Waiting",
        format!(
            "for the loader at {} (`cargo xtask flash --loader` makes its card); reset the board",
            line.display()
        ),
    );
    loader.find(Some(Instant::now() + RESET_LIMIT), |_| {})?;
    let begun = Instant::now();
    verb::load::send(&mut loader, image, FIRST_SPEED)?;
    let mut run = Run::new(&line.to_string_lossy(), verbose);
    run.follow(
        &Stream::new(loader.into_reader()),
        BOOT_LIMIT,
        &workspace.output("test-serial.log")?,
    )?;
    run.summarise(begun);
    Ok(run.tally)
}
