//! Clients that check what becomes of them when their server dies. Each says `passed` or what was wrong in the log.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, Ordering};

use gritos_idl_runtime::{
    Address, Cap, Error, Incoming, Outcome, Outgoing, Status, Transport, WireError,
};
use gritos_service::{Kernel, call_cap};
use gritos_sys::abi::method::ThreadState;
use gritos_sys::cap::{SchedulingContext, Tcb};
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::svc::probe;
use gritos_sys::thread::{Stack, ThreadBuilder};
use gritos_sys::{ipc, time};
use gritos_trial_api::{Failure, Thing, ThingClient, TrialClient};

use crate::component::{session, trial};

/// How long the server does not answer before it dies: others queue meanwhile, and the next life serves them.
const STALL: u64 = 20_000_000;

pub(crate) fn run(name: &str, environment: &Environment<'_>) {
    let result = match name {
        "death" => death(environment),
        "retry" => retry(environment),
        "speed" => speed(environment),
        "gone" => gone(environment),
        "hoard" => hoard(environment),
        "thread" => own_thread(),
        other => Err(format!("there is no check `{other}`")),
    };
    match result {
        Ok(()) => log::info!("{name}: passed"),
        Err(why) => log::error!("{name}: {why}"),
    }
}

fn came_to(what: &str, result: &impl core::fmt::Debug) -> String {
    format!("{what} came to {result:?}")
}

/// A caller in service wakes with `ServerDied`, the session goes on with the next life, and an object of the old life is
/// dead, for good.
fn death(environment: &Environment<'_>) -> Result<(), String> {
    let mut trial = trial(environment);
    let before = trial.count().map_err(|e| came_to("the first call", &e))?;
    let thing = trial.make().map_err(|e| came_to("making a thing", &e))?;
    let mut old = ThingClient::new(Cap::<Thing>::new(thing.address()), Kernel);
    match old.poke() {
        Ok(life) if life == before.life => {}
        other => return Err(came_to("the thing's first call", &other)),
    }
    match trial.fail(Failure::WildPointer, STALL, before.life + 1) {
        Err(Error::Call(Status::ServerDied)) => {}
        other => return Err(came_to("the call that the server died on", &other)),
    }
    match trial.count() {
        Ok(after) if after.life == before.life + 1 => {}
        other => return Err(came_to("the first call to the new life", &other)),
    }
    for _ in 0..3 {
        match old.poke() {
            Err(Error::Call(_)) => {}
            other => return Err(came_to("a call to the old life's thing", &other)),
        }
        // A thing of the new life, with the same number, is another.
        let thing = trial.make().map_err(|e| came_to("making a thing", &e))?;
        let mut new = ThingClient::new(Cap::<Thing>::new(thing.address()), Kernel);
        match new.poke() {
            Ok(life) if life == before.life + 1 => {}
            other => return Err(came_to("the new thing's call", &other)),
        }
    }
    Ok(())
}

/// An idempotent method is sent once more by the stub.
fn retry(environment: &Environment<'_>) -> Result<(), String> {
    let mut trial = trial(environment);
    let before = trial.count().map_err(|e| came_to("the first call", &e))?;
    match trial.fail_once(Failure::Panic, before.life + 1) {
        Ok(life) if life == before.life + 1 => Ok(()),
        other => Err(came_to("the idempotent call", &other)),
    }
}

/// How long calls are made to a service that nobody serves for most of the time.
const GONE_FOR: u64 = 2_000_000_000;
/// Pause between them.
const GONE_PAUSE: u64 = 5_000_000;

/// Calls to a service whose component has ended for good fail and say so; those that wait for a next life that does not
/// come fail when that is known.
fn gone(environment: &Environment<'_>) -> Result<(), String> {
    let mut service = session(environment, "gone");
    let end = time::after(GONE_FOR);
    let (mut calls, mut longest) = (0_u32, 0);
    while time::now() < end {
        let start = time::now();
        match service.count() {
            Err(Error::Refused(WireError::Unavailable) | Error::Call(Status::ServerDied)) => {}
            other => return Err(came_to("a call to nobody", &other)),
        }
        calls += 1;
        longest = time::nanoseconds(time::now() - start).max(longest);
        let _ = ipc::sleep_until(time::after(GONE_PAUSE));
    }
    log::info!("{calls} calls failed, the slowest after {longest} ns");
    Ok(())
}

