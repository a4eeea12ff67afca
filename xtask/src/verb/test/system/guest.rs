//! The machine of a system test as its cases see it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Image, Setting};
use crate::exec::{Audience, Conversation, PATIENCE, Trouble};
use crate::frames::{Record, Stream};
use crate::lan::Lan;
use crate::qemu::{Board, Disk, Forward, Machine, Network, Running, apart};
use crate::workspace::Workspace;

/// Longest time that a command may take, in the host's time, which a busy host has little of.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// Longest time for the machine to end.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Longest time for QEMU to listen on its monitor.
const MONITOR_LIMIT: Duration = Duration::from_secs(20);

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) status: u8,
    /// What it printed, with bytes replaced that are not UTF-8.
    pub(crate) stdout: String,
}

/// A machine, running unless it was ended.
pub(crate) struct Guest<'a> {
    workspace: &'a Workspace,
    machine: Machine,
    image: Image,
    forwards: Vec<Forward>,
    lan: Option<Lan>,
    /// The resolver's settings, of a machine in a network of its own.
    apart: Option<PathBuf>,
    running: Option<Live>,
    /// Number of the last command.
    number: usize,
    /// Lines of earlier lives.
    earlier: Vec<String>,
}

/// A QEMU and the conversation with its guest.
struct Live {
    qemu: Running,
    talk: Conversation<ChildStdin, Vec<u8>>,
    record: Record,
    /// Whether shell and console have answered.
    greeted: bool,
}

impl<'a> Guest<'a> {
    /// Makes the disk, in `folder` under xtask's own, and switches a machine on that boots `image`.
    pub(crate) fn start(
        workspace: &'a Workspace,
        setting: &Setting,
        board: Board,
        image: &Image,
        folder: &str,
    ) -> Result<Self> {
        let mut machine = setting.machine(board)?;
        if let Some(make) = setting.disk {
            let path = workspace.output(&format!("{folder}/disk.img"))?;
            make(workspace, &path).context("the disk could not be made")?;
            machine.devices.disk = Some(Disk::at(path));
        }
        let mut forwards = Vec::new();
        if board == Board::Virt && (setting.network || !setting.ports.is_empty()) {
            for &guest in setting.ports {
                let host = free_port()?;
                forwards.push(Forward { host, guest });
            }
            machine.devices.network = Some(Network::User(forwards.clone()));
        }
        let lan = setting.frames.then(Lan::start).transpose()?;
        if let Some(lan) = &lan {
            let (out, into) = lan.paths();
            let (out, into) = (out.to_path_buf(), into.to_path_buf());
            machine.devices.network = Some(Network::Frames { out, into });
        }
        machine.devices.monitor = Some(monitor_path());
        let apart = match setting.apart {
            true => Some(resolver(workspace)?),
            false => None,
        };
        let mut guest = Self {
            workspace,
            machine,
            image: image.clone(),
            forwards,
            lan,
            apart,
            running: None,
            number: 0,
            earlier: Vec::new(),
        };
        guest.boot()?;
        Ok(guest)
    }

    /// Switches the machine on, with the same disk; if it runs, it is cut off first.
    pub(crate) fn boot(&mut self) -> Result<()> {
        self.kill();
        let mut command = self.machine.command(self.workspace, &self.image.path)?;
        if let Some(resolver) = &self.apart {
            command = apart::within(&command, resolver);
        }
        let mut qemu = Running::start_conversation(&mut command)?;
        let record = Record::default();
        let stream = Stream::recorded(qemu.serial()?, Some(record.clone()));
        let keyboard = qemu.keyboard()?;
        let mut talk = Conversation::new(stream, keyboard, Vec::new(), PATIENCE, Audience::Later);
        talk.symbols = self.image.symbols.clone();
        self.running = Some(Live {
            qemu,
            talk,
            record,
            greeted: false,
        });
        Ok(())
    }

    /// Ends QEMU at once, as a power cut ends a machine. [`boot`](Self::boot) starts it again.
    pub(crate) fn kill(&mut self) {
        if let Some(mut live) = self.running.take() {
            live.qemu.kill();
            self.earlier.extend(live.talk.lines().map(str::to_string));
        }
    }

    /// Whose guest this is.
    pub(crate) fn board(&self) -> Board {
        self.machine.board
    }

    /// Runs a shell command.
    ///
    /// # Errors
    /// When its end could not be learnt: it ended shell, console or machine, or took too long.
    pub(crate) fn run(&mut self, command: &str) -> Result<Ran> {
        self.run_within(command, COMMAND_LIMIT)
    }

    /// As [`run`](Self::run), with another limit than three minutes.
    pub(crate) fn run_within(&mut self, command: &str, limit: Duration) -> Result<Ran> {
        Ok(self.attempt(command, limit)?)
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) fn succeed(&mut self, command: &str) -> Result<String> {
        let Ran { status, stdout } = self.run(command)?;
        ensure!(
            status == 0,
            "`{command}` ended with status {status} and printed:\n{stdout}"
        );
        Ok(stdout)
    }

