//! QEMU's command line for each board, and the two ways to run it: with its serial line on the
//! terminal, or with xtask at the other end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

pub(crate) use self::counter::Counter;
pub(crate) use self::devices::{Devices, Disk, Forward, Network};
use crate::annotate;
use crate::symbols::Symbols;
use crate::system::units;
use crate::toolchain::QEMU;
use crate::verb::image::Destination;
use crate::workspace::Workspace;

pub(crate) mod apart;
mod counter;
mod devices;

/// Exit status when `--timeout` ended the run, as `timeout(1)` has it.
pub(crate) const TIMED_OUT: u8 = 124;

/// A board that the image boots on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Board {
    /// QEMU's `virt`
    Virt,
    /// Raspberry Pi 4 (QEMU's `raspi4b`)
    Rpi4,
}

impl Board {
    /// The same board as the system table has it.
    pub(crate) fn of_table(self) -> gritos_system::Board {
        match self {
            Self::Virt => gritos_system::Board::Virt,
            Self::Rpi4 => gritos_system::Board::Rpi4,
        }
    }
}

/// A version of the interrupt controller of `virt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gic {
    /// GICv2, as the Pi has it
    #[value(name = "2")]
    V2,
    /// GICv3
    #[value(name = "3")]
    V3,
}

/// What the machine's time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The host's.
    Host,
    /// The number of instructions executed, 2 to the power of this many nanoseconds each: every run
    /// is the same, however busy the host is. Time that the guest sleeps passes at once.
    Instructions(u8),
    /// The same while the guest works, and the host's while it sleeps: its deadlines wait for programs
    /// on the host.
    Paced(u8),
}

/// The machine to emulate.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) board: Board,
    pub(crate) gic: Gic,
    /// Whether the kernel is entered at EL2.
    pub(crate) el2: bool,
    pub(crate) smp: u32,
    /// As QEMU's `-m` takes it.
    pub(crate) memory: String,
    pub(crate) clock: Clock,
    pub(crate) devices: Devices,
}

impl Machine {
    /// `virt` as much like the Pi as it gets, or the Pi.
    ///
    /// # Errors
    /// When the board does not come with that many processors or that much memory.
    pub(crate) fn new(board: Board, smp: Option<u32>, memory: Option<String>) -> Result<Self> {
        let (default_smp, default_memory) = match board {
            Board::Virt => (1, "1G"),
            Board::Rpi4 => (4, "2G"),
        };
        let machine = Self {
            board,
            gic: Gic::V2,
            el2: true,
            smp: smp.unwrap_or(default_smp),
            memory: memory.unwrap_or_else(|| default_memory.to_string()),
            clock: Clock::Host,
            devices: Devices::default(),
        };
        ensure!(
            units::machine_memory(&machine.memory).is_some_and(|bytes| bytes > 0),
            "--memory takes a size such as 512M or 2G, not `{}`",
            machine.memory
        );
        match board {
            Board::Virt => ensure!(
                (1..=8).contains(&machine.smp),
                "--smp {} is not possible: virt with GICv2 takes 1 to 8 processors",
                machine.smp
            ),
            Board::Rpi4 => ensure!(
                machine.smp == default_smp && ["2G", "2048M"].contains(&machine.memory.as_str()),
                "QEMU's raspi4b has 4 processors and 2 GiB and takes nothing else; leave --smp and \
                 --memory away"
            ),
        }
        Ok(machine)
    }

    /// What an image for this machine has to know of it.
    pub(crate) fn destination(&self) -> Destination {
        Destination {
            board: self.board,
            memory_bytes: units::machine_memory(&self.memory),
        }
    }

    /// A word for each thing that tells this machine from others, for test reports.
    pub(crate) fn label(&self) -> String {
        match self.board {
            Board::Rpi4 => "rpi4".to_string(),
            Board::Virt => format!(
                "virt gic{} el{} smp{} {}",
                if self.gic == Gic::V2 { 2 } else { 3 },
                if self.el2 { 2 } else { 1 },
                self.smp,
                self.memory
            ),
        }
    }

    /// The arguments that give this machine `image` to boot, without those for its serial line.
    fn arguments(&self, image: &Path, device_tree: Option<&Path>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |parts: &[&str]| arguments.extend(parts.iter().map(OsString::from));
        match self.board {
            Board::Virt => {
                let gic = if self.gic == Gic::V2 { 2 } else { 3 };
                let el2 = if self.el2 { "on" } else { "off" };
                let seeds = if self.clock == Clock::Host {
                    "on"
                } else {
                    "off"
                };
                let machine =
                    format!("virt,gic-version={gic},virtualization={el2},dtb-randomness={seeds}");
                add(&["-M", &machine]);
                add(&["-cpu", "cortex-a72"]);
                add(&["-global", "virtio-mmio.force-legacy=false"]);
            }
            Board::Rpi4 => add(&["-M", "raspi4b"]),
        }
        add(&["-smp", &self.smp.to_string(), "-m", &self.memory]);
        add(&["-display", "none", "-nic", "none", "-no-reboot"]);
        add(&["-semihosting-config", "enable=on,target=native"]);
        match self.clock {
            Clock::Host => {}
            Clock::Instructions(shift) => add(&["-icount", &format!("shift={shift},sleep=off")]),
            Clock::Paced(shift) => add(&["-icount", &format!("shift={shift},sleep=on")]),
        }
        arguments.extend(self.devices.arguments(self.board));
        arguments.extend(["-kernel".into(), image.into()]);
        if let Some(path) = device_tree {
            arguments.extend(["-dtb".into(), path.into()]);
        }
        arguments
    }

