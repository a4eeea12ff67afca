//! Commands about components, memory and the machine.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_idl_runtime::{Error, Text};
use gritos_service::Kernel;
use gritos_shell_core::builtins::{no_arguments, one_argument};
use gritos_shell_core::usage::{Sample, shares};
use gritos_shell_core::{Command, Completes, Context, Failure, status};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::abi::{ObjectType, Rights};
use gritos_sys::environment::Environment;
use gritos_system_api::{
    Component, ComponentState, Held, System, SystemClient, SystemError, SystemHeldReply,
    ThreadState,
};

mod top;

const KIB: u64 = 1 << 10;
/// The table.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "ps",
        summary: "lists the components: what they do, with how many threads and which priority, and how much processor time they used",
        arguments: "",
        example: "ps",
        completes: Completes::Nothing,
        run: ps,
    },
    Command {
        name: "caps",
        summary: "lists the capabilities that a component holds, the shell's own unless told",
        arguments: "[COMPONENT]",
        example: "caps console",
        completes: Completes::Components,
        run: caps,
    },
    Command {
        name: "top",
        summary: "shows who uses the processor: so many times, a second each, or in place until Ctrl-C",
        arguments: "[TIMES]",
        example: "top 1",
        completes: Completes::Nothing,
        run: top::top,
    },
    Command {
        name: "mem",
        summary: "tells how much memory the components have and how much is free",
        arguments: "",
        example: "mem",
        completes: Completes::Nothing,
        run: mem,
    },
    Command {
        name: "kill",
        summary: "stops a component and takes back everything that it holds",
        arguments: "COMPONENT",
        example: "kill log",
        completes: Completes::Components,
        run: kill,
    },
    Command {
        name: "restart",
        summary: "starts a component, anew if it runs",
        arguments: "COMPONENT",
        example: "restart log",
        completes: Completes::Components,
        run: restart,
    },
    Command {
        name: "reboot",
        summary: "starts the machine anew",
        arguments: "",
        example: "reboot",
        completes: Completes::Nothing,
        run: reboot,
    },
    Command {
        name: "poweroff",
        summary: "switches the machine off; an emulator ends with the status that is given, or 0",
        arguments: "[STATUS]",
        example: "poweroff",
        completes: Completes::Nothing,
        run: power_off,
    },
];

fn system() -> Result<SystemClient<Kernel>, Failure> {
    Ok(SystemClient::new(
        super::service::<System>("system")?,
        Kernel,
    ))
}

/// All components, by number.
fn all(system: &mut SystemClient<Kernel>) -> Result<Vec<Component>, Failure> {
    let count = system.machine().map_err(Failure::new)?.components;
    (0..count)
        .map(|number| system.component(number).map_err(Failure::new))
        .collect()
}

/// Names of all components; none if they cannot be asked for.
pub(crate) fn names() -> Vec<String> {
    let found = system().and_then(|mut system| all(&mut system));
    let components = found.unwrap_or_default();
    components
        .iter()
        .map(|component| component.name.to_string())
        .collect()
}

/// The number of the component that an argument names.
fn number(system: &mut SystemClient<Kernel>, name: &str) -> Result<u32, Failure> {
    let unknown = || {
        Failure::new(format_args!(
            "there is no component `{name}`; `ps` lists them"
        ))
    };
    let text = Text::new(name).map_err(|_| unknown())?;
    system.find(text).map_err(|_| unknown())
}

const fn state(component: &Component) -> &'static str {
    match component.state {
        ComponentState::New => "new",
        ComponentState::Ended => "ended",
        ComponentState::Failed => "failed",
        ComponentState::Stopped => "stopped",
        ComponentState::Restarting => "restarting",
        ComponentState::Running => match component.thread {
            ThreadState::Inactive => "inactive",
            ThreadState::Ready => "ready",
            ThreadState::Running => "running",
            ThreadState::Sending => "calling",
            ThreadState::Receiving => "receiving",
            ThreadState::Waiting => "waiting",
            ThreadState::Sleeping => "sleeping",
            ThreadState::Terminated => "terminated",
            _ => "running?",
        },
        _ => "?",
    }
}

const fn sample(component: &Component) -> Sample {
    Sample {
        restarts: component.restarts,
        used_ns: component.used_ns,
    }
}

