//! The kernel against a small specification.
//!
//! The specification ([`spec`]) is written with maps and queues from the
//! documents, apart from the core. Both get the same sequences of calls by
//! several threads; after every call the status and message of every thread
//! that is awake, what every other waits for, every slot and where its
//! capability was derived from must be the same. A difference shrinks to a
//! short sequence.

mod drive;
mod spec;

use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, proptest};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_sequences_do_what_the_specification_says(
        steps in collection::vec(any::<u32>(), 1..24),
    ) {
        drive::compare(steps.into_iter().map(spec::Op::decode));
    }
}

/// All sequences of three calls out of a representative few, after each of
/// several beginnings.
#[test]
fn short_sequences_do_what_the_specification_says() {
    let ops = spec::Op::few();
    for a in &ops {
        for b in &ops {
            for c in &ops {
                drive::compare([*a, *b, *c].into_iter());
            }
        }
    }
}
