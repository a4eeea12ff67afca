//! From capabilities to served time.

use gritos_idl_runtime::{Cap as StubCap, object, serve};
use gritos_service::{Port, adopt, object_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::heap::Heap;
use gritos_sys::{Error, debug_println, mmio, time};
use gritos_time_api::TimeService;
use gritos_time_core::{Limits, Outside, Service};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 20;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("time: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    HEAP.provide_own(HEAP_PIECES)?;
    gritos_log_client::install(&environment, log::LevelFilter::Debug);
    let Some(endpoint) = environment.endpoint("time") else {
        debug_println!("time: the system table must give it a service `time`");
        return Ok(());
    };
    let rtc = match environment.device("rtc") {
        Some(device) => Some(Rtc(mmio::Registers::map(device.registers)?)),
        None => None,
    };
    let mut port = Port::<1>::new(endpoint, 1)?;
    let mut limits = Limits::default();
    if let Err(error) = limits.read(environment.arguments()) {
        log::error!("arguments in the system table, {error}; the rest of them is left out");
    }
    let mut service = Service::new(System { rtc }, environment.generation(), limits);
    if service.time_of_day().is_none() {
        log::info!("nobody has told the time of day yet: `date -s` sets it");
    }
    let status = serve::<TimeService, _, _>(&mut port, &mut service);
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}

/// A PL031 (ARM DDI 0224, "Register descriptions"): it counts seconds since 1970.
struct Rtc(mmio::Registers);

impl Rtc {
    /// RTCDR, the time.
    const DATA: usize = 0x00;
    /// RTCLR: what is written becomes the time.
    const LOAD: usize = 0x08;
}

/// The system around the service.
struct System {
    rtc: Option<Rtc>,
}

impl Outside for System {
    fn now(&self) -> u64 {
        time::nanoseconds(time::now())
    }

    fn hardware_clock(&mut self) -> Option<u64> {
        self.rtc.as_ref().map(|rtc| rtc.0.read(Rtc::DATA).into())
    }

    fn set_hardware_clock(&mut self, seconds: u64) {
        // It ends in 2106; a later time is kept by the service alone.
        if let (Some(rtc), Ok(seconds)) = (&self.rtc, u32::try_from(seconds)) {
            rtc.0.write(Rtc::LOAD, seconds);
        }
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
