//! The shell: what it prints, what its commands come to, and that it survives its users.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

mod tables;

use super::{Board, Case, Guest, Setting};
use crate::disk;

pub(super) const CASES: &[Case] = &[
    Case::new("shell/output_and_status_are_exact", output_and_status)
        .on(&[Board::Virt, Board::Rpi4]),
    Case::new("shell/every_command_explains_itself", help).on(&[Board::Virt, Board::Rpi4]),
    Case::new(
        "shell/the_test_of_a_running_system_passes_and_can_fail",
        self_test,
    )
    .on(&[Board::Virt, Board::Rpi4]),
    Case::new("shell/tables_say_what_runs", tables::what_runs).with(EVERYTHING),
    Case::new(
        "shell/caps_lists_what_the_system_table_gives",
        tables::capabilities,
    )
    .with(EVERYTHING),
    Case::new("shell/the_log_is_filtered_as_asked", tables::log).with(EVERYTHING),
    Case::new("shell/commands_leave_no_memory_behind", no_leaks)
        .with(EVERYTHING)
        .alone(),
    Case::new("shell/a_machine_can_be_cut_off_and_started_again", cut_off)
        .on(&[Board::Virt, Board::Rpi4])
        .alone(),
    Case::new("shell/a_line_that_is_typed_is_run", typed)
        .on(&[Board::Virt, Board::Rpi4])
        .alone(),
    Case::new("shell/nothing_of_a_large_paste_is_lost", paste).alone(),
    Case::new("shell/garbage_and_endless_lines_are_survived", garbage).alone(),
    Case::new("shell/poweroff_ends_with_the_status_it_is_given", power_off)
        .on(&[Board::Virt, Board::Rpi4])
        .alone(),
];

/// A disk, a network, and counters for `bench`.
const EVERYTHING: Setting = Setting {
    disk: Some(disk::make),
    network: true,
    entropy: true,
    counters: true,
    ..Setting::SHIPPED
};

/// The page about the shell.
const PAGE: &str = "docs/reference/shell.md";
/// Longest time for what takes a moment on a machine that is not busy.
const LIMIT: Duration = Duration::from_secs(240);
/// What shows that the shell is ready for a person.
const PROMPT: &str = "gritos> ";

fn output_and_status(guest: &mut Guest<'_>) -> Result<()> {
    ensure!(guest.succeed("echo one two")? == "one two\n");
    ensure!(guest.succeed("echo -n")?.is_empty());
    ensure!(guest.succeed("false || echo 'a;b' | wc; echo $?")? == "1 1 4\n0\n");
    guest.refuse("no-such-command", 127, "no-such-command")?;
    guest.refuse("true; false && echo no", 1, "")?;
    guest.refuse("echo 'no end", 2, "shell: ")?;
    guest.expect("ps", "shell")?;
    Ok(())
}

fn self_test(guest: &mut Guest<'_>) -> Result<()> {
    let text = guest.succeed("test")?;
    ensure!(text.ends_with("7 passed, 0 failed\n"), "{text}");
    ensure!(
        guest
            .expect("test log time", "2 passed, 0 failed")?
            .lines()
            .count()
            == 3
    );
    guest.refuse("test nonsense", 2, "there is no check `nonsense`")?;
    // A service that is gone for good is found missing, not waited for.
    guest.succeed("kill time")?;
    let ran = guest.run("test time memory")?;
    let text = &ran.stdout;
    ensure!(ran.status == 1 && text.contains("FAIL  time: "), "{ran:?}");
    ensure!(
        text.contains("ok    memory: ") && text.ends_with("1 passed, 1 failed\n"),
        "{text}"
    );
    guest.succeed("restart time")?;
    guest.expect("test time", "1 passed, 0 failed")?;
    Ok(())
}

/// The names of all commands, as `help` lists them.
fn commands(guest: &mut Guest<'_>) -> Result<BTreeSet<String>> {
    let help = guest.succeed("help")?;
    let lines = help.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_string).collect())
}

