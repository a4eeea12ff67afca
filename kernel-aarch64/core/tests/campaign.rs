//! A long random campaign of system calls against the core, with every
//! invariant checked after each call.
//!
//! Runs are numbered; a failure names its run, and `GRITOS_RUN=N` repeats that
//! one alone. `GRITOS_SOAK=N` makes N thousand calls instead of the gate's, and
//! `GRITOS_FIRST=N` begins with run N. No two runs are alike.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gritos_abi::method::Platform;
use gritos_abi::{ObjectType, Status};
use gritos_kernel_core::host::fuzz::{Random, Tally, system_calls};

/// Calls that the gate makes, in thousands.
const GATE: u64 = 200;
/// Calls after which a long campaign says how far it is.
const NEWS: u64 = 1_000_000;
/// Bytes that one run is made of.
const RUN_BYTES: usize = 3000;

fn run(number: u64, tally: &mut Tally) {
    let mut random = Random::new(number);
    let bytes: Vec<u8> = (0..RUN_BYTES / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    system_calls(&bytes, tally);
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_system_calls_keep_every_invariant() {
    let mut tally = Tally::default();
    if let Some(number) = number_in("GRITOS_RUN") {
        return run(number, &mut tally);
    }
    let calls = 1000 * number_in("GRITOS_SOAK").unwrap_or(GATE);
    let first = number_in("GRITOS_FIRST").unwrap_or(0);
    let (mut number, mut news) = (first, NEWS);
    while tally.calls < calls {
        let result = catch_unwind(AssertUnwindSafe(|| run(number, &mut tally)));
        assert!(
            result.is_ok(),
            "run {number} failed after {} calls",
            tally.calls
        );
        number += 1;
        if tally.calls >= news {
            println!("runs {first} to {}: {} calls", number - 1, tally.calls);
            news += NEWS;
        }
    }
    println!("{} runs: {tally:?}", number - first);
    if calls < 1000 * GATE {
        // Too few for what is rare.
        return;
    }
    let missed = tally.methods_missed(calls / 10_000);
    let end_the_machine =
        [Platform::Reset, Platform::PowerOff].map(|m| (ObjectType::Platform, m as u64));
    assert_eq!(missed, end_the_machine, "methods that seldom succeeded");
    // These need more luck than a short campaign has.
    let mut missed = tally.statuses_missed();
    missed.retain(|status| !matches!(status, Status::NoAsid | Status::Deleted));
    assert_eq!(missed, [], "statuses that were never the answer");
    assert!(
        tally.fast > calls / 200,
        "the fast path hardly ever applied"
    );
}
