//! Which role it is.

use gritos_idl_runtime::Cap as StubCap;
use gritos_service::{Kernel, call_cap};
use gritos_sys::environment::Environment;
use gritos_sys::heap::Heap;
use gritos_sys::{Error, debug_println};
use gritos_trial_api::{Trial, TrialClient};

use crate::{callers, checks, failing, load, metronome, rogue, server};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 8;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("trial: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    HEAP.provide_own(HEAP_PIECES)?;
    gritos_log_client::install(&environment, log::LevelFilter::Debug);
    let (role, argument) = environment
        .arguments()
        .split_once(' ')
        .unwrap_or((environment.arguments(), ""));
    let is_first = environment.generation() == 0;
    match role {
        "serve" => server::run(&environment)?,
        "load" => load::run(&environment),
        "callers" => callers::run(&environment),
        _ if is_first => {}
        "fail" => failing::run(argument),
        "check" => checks::run(argument, &environment),
        "rogue" => rogue::run(argument, &environment),
        "hoard" => rogue::hoard(&environment)?,
        "metronome" => metronome::run(argument),
        other => log::error!("there is no role `{other}`"),
    }
    Ok(())
}

/// The session with the trial service.
pub(crate) fn trial(environment: &Environment<'_>) -> TrialClient<Kernel> {
    session(environment, "trial")
}

/// The session with the service of this name.
pub(crate) fn session(environment: &Environment<'_>, name: &str) -> TrialClient<Kernel> {
    let session = environment.service(name);
    let session = session.map_or(
        StubCap::<Trial>::new(gritos_sys::abi::Address::NULL),
        call_cap,
    );
    TrialClient::new(session, Kernel)
}
