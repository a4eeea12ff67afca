//! A conversation with the shell on the target: one command at a time, each with its status.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use gritos_abi::frame::{Channel, encode};

use crate::frames::{Item, Next, Stream};
use crate::symbols::Symbols;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the start to the shell's first answer.
    pub(crate) boot: Duration,
    /// Until the target says anything.
    pub(crate) first: Duration,
    /// Between two questions before the shell has answered.
    pub(crate) greeting: Duration,
    /// Between two questions while a command runs.
    pub(crate) question: Duration,
    /// Without an answer of the console until it is given up.
    pub(crate) silence: Duration,
    /// From the command to power off until the machine has ended.
    pub(crate) end: Duration,
}

pub(crate) const PATIENCE: Patience = Patience {
    boot: Duration::from_secs(120),
    first: Duration::from_secs(1),
    greeting: Duration::from_millis(200),
    question: Duration::from_secs(2),
    silence: Duration::from_secs(20),
    end: Duration::from_secs(15),
};

/// Why there is no status of all commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no time left.
    TimedOut(String),
    /// The machine ended during this.
    Ended(String),
    /// Nothing is to be expected any more of this command.
    Lost(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut(during) => write!(f, "the time is over during {during}"),
            Self::Ended(during) => write!(f, "the machine ended during {during}"),
            Self::Lost(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Trouble {}

/// What a status frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
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
    pub(super) fn parse(payload: &str) -> Option<Self> {
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

/// Who learns what is on the line besides the command's own output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Somebody at the terminal: the console's lines and the log go to stderr from the first command on.
    Terminal,
    /// Whoever asks for [`Conversation::lines`] later.
    Later,
}

/// Most lines that are kept for a terminal, in case that the shell never answers, and for later.
const SHOWN_LINES: usize = 40;
const KEPT_LINES: usize = 20_000;

/// Both ends of the line, and what is known of the other side.
pub(crate) struct Conversation<K, O> {
    pub(crate) stream: Stream,
    keyboard: K,
    /// Where output of commands goes.
    pub(crate) out: O,
    /// When there is no time left.
    pub(crate) deadline: Option<Instant>,
    patience: Patience,
    audience: Audience,
    /// What addresses on the console mean.
    pub(crate) symbols: Symbols,
    /// Lives of console and shell when the command began.
    console: Option<u64>,
    shell: Option<u64>,
    lines: VecDeque<String>,
    /// Whether lines of the console are shown as they come.
    show: bool,
    /// Whether the machine has ended, as the last command asked it to.
    pub(crate) ended: bool,
}

impl<K: Write, O: Write> Conversation<K, O> {
    pub(crate) fn new(
        stream: Stream,
        keyboard: K,
        out: O,
        patience: Patience,
        audience: Audience,
    ) -> Self {
        Self {
            stream,
            keyboard,
            out,
            deadline: None,
            patience,
            audience,
            symbols: Symbols::default(),
            console: None,
            shell: None,
            lines: VecDeque::new(),
            show: false,
            ended: false,
        }
    }

    /// Runs all commands. The status of the first that failed.
    pub(crate) fn all(&mut self, lines: &[String]) -> Result<u8, Trouble> {
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

    /// Waits until shell and console have answered, after a start of either too.
    pub(crate) fn greet(&mut self) -> Result<(), Trouble> {
        let during = "the start, before the shell answered";
        let end = Instant::now() + self.patience.boot;
        (self.shell, self.console) = (None, None);
        // What arrives before the UART is set up is lost in part: the target speaks first, unless it has spoken
        // already.
        self.next(Instant::now() + self.patience.first, during)?;
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
        self.show = self.audience == Audience::Terminal;
        Ok(())
    }

    /// Runs a command, whose number must be another than that of the one before: its status.
    pub(crate) fn one(&mut self, number: usize, line: &str) -> Result<u8, Trouble> {
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
    pub(crate) fn next(&mut self, until: Instant, during: &str) -> Result<Option<Item>, Trouble> {
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
        let line = match item {
            Item::Frame(Channel::Log, record) => record,
            Item::Line(line) if !line.trim().is_empty() => line,
            _ => return,
        };
        self.tell(line.clone(), matches!(item, Item::Frame(..)));
        if let Some(place) = self.symbols.explain(line) {
            self.tell(format!("    at {place}"), false);
        }
    }

    /// Shows a line to whoever is at the terminal, if that is the time for it, or keeps it.
    fn tell(&mut self, line: String, is_record: bool) {
        let limit = match self.audience {
            Audience::Terminal if self.show || is_record => {
                anstream::eprintln!("{line}");
                return;
            }
            Audience::Terminal => SHOWN_LINES,
            Audience::Later => KEPT_LINES,
        };
        if self.lines.len() == limit {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Lines of the console and records of the log that were kept.
    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.lines.iter().map(String::as_str)
    }

    fn said(&self, item: &Item) -> Option<Said> {
        match item {
            Item::Frame(Channel::Status, payload) => Said::parse(payload),
            _ => None,
        }
    }

    pub(crate) fn send_run(&mut self, number: usize, line: &str) {
        self.send(Channel::Request, format!("run {number} {line}").as_bytes());
    }

    fn send(&mut self, channel: Channel, payload: &[u8]) {
        let mut frame = Vec::new();
        encode(channel, payload, |byte| frame.push(byte));
        self.type_bytes(&frame);
    }

    /// Sends bytes as somebody's keyboard does.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        // A machine that has ended is noticed by what it writes, or does not.
        let _ = self
            .keyboard
            .write_all(bytes)
            .and_then(|()| self.keyboard.flush())
            .context("the serial line takes no more");
    }
}

/// Whether a command asks the machine to end.
pub(super) fn is_farewell(line: &str) -> bool {
    matches!(line.split_whitespace().next(), Some("poweroff" | "reboot"))
}
