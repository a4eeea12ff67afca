//! Commands for the shell on the target, one after the other, by frames on its serial line
//! (`docs/reference/serial-frames.md`).
//!
//! What a command prints goes to stdout as it comes. While it runs the console is asked now and then whether it is alive,
//! and the shell whether it is still the same: a command that ends one of them, or the machine, is reported and not
//! waited for.

use std::collections::VecDeque;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gritos_abi::frame::{Channel, PAYLOAD_LIMIT, encode};

use crate::frames::{Item, Next, Stream};
use crate::qemu::{Running, TIMED_OUT};
use crate::report;

/// Most bytes of a command: a frame without what precedes the command in it.
pub(crate) const COMMAND_LIMIT: usize = PAYLOAD_LIMIT - 32;
/// Exit status when a command's end could not be learnt.
const LOST: u8 = 125;
/// Lines of the console that are shown when something went wrong before the first command.
const SHOWN_LINES: usize = 40;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// From the start to the shell's first answer.
    boot: Duration,
    /// Between two questions before the shell has answered.
    greeting: Duration,
    /// Between two questions while a command runs.
    question: Duration,
    /// Without an answer of the console until it is given up.
    silence: Duration,
    /// From the command to power off until the machine has ended.
    end: Duration,
}

const PATIENCE: Patience = Patience {
    boot: Duration::from_secs(120),
    greeting: Duration::from_millis(200),
    question: Duration::from_secs(2),
    silence: Duration::from_secs(20),
    end: Duration::from_secs(15),
};

/// Boots the machine of `command`, runs `lines` on it and switches it off. Returns the exit status.
pub(crate) fn run(
    command: &mut Command,
    lines: &[String],
    timeout: Option<Duration>,
) -> Result<u8> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut qemu = Running::start_conversation(command)?;
    let stream = Stream::new(qemu.serial()?);
    let keyboard = qemu.keyboard()?;
    let stdout = std::io::stdout();
    let mut talk = Conversation::new(&stream, keyboard, stdout, deadline, PATIENCE);
    let outcome = talk.all(lines);
    let status = match outcome {
        Ok(status) => status,
        Err(trouble) => {
            talk.show_lines();
            return trouble.report(&mut qemu);
        }
    };
    if talk.ended {
        return Ok(worst(status, qemu.wait(Some(PATIENCE.end))?));
    }
    talk.send_run(lines.len() + 1, "poweroff");
    let end = Instant::now() + PATIENCE.end;
    while !matches!(stream.next(end), Next::End | Next::TimedOut) {}
    match qemu.wait(Some(end.saturating_duration_since(Instant::now())))? {
        Some(code) => Ok(worst(status, Some(code))),
        None => {
            report::warning("the machine did not power off and was stopped");
            Ok(status)
        }
    }
}

/// The commands' status, or if they succeeded that of the machine.
fn worst(status: u8, machine: Option<u8>) -> u8 {
    match (status, machine) {
        (0, Some(code)) => code,
        (0, None) => LOST,
        (status, _) => status,
    }
}

/// Why there is no status of all commands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// `--timeout`.
    TimedOut(String),
    /// The machine ended during this.
    Ended(String),
    /// Nothing is to be expected any more.
    Lost(String),
}

impl Trouble {
    /// Says so and returns the exit status.
    fn report(self, qemu: &mut Running) -> Result<u8> {
        let (text, status) = match self {
            Self::TimedOut(during) => (format!("the time is over during {during}"), TIMED_OUT),
            Self::Lost(what) => (what, LOST),
            Self::Ended(during) => {
                let code = qemu.wait(Some(PATIENCE.end))?;
                let code = code.map_or("no".into(), |code| code.to_string());
                let text = format!("the machine ended during {during}, with status {code}");
                (text, LOST)
            }
        };
        report::error(&anyhow::anyhow!(text));
        Ok(status)
    }
}

/// What a status frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The shell is ready; how often it was started before.
    Ready(u64),
    /// Command number and status.
    Exit(usize, u8),
    /// A request arrived damaged.
    Damaged,
    /// The console is alive: how often it was started before, and who has the input.
    Console(u64, u32),
}

impl Said {
    fn parse(payload: &str) -> Option<Self> {
        let words: Vec<&str> = payload.split(' ').collect();
        Some(match words[..] {
            ["ready", life] => Self::Ready(life.parse().ok()?),
            ["exit", number, status] => Self::Exit(number.parse().ok()?, status.parse().ok()?),
            ["damaged"] => Self::Damaged,
            ["console", life, owner] => Self::Console(life.parse().ok()?, owner.parse().ok()?),
            _ => return None,
        })
    }
}

/// Both ends of the line, and what is known of the other side.
struct Conversation<'a, K, O> {
    stream: &'a Stream,
    keyboard: K,
    out: O,
    deadline: Option<Instant>,
    patience: Patience,
    /// Lives of console and shell when the command began.
    console: Option<u64>,
    shell: Option<u64>,
    lines: VecDeque<String>,
    /// Whether lines of the console are shown as they come.
    show: bool,
    /// Whether the machine has ended, as the last command asked it to.
    ended: bool,
}

impl<'a, K: Write, O: Write> Conversation<'a, K, O> {
    fn new(
        stream: &'a Stream,
        keyboard: K,
        out: O,
        deadline: Option<Instant>,
        patience: Patience,
    ) -> Self {
        Self {
            stream,
            keyboard,
            out,
            deadline,
            patience,
            console: None,
            shell: None,
            lines: VecDeque::new(),
            show: false,
            ended: false,
        }
    }

