//! Runs lines.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::command::{Command, Completes, Context, Failure, Host, Output, matching};
use crate::complete::Candidate;
use crate::history::History;
use crate::meant::meant;
use crate::parse::{Condition, Direction, Pipeline, Simple, parse, unfinished};
use crate::path;

/// Most bytes that go through a pipe, or come from a file by `<`.
pub const PIPE_LIMIT: usize = 1 << 20;
/// How deep commands may run commands.
const DEPTH_LIMIT: u32 = 8;

/// Exit statuses with a meaning of their own.
pub mod status {
    /// It did what was asked.
    pub const OK: u8 = 0;
    /// It could not.
    pub const FAILED: u8 = 1;
    /// Its arguments, or the line, make no sense.
    pub const USAGE: u8 = 2;
    /// There is no such command.
    pub const NOT_FOUND: u8 = 127;
    /// The user interrupted it.
    pub const INTERRUPTED: u8 = 130;
}

/// The state that outlives a line.
#[derive(Debug)]
pub struct Shell {
    tables: &'static [&'static [Command]],
    /// Exit status of the last command.
    pub status: u8,
    /// The folder that relative paths start from.
    pub folder: String,
    /// What was entered; while a line runs that was typed.
    pub(crate) past: History,
}

impl Shell {
    /// A shell with these commands. The first of a name counts.
    #[must_use]
    pub fn new(tables: &'static [&'static [Command]]) -> Self {
        Self {
            tables,
            status: status::OK,
            folder: "/".to_string(),
            past: History::default(),
        }
    }

    /// All commands, by name.
    #[must_use]
    pub fn commands(&self) -> Vec<&'static Command> {
        let mut all: Vec<&'static Command> = self.tables.iter().copied().flatten().collect();
        all.sort_by_key(|command| command.name);
        all.dedup_by_key(|command| command.name);
        all
    }

    /// The command of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Command> {
        let mut all = self.tables.iter().copied().flatten();
        all.find(|command| command.name == name)
    }

    /// What to say of a command that there is not.
    pub(crate) fn hint(&self, name: &str) -> String {
        let names = self.commands().into_iter().map(|command| command.name);
        match meant(name, names) {
            Some(meant) => alloc::format!("`{meant}` is one, and `help` lists them"),
            None => "`help` lists them".to_string(),
        }
    }

    /// Runs a line. The status of the last command that ran, which also stays in [`status`](Self::status).
    pub fn run_line(&mut self, host: &mut dyn Host, line: &str) -> u8 {
        match parse(line) {
            Ok(pipelines) => {
                for pipeline in &pipelines {
                    let runs = match pipeline.condition {
                        Condition::Always => true,
                        Condition::Success => self.status == status::OK,
                        Condition::Failure => self.status != status::OK,
                    };
                    if runs {
                        self.status = self.run_pipeline(host, pipeline);
                    }
                    if self.status == status::INTERRUPTED {
                        host.forget_interrupt();
                        break;
                    }
                }
            }
            Err(error) => {
                host.write(alloc::format!("shell: {error}\n").as_bytes());
                self.status = status::USAGE;
            }
        }
        self.status
    }

    fn run_pipeline(&mut self, host: &mut dyn Host, pipeline: &Pipeline) -> u8 {
        let mut input = Vec::new();
        let mut result = status::OK;
        let last = pipeline.commands.len().saturating_sub(1);
        for (number, command) in pipeline.commands.iter().enumerate() {
            let output = if number == last {
                Output::Terminal
            } else {
                Output::Memory(Vec::new())
            };
            (result, input) = self.run_simple(host, command, input, output);
            if result == status::INTERRUPTED {
                break;
            }
        }
        result
    }

    /// Runs one command: its status, and what it wrote into a pipe.
    fn run_simple(
        &mut self,
        host: &mut dyn Host,
        command: &Simple,
        mut input: Vec<u8>,
        mut output: Output,
    ) -> (u8, Vec<u8>) {
        let before = self.status;
        let words: Vec<String> = command.words.iter().map(|w| w.value(before)).collect();
        let mut piped = matches!(output, Output::Memory(_));
        for (direction, file) in &command.redirections {
            let path = path::resolve(&self.folder, &file.value(before));
            match direction {
                Direction::From => match host.read_file(&path, PIPE_LIMIT) {
                    Ok(bytes) => input = bytes,
                    Err(why) => {
                        host.write(alloc::format!("shell: {path}: {why}\n").as_bytes());
                        return (status::FAILED, Vec::new());
                    }
                },
                Direction::To | Direction::Append => {
                    piped = false;
                    let append = *direction == Direction::Append;
                    let buffer = Vec::new();
                    output = Output::File {
                        path,
                        append,
                        buffer,
                    };
                }
            }
        }
        let mut context = Context {
            host,
            shell: self,
            input: &input,
            output,
            lost: None,
            depth: 0,
        };
        let mut result = Self::run_words(&mut context, &words);
        context.flush();
        if let Some(why) = context.lost.take() {
            let name = words.first().map_or("", String::as_str);
            context.complain(format_args!("{name}: {why}"));
            result = status::FAILED;
        }
        match context.output {
            Output::Memory(bytes) if piped => (result, bytes),
            _ => (result, Vec::new()),
        }
    }

    pub(crate) fn run_words(context: &mut Context<'_>, words: &[String]) -> u8 {
        let Some((name, arguments)) = words.split_first() else {
            return status::OK;
        };
        let Some(command) = context.shell.find(name) else {
            let hint = context.shell.hint(name);
            context.complain(format_args!("{name}: no such command; {hint}"));
            return status::NOT_FOUND;
        };
        if arguments.first().is_some_and(|first| first == "--help") {
            return command.help(context);
        }
        if context.depth >= DEPTH_LIMIT {
            context.complain(format_args!("{name}: too many commands within commands"));
            return status::FAILED;
        }
        context.depth += 1;
        let result = (command.run)(context, arguments);
        context.depth -= 1;
        match result {
            Ok(status) => status,
            Err(Failure::Usage(what)) => {
                context.complain(format_args!("{name}: {what}; `{name} --help` shows how"));
                status::USAGE
            }
            Err(Failure::Failed(what)) => {
                context.complain(format_args!("{name}: {what}"));
                status::FAILED
            }
            Err(Failure::Interrupted) => status::INTERRUPTED,
        }
    }

    /// What the word at the end of `line` could become.
    pub fn candidates(&self, host: &mut dyn Host, line: &str) -> Vec<Candidate> {
        let word = unfinished(line);
        if word.redirected {
            return self.paths(host, &word.value);
        }
        let mut before = word.before.as_slice();
        loop {
            let Some((name, arguments)) = before.split_first() else {
                let names = self.commands().into_iter().map(|c| c.name.to_string());
                return matching(names, &word.value);
            };
            match self.find(name).map(|command| command.completes) {
                Some(Completes::Commands) => before = arguments,
                Some(Completes::CommandsBehind(own)) => match arguments.get(own..) {
                    Some(rest) => before = rest,
                    None => return Vec::new(),
                },
                Some(Completes::Paths) => return self.paths(host, &word.value),
                Some(Completes::Components) => {
                    return matching(host.components().into_iter(), &word.value);
                }
                Some(Completes::ComponentsAnd(words)) => {
                    let words = words.iter().map(ToString::to_string);
                    return matching(host.components().into_iter().chain(words), &word.value);
                }
                Some(Completes::Words(words)) => {
                    return matching(words.iter().map(ToString::to_string), &word.value);
                }
                Some(Completes::Named(names)) => {
                    return matching(names().into_iter().map(ToString::to_string), &word.value);
                }
                Some(Completes::Nothing) | None => return Vec::new(),
            }
        }
    }

    fn paths(&self, host: &mut dyn Host, typed: &str) -> Vec<Candidate> {
        let (folder, start) = match typed.rfind('/') {
            Some(slash) => typed.split_at(slash + 1),
            None => ("", typed),
        };
        let entries = host.list_folder(&path::resolve(&self.folder, folder));
        let mut found: Vec<Candidate> = entries
            .into_iter()
            .filter(|(name, _)| name.starts_with(start))
            // Hidden names only if asked for.
            .filter(|(name, _)| !name.starts_with('.') || start.starts_with('.'))
            .map(|(name, is_folder)| Candidate {
                text: alloc::format!("{folder}{name}{}", if is_folder { "/" } else { "" }),
                goes_on: is_folder,
            })
            .collect();
        found.sort();
        found
    }
}

#[cfg(test)]
pub(crate) mod tests;
