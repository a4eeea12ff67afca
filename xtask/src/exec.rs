//! Commands for the shell on the target, one after the other, by frames on its serial line
//! (`docs/reference/serial-frames.md`).
//!
//! What a command prints goes to stdout as it comes. While it runs the console is asked now and then whether it is alive,
//! and the shell whether it is still the same: a command that ends one of them, or the machine, is reported and not
//! waited for.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use gritos_abi::frame::PAYLOAD_LIMIT;

pub(crate) use self::conversation::{Audience, Conversation, PATIENCE, Trouble};
use crate::frames::{Next, Stream};
use crate::qemu::{Running, TIMED_OUT};
use crate::report;
use crate::symbols::Symbols;

mod conversation;

/// Most bytes of a command: a frame without what precedes the command in it.
pub(crate) const COMMAND_LIMIT: usize = PAYLOAD_LIMIT - 32;
/// Exit status when a command's end could not be learnt.
const LOST: u8 = 125;

/// Boots the machine of `command`, runs `lines` on it and switches it off. Returns the exit status.
/// Reports of failures on the console are explained with `symbols`.
pub(crate) fn run(
    command: &mut Command,
    symbols: Symbols,
    lines: &[String],
    timeout: Option<Duration>,
) -> Result<u8> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut qemu = Running::start_conversation(command)?;
    let stream = Stream::new(qemu.serial()?);
    let keyboard = qemu.keyboard()?;
    let stdout = std::io::stdout();
    let mut talk = Conversation::new(stream, keyboard, stdout, PATIENCE, Audience::Terminal);
    talk.symbols = symbols;
    talk.deadline = deadline;
    let outcome = talk.all(lines);
    let status = match outcome {
        Ok(status) => status,
        Err(trouble) => {
            for line in talk.lines() {
                anstream::eprintln!("{line}");
            }
            return explain(&trouble, &mut qemu);
        }
    };
    if talk.ended {
        return Ok(worst(status, qemu.wait(Some(PATIENCE.end))?));
    }
    talk.send_run(lines.len() + 1, "poweroff");
    let end = Instant::now() + PATIENCE.end;
    while !matches!(talk.stream.next(end), Next::End | Next::TimedOut) {}
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

/// Says what the trouble is and returns the exit status.
fn explain(trouble: &Trouble, qemu: &mut Running) -> Result<u8> {
    let mut text = trouble.to_string();
    if matches!(trouble, Trouble::Ended(_)) {
        let code = qemu.wait(Some(PATIENCE.end))?;
        let code = code.map_or("no".into(), |code| code.to_string());
        text += &format!(", with status {code}");
    }
    report::error(&anyhow::anyhow!(text));
    Ok(match trouble {
        Trouble::TimedOut(_) => TIMED_OUT,
        Trouble::Lost(_) | Trouble::Ended(_) => LOST,
    })
}

#[cfg(test)]
mod tests;
