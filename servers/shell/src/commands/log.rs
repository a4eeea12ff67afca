//! The log.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_idl_runtime::Error;
use gritos_log_api::{Head, Level, Log, LogClient, LogError};
use gritos_service::Kernel;
use gritos_shell_core::{Command, Completes, Context, Failure, status};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_system_api::{System, SystemClient};

/// Pause between two looks of `log -f`, in nanoseconds.
const PAUSE: u64 = 250_000_000;
/// Most bytes of a record in a frame for the host.
const FRAME_BYTES: usize = 1000;

/// The table.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "log",
    summary: "shows the log: all of it or the last records, of a level and what matters more, of a component",
    arguments: "[-f] [-COUNT] [error|warn|info|debug|trace] [COMPONENT] | keep LEVEL | state",
    example: "log -20 warn console",
    completes: Completes::ComponentsAnd(&[
        "error", "warn", "info", "debug", "trace", "keep", "state",
    ]),
    run: log,
}];

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

fn find_level(text: &str) -> Option<Level> {
    LEVELS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, level)| *level)
}

fn level_name(level: Level) -> &'static str {
    LEVELS
        .iter()
        .find(|(_, l)| *l == level)
        .map_or("?", |(name, _)| name)
}

fn client() -> Result<LogClient<Kernel>, Failure> {
    Ok(LogClient::new(super::service::<Log>("log")?, Kernel))
}

/// What is to be shown.
struct Wanted {
    follow: bool,
    /// Only so many, the newest.
    last: Option<usize>,
    level: Level,
    /// Badge of who wrote it, or 0.
    client: u32,
}

impl Wanted {
    fn read(arguments: &[String], names: &mut Names) -> Result<Self, Failure> {
        let mut wanted = Self {
            follow: false,
            last: None,
            level: Level::Trace,
            client: 0,
        };
        for argument in arguments {
            let count = argument
                .strip_prefix('-')
                .and_then(|count| count.parse().ok());
            if argument == "-f" {
                wanted.follow = true;
            } else if count.is_some() {
                wanted.last = count;
            } else if let Some(level) = find_level(argument) {
                wanted.level = level;
            } else if let Some(badge) = names.badge(argument) {
                wanted.client = badge;
            } else {
                return Err(Failure::usage(format_args!(
                    "`{argument}` is neither a level nor a component; `ps` lists those"
                )));
            }
        }
        Ok(wanted)
    }
}

fn log(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let mut client = client()?;
    match arguments {
        [keep, level] if keep == "keep" => {
            let level = find_level(level).ok_or_else(|| {
                Failure::usage(format_args!(
                    "`{level}` is no level: error, warn, info, debug or trace"
                ))
            })?;
            client.keep(level).map_err(Failure::new)?;
            return Ok(status::OK);
        }
        [state] if state == "state" => {
            let state = client.state().map_err(Failure::new)?;
            writeln!(
                context,
                "{} records, {} dropped to make room; level {} and what matters more is kept",
                state.kept,
                state.dropped,
                level_name(state.level)
            )?;
            return Ok(status::OK);
        }
        _ => {}
    }
    let mut names = Names::default();
    let wanted = Wanted::read(arguments, &mut names)?;
    let mut after = 0;
    let mut last = VecDeque::new();
    loop {
        while let Some((head, text)) = next(&mut client, after, &wanted)? {
            after = head.sequence;
            let line = names.line(&head, &text);
            match wanted.last {
                None => writeln!(context, "{line}")?,
                Some(count) => {
                    last.push_back(line);
                    if last.len() > count {
                        last.pop_front();
                    }
                }
            }
            context.check()?;
        }
        for line in last.drain(..) {
            writeln!(context, "{line}")?;
        }
        if !wanted.follow {
            return Ok(status::OK);
        }
        context.host.sleep(PAUSE)?;
    }
}

/// The next record that is wanted, whole.
fn next(
    client: &mut LogClient<Kernel>,
    after: u64,
    wanted: &Wanted,
) -> Result<Option<(Head, Vec<u8>)>, Failure> {
    let found = match client.next(after, wanted.level, wanted.client) {
        Ok(found) => found,
        Err(Error::Server(LogError::NotFound)) => return Ok(None),
        Err(error) => return Err(Failure::new(error)),
    };
    let mut text = found.text.to_vec();
    while text.len() < usize::from(found.head.length) {
        // A record that was dropped meanwhile is shown as far as it was read.
        match client.rest(found.head.sequence, text.len() as u16) {
            Ok(rest) if !rest.is_empty() => text.extend(rest.iter()),
            _ => break,
        }
    }
    Ok(Some((found.head, text)))
}

/// Names of components by badge, as far as they were asked for.
#[derive(Default)]
struct Names {
    known: Vec<(u32, String)>,
}

impl Names {
    fn of(&mut self, badge: u32) -> &str {
        let place = match self.known.iter().position(|(known, _)| *known == badge) {
            Some(place) => place,
            None => {
                let system = super::service::<System>("system").ok();
                let number = badge & !BADGE_CLIENT;
                let name = system
                    .and_then(|system| SystemClient::new(system, Kernel).component(number).ok())
                    .map_or_else(|| alloc::format!("{badge:#x}"), |c| c.name.to_string());
                self.known.push((badge, name));
                self.known.len() - 1
            }
        };
        self.known.get(place).map_or("?", |(_, name)| name)
    }

    fn badge(&mut self, name: &str) -> Option<u32> {
        let system = super::service::<System>("system").ok()?;
        let name = gritos_idl_runtime::Text::new(name).ok()?;
        let number = SystemClient::new(system, Kernel).find(name).ok()?;
        Some(BADGE_CLIENT | number)
    }

    /// A record as it is shown; lines behind its first are indented.
    fn line(&mut self, head: &Head, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text).replace('\n', "\n               ");
        alloc::format!(
            "[{:5}.{:06}] {:5} {}: {text}",
            head.time / 1_000_000_000,
            head.time / 1_000 % 1_000_000,
            level_name(head.level).to_uppercase(),
            self.of(head.client)
        )
    }
}

/// Reads the log piece by piece.
#[derive(Default)]
pub(crate) struct Follower {
    after: u64,
    names: Names,
}

impl Follower {
    /// Gives what components wrote since the last call to `record`. Text of kernel and root task is left out: it goes to
    /// the console anyway.
    pub(crate) fn since(&mut self, record: &mut dyn FnMut(&str)) {
        let Ok(mut client) = client() else { return };
        let wanted = Wanted {
            follow: false,
            last: None,
            level: Level::Trace,
            client: 0,
        };
        while let Ok(Some((head, text))) = next(&mut client, self.after, &wanted) {
            self.after = head.sequence;
            if head.client == BADGE_CLIENT {
                continue;
            }
            let mut line = self.names.line(&head, &text);
            while line.len() > FRAME_BYTES {
                line.pop();
            }
            record(&line);
        }
    }
}
