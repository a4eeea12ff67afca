//! Which role it is.

use alloc::string::String;

use gritos_net_client::{Net, SharedMemory};
use gritos_service::{call_cap, memory_cap};
use gritos_sys::environment::Environment;
use gritos_sys::heap::Heap;
use gritos_sys::{Error, debug_println};

use crate::memory::{RIGHTS, Region};
use crate::{echo, fuzz, hasty, hostile, lend};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 8;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("trial-network: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    HEAP.provide_own(HEAP_PIECES)?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (role, argument) = environment
        .arguments()
        .split_once(' ')
        .unwrap_or((environment.arguments(), ""));
    let is_first = environment.generation() == 0;
    let result = match role {
        "echo" => echo::run(&environment),
        "lend" => return lend::run(&environment),
        _ if is_first => return Ok(()),
        "hostile" => hostile::run(&environment),
        "hasty" => hasty::run(argument, &environment),
        "fuzz" => fuzz::run(argument, &environment),
        other => {
            log::error!("there is no role `{other}`");
            return Ok(());
        }
    };
    match result {
        Ok(done) => log::info!("{role}: passed, {done}"),
        Err(why) => log::error!("{role}: {why}"),
    }
    Ok(())
}

/// What there is to say of something that did not go as it should.
pub(crate) fn came_to(what: &str, result: &impl core::fmt::Debug) -> String {
    alloc::format!("{what} came to {result:?}")
}

/// The network through the client library, with memory of its own.
pub(crate) fn attach(
    environment: &Environment<'_>,
    bytes: u64,
) -> Result<Net<SharedMemory>, String> {
    let session = environment.service("net").ok_or("no service `net`")?;
    let region = Region::new(0, bytes)?;
    let shared = SharedMemory(region.shared()?);
    Net::attach(
        call_cap(session),
        memory_cap(region.object(), RIGHTS),
        shared,
    )
    .map_err(|error| came_to("attaching", &error))
}
