//! The `log` facade for components.
//!
//! [`install`] makes the macros of the `log` crate write to the service `log`, if the component's line in `system.toml`
//! lets it use that, and to the kernel's debug console otherwise. Records are formatted in pieces that fit a message:
//! no heap is needed, and a thread that logs is held up for at most [`APPEND_WAIT`] by a log service that hangs.
//!
//! ```text
//! let environment = gritos_service::start()?;
//! gritos_log_client::install(&environment, log::LevelFilter::Debug);
//! log::info!("ready");
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod parts;

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use gritos_idl_runtime::{Address, Bytes, Cap as StubCap};
use gritos_log_api::{Level, LogClient};
use gritos_service::Kernel;
use gritos_sys::environment::Environment;
use gritos_sys::{debug_println, ipc, time};
use log::{LevelFilter, Log, Metadata, Record};

pub use parts::Parts;

/// Longest that one message to the log waits: the deadline of its method.
pub const APPEND_WAIT: Duration = Duration::from_millis(100);
/// Pause before the next look at a record that another thread is writing, in nanoseconds.
const PAUSE: u64 = 50_000;

/// Where records go.
#[derive(Debug)]
struct Sink {
    /// Address of the session, or 0: the debug console.
    session: AtomicU32,
    /// A thread is writing a record: its parts must not mix with another's.
    busy: AtomicBool,
}

static SINK: Sink = Sink {
    session: AtomicU32::new(0),
    busy: AtomicBool::new(false),
};

/// Sends the records of this component to the log service, up to `level`. What a component installed before stays.
pub fn install(environment: &Environment<'_>, level: LevelFilter) {
    let session = environment.service("log");
    let address = session.map_or(0, |session| session.address().0);
    SINK.session.store(address, Ordering::Relaxed);
    if log::set_logger(&SINK).is_ok() {
        log::set_max_level(level);
    }
}

/// The service's name of a level.
#[must_use]
pub const fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let address = self.session.load(Ordering::Relaxed);
        if address == 0 {
            return debug_println!(
                "{:5} {}: {}",
                record.level(),
                record.target(),
                record.args()
            );
        }
        while self.busy.swap(true, Ordering::Acquire) {
            // Sleep rather than spin: the other thread may have a lower priority.
            let _ = ipc::sleep_until(time::after(PAUSE));
        }
        let mut client = LogClient::new(StubCap::new(Address(address)), Kernel);
        let level = level(record.level());
        let mut parts = Parts::new(|part: &[u8], last| {
            // A record that cannot be delivered is lost: there is no better place for it.
            let part = Bytes::new(part).unwrap_or_default();
            client.append(level, last, part).is_ok()
        });
        // Formatting stops early when the log takes no more; `finish` has nothing to add to that.
        let _ = write!(parts, "{}", record.args());
        parts.finish();
        self.busy.store(false, Ordering::Release);
    }

    fn flush(&self) {}
}