    /// A command that boots `image`; the serial line is still to be said.
    pub(crate) fn command(&self, workspace: &Workspace, image: &Path) -> Result<Command> {
        self.devices.check(self.board)?;
        let device_tree = match self.board {
            Board::Virt => None,
            Board::Rpi4 => Some(write_device_tree(workspace)?),
        };
        let mut command = Command::new(QEMU);
        command.args(self.arguments(image, device_tree.as_deref()));
        Ok(command)
    }
}

/// QEMU's `raspi4b` brings no device tree along: this is ours.
fn write_device_tree(workspace: &Workspace) -> Result<PathBuf> {
    let path = workspace.output("rpi4.dtb")?;
    std::fs::write(&path, gritos_board::rpi4::qemu_device_tree())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Runs with serial line and QEMU's monitor on this terminal until the guest or the user ends it,
/// or the time is over. Returns the exit status. What is typed goes to QEMU itself; what the guest
/// writes passes through here, so that reports of failures are explained with `symbols`.
pub(crate) fn interactive(
    mut command: Command,
    symbols: Symbols,
    timeout: Option<Duration>,
) -> Result<u8> {
    command
        .args(["-serial", "mon:stdio"])
        .stdout(Stdio::piped());
    let mut child = Running::start(&mut command)?;
    let output = child.serial()?;
    let copier = std::thread::spawn(move || {
        annotate::copy(output, std::io::stdout().lock(), |line| {
            symbols.explain(line)
        });
    });
    let code = child.wait(timeout)?;
    child.kill();
    // It has written everything by now, or failed at that.
    let _ = copier.join();
    Ok(code.unwrap_or(TIMED_OUT))
}

/// A QEMU that ends when this value does.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(
            command
                .spawn()
                .with_context(|| format!("cannot run {QEMU}"))?,
        ))
    }

    /// Ends it at once, as a power cut ends a machine.
    pub(crate) fn kill(&mut self) {
        // Both fail only if QEMU has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Starts `command` with the serial line on pipes.
    pub(crate) fn start_headless(command: &mut Command) -> Result<Self> {
        command.args(["-serial", "stdio", "-monitor", "none"]);
        Self::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))
    }

    /// Starts `command` with both directions of the serial line on pipes.
    pub(crate) fn start_conversation(command: &mut Command) -> Result<Self> {
        command.args(["-serial", "stdio", "-monitor", "none"]);
        Self::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// What the guest reads from its serial line; can be taken once.
    pub(crate) fn keyboard(&mut self) -> Result<std::process::ChildStdin> {
        self.0
            .stdin
            .take()
            .context("the serial line is a pipe that was not taken yet")
    }

    /// What the guest writes on its serial line; can be taken once.
    pub(crate) fn serial(&mut self) -> Result<std::process::ChildStdout> {
        self.0
            .stdout
            .take()
            .context("the serial line is a pipe that was not taken yet")
    }

    /// Waits for the end and returns the exit status; `None` when the time is over first.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<u8>> {
        let Some(timeout) = timeout else {
            return exit_code(self.0.wait()?).map(Some);
        };
        let end = Instant::now() + timeout;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return exit_code(status).map(Some);
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_code(status: std::process::ExitStatus) -> Result<u8> {
    match status.code() {
        Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        None => bail!("{QEMU} was ended by a signal: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Gic, Machine};
    use std::path::Path;

    fn line(machine: &Machine) -> String {
        let arguments = machine.arguments(Path::new("k.img"), None);
        arguments
            .iter()
            .map(|a| a.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn virt_takes_what_it_is_told() {
        let mut machine =
            Machine::new(Board::Virt, Some(4), Some("512M".into())).expect("a possible machine");
        (machine.gic, machine.el2) = (Gic::V3, false);
        let line = line(&machine);
        assert!(
            line.contains("-M virt,gic-version=3,virtualization=off"),
            "{line}"
        );
        assert!(line.contains("-smp 4 -m 512M"), "{line}");
        assert!(line.ends_with("-kernel k.img"), "{line}");
        assert!(!line.contains("-icount"), "{line}");
        assert_eq!(machine.label(), "virt gic3 el1 smp4 512M");
    }

    #[test]
    fn what_qemu_would_refuse_is_refused_with_the_reason() {
        for (board, smp, memory) in [
            (Board::Rpi4, Some(2), None),
            (Board::Rpi4, None, Some("4G".to_string())),
            (Board::Virt, Some(9), None),
            (Board::Virt, Some(0), None),
            (Board::Virt, None, Some("lots".to_string())),
            (Board::Virt, None, Some("0".to_string())),
            (Board::Virt, None, Some(String::new())),
        ] {
            assert!(Machine::new(board, smp, memory).is_err());
        }
    }
}
