//! Who uses the processor, once or again and again.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_shell_core::builtins::one_argument;
use gritos_shell_core::usage::{Shares, shares};
use gritos_shell_core::{Context, Failure, status};
use gritos_system_api::Component;

use super::{KIB, all, milliseconds, percent, samples, state, system};

/// Pause between two pictures, in nanoseconds.
const PAUSE: u64 = 1_000_000_000;
/// Control sequences of terminals (ECMA-48, and DEC's mode 7): all erased, and what does not fit in a row is left out;
/// what does not fit goes on in the next row, and a new line.
const IN_PLACE: &[u8] = b"\x1b[?7l\x1b[H\x1b[2J";
const AS_USUAL: &[u8] = b"\x1b[?7h\n";

pub(super) fn top(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    if arguments.is_empty() && context.is_screen() {
        context.write(IN_PLACE);
        let result = pictures(context, u64::MAX, true);
        context.write(AS_USUAL);
        return result;
    }
    let times = match arguments {
        // There is no place to come back to in a pipe.
        [] => 1,
        _ => {
            let text = one_argument(arguments, "how often")?;
            text.parse()
                .map_err(|_| Failure::usage(format_args!("`{text}` does not say how often")))?
        }
    };
    pictures(context, times, false)
}

/// Shows so often, a second after the other, who used the processor meanwhile.
fn pictures(context: &mut Context<'_>, times: u64, in_place: bool) -> Result<u8, Failure> {
    let mut system = system()?;
    let (mut before, mut since) = (samples(&all(&mut system)?), context.host.now());
    for _ in 0..times {
        context.host.sleep(PAUSE)?;
        let (components, now) = (all(&mut system)?, context.host.now());
        let after = samples(&components);
        let shares = shares(&before, &after, now.saturating_sub(since));
        let lines = picture(&components, &shares);
        if in_place {
            let up = now / 1_000_000_000;
            let title = alloc::format!(
                "{} components, up for {up} s; Ctrl-C ends this",
                components.len()
            );
            draw(context, core::iter::once(&title).chain(&lines))?;
        } else {
            for line in &lines {
                writeln!(context, "{line}")?;
            }
        }
        (before, since) = (after, now);
    }
    Ok(status::OK)
}

/// Who used how much of the processor, the most first.
fn picture(components: &[Component], shares: &Shares) -> Vec<String> {
    let mut lines = Vec::with_capacity(components.len() + 2);
    lines.push(alloc::format!(
        "{:>6}  {:<16} {:<11} {:>4} {:>12} {:>9}",
        "SHARE",
        "COMPONENT",
        "STATE",
        "PRIO",
        "TIME/ms",
        "USED/KiB"
    ));
    for number in shares.ranked() {
        let (Some(component), Some(share)) = (components.get(number), shares.of.get(number)) else {
            continue;
        };
        lines.push(alloc::format!(
            "{:>6}  {:<16} {:<11} {:>4} {:>12} {:>9}",
            percent(*share),
            component.name.as_str(),
            state(component),
            component.priority,
            milliseconds(component.used_ns),
            component.used_bytes / KIB
        ));
    }
    lines.push(alloc::format!("{:>6}  nobody", percent(shares.idle)));
    lines
}

/// Draws each line in a row of its own, from the first one on. On a terminal with fewer rows all that are left share the
/// last one, so that nothing scrolls.
fn draw<'a>(
    context: &mut Context<'_>,
    lines: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    for (row, line) in (1_u32..).zip(lines) {
        write!(context, "\x1b[{row};1H{line}\x1b[K")?;
    }
    Ok(())
}
