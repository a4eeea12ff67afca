//! Loading over a serial line, with QEMU's Pi at its end and somebody in between who damages bytes.
//!
//! ```text
//! Loader  --  pseudo-terminal  --  flips bits  --  pipes  --  QEMU: loader, then the kernel that it got
//! ```

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serialport::{SerialPort, TTYPort};

use super::{Tally, target};
use crate::image::Contents;
use crate::load::{FIRST_SPEED, Loader, Patience};
use crate::qemu::{Board, Clock, Machine, Running};
use crate::report;
use crate::verb::image::{self, Destination, ProgramOptions};
use crate::workspace::Workspace;

/// A test: what it found.
type Test = fn(&Workspace) -> Result<String>;

/// What there is, by name.
const TESTS: [(&str, Test); 2] = [
    (
        "board/a_kernel_is_loaded_over_a_line_that_damages_bytes",
        load_with_noise,
    ),
    (
        "board/tests_run_on_a_board_at_a_serial_line",
        run_over_the_line,
    ),
];
/// The tests of the target that are run: those whose device is the line itself.
const OVER_THE_LINE: &str = "irq::";
/// One byte of so many is damaged, in each direction: several times while a kernel goes through.
const ONE_OF: u64 = 9_000;
/// For the loader to answer and for the kernel to speak; a busy host is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the test if `filter` means it.
pub(super) fn run(workspace: &Workspace, filter: &str, verbose: bool) -> Result<Tally> {
    let mut tally = Tally::default();
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(filter)) {
        let result = test(workspace);
        tally += Tally {
            passed: u32::from(result.is_ok()),
            failed: u32::from(result.is_err()),
        };
        match result {
            Ok(text) if verbose => report::verdict(true, format!("rpi4 {name}: {text}")),
            Ok(_) => {}
            Err(error) => report::verdict(false, format!("rpi4 {name}: {error:#}")),
        }
    }
    Ok(tally)
}

/// A Pi with the loader on its card. The loader's patience, and that of the tests, is measured in instructions, however
/// busy this machine is.
fn board(workspace: &Workspace) -> Result<Running> {
    let stage = workspace.output("loader.img")?;
    std::fs::write(&stage, image::loader(workspace)?)?;
    let machine = Machine {
        clock: Clock::Instructions(3),
        ..Machine::new(Board::Rpi4, None, None)?
    };
    Running::start_conversation(&mut machine.command(workspace, &stage)?)
}

/// As `cargo xtask test --serial` does it: loads the test image and follows its tests.
fn run_over_the_line(workspace: &Workspace) -> Result<String> {
    let image = target::write_image(workspace, OVER_THE_LINE, false)?;
    let mut qemu = board(workspace)?;
    let (near, far) = TTYPort::pair().context("no pseudo-terminal can be had")?;
    let path = far.name().context("a pseudo-terminal has a name")?;
    // What is on its way when QEMU ends is lost if nobody has the terminal any more.
    let kept = near.try_clone_native().context("a second handle")?;
    between(near, qemu.serial()?, qemu.keyboard()?, None)?;
    let tally = target::on_serial_line(workspace, Path::new(&path), &image, false)?;
    ensure!(
        tally.failed == 0 && tally.passed >= 5,
        "over the line: {tally}"
    );
    // The board resets itself behind its tests, which ends QEMU.
    let status = qemu.wait(Some(LIMIT))?;
    ensure!(status == Some(0), "the board did not reset: {status:?}");
    drop((kept, far));
    Ok(tally.to_string())
}

fn load_with_noise(workspace: &Workspace) -> Result<String> {
    let kernel = workspace.output("loaded.img")?;
    // The kernel alone: it says who it is, and that it has nothing to start.
    let programs = ProgramOptions::starting("none");
    let destination = Destination::board(Board::Rpi4);
    image::write(
        workspace,
        &programs,
        destination,
        Contents::default(),
        &kernel,
    )?;

    let mut qemu = board(workspace)?;
    let (near, far) = TTYPort::pair().context("no pseudo-terminal can be had")?;
    let path = far.name().context("a pseudo-terminal has a name")?;
    between(near, qemu.serial()?, qemu.keyboard()?, Some(ONE_OF))?;

    let mut loader = Loader::new(crate::verb::load::open(Path::new(&path))?, Patience::BOARD);
    let room = loader.find(Some(Instant::now() + LIMIT), |_| {})?;
    ensure!(room >= 16 << 20, "room for {room} bytes only");
    loader.load(&std::fs::read(&kernel)?, FIRST_SPEED, |_| {})?;
    ensure!(
        loader.repeats > 0,
        "nothing was damaged: the test shows nothing"
    );
    let repeats = loader.repeats;
    let mut heard = Vec::new();
    let end = Instant::now() + LIMIT;
    // A banner that is damaged in one place is still known by another.
    let marks = [
        "on rpi4, entered at EL2",
        "no root task",
        "interrupts GICv2",
        "processors 4",
    ];
    while Instant::now() < end {
        loader.listen(Some(Instant::now() + Duration::from_millis(200)), |byte| {
            heard.push(byte);
        })?;
        let text = String::from_utf8_lossy(&heard);
        if marks.iter().filter(|mark| text.contains(**mark)).count() >= 2 {
            drop(far);
            return Ok(format!("{repeats} messages were said again"));
        }
    }
    anyhow::bail!(
        "the kernel did not speak: {:?}",
        String::from_utf8_lossy(&heard)
    )
}

/// Carries bytes between a pseudo-terminal and QEMU, damaging one of so many.
fn between(
    near: TTYPort,
    mut from_board: impl Read + Send + 'static,
    mut to_board: impl Write + Send + 'static,
    one_of: Option<u64>,
) -> Result<()> {
    let mut near_in = near.try_clone_native().context("a second handle")?;
    let mut near_out = near;
    near_in.set_timeout(Duration::from_millis(100))?;
    near_out.set_timeout(Duration::from_secs(20))?;
    std::thread::spawn(move || {
        let (mut noise, mut buffer) = (Noise::new(1, one_of), [0; 256]);
        while let Ok(count @ 1..) = from_board.read(&mut buffer) {
            let part = &mut buffer[..count];
            noise.pass(part);
            if near_out.write_all(part).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let (mut noise, mut buffer) = (Noise::new(2, one_of), [0; 256]);
        loop {
            match near_in.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    let part = &mut buffer[..count];
                    noise.pass(part);
                    if to_board
                        .write_all(part)
                        .and_then(|()| to_board.flush())
                        .is_err()
                    {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                Err(_) => return,
            }
        }
    });
    Ok(())
}

/// Damages bytes, the same ones every time.
struct Noise(u64, Option<u64>);

impl Noise {
    fn new(seed: u64, one_of: Option<u64>) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), one_of)
    }

    fn pass(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            if self.1.is_some_and(|count| self.0.is_multiple_of(count)) {
                *byte ^= 1 << (self.0 >> 32 & 7);
            }
        }
    }
}
