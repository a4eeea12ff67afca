//! How late a thread runs after its deadline.

use gritos_sys::{ipc, time};

/// Time between two deadlines, in nanoseconds.
const PERIOD: u64 = 1_000_000;

/// Waits for as many deadlines as `argument` says, and tells the lateness in nanoseconds.
pub(crate) fn run(argument: &str) {
    let count: u32 = argument.parse().unwrap_or(200);
    let (mut least, mut most, mut sum) = (u64::MAX, 0, 0);
    let mut at = time::after(PERIOD);
    for _ in 0..count {
        let _ = ipc::sleep_until(at);
        let late = time::nanoseconds(time::now().saturating_sub(at));
        least = least.min(late);
        most = most.max(late);
        sum += late;
        at = at.saturating_add(time::ticks(PERIOD)).max(time::now());
    }
    let mean = sum / u64::from(count.max(1));
    log::info!("late by {least} to {most} ns, {mean} on average, over {count} deadlines");
}