    /// Runs a command that must succeed and print `text` somewhere; returns all that it printed.
    pub(crate) fn expect(&mut self, command: &str, text: &str) -> Result<String> {
        let stdout = self.succeed(command)?;
        ensure!(
            stdout.contains(text),
            "`{command}` was to print `{text}` and printed:\n{stdout}"
        );
        Ok(stdout)
    }

    /// Runs a command that must end with `status` and print `text` somewhere.
    pub(crate) fn refuse(&mut self, command: &str, status: u8, text: &str) -> Result<String> {
        let ran = self.run(command)?;
        ensure!(
            ran.status == status && ran.stdout.contains(text),
            "`{command}` was to end with status {status} and print `{text}`; it ended with {} and \
             printed:\n{}",
            ran.status,
            ran.stdout
        );
        Ok(ran.stdout)
    }

    /// Runs a command that must cost the shell or the console its life, so that its own end cannot be
    /// learnt; afterwards both answer again.
    pub(crate) fn upset(&mut self, command: &str) -> Result<()> {
        match self.attempt(command, COMMAND_LIMIT) {
            Ok(ran) => {
                bail!("`{command}` was to end shell or console, and ended by itself: {ran:?}")
            }
            Err(Trouble::Lost(_)) => {}
            Err(trouble) => return Err(trouble.into()),
        }
        let live = self.live()?;
        live.talk.deadline = Some(Instant::now() + COMMAND_LIMIT);
        Ok(live.talk.greet()?)
    }

