//! From capabilities to a served log.

use gritos_idl_runtime::{Cap as StubCap, Rights, serve};
use gritos_log_api::LogService;
use gritos_log_core::{Outside, Piece, Rate, Service};
use gritos_service::{Kernel, Port, call_cap};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::heap::Heap;
use gritos_sys::slots::own;
use gritos_sys::{Error, debug_println, time};
use gritos_system_api::SystemClient;

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 24;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("log: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    HEAP.provide_own(HEAP_PIECES)?;
    let Some(endpoint) = environment.endpoint("log") else {
        debug_println!("log: the system table must give it a service `log`");
        return Ok(());
    };
    let system = environment
        .service("system")
        .map(|session| SystemClient::new(call_cap(session), Kernel));
    let mut outside = System(system);
    outside.watch()?;
    let mut port = Port::<1>::new(endpoint, 1)?;
    let mut rate = Rate::default();
    if let Err(error) = rate.read(environment.arguments()) {
        debug_println!("log: arguments in the system table, {error}; the rest of them is left out");
    }
    let mut service = Service::new(outside, environment.generation(), rate);
    let status = serve::<LogService, _, _>(&mut port, &mut service);
    debug_println!("log: cannot receive any more: {status:?}");
    Ok(())
}

/// The system around the log: the root task, if the log may ask it.
struct System(Option<SystemClient<Kernel>>);

impl System {
    /// Lets the root task say when there is something to read.
    fn watch(&mut self) -> Result<(), Error> {
        let Some(system) = &mut self.0 else {
            return Ok(());
        };
        let told = Environment::MEMORY.create::<Notification>(own::take()?)?;
        Environment::TCB.bind_notification(told)?;
        let told = StubCap::with_rights(told.address(), Rights::SEND);
        if let Err(error) = system.watch_log(told) {
            debug_println!("log: nobody tells it of the kernel's text: {error:?}");
        }
        Ok(())
    }
}

impl Outside for System {
    fn now(&self) -> u64 {
        time::nanoseconds(time::now())
    }

    fn kernel_text(&mut self) -> Option<Piece> {
        let read = self.0.as_mut()?.kernel_log().ok()?;
        (!read.text.is_empty()).then_some(Piece {
            failure: read.failure,
            text: read.text,
        })
    }
}
