//! A look at the running system: does each service that the shell may use do what it is for?
//!
//! Each check is a few calls and changes nothing that stays. What is tested before a system is shipped is elsewhere: `cargo xtask
//! test`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt::Write;

use gritos_console_api::{Console, ConsoleClient};
use gritos_idl_runtime::Bytes;
use gritos_log_api::{Level, Log, LogClient, MAX_HEAD};
use gritos_service::Kernel;
use gritos_shell_core::{Command, Completes, Context, Failure, status};
use gritos_sys::cap::Endpoint;
use gritos_sys::environment::Environment;
use gritos_sys::ipc::Message;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Wait};
use gritos_system_api::{ComponentState, System, SystemClient};
use gritos_time_api::{Time, TimeClient};

use super::service;

/// The table.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "test",
    summary: "checks that the services of the running system do what they are for; all of them, or some",
    arguments: "[CHECK]...",
    example: "test log files",
    completes: Completes::Words(&[
        "components",
        "console",
        "files",
        "isolation",
        "log",
        "memory",
        "time",
    ]),
    run: test,
}];

/// A check: what it found, in a few words.
type Check = fn(&mut Context<'_>) -> Result<String, Failure>;

const CHECKS: [(&str, Check); 7] = [
    ("components", components),
    ("console", console),
    ("files", files),
    ("isolation", isolation),
    ("log", log),
    ("memory", memory),
    ("time", timer),
];

fn test(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let known = |name: &String| CHECKS.iter().any(|(check, _)| check == name);
    if let Some(unknown) = arguments.iter().find(|name| !known(name)) {
        let names: vec::Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        return Err(Failure::usage(format_args!(
            "there is no check `{unknown}`; there are {names}"
        )));
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in CHECKS {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        context.check()?;
        match check(context) {
            Ok(found) => {
                passed += 1;
                writeln!(context, "ok    {name}: {found}")?;
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(Failure::Usage(why) | Failure::Failed(why)) => {
                failed += 1;
                writeln!(context, "FAIL  {name}: {why}")?;
            }
        }
    }
    writeln!(context, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 {
        status::OK
    } else {
        status::FAILED
    })
}

/// An error unless `holds`.
fn ensure(holds: bool, why: impl core::fmt::Display) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(why))
    }
}

/// Nanoseconds that components have to start, and between two looks.
const START_PATIENCE: u64 = 10_000_000_000;
const START_PAUSE: u64 = 50_000_000;

/// No component has failed.
fn components(context: &mut Context<'_>) -> Result<String, Failure> {
    let mut system = SystemClient::new(service::<System>("system")?, Kernel);
    let count = system.machine().map_err(Failure::new)?.components;
    let end = context.host.now() + START_PATIENCE;
    let mut running = 0;
    for number in 0..count {
        let mut component = system.component(number).map_err(Failure::new)?;
        // The prompt is there before what is less urgent than the shell.
        while component.state == ComponentState::New && context.host.now() < end {
            context.host.sleep(START_PAUSE)?;
            component = system.component(number).map_err(Failure::new)?;
        }
        let name = component.name.as_str();
        match component.state {
            ComponentState::Running => running += 1,
            ComponentState::Failed => return Err(Failure::new(format_args!("{name} has failed"))),
            ComponentState::New => {
                return Err(Failure::new(format_args!("{name} was not started")));
            }
            _ => {}
        }
    }
    Ok(format!("{running} of {count} run"))
}

/// What the console counts grows with what is written.
fn console(_: &mut Context<'_>) -> Result<String, Failure> {
    let mut console = ConsoleClient::new(service::<Console>("console")?, Kernel);
    let before = console.counters().map_err(Failure::new)?;
    console.write(Bytes::default()).map_err(Failure::new)?;
    console.flush().map_err(Failure::new)?;
    let after = console.counters().map_err(Failure::new)?;
    ensure(after.sent >= before.sent, "it counts backwards")?;
    Ok(format!(
        "{} bytes sent, {} received, {} lost",
        after.sent, after.received, after.lost
    ))
}

