//! What a command is, and what it is given.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::complete::Candidate;
use crate::shell::{Shell, status};

/// The user pressed Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// What commands reach of the system. Whatever it cannot do says so; nothing waits without end unless the user can
/// interrupt it.
pub trait Host {
    /// Writes to the terminal.
    fn write(&mut self, bytes: &[u8]);

    /// Nanoseconds since the machine started.
    fn now(&mut self) -> u64;

    /// Whether somebody sees on a terminal what is written, as it is written.
    fn is_screen(&self) -> bool {
        true
    }

    /// Sleeps for so many nanoseconds.
    ///
    /// # Errors
    /// [`Interrupted`], at once.
    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Interrupted>;

    /// Whether the user has pressed Ctrl-C since the shell last waited for input. Stays true.
    fn interrupted(&mut self) -> bool;

    /// Forgets an interrupt: a command has ended by it. One that no command noticed is for the line that
    /// is typed next.
    fn forget_interrupt(&mut self) {}

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn read_file(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, String>;

    /// Writes a file, at its end or instead of what it has.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn write_file(&mut self, path: &str, append: bool, bytes: &[u8]) -> Result<(), String>;

    /// The names in a folder, and whether they are folders; none if it cannot be read.
    fn list_folder(&mut self, path: &str) -> Vec<(String, bool)>;

    /// Checks that there is such a folder.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn check_folder(&mut self, path: &str) -> Result<(), String>;

    /// Names of the system's components.
    fn components(&mut self) -> Vec<String>;

    /// Gives each record that was logged since the last call to `record`.
    fn log_records(&mut self, record: &mut dyn FnMut(&str));
}

/// What the arguments of a command are.
#[derive(Clone, Copy, Debug)]
pub enum Completes {
    /// Nothing that could be completed.
    Nothing,
    /// Paths of files and folders.
    Paths,
    /// Names of components.
    Components,
    /// Those, and these words.
    ComponentsAnd(&'static [&'static str]),
    /// Another command and its arguments.
    Commands,
    /// The same behind so many arguments of its own.
    CommandsBehind(usize),
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of the words that this tells.
    Named(fn() -> Vec<&'static str>),
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its arguments make no sense: what is wrong with them.
    Usage(String),
    /// It could not: why.
    Failed(String),
    /// The user interrupted it.
    Interrupted,
}

impl Failure {
    /// It could not.
    pub fn new(why: impl fmt::Display) -> Self {
        Self::Failed(alloc::format!("{why}"))
    }

    /// Its arguments make no sense.
    pub fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(alloc::format!("{why}"))
    }
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::Failed("its output could not be written".into())
    }
}

/// A command. Tables of them make a shell.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line without a full stop.
    pub summary: &'static str,
    /// Its arguments as they are written behind the name.
    pub arguments: &'static str,
    /// A line that could be typed.
    pub example: &'static str,
    /// How its arguments are completed.
    pub completes: Completes,
    /// Does it. The arguments are without the name. Returns the exit status.
    pub run: fn(&mut Context<'_>, &[String]) -> Result<u8, Failure>,
}

/// Where output goes.
#[derive(Debug)]
pub(crate) enum Output {
    Terminal,
    Memory(Vec<u8>),
    File {
        path: String,
        /// Whether what is there stays.
        append: bool,
        buffer: Vec<u8>,
    },
}

/// Bytes that are collected before they are written to a file.
const FILE_BUFFER: usize = 16 << 10;

/// Everything that a running command has.
pub struct Context<'a> {
    /// The system.
    pub host: &'a mut dyn Host,
    /// The shell that runs it.
    pub shell: &'a mut Shell,
    /// What a pipe or a file gives it.
    pub input: &'a [u8],
    pub(crate) output: Output,
    /// Why output was lost.
    pub(crate) lost: Option<String>,
    pub(crate) depth: u32,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Writes bytes to where the command's output goes. After a failure the rest is dropped; the command then fails.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.lost.is_some() {
            return;
        }
        match &mut self.output {
            Output::Terminal => self.host.write(bytes),
            Output::Memory(memory) if memory.len() + bytes.len() > crate::PIPE_LIMIT => {
                self.lost = Some(alloc::format!(
                    "too much for a pipe, which takes {} KiB",
                    crate::PIPE_LIMIT >> 10
                ));
            }
            Output::Memory(memory) => memory.extend(bytes),
            Output::File { buffer, .. } => {
                buffer.extend(bytes);
                if buffer.len() >= FILE_BUFFER {
                    self.flush();
                }
            }
        }
    }

    /// Writes what a file has not got yet.
    pub(crate) fn flush(&mut self) {
        if let Output::File {
            path,
            append,
            buffer,
        } = &mut self.output
        {
            let written = self.host.write_file(path, *append, buffer);
            buffer.clear();
            *append = true;
            if let Err(why) = written {
                self.lost
                    .get_or_insert_with(|| alloc::format!("{path}: {why}"));
            }
        }
    }

    /// Whether the output goes to a terminal that somebody looks at, and not into a pipe, a file or to a program.
    #[must_use]
    pub fn is_screen(&self) -> bool {
        matches!(self.output, Output::Terminal) && self.host.is_screen()
    }

    /// Says something to the user, wherever the output goes.
    pub fn complain(&mut self, what: fmt::Arguments<'_>) {
        self.host.write(alloc::format!("{what}\n").as_bytes());
    }

    /// Whether the user wants the command to end. To be asked now and then by whatever may take long.
    ///
    /// # Errors
    /// [`Interrupted`] if so.
    pub fn check(&mut self) -> Result<(), Interrupted> {
        if self.host.interrupted() {
            return Err(Interrupted);
        }
        Ok(())
    }

    /// Runs another command, with the same input and output. Its exit status.
    pub fn run(&mut self, words: &[String]) -> u8 {
        Shell::run_words(self, words)
    }

    /// The absolute path that an argument means.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        crate::path::resolve(&self.shell.folder, path)
    }
}

impl fmt::Write for Context<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

impl Command {
    /// Writes what `NAME --help` shows.
    pub fn help(&self, context: &mut Context<'_>) -> u8 {
        let space = if self.arguments.is_empty() { "" } else { " " };
        let text = alloc::format!(
            "{}: {}\n\nUsage:   {}{space}{}\nExample: {}\n",
            self.name,
            self.summary,
            self.name,
            self.arguments,
            self.example
        );
        context.write(text.as_bytes());
        status::OK
    }
}

/// The words among `names` that begin with `start`.
pub(crate) fn matching(names: impl Iterator<Item = String>, start: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = names
        .filter(|name| name.starts_with(start))
        .map(Candidate::new)
        .collect();
    found.sort();
    found.dedup();
    found
}
