//! The system counter: what deadlines are given in.

use crate::raw::{RawCalls, kernel};

/// The counter now, in ticks.
#[must_use]
#[inline]
pub fn now() -> u64 {
    kernel().counter()
}

/// Ticks in so many nanoseconds, rounded up, so that a wait is never shorter
/// than was asked.
#[must_use]
pub fn ticks(nanoseconds: u64) -> u64 {
    let hz = kernel().counter_hz();
    if let Some(whole) = nanoseconds_of_a_tick(hz) {
        return nanoseconds.div_ceil(whole);
    }
    let ticks = u128::from(nanoseconds) * u128::from(hz);
    u64::try_from(ticks.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

/// Nanoseconds of a tick, if they are a whole number: dividing 128 bits is not needed then.
fn nanoseconds_of_a_tick(hz: u64) -> Option<u64> {
    let second = 1_000_000_000_u64;
    (second.checked_rem(hz) == Some(0)).then(|| second / hz)
}

/// The counter value so many nanoseconds from now.
#[must_use]
pub fn after(nanoseconds: u64) -> u64 {
    now().saturating_add(ticks(nanoseconds))
}

/// Nanoseconds in so many ticks, rounded down.
#[must_use]
pub fn nanoseconds(ticks: u64) -> u64 {
    let hz = kernel().counter_hz();
    if let Some(whole) = nanoseconds_of_a_tick(hz) {
        return ticks.saturating_mul(whole);
    }
    let scaled = u128::from(ticks) * 1_000_000_000 / u128::from(hz);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Sleeps: what a driver that is written against `embedded-hal` waits with. No
/// service is asked; the kernel wakes the thread at its deadline.
#[cfg(feature = "embedded-hal")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Delay;

#[cfg(feature = "embedded-hal")]
impl Delay {
    fn sleep(self, nanoseconds: u64) {
        let end = after(nanoseconds);
        // Woken before its time, by somebody who suspended and resumed the thread, it goes on
        // sleeping.
        while now() < end && crate::ipc::sleep_until(end).is_err() {}
    }
}

#[cfg(feature = "embedded-hal")]
impl embedded_hal::delay::DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.sleep(ns.into());
    }

    fn delay_us(&mut self, us: u32) {
        self.sleep(u64::from(us) * 1_000);
    }

    fn delay_ms(&mut self, ms: u32) {
        self.sleep(u64::from(ms) * 1_000_000);
    }
}