    /// Runs a command that may cost the shell or the console its life; afterwards both answer.
    pub(crate) fn survive(&mut self, command: &str) -> Result<()> {
        match self.attempt(command, COMMAND_LIMIT) {
            Ok(_) => Ok(()),
            Err(Trouble::Lost(_)) => {
                let live = self.live()?;
                live.talk.deadline = Some(Instant::now() + COMMAND_LIMIT);
                Ok(live.talk.greet()?)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Runs a command that must end the machine; returns QEMU's exit status.
    pub(crate) fn end(&mut self, command: &str) -> Result<u8> {
        match self.attempt(command, COMMAND_LIMIT) {
            Ok(ran) => bail!("`{command}` was to end the machine, and came to {ran:?}"),
            Err(Trouble::Ended(_)) => {}
            Err(trouble) => return Err(trouble.into()),
        }
        let status = self.live()?.qemu.wait(Some(END_LIMIT))?;
        self.kill();
        status.with_context(|| format!("the machine goes on after `{command}`"))
    }

    fn attempt(&mut self, command: &str, limit: Duration) -> Result<Ran, Trouble> {
        self.number += 1;
        let number = self.number;
        let Some(live) = &mut self.running else {
            return Err(Trouble::Lost("the machine is off".into()));
        };
        live.talk.deadline = Some(Instant::now() + PATIENCE.boot);
        if !live.greeted {
            live.talk.greet()?;
            live.greeted = true;
        }
        live.talk.deadline = Some(Instant::now() + limit);
        live.talk.out.clear();
        let status = live.talk.one(number, command)?;
        Ok(Ran {
            status,
            stdout: String::from_utf8_lossy(&live.talk.out).into_owned(),
        })
    }

    /// Sends bytes as somebody's keyboard does. Once [`run`](Self::run) was used the shell takes commands
    /// by frames only and ignores them: for a machine of one's own.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.live()?.talk.type_bytes(bytes);
        Ok(())
    }

    /// Waits until `is_there` finds in everything that the serial line carried what it looks for;
    /// returns the text.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_there: impl FnMut(&str) -> bool,
    ) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let live = self.live()?;
            let text = live.record.text();
            if is_there(&text) {
                return Ok(text);
            }
            let now = Instant::now();
            ensure!(now < end, "no {what} for {} s", limit.as_secs());
            // Keeps lines and log; the end of the machine is noticed here.
            live.talk.deadline = None;
            live.talk.next(now + Duration::from_millis(50), what)?;
        }
    }

    /// Lines of the console and records of the log since the first power-on.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = self.earlier.clone();
        if let Some(live) = &self.running {
            lines.extend(live.talk.lines().map(str::to_string));
        }
        lines
    }

    /// The last of [`lines`](Self::lines).
    pub(crate) fn last_lines(&self, count: usize) -> Vec<String> {
        let mut lines = VecDeque::from(self.lines());
        lines.drain(..lines.len().saturating_sub(count));
        lines.into()
    }

    /// The port of 127.0.0.1 that leads to the guest's `port`, one of its setting's.
    pub(crate) fn port(&self, port: u16) -> Result<u16> {
        let mut forwards = self.forwards.iter();
        let found = forwards.find(|forward| forward.guest == port);
        found
            .map(|forward| forward.host)
            .with_context(|| format!("the setting of this case has no port {port}"))
    }

    /// Runs a command while `peer` plays the other end of the wire, each in its thread.
    ///
    /// # Errors
    /// What the peer found, or what became of the command.
    pub(crate) fn with_peer<T: Send>(
        &mut self,
        command: &str,
        peer: impl FnOnce(&Lan) -> Result<T> + Send,
    ) -> Result<(Ran, T)> {
        // The command needs the guest, the peer its network alone.
        let lan = self.lan.take();
        let lan = lan.context("the setting of this case has no frames")?;
        lan.clear();
        let (ran, played) = std::thread::scope(|scope| {
            let monitor = self.machine.devices.monitor.clone();
            let peer = scope.spawn(|| {
                let played = peer(&lan);
                if let (Err(_), Some(monitor)) = (&played, monitor) {
                    // The command would wait for its peer as long as it may.
                    switch_off(&monitor);
                }
                played
            });
            let ran = self.run(command);
            let played = peer.join();
            (ran, played)
        });
        self.lan = Some(lan);
        let played = played.ok().context("the peer panicked")?;
        let played = played.with_context(|| match &ran {
            Ok(ran) => format!("while `{command}` came to {ran:?}"),
            Err(error) => format!("while `{command}` failed: {error:#}"),
        })?;
        Ok((ran?, played))
    }

    /// The network that the case is.
    pub(crate) fn lan(&self) -> Result<&Lan> {
        self.lan
            .as_ref()
            .context("the setting of this case has no frames")
    }

    /// A program of the host in the machine's own network, to be started.
    pub(crate) fn beside(&mut self, program: &str) -> Result<Command> {
        ensure!(
            self.apart.is_some(),
            "the machine has no network of its own"
        );
        Ok(apart::beside(self.live()?.qemu.id(), program))
    }

    /// The file with the disk's contents.
    pub(crate) fn disk(&self) -> Result<&Path> {
        let disk = self.machine.devices.disk.as_ref();
        Ok(&disk.context("the setting of this case has no disk")?.path)
    }

    /// The tree that is tested.
    pub(crate) const fn workspace(&self) -> &Workspace {
        self.workspace
    }

    /// From the next power-on on, requests to the disk fail by these rules of QEMU's `blkdebug`; none do
    /// without rules.
    pub(crate) fn break_disk(&mut self, rules: Option<&str>) -> Result<()> {
        let disk = self.machine.devices.disk.as_mut();
        let disk = disk.context("the setting of this case has no disk")?;
        disk.faults = match rules {
            None => None,
            Some(rules) => {
                let path = disk.path.with_extension("faults");
                std::fs::write(&path, rules)?;
                Some(path)
            }
        };
        Ok(())
    }

    /// Has QEMU's monitor do `command`, such as `{"execute": "query-status"}`; returns what it
    /// answers under `return`.
    pub(crate) fn monitor(&mut self, command: &Value) -> Result<Value> {
        self.live()?;
        let path = self.machine.devices.monitor.as_ref();
        let path = path.context("this machine has no monitor")?;
        let socket = connect(path)?;
        socket.set_read_timeout(Some(MONITOR_LIMIT))?;
        let mut lines = BufReader::new(socket.try_clone()?).lines();
        let mut ask = |command: &Value| -> Result<Value> {
            (&socket).write_all(format!("{command}\n").as_bytes())?;
            loop {
                let line = lines.next().context("the monitor hung up")??;
                let answer: Value = serde_json::from_str(&line)?;
                if let Some(value) = answer.get("return") {
                    return Ok(value.clone());
                }
                if let Some(error) = answer.get("error") {
                    bail!("the monitor refuses {command}: {error}");
                }
                // A greeting or an event.
            }
        };
        ask(&serde_json::json!({"execute": "qmp_capabilities"}))?;
        ask(command)
    }

    fn live(&mut self) -> Result<&mut Live> {
        self.running.as_mut().context("the machine is off")
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.kill();
        if let Some(path) = &self.machine.devices.monitor {
            // QEMU removes it itself if it ends in peace.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The file with the resolver's settings of machines in networks of their own.
pub(super) fn resolver(workspace: &Workspace) -> Result<PathBuf> {
    let path = workspace.output("system-test/resolv.conf")?;
    std::fs::write(&path, apart::RESOLVER)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free TCP port")?;
    Ok(listener.local_addr()?.port())
}

/// A path for a socket, which must be short: 108 bytes are all that a socket's address holds.
fn monitor_path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("gritos-{}-{number}.qmp", std::process::id()))
}

/// Has QEMU end, if its monitor can be reached.
fn switch_off(path: &Path) {
    let Ok(mut socket) = connect(path) else {
        return;
    };
    for command in ["qmp_capabilities", "quit"] {
        // It may be gone already.
        let _ = writeln!(socket, "{}", serde_json::json!({ "execute": command }));
    }
    // Until it hangs up, so that it has read them.
    let _ = socket.set_read_timeout(Some(MONITOR_LIMIT));
    let _ = std::io::copy(&mut socket, &mut std::io::sink());
}

/// Connects to QEMU, which may have begun just now.
fn connect(path: &Path) -> Result<UnixStream> {
    let end = Instant::now() + MONITOR_LIMIT;
    loop {
        match UnixStream::connect(path) {
            Ok(socket) => return Ok(socket),
            Err(error) if Instant::now() >= end => {
                return Err(error).with_context(|| format!("no monitor at {}", path.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
