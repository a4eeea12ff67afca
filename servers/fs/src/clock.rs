//! The time of day, for the dates of files.
//!
//! The time service is asked once, when the server starts; from then on the counter of the processor goes on from
//! what it said. Where nobody knows the time of day, files are dated as if the machine had started in 1970.

use core::sync::atomic::{AtomicU64, Ordering};

use gritos_service::{Kernel, call_cap};
use gritos_sys::environment::Environment;
use gritos_sys::time;
use gritos_time_api::TimeClient;

/// Nanoseconds since 1970 when the machine started.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Asks for the time of day.
pub(crate) fn set(environment: &Environment<'_>) {
    let Some(session) = environment.service("time") else {
        return;
    };
    let mut client = TimeClient::new(call_cap(session), Kernel);
    match client.wall_clock() {
        Ok(now) => {
            let since = time::nanoseconds(time::now());
            STARTED.store(now.saturating_sub(since), Ordering::Relaxed);
        }
        Err(error) => log::warn!("the time of day is not known: {error}"),
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = time::nanoseconds(time::now());
    STARTED.load(Ordering::Relaxed).saturating_add(since)
}