    /// Runs all commands. The status of the first that failed.
    fn all(&mut self, lines: &[String]) -> Result<u8, Trouble> {
        self.greet()?;
        let mut result = 0;
        for (index, line) in lines.iter().enumerate() {
            match self.one(index + 1, line) {
                Ok(status) if result == 0 => result = status,
                Ok(_) => {}
                // Whoever asks the machine to end gets what it ends with.
                Err(Trouble::Ended(_)) if index + 1 == lines.len() && is_farewell(line) => {
                    self.ended = true;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(result)
    }

    /// Waits until shell and console have answered.
    fn greet(&mut self) -> Result<(), Trouble> {
        let during = "the start, before the shell answered";
        let end = Instant::now() + self.patience.boot;
        while self.shell.is_none() || self.console.is_none() {
            self.send(Channel::Request, b"hello");
            self.send(Channel::Probe, b"");
            let until = Instant::now() + self.patience.greeting;
            while let Some(item) = self.next(until, during)? {
                match self.said(&item) {
                    Some(Said::Ready(life)) => self.shell = Some(life),
                    Some(Said::Console(life, _)) => self.console = Some(life),
                    _ => {}
                }
                if self.shell.is_some() && self.console.is_some() {
                    break;
                }
            }
            if Instant::now() >= end {
                let seconds = self.patience.boot.as_secs();
                return Err(Trouble::Lost(format!(
                    "the shell did not answer for {seconds} s"
                )));
            }
        }
        self.show = true;
        Ok(())
    }

    /// Runs a command: its status.
    fn one(&mut self, number: usize, line: &str) -> Result<u8, Trouble> {
        let during = format!("`{line}`");
        let lost = |what: &str| Trouble::Lost(format!("{during} {what}"));
        // An earlier command may have had the console started again, and that is its affair.
        self.console = None;
        self.send(Channel::Probe, b"");
        self.send_run(number, line);
        let (mut heard, mut whole) = (Instant::now(), true);
        loop {
            let until = Instant::now() + self.patience.question;
            while let Some(item) = self.next(until, &during)? {
                if let Item::Output(bytes) = &item {
                    // Nobody may be there to read it, which is their choice.
                    let _ = self.out.write_all(bytes).and_then(|()| self.out.flush());
                }
                if item == Item::Damaged {
                    whole = false;
                    self.send_run(number, line);
                }
                match self.said(&item) {
                    Some(Said::Exit(ended, status)) if ended == number && whole => {
                        return Ok(status);
                    }
                    Some(Said::Exit(ended, status)) if ended == number => {
                        return Err(lost(&format!(
                            "ended with status {status}, but part of what it printed arrived damaged"
                        )));
                    }
                    Some(Said::Damaged) => self.send_run(number, line),
                    Some(Said::Ready(life)) if Some(life) != self.shell => {
                        return Err(lost("ended the shell, which was started again"));
                    }
                    Some(Said::Console(life, _)) if self.console.is_none() => {
                        (self.console, heard) = (Some(life), Instant::now());
                    }
                    Some(Said::Console(life, _)) if Some(life) != self.console => {
                        return Err(lost("ended the console, which was started again"));
                    }
                    Some(Said::Console(_, 0)) => {
                        return Err(lost("ended the shell: nobody reads the console"));
                    }
                    Some(Said::Console(..)) => heard = Instant::now(),
                    _ => {}
                }
            }
            if heard.elapsed() >= self.patience.silence {
                let seconds = self.patience.silence.as_secs();
                return Err(lost(&format!(
                    "ended the console, or the kernel: no sign of life for {seconds} s"
                )));
            }
            self.send(Channel::Probe, b"");
            // A shell that is busy answers later; one that was started again answers now.
            self.send(Channel::Request, b"hello");
        }
    }

    /// The next item until `until`, if there is one.
    fn next(&mut self, until: Instant, during: &str) -> Result<Option<Item>, Trouble> {
        let end = self.deadline.map_or(until, |deadline| deadline.min(until));
        match self.stream.next(end) {
            Next::Item(item) => {
                self.note(&item);
                Ok(Some(item))
            }
            Next::End => Err(Trouble::Ended(during.into())),
            Next::TimedOut if self.deadline.is_some_and(|d| d <= Instant::now()) => {
                Err(Trouble::TimedOut(during.into()))
            }
            Next::TimedOut => Ok(None),
        }
    }

    /// Shows or keeps what is not for the command's reader.
    fn note(&mut self, item: &Item) {
        match item {
            Item::Frame(Channel::Log, record) => anstream::eprintln!("{record}"),
            Item::Line(line) if line.trim().is_empty() => {}
            Item::Line(line) if self.show => anstream::eprintln!("{line}"),
            Item::Line(line) => {
                if self.lines.len() == SHOWN_LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(line.clone());
            }
            _ => {}
        }
    }

    /// Shows the lines that were kept.
    fn show_lines(&mut self) {
        if self.show {
            return;
        }
        for line in self.lines.drain(..) {
            anstream::eprintln!("{line}");
        }
    }

    fn said(&self, item: &Item) -> Option<Said> {
        match item {
            Item::Frame(Channel::Status, payload) => Said::parse(payload),
            _ => None,
        }
    }

    fn send_run(&mut self, number: usize, line: &str) {
        self.send(Channel::Request, format!("run {number} {line}").as_bytes());
    }

    fn send(&mut self, channel: Channel, payload: &[u8]) {
        let mut frame = Vec::new();
        encode(channel, payload, |byte| frame.push(byte));
        // A machine that has ended is noticed by what it writes, or does not.
        let _ = self
            .keyboard
            .write_all(&frame)
            .and_then(|()| self.keyboard.flush())
            .context("the serial line takes no more");
    }
}

/// Whether a command asks the machine to end.
fn is_farewell(line: &str) -> bool {
    matches!(line.split_whitespace().next(), Some("poweroff" | "reboot"))
}

#[cfg(test)]
mod tests;