fn samples(components: &[Component]) -> Vec<Sample> {
    components.iter().map(sample).collect()
}

/// A share as `ps` and `top` write it.
fn percent(share: u64) -> String {
    alloc::format!("{}.{}%", share / 10, share % 10)
}

/// Time used as `ps` and `top` write it.
fn milliseconds(used_ns: u64) -> String {
    alloc::format!("{}.{:03}", used_ns / 1_000_000, used_ns / 1000 % 1000)
}

/// How many threads a component has: it holds each one's TCB. `None` for the root task, which holds everybody's, and for one
/// that does not run.
fn threads(
    context: &mut Context<'_>,
    system: &mut SystemClient<Kernel>,
    number: usize,
) -> Result<Option<u32>, Failure> {
    let (mut next, mut count) = (0, 0);
    loop {
        context.check()?;
        let Ok(looked) = system.held(number as u32, next) else {
            return Ok(None);
        };
        if ObjectType::from_number(looked.held.object) == Some(ObjectType::Tcb) {
            count += 1;
        }
        if !looked.more {
            return Ok(Some(count));
        }
        next = looked.slot.saturating_add(1);
    }
}

fn ps(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let mut system = system()?;
    let components = all(&mut system)?;
    let shares = shares(&[], &samples(&components), context.host.now());
    writeln!(
        context,
        "{:>3}  {:<16} {:<11} {:>7} {:>4} {:>8} {:>12} {:>6}",
        "NO", "COMPONENT", "STATE", "THREADS", "PRIO", "RESTARTS", "TIME/ms", "SHARE"
    )?;
    for (number, (component, share)) in components.iter().zip(&shares.of).enumerate() {
        let threads = threads(context, &mut system, number)?;
        writeln!(
            context,
            "{number:>3}  {:<16} {:<11} {:>7} {:>4} {:>8} {:>12} {:>6}",
            component.name.as_str(),
            state(component),
            threads.map_or("-".to_string(), |count| count.to_string()),
            component.priority,
            component.restarts,
            milliseconds(component.used_ns),
            percent(*share)
        )?;
    }
    writeln!(
        context,
        "{:>3}  {:<63} {:>6}",
        "",
        "nobody",
        percent(shares.idle)
    )?;
    Ok(status::OK)
}

fn mem(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let mut system = system()?;
    let machine = system.machine().map_err(Failure::new)?;
    writeln!(context, "{:>10} {:>10}  COMPONENT", "USED/KiB", "QUOTA/KiB")?;
    let components = all(&mut system)?;
    for component in components.iter().skip(1) {
        writeln!(
            context,
            "{:>10} {:>10}  {}",
            component.used_bytes / KIB,
            component.memory_bytes / KIB,
            component.name.as_str()
        )?;
    }
    let used: u64 = components
        .iter()
        .map(|component| component.used_bytes)
        .sum();
    let quota: u64 = components
        .iter()
        .map(|component| component.memory_bytes)
        .sum();
    writeln!(
        context,
        "{:>10} {:>10}  all components",
        used / KIB,
        quota / KIB
    )?;
    writeln!(context, "{:>10} {:>10}  free", "", machine.free_bytes / KIB)?;
    writeln!(
        context,
        "{:>10} {:>10}  in all",
        "",
        machine.memory_bytes / KIB
    )?;
    writeln!(
        context,
        "{:>10} {:>10}  free slots of the root task",
        "", machine.free_slots
    )?;
    Ok(status::OK)
}

/// Rights in letters; those of servers as their bits' numbers.
fn rights(bits: u32) -> String {
    const LETTERS: [(Rights, char); 10] = [
        (Rights::READ, 'r'),
        (Rights::WRITE, 'w'),
        (Rights::EXECUTE, 'x'),
        (Rights::GRANT, 'g'),
        (Rights::MANAGE, 'm'),
        (Rights::MAP, 'a'),
        (Rights::DMA, 'd'),
        (Rights::SEND, 's'),
        (Rights::RECV, 'v'),
        (Rights::CONTROL, 'c'),
    ];
    let mut text: String = LETTERS
        .iter()
        .map(|(right, letter)| match bits & right.bits() {
            0 => '-',
            _ => *letter,
        })
        .collect();
    match bits >> 16 {
        0 => {}
        0xffff => text.push_str("+all"),
        server => {
            for bit in (0..16).filter(|bit| server & 1 << bit != 0) {
                text.push('+');
                text.push_str(&(bit + 16).to_string());
            }
        }
    }
    text
}

