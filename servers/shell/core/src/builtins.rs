//! Commands that need nothing of the system but a terminal and a clock.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::command::{Command, Completes, Context, Failure};
use crate::listing::two_columns;
use crate::shell::status;

const SECOND: u64 = 1_000_000_000;
/// Longest `sleep`, in seconds: a year.
const LONGEST_SLEEP: u64 = 366 * 86_400;

/// The table.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        summary: "lists the commands, or explains one",
        arguments: "[COMMAND]",
        example: "help sleep",
        completes: Completes::Commands,
        run: help,
    },
    Command {
        name: "echo",
        summary: "writes its arguments; with -n without a line feed",
        arguments: "[-n] [TEXT]...",
        example: "echo 'status was' $?",
        completes: Completes::Paths,
        run: echo,
    },
    Command {
        name: "cd",
        summary: "goes to a folder, from which relative paths start; to / unless told",
        arguments: "[FOLDER]",
        example: "cd /data/www",
        completes: Completes::Paths,
        run: cd,
    },
    Command {
        name: "pwd",
        summary: "tells the folder from which relative paths start",
        arguments: "",
        example: "pwd",
        completes: Completes::Nothing,
        run: pwd,
    },
    Command {
        name: "true",
        summary: "succeeds",
        arguments: "",
        example: "true && echo yes",
        completes: Completes::Nothing,
        run: |_, _| Ok(status::OK),
    },
    Command {
        name: "false",
        summary: "fails",
        arguments: "",
        example: "false || echo no",
        completes: Completes::Nothing,
        run: |_, _| Ok(status::FAILED),
    },
    Command {
        name: "sleep",
        summary: "waits; Ctrl-C ends it",
        arguments: "SECONDS",
        example: "sleep 0.5",
        completes: Completes::Nothing,
        run: sleep,
    },
    Command {
        name: "time",
        summary: "runs a command and tells how long it took",
        arguments: "COMMAND [ARGUMENT]...",
        example: "time sleep 1",
        completes: Completes::Commands,
        run: time,
    },
    Command {
        name: "repeat",
        summary: "runs a command so many times, until it fails; -k goes on after failures",
        arguments: "[-k] TIMES COMMAND [ARGUMENT]...",
        example: "repeat 10 ps | grep shell",
        completes: Completes::CommandsBehind(1),
        run: repeat,
    },
    Command {
        name: "uptime",
        summary: "tells how long the machine has been running",
        arguments: "",
        example: "uptime",
        completes: Completes::Nothing,
        run: uptime,
    },
    Command {
        name: "history",
        summary: "lists the lines that were entered; -c forgets them",
        arguments: "[-c]",
        example: "history | grep echo",
        completes: Completes::Nothing,
        run: history,
    },
    Command {
        name: "clear",
        summary: "clears the screen",
        arguments: "",
        example: "clear",
        completes: Completes::Nothing,
        run: |context, _| {
            context.write(b"\x1b[H\x1b[2J");
            Ok(status::OK)
        },
    },
    Command {
        name: "wc",
        summary: "counts lines, words and bytes of its input",
        arguments: "",
        example: "help | wc",
        completes: Completes::Nothing,
        run: wc,
    },
    Command {
        name: "grep",
        summary: "writes the lines of its input that contain a text; -v those that do not",
        arguments: "[-v] TEXT",
        example: "help | grep file",
        completes: Completes::Nothing,
        run: grep,
    },
    Command {
        name: "head",
        summary: "writes the first lines of its input, 10 unless told",
        arguments: "[LINES]",
        example: "help | head 3",
        completes: Completes::Nothing,
        run: head,
    },
    Command {
        name: "tail",
        summary: "writes the last lines of its input, 10 unless told",
        arguments: "[LINES]",
        example: "log | tail 5",
        completes: Completes::Nothing,
        run: tail,
    },
];

/// Refuses arguments where there are to be none.
///
/// # Errors
/// [`Failure::Usage`] with the first of them.
pub fn no_arguments(arguments: &[String]) -> Result<(), Failure> {
    match arguments.first() {
        Some(first) => Err(Failure::usage(format_args!(
            "unexpected argument `{first}`"
        ))),
        None => Ok(()),
    }
}

/// The only argument.
///
/// # Errors
/// [`Failure::Usage`] that names `what`, if there are more or fewer.
pub fn one_argument<'a>(arguments: &'a [String], what: &str) -> Result<&'a str, Failure> {
    match arguments {
        [one] => Ok(one),
        [] => Err(Failure::usage(format_args!("{what} is missing"))),
        [_, next, ..] => Err(Failure::usage(format_args!("unexpected argument `{next}`"))),
    }
}

/// Seconds with an optional fraction as nanoseconds; `None` for anything else, or more than a year.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let seconds = match whole {
        "" => 0,
        whole => whole.parse::<u64>().ok().filter(|s| *s <= LONGEST_SLEEP)?,
    };
    // What is finer than a nanosecond does not matter.
    let nanoseconds = fraction
        .bytes()
        .chain(core::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(seconds * SECOND + nanoseconds)
}

