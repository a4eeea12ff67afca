//! From capabilities to a served console.

use gritos_console_api::ConsoleService;
use gritos_console_core::{Outside, Register, Registers, Service};
use gritos_idl_runtime::{Cap as StubCap, object, serve};
use gritos_service::{Port, adopt, object_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::heap::Heap;
use gritos_sys::slots::own;
use gritos_sys::{Error, debug_println, mmio, time};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 24;
/// Callers that can wait at a time: a reader, and those whose output is not out yet.
const REPLIES: usize = 24;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("console: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let (Some(endpoint), Some(device), Some(interrupt)) = (
        environment.endpoint("console"),
        environment.device("uart"),
        environment.interrupt("uart", 0),
    ) else {
        debug_println!(
            "console: the system table must give it a service `console` and the device `uart`"
        );
        return Ok(());
    };
    let registers = Uart(mmio::Registers::map(device.registers)?);
    let arrived = Environment::MEMORY.create::<Notification>(own::take()?)?;
    Environment::TCB.bind_notification(arrived)?;
    let mut port = Port::<REPLIES>::new(endpoint, 1)?;
    let mut service = Service::start(registers, System, environment.generation());
    interrupt.bind(arrived, true)?;
    log::info!("the serial line is served");
    let status = serve::<ConsoleService, _, _>(&mut port, &mut service);
    debug_println!("console: cannot receive any more: {status:?}");
    Ok(())
}

/// The registers of the device.
struct Uart(mmio::Registers);

impl Registers for Uart {
    fn read(&mut self, register: Register) -> u32 {
        self.0.read(register as usize)
    }

    fn write(&mut self, register: Register, value: u32) {
        self.0.write(register as usize, value);
    }
}

/// The system around the console.
struct System;

impl Outside for System {
    fn now(&self) -> u64 {
        time::nanoseconds(time::now())
    }

    fn signal(&mut self, notification: StubCap<object::Notification>, bits: u64) {
        // A client that revoked its notification is not told.
        let _ = object_cap::<_, Notification>(notification).signal(bits);
    }

    fn keep(
        &mut self,
        notification: StubCap<object::Notification>,
    ) -> Option<StubCap<object::Notification>> {
        let slot = adopt(notification.address()).ok()?;
        Some(StubCap::new(slot.address()))
    }

    fn delete(&mut self, notification: StubCap<object::Notification>) {
        // A slot that cannot be emptied stays taken: nothing else can be done here.
        let _ = release(notification.address());
    }
}