/// Nanoseconds after which a call to a server that answers nobody is given up.
const PATIENCE: u64 = 20_000_000;
/// Calls: some that are held, others that wait in the queue.
const GIVEN_UP: u32 = 8;

/// Calls that are given up after [`PATIENCE`].
#[derive(Debug)]
struct Hasty;

impl Transport for Hasty {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        Kernel.call::<CAPS, WINDOW>(target, message, Some(PATIENCE))
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}

/// Callers of a server that keeps their Replies, or does not hear them, go on when their time is over, and are heard by
/// others meanwhile.
fn hoard(environment: &Environment<'_>) -> Result<(), String> {
    let session = environment.service("hoarded").ok_or("no `hoarded`")?;
    let mut kept = TrialClient::new(call_cap(session), Hasty);
    let mut other = trial(environment);
    let mut slowest = 0;
    for _ in 0..GIVEN_UP {
        let start = time::now();
        match kept.count() {
            Err(Error::Call(Status::TimedOut)) => {}
            other => return Err(came_to("a call to who answers nobody", &other)),
        }
        slowest = time::nanoseconds(time::now() - start).max(slowest);
        other
            .count()
            .map_err(|e| came_to("a call to another service", &e))?;
    }
    if slowest > 2 * PATIENCE {
        return Err(format!("a call was given up after {slowest} ns"));
    }
    Ok(())
}

/// Whether the thread of [`own_thread`] ran.
static RAN: AtomicBool = AtomicBool::new(false);
/// How long it is given for that.
const CHANCE: u64 = 50_000_000;
/// Its stack: far from everything else.
const STACK_END: u64 = 0x7000_0000;
const STACK_BYTES: u64 = 4096;

extern "C" fn run_and_fail(_argument: u64) -> ! {
    RAN.store(true, Ordering::Relaxed);
    probe::undefined();
    loop {
        core::hint::spin_loop();
    }
}

/// A component has one thread that runs: it can make another, without a handler of its faults as nobody gave it one, but
/// no time for it.
fn own_thread() -> Result<(), String> {
    let failed = |what: &'static str| move |error: gritos_sys::Error| came_to(what, &error);
    let taken = |_| String::from("no slot is left");
    let memory = Environment::MEMORY;
    let stack = Stack::map(
        memory,
        own::take().map_err(taken)?,
        Environment::SPACE,
        STACK_END,
        STACK_BYTES,
    )
    .map_err(failed("its stack"))?;
    let tcb = memory
        .create::<Tcb>(own::take().map_err(taken)?)
        .map_err(failed("its TCB"))?;
    let context = memory
        .create::<SchedulingContext>(own::take().map_err(taken)?)
        .map_err(failed("its context"))?;
    let first = Environment::TCB
        .info()
        .map_err(failed("the first thread"))?;
    let entry: extern "C" fn(u64) -> ! = run_and_fail;
    ThreadBuilder::new(Environment::CNODE, Environment::SPACE)
        .priority(first.ceiling, first.ceiling, Environment::TCB)
        .context(context)
        .build(tcb, entry as usize as u64, stack.top, 0)
        .map_err(failed("the thread"))?;
    tcb.resume().map_err(failed("its start"))?;
    let _ = ipc::sleep_until(time::after(CHANCE));
    if RAN.load(Ordering::Relaxed) {
        return Err("a thread ran whose faults nobody hears of".into());
    }
    match tcb.info().map_err(failed("the thread"))?.state {
        Some(ThreadState::Ready) => Ok(()),
        other => Err(came_to("a thread without time", &other)),
    }
}

/// How long it takes from a fault of the server to the first answer of its next life.
fn speed(environment: &Environment<'_>) -> Result<(), String> {
    let mut trial = trial(environment);
    let before = trial.count().map_err(|e| came_to("the first call", &e))?;
    let start = time::now();
    match trial.fail(Failure::WildPointer, 0, before.life + 1) {
        Err(Error::Call(Status::ServerDied)) => {}
        other => return Err(came_to("the call that the server died on", &other)),
    }
    match trial.count() {
        Ok(after) if after.life == before.life + 1 => {}
        other => return Err(came_to("the first call to the new life", &other)),
    }
    let taken = time::nanoseconds(time::now() - start);
    log::info!("an answer {taken} ns after the fault");
    Ok(())
}