fn help(guest: &mut Guest<'_>) -> Result<()> {
    let page = std::fs::read_to_string(guest.workspace().root.join(PAGE))?;
    for command in commands(guest)? {
        let row = format!("| `{command}` |");
        ensure!(page.contains(&row), "{PAGE} does not tell of `{command}`");
        let text = guest.expect(&format!("{command} --help"), "Usage: ")?;
        ensure!(
            text.starts_with(&format!("{command}: ")) && text.contains("Example: "),
            "`{command} --help` printed:\n{text}"
        );
    }
    Ok(())
}

/// Runs of each command: more than the shell could pay for with its memory if each kept a buffer.
const RUNS: u32 = 100;

/// What is run so often, and what it comes to.
const OFTEN: &[(&str, u8)] = &[
    ("bench memory", 0),
    ("caps", 0),
    ("cat /data/leak/file", 0),
    ("cp /data/leak/file /data/leak/copy", 0),
    ("date", 0),
    ("df", 0),
    ("echo text", 0),
    ("false", 1),
    ("grep x", 1),
    ("head", 0),
    ("help", 0),
    ("hexdump /data/leak/file", 0),
    ("history", 0),
    ("ip", 0),
    ("log", 0),
    ("ls -l /data", 0),
    ("mem", 0),
    ("mkdir /data/leak", 1),
    ("mount", 0),
    ("netstat", 0),
    ("ps", 0),
    ("sha256 /data/leak/file", 0),
    ("sleep 0", 0),
    ("stat /data/leak/file", 0),
    ("sync", 0),
    ("tail", 0),
    ("test", 0),
    ("time true", 0),
    ("touch /data/leak/file", 0),
    ("tree /data/leak", 0),
    ("uptime", 0),
    ("wc", 0),
    ("write /data/leak/file some text", 0),
    ("append /tmp/leak x", 0),
    ("nc 127.0.0.1 1", 1),
    ("no-such-command", 127),
    ("cat /no/such/file", 1),
];

fn no_leaks(guest: &mut Guest<'_>) -> Result<()> {
    let known = commands(guest)?;
    let is_there = |line: &str| {
        let name = line.split(' ').next().unwrap_or(line);
        known.contains(name) || name == "no-such-command"
    };
    guest.succeed("mkdir /data/leak && write /data/leak/file text")?;
    // Once each, so that what is kept for the next time is there.
    for (line, status) in OFTEN.iter().filter(|(line, _)| is_there(line)) {
        let ran = guest.run(line)?;
        ensure!(
            ran.status == *status,
            "`{line}` was to end with {status}: {ran:?}"
        );
    }
    let mut before = memory(guest)?;
    let mut grown = Vec::new();
    for (line, status) in OFTEN.iter().filter(|(line, _)| is_there(line)) {
        let many = match status {
            0 => format!("repeat {RUNS} {line} | wc"),
            _ => format!("repeat -k {RUNS} {line} | wc"),
        };
        let ran = guest.run(&many)?;
        ensure!(ran.status == 0, "`{many}` came to {ran:?}");
        let once = guest.run(line)?;
        ensure!(
            once.status == *status,
            "after {RUNS} runs `{line}` came to {once:?}"
        );
        let after = memory(guest)?;
        if after.heap > before.heap + HEAP_SLACK || after.other > before.other + TABLES {
            grown.push(format!("`{line}`: {before:?}, then {after:?}"));
        }
        before = after;
    }
    ensure!(
        grown.is_empty(),
        "memory that is gone after {RUNS} runs:\n{}",
        grown.join("\n")
    );
    Ok(())
}

/// Bytes by which what is used of the heap may grow: the history and such.
const HEAP_SLACK: u64 = 4096;
/// Bytes of page tables for a heap that grew because a pipe held much for a moment.
const TABLES: u64 = 64 << 10;

/// What the shell uses of its memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    heap: u64,
    /// Beside what is mapped for the heap.
    other: u64,
}