fn caps(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let environment = Environment::own().map_err(Failure::new)?;
    let name = match arguments {
        [] => environment.name(),
        _ => one_argument(arguments, "the component")?,
    };
    let mut system = system()?;
    let number = number(&mut system, name)?;
    let mut looked = look(&mut system, (number, name), 0)?;
    writeln!(
        context,
        "{:>5}  {:<21} {:<14} {:>17} {:>12}  NAME",
        "SLOT", "OBJECT", "RIGHTS", "BADGE", "SIZE"
    )?;
    loop {
        if looked.held.object != 0 {
            show(context, looked.slot, &looked.held)?;
        }
        if !looked.more {
            return Ok(status::OK);
        }
        context.check()?;
        looked = look(&mut system, (number, name), looked.slot.saturating_add(1))?;
    }
}

/// The next capability of a component from slot `from` on.
fn look(
    system: &mut SystemClient<Kernel>,
    (number, name): (u32, &str),
    from: u32,
) -> Result<SystemHeldReply, Failure> {
    system.held(number, from).map_err(|error| match error {
        Error::Server(SystemError::State) => Failure::new(format_args!(
            "`{name}` holds nothing, as it does not run; `restart {name}` starts it"
        )),
        error => Failure::new(error),
    })
}

fn show(context: &mut Context<'_>, slot: u32, held: &Held) -> Result<(), Failure> {
    let found = ObjectType::from_number(held.object);
    let object = found.map_or("?".to_string(), |object| alloc::format!("{object:?}"));
    let object = object + if held.device { " (device)" } else { "" };
    let is_memory = matches!(found, Some(ObjectType::MemoryObject | ObjectType::Untyped));
    let dma = is_memory && !held.device && held.rights & Rights::DMA.bits() != 0;
    writeln!(
        context,
        "{slot:>5}  {object:<21} {:<14} {:>17} {:>12}  {}{}",
        rights(held.rights),
        badge(held.badge),
        dash(held.size),
        held.name.as_str(),
        if dma { "  [DMA]" } else { "" }
    )?;
    Ok(())
}

/// A number, or a dash for none.
fn dash(number: u64) -> String {
    match number {
        0 => "-".to_string(),
        number => number.to_string(),
    }
}

/// What a badge stands for: the component of this number as a client, or an object of the server.
fn badge(badge: u32) -> String {
    match (badge, badge & !BADGE_CLIENT) {
        (0, _) => "-".to_string(),
        (badge, object) if badge == object => alloc::format!("object {object:#x}"),
        (_, client) => alloc::format!("client {client}"),
    }
}

fn kill(_context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let name = one_argument(arguments, "the component")?;
    let mut system = system()?;
    let number = number(&mut system, name)?;
    system.kill(number).map_err(Failure::new)?;
    Ok(status::OK)
}

fn restart(_context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let name = one_argument(arguments, "the component")?;
    let mut system = system()?;
    let number = number(&mut system, name)?;
    system.restart(number).map_err(Failure::new)?;
    Ok(status::OK)
}

fn reboot(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    leave_files(context);
    system()?.reboot().map_err(Failure::new)?;
    Ok(status::OK)
}

/// Leaves the disk in order before the power goes. If that fails, it is said, and the power goes all the same.
fn leave_files(context: &mut Context<'_>) {
    let runs = system().and_then(|mut system| {
        let number = number(&mut system, super::files::COMPONENT)?;
        system.component(number).map_err(Failure::new)
    });
    // One that does not run would not answer.
    if runs.is_ok_and(|found| found.state == ComponentState::Running)
        && let Err(why) = super::files::leave()
    {
        context.complain(format_args!("the disk is not left in order: {why}"));
    }
}

fn power_off(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let code = match arguments {
        [] => 0,
        _ => {
            let text = one_argument(arguments, "the status")?;
            text.parse::<u8>()
                .map_err(|_| Failure::usage(format_args!("`{text}` is no status from 0 to 255")))?
        }
    };
    leave_files(context);
    system()?.power_off(code.into()).map_err(Failure::new)?;
    Ok(status::OK)
}