fn help(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    if let Some(name) = arguments.first() {
        let command = context.shell.find(name);
        return match command {
            Some(command) => Ok(command.help(context)),
            None => Err(Failure::new(format_args!(
                "there is no command `{name}`; {}",
                context.shell.hint(name)
            ))),
        };
    }
    let commands = context.shell.commands();
    let entries: Vec<_> = commands.iter().map(|c| (c.name, c.summary)).collect();
    let text = two_columns(&entries, context.is_screen());
    context.write(text.as_bytes());
    writeln!(context, "\nEach explains itself with --help.")?;
    Ok(status::OK)
}

fn echo(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (bare, words) = match arguments.split_first() {
        Some((first, rest)) if first == "-n" => (true, rest),
        _ => (false, arguments),
    };
    let text = words.join(" ");
    context.write(text.as_bytes());
    if !bare {
        context.write(b"\n");
    }
    Ok(status::OK)
}

fn cd(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let folder = match arguments {
        [] => "/",
        _ => one_argument(arguments, "the folder")?,
    };
    let path = context.path(folder);
    let checked = context.host.check_folder(&path);
    checked.map_err(|why| Failure::new(format_args!("{path}: {why}")))?;
    context.shell.folder = path;
    Ok(status::OK)
}

fn pwd(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let folder = context.shell.folder.clone();
    writeln!(context, "{folder}")?;
    Ok(status::OK)
}

fn sleep(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let text = one_argument(arguments, "the number of seconds")?;
    let Some(nanoseconds) = parse_seconds(text) else {
        return Err(Failure::usage(format_args!(
            "`{text}` is no number of seconds, such as 2 or 0.5, up to a year"
        )));
    };
    context.host.sleep(nanoseconds)?;
    Ok(status::OK)
}

fn time(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    if arguments.is_empty() {
        return Err(Failure::usage("the command is missing"));
    }
    let start = context.host.now();
    let result = context.run(arguments);
    let micros = context.host.now().saturating_sub(start) / 1000;
    context.complain(format_args!(
        "time: {}.{:06} s",
        micros / 1_000_000,
        micros % 1_000_000
    ));
    Ok(result)
}

fn repeat(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (goes_on, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "-k" => (true, rest),
        _ => (false, arguments),
    };
    let (times, command) = match rest {
        [times, command @ ..] if !command.is_empty() => (times, command),
        _ => return Err(Failure::usage("a number and a command are needed")),
    };
    let count: u64 = times
        .parse()
        .map_err(|_| Failure::usage(format_args!("`{times}` does not say how often")))?;
    for _ in 0..count {
        let status = context.run(command);
        if status == status::INTERRUPTED || (status != status::OK && !goes_on) {
            return Ok(status);
        }
        context.check()?;
    }
    Ok(status::OK)
}

fn uptime(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let millis = context.host.now() / 1_000_000;
    let seconds = millis / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 {
        write!(context, "{days} d ")?;
    }
    writeln!(
        context,
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        seconds % 60,
        millis % 1000
    )?;
    Ok(status::OK)
}

fn history(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    match arguments {
        [] => {
            let past = core::mem::take(&mut context.shell.past);
            for (number, line) in past.iter().enumerate() {
                writeln!(context, "{:5}  {line}", number + 1)?;
            }
            context.shell.past = past;
        }
        [clear] if clear == "-c" => context.shell.past.clear(),
        [other, ..] => {
            return Err(Failure::usage(format_args!(
                "unexpected argument `{other}`"
            )));
        }
    }
    Ok(status::OK)
}

fn wc(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let input = context.input;
    let lines = input.iter().filter(|&&byte| byte == b'\n').count();
    let words = input
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .count();
    writeln!(context, "{lines} {words} {}", input.len())?;
    Ok(status::OK)
}

/// Lines with their ends.
fn lines(input: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    input.split_inclusive(|&byte| byte == b'\n')
}

fn grep(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (invert, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "-v" => (true, rest),
        _ => (false, arguments),
    };
    let text = one_argument(rest, "the text to look for")?.as_bytes();
    let mut found = false;
    for line in lines(context.input) {
        let contains = text.is_empty() || line.windows(text.len()).any(|part| part == text);
        if contains != invert {
            found = true;
            context.write(line);
        }
    }
    Ok(if found { status::OK } else { status::FAILED })
}

fn count(arguments: &[String]) -> Result<usize, Failure> {
    let Some(text) = arguments.first() else {
        return Ok(10);
    };
    one_argument(arguments, "the number of lines")?;
    text.trim_start_matches('-')
        .parse()
        .map_err(|_| Failure::usage(format_args!("`{text}` is no number of lines")))
}

fn head(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let count = count(arguments)?;
    for line in lines(context.input).take(count) {
        context.write(line);
    }
    Ok(status::OK)
}

fn tail(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let count = count(arguments)?;
    let last: Vec<&[u8]> = lines(context.input).rev().take(count).collect();
    for line in last.into_iter().rev() {
        context.write(line);
    }
    Ok(status::OK)
}