fn memory(guest: &mut Guest<'_>) -> Result<Memory> {
    let text = guest.succeed("bench memory")?;
    let value = |key: &str| {
        let mut words = text.split_whitespace();
        let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let value = value.with_context(|| format!("no {key} in `{text}`"))?;
        Ok::<u64, anyhow::Error>(value.parse()?)
    };
    Ok(Memory {
        heap: value("heap")?,
        other: value("size")?.saturating_sub(value("free")? + value("mapped")?),
    })
}

fn cut_off(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo")?;
    let status = guest.monitor(&json!({"execute": "query-status"}))?;
    ensure!(status["status"] == "running", "the monitor says {status}");
    guest.kill();
    ensure!(guest.run("echo").is_err(), "a machine that is off answers");
    guest.boot()?;
    guest.expect("echo back", "back")?;
    Ok(())
}

/// Waits until a line begins with `text`.
fn wait_for_line(guest: &mut Guest<'_>, text: &str) -> Result<()> {
    let is_there = |all: &str| all.lines().any(|line| line.starts_with(text));
    guest.wait_for(&format!("line `{text}`"), LIMIT, is_there)?;
    Ok(())
}

fn typed(guest: &mut Guest<'_>) -> Result<()> {
    guest.wait_for("prompt", LIMIT, |text| text.contains(PROMPT))?;
    guest.type_bytes(b"echo 'a;bx\x7fc'\r")?;
    wait_for_line(guest, "a;bc")?;
    guest.type_bytes(b"sleep 100000\r")?;
    guest.wait_for("echo of the command", LIMIT, |text| {
        text.contains("sleep 100000\r\n")
    })?;
    guest.type_bytes(b"\x03")?;
    wait_for_line(guest, "^C")?;
    guest.type_bytes(b"echo status $?\r")?;
    wait_for_line(guest, "status 130")?;
    // The line before the last, from the history.
    guest.type_bytes(b"\x1b[A\x1b[A\x01\x1b[3~\x1b[3~\x1b[3~\x1b[3~\x1b[3~echo was\r")?;
    wait_for_line(guest, "was 100000")?;
    Ok(())
}

/// Lines of a paste of 64 KiB.
const PASTED_LINES: usize = 1024;

fn paste(guest: &mut Guest<'_>) -> Result<()> {
    guest.wait_for("prompt", LIMIT, |text| text.contains(PROMPT))?;
    // 64 bytes each, as they are typed.
    let filler = "abcdefghijk lmnopqrstu".repeat(3)[..53].replace(' ', "_");
    let wanted: Vec<String> = (0..PASTED_LINES)
        .map(|number| format!("{number:04}-{filler}"))
        .collect();
    let pasted: String = wanted.iter().map(|line| format!("echo {line}\r")).collect();
    ensure!(pasted.len() == 64 << 10, "{} bytes", pasted.len());
    guest.type_bytes(pasted.as_bytes())?;
    guest.type_bytes(b"echo end of it\r")?;
    let is_over = |text: &str| text.lines().any(|line| line == "end of it");
    let text = guest.wait_for("end of the paste", LIMIT, is_over)?;
    let mut came = text.lines().filter(|line| line.ends_with(&filler));
    // The line as it is typed ends like that too.
    for wanted in &wanted {
        let found = came.by_ref().find(|line| !line.contains("echo"));
        ensure!(found == Some(wanted), "for {wanted} there came {found:?}");
    }
    Ok(())
}

fn garbage(guest: &mut Guest<'_>) -> Result<()> {
    guest.wait_for("prompt", LIMIT, |text| text.contains(PROMPT))?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    let noise: Vec<u8> = (0..16 << 10).map(|_| random()).collect();
    guest.type_bytes(&noise)?;
    guest.type_bytes(b"\x03\r\x03echo alive\r")?;
    wait_for_line(guest, "alive")?;
    guest.type_bytes(&vec![b'x'; 20 << 10])?;
    guest.type_bytes(b"\x03echo still alive\r")?;
    wait_for_line(guest, "still alive")?;
    Ok(())
}

fn power_off(guest: &mut Guest<'_>) -> Result<()> {
    let status = guest.end("poweroff 3")?;
    ensure!(status == 3, "QEMU ended with status {status}");
    Ok(())
}
