//! Measurements.

use crate::check::Verdict;
use crate::env::Env;

/// A measurement.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    /// Its name.
    pub(crate) name: &'static str,
    /// Measures and tells the results.
    pub(crate) run: fn(&mut Env) -> Verdict,
}

/// All measurements.
pub(crate) const ALL: &[Bench] = &[];
