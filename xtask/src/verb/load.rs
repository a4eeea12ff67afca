//! `cargo xtask load`: a system into a board over its serial line, and its console.
//!
//! The board has the loader on its card (`cargo xtask flash --loader`). Whenever it waits for an image, after
//! power-on or a reset, it gets the one that is in the file by then.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::load::{FIRST_SPEED, Loader, Patience};
use crate::qemu::Board;
use crate::report;
use crate::verb::image::{self, Destination, ProgramOptions};
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// Serial line that the board is at, such as /dev/ttyUSB0
    #[arg(long, value_name = "DEV")]
    serial: PathBuf,
    /// Image to load, instead of building one
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Speed for the image; the console stays at 115200
    #[arg(long, value_name = "BAUD", default_value_t = FIRST_SPEED)]
    baud: u32,
    /// Leave once the image runs, and do not show the console
    #[arg(long)]
    once: bool,
    /// Give up when no loader answers for so many seconds
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    #[command(flatten)]
    programs: ProgramOptions,
}

/// A serial line for a [`Loader`].
pub(crate) type Port = Box<dyn serialport::SerialPort>;

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let path = match &options.image {
        Some(path) => path.clone(),
        None => {
            let path = workspace.output("load.img")?;
            let destination = Destination::board(Board::Rpi4);
            let contents = crate::image::Contents::default();
            image::write(workspace, &options.programs, destination, contents, &path)?;
            path
        }
    };
    let mut loader = Loader::new(open(&options.serial)?, Patience::BOARD);
    let until = options
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    if !options.once {
        report::step("Console", "of the board; leave with Ctrl-A X");
    }
    let mut terminal = Terminal::new(options.once);
    report::step(
        "Waiting",
        format!("for the board at {}; reset it", options.serial.display()),
    );
    loader.find(until, |byte| terminal.put(byte))?;
    loop {
        if let Err(error) = send(&mut loader, &path, options.baud) {
            report::warning(format!("{error:#}; waiting for the board"));
            loader.find(until, |byte| terminal.put(byte))?;
            continue;
        }
        if options.once {
            return Ok(());
        }
        if !terminal.run(&mut loader)? {
            return Ok(());
        }
        report::step("Loading", "again: the board was reset");
    }
}

/// Opens a serial line at the speed that a board begins with.
pub(crate) fn open(path: &Path) -> Result<Port> {
    serialport::new(path.to_string_lossy(), FIRST_SPEED)
        .timeout(Duration::from_millis(20))
        .open()
        .with_context(|| format!("cannot open the serial line {}", path.display()))
}

/// Sends the image in `path` to a board that waits.
pub(crate) fn send(loader: &mut Loader<Port>, path: &Path, baud: u32) -> Result<()> {
    let image = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(image.len() as u64)
        .with_style(style)
        .with_prefix("Loading");
    let begun = Instant::now();
    loader.load(&image, baud, |at| bar.set_position(at))?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    report::step(
        "Loaded",
        format!(
            "{} KiB in {seconds:.1} s, {} messages said again",
            image.len() / 1024,
            loader.repeats
        ),
    );
    Ok(())
}

/// The user's side of the console.
struct Terminal {
    keys: Option<std::sync::mpsc::Receiver<u8>>,
    raw: Option<rustix::termios::Termios>,
}

impl Terminal {
    /// Takes the terminal over, unless there is none or `once`.
    fn new(once: bool) -> Self {
        if once {
            return Self {
                keys: None,
                raw: None,
            };
        }
        let stdin = std::io::stdin();
        let mut raw = None;
        if stdin.is_terminal()
            && let Ok(before) = rustix::termios::tcgetattr(&stdin)
        {
            let mut now = before.clone();
            now.make_raw();
            // What is printed here still wants its line ends made.
            now.output_modes |= rustix::termios::OutputModes::OPOST;
            let action = rustix::termios::OptionalActions::Now;
            if rustix::termios::tcsetattr(&stdin, action, &now).is_ok() {
                raw = Some(before);
            }
        }
        let (sender, keys) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let keys = std::io::BufReader::new(std::io::stdin());
            for byte in keys.bytes().map_while(Result::ok) {
                if sender.send(byte).is_err() {
                    return;
                }
            }
        });
        Self {
            keys: Some(keys),
            raw,
        }
    }

    fn put(&mut self, byte: u8) {
        let mut out = std::io::stdout();
        // A terminal that is gone ends the program by itself.
        let _ = out.write_all(&[byte]).and_then(|()| out.flush());
    }

    /// Both directions until the board waits for an image (true) or the user leaves (false).
    fn run(&mut self, loader: &mut Loader<Port>) -> Result<bool> {
        let mut escaped = false;
        loop {
            let soon = Instant::now() + Duration::from_millis(20);
            if loader.listen(Some(soon), |byte| {
                let mut out = std::io::stdout();
                let _ = out.write_all(&[byte]).and_then(|()| out.flush());
            })? {
                return Ok(true);
            }
            while let Some(Ok(byte)) = self.keys.as_ref().map(|keys| keys.try_recv()) {
                match (escaped, byte) {
                    (true, b'x' | b'X') => return Ok(false),
                    (false, 0x01) => escaped = true,
                    _ => {
                        escaped = false;
                        let line = loader.line();
                        line.write_all(&[byte]).context("the line takes no more")?;
                    }
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.raw {
            let action = rustix::termios::OptionalActions::Now;
            // Nothing can be done about a terminal that does not go back.
            let _ = rustix::termios::tcsetattr(std::io::stdin(), action, before);
        }
    }
}
