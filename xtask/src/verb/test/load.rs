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

use super::Tally;
use crate::image::Contents;
use crate::load::{FIRST_SPEED, Loader, Patience};
use crate::qemu::{Board, Clock, Machine, Running};
use crate::report;
use crate::verb::image::{self, Destination, ProgramOptions};
use crate::workspace::Workspace;

const NAME: &str = "board/a_kernel_is_loaded_over_a_line_that_damages_bytes";
/// One byte of so many is damaged, in each direction: several times while a kernel goes through.
const ONE_OF: u64 = 9_000;
/// For the loader to answer and for the kernel to speak; a busy host is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the test if `filter` means it.
pub(super) fn run(workspace: &Workspace, filter: &str, verbose: bool) -> Result<Tally> {
    if !NAME.contains(filter) {
        return Ok(Tally::default());
    }
    let result = test(workspace);
    let passed = result.is_ok();
    match result {
        Ok(text) if verbose => report::verdict(true, format!("rpi4 {NAME}: {text}")),
        Ok(_) => {}
        Err(error) => report::verdict(false, format!("rpi4 {NAME}: {error:#}")),
    }
    Ok(Tally {
        passed: u32::from(passed),
        failed: u32::from(!passed),
    })
}

fn test(workspace: &Workspace) -> Result<String> {
    let stage = workspace.output("loader.img")?;
    std::fs::write(&stage, image::loader(workspace)?)?;
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

    // The loader's patience is measured in instructions, however busy this machine is.
    let machine = Machine {
        clock: Clock::Instructions(3),
        ..Machine::new(Board::Rpi4, None, None)?
    };
    let mut qemu = Running::start_conversation(&mut machine.command(workspace, &stage)?)?;
    let (near, far) = TTYPort::pair().context("no pseudo-terminal can be had")?;
    let path = far.name().context("a pseudo-terminal has a name")?;
    between(near, qemu.serial()?, qemu.keyboard()?)?;

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

/// Carries bytes between a pseudo-terminal and QEMU, damaging some.
fn between(
    near: TTYPort,
    mut from_board: impl Read + Send + 'static,
    mut to_board: impl Write + Send + 'static,
) -> Result<()> {
    let mut near_in = near.try_clone_native().context("a second handle")?;
    let mut near_out = near;
    near_in.set_timeout(Duration::from_millis(100))?;
    near_out.set_timeout(Duration::from_secs(20))?;
    std::thread::spawn(move || {
        let (mut noise, mut buffer) = (Noise::new(1), [0; 256]);
        while let Ok(count @ 1..) = from_board.read(&mut buffer) {
            let part = &mut buffer[..count];
            noise.pass(part);
            if near_out.write_all(part).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let (mut noise, mut buffer) = (Noise::new(2), [0; 256]);
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
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn pass(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            if self.0.is_multiple_of(ONE_OF) {
                *byte ^= 1 << (self.0 >> 32 & 7);
            }
        }
    }
}
