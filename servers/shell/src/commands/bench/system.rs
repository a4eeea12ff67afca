//! What the system costs while nobody asks anything of it, and its simplest calls.

use alloc::string::String;
use core::fmt::Write;

use gritos_service::Kernel;
use gritos_shell_core::builtins::{no_arguments, one_argument, parse_seconds};
use gritos_shell_core::{Context, Failure, status};
use gritos_sys::environment::Environment;
use gritos_system_api::{System, SystemClient};

use super::{Bench, Meter, measure};
use crate::commands::service;
use crate::component;

const ROUNDS: usize = 100;

pub(super) const BENCHES: &[Bench] = &[
    Bench {
        name: "boot",
        what: "time from the start of the machine to the first prompt",
        run: boot,
    },
    Bench {
        name: "idle",
        what: "what is executed while the shell sleeps; SECONDS",
        run: idle,
    },
    Bench {
        name: "memory",
        what: "what the shell itself uses of its memory, in bytes",
        run: memory,
    },
    Bench {
        name: "system",
        what: "calls of the root task and the console",
        run: calls,
    },
];

fn boot(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    writeln!(context, "boot ns={}", component::ready_at())?;
    Ok(status::OK)
}

fn idle(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let text = one_argument(arguments, "the number of seconds")?;
    let nanoseconds = parse_seconds(text).filter(|ns| *ns > 0);
    let nanoseconds = nanoseconds
        .ok_or_else(|| Failure::usage(format_args!("`{text}` is no number of seconds")))?;
    let meter = Meter::new()?;
    let (result, instructions) = meter.count(|| context.host.sleep(nanoseconds));
    result?;
    writeln!(context, "idle instructions={instructions} ns={nanoseconds}")?;
    Ok(status::OK)
}

fn memory(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let (used, mapped) = component::heap_usage();
    let own = Environment::MEMORY.info().map_err(Failure::new)?;
    writeln!(
        context,
        "memory heap={used} mapped={mapped} free={} size={}",
        own.free, own.size
    )?;
    Ok(status::OK)
}

fn calls(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let mut system = SystemClient::new(service::<System>("system")?, Kernel);
    measure(context, "machine", ROUNDS, || {
        system.machine().map(|_| ()).map_err(Failure::new)
    })?;
    Ok(status::OK)
}