/// Where a file is made for a moment.
const SCRATCH: &str = "/tmp/.self-test";

/// What is written to a file is read from it.
fn files(context: &mut Context<'_>) -> Result<String, Failure> {
    let wanted: vec::Vec<u8> = (0..40_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
    context
        .host
        .write_file(SCRATCH, false, &wanted)
        .map_err(Failure::Failed)?;
    let found = context.host.read_file(SCRATCH, 1 << 20);
    let removed = context.run(&["rm".to_string(), SCRATCH.to_string()]);
    ensure(
        found.map_err(Failure::Failed)? == wanted,
        "a file has other bytes than were written",
    )?;
    ensure(removed == status::OK, "a file could not be removed")?;
    Ok(format!("{} bytes written, read, removed", wanted.len()))
}

/// A slot that nobody filled, and an object that this component was not given, cannot be used.
fn isolation(_: &mut Context<'_>) -> Result<String, Failure> {
    let slot = own::take().map_err(Failure::new)?;
    let nothing = Cap::<Endpoint>::at(slot.address());
    let called = nothing.call(&Message::new(0), &Wait::FOREVER);
    own::give_back(slot);
    ensure(called.is_err(), "a call through an empty slot was answered")?;
    let raised = Environment::TCB.set_priority(0, 0, Environment::TCB);
    ensure(
        raised.is_err(),
        "the shell could make itself the most urgent thread",
    )?;
    Ok("an empty slot and a higher priority are refused".into())
}

/// A record that is written is read.
fn log(context: &mut Context<'_>) -> Result<String, Failure> {
    let mut log = LogClient::new(service::<Log>("log")?, Kernel);
    let before = log.state().map_err(Failure::new)?.newest;
    let text = format!("self-test at {}", context.host.now());
    let part = Bytes::new(text.as_bytes()).unwrap_or_default();
    log.append(Level::Info, true, part).map_err(Failure::new)?;
    let mut after = before;
    // Others write, too.
    for _ in 0..100 {
        let next = log.next(after, Level::Trace, 0).map_err(Failure::new)?;
        let start = text
            .as_bytes()
            .get(..MAX_HEAD as usize)
            .unwrap_or(text.as_bytes());
        if next.text.to_vec() == start {
            return Ok(format!("record {} is what was written", next.head.sequence));
        }
        after = next.head.sequence;
    }
    Err(Failure::new("a record that was written is not found"))
}

/// Memory from the heap holds what is written to it.
fn memory(_: &mut Context<'_>) -> Result<String, Failure> {
    const WORDS: usize = 64 << 10;
    let mut words = vec::Vec::new();
    words
        .try_reserve_exact(WORDS)
        .map_err(|_| Failure::new("there is none left"))?;
    words.extend((0..WORDS as u32).map(|i| i.wrapping_mul(0x9e37_79b9)));
    let holds = words
        .iter()
        .zip(0_u32..)
        .all(|(word, i)| *word == i.wrapping_mul(0x9e37_79b9));
    ensure(holds, "it does not hold what is written to it")?;
    Ok(format!("{} KiB written and read", (WORDS * 4) >> 10))
}

/// How long is slept, in nanoseconds.
const PAUSE: u64 = 20_000_000;

/// The service's clock runs, and is the machine's.
fn timer(context: &mut Context<'_>) -> Result<String, Failure> {
    let mut service = TimeClient::new(service::<Time>("time")?, Kernel);
    let (before, start) = (
        context.host.now(),
        service.monotonic().map_err(Failure::new)?,
    );
    context.host.sleep(PAUSE)?;
    let (end, after) = (
        service.monotonic().map_err(Failure::new)?,
        context.host.now(),
    );
    ensure(end - start.min(end) >= PAUSE, "its clock stands still")?;
    ensure(
        before <= start && end <= after,
        "its clock is not the machine's",
    )?;
    Ok(format!(
        "a sleep of {} ms took {} us",
        PAUSE / 1_000_000,
        (end - start) / 1000
    ))
}
