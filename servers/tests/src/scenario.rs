//! What is tested, one module per subject.

use crate::check::Verdict;
use crate::env::Env;

mod attack;
mod cnode;
mod copying;
mod deadline;
mod ending;
mod fault;
mod ipc;
mod irq;
mod leftovers;
mod memory;
mod notification;
mod refusal;
mod revoke;
mod scheduling;
mod stubs;
mod transfer;
mod untyped;

/// A test.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    /// Its path, without blanks.
    path: &'static str,
    /// What it does.
    pub(crate) run: fn(&mut Env) -> Verdict,
    /// Nanoseconds in which it must end.
    pub(crate) limit: u64,
}

impl Test {
    /// Its name: subject and what is claimed.
    pub(crate) fn name(&self) -> &'static str {
        let (_, name) = self
            .path
            .split_once("scenario::")
            .unwrap_or(("", self.path));
        name
    }

    /// A measurement, run as a test is.
    pub(crate) const fn measurement(name: &'static str, run: fn(&mut Env) -> Verdict) -> Self {
        Self {
            path: name,
            run,
            limit: 60_000_000_000,
        }
    }
}

/// Nanoseconds that are enough for almost every test.
const LIMIT: u64 = 10_000_000_000;

/// Lists the tests of a module.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The tests of this module.
        pub(crate) const TESTS: &[$crate::scenario::Test] = &[$($crate::scenario::Test {
            path: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
            limit: $crate::scenario::LIMIT,
        }),*];
    };
}
use tests;

/// All tests in order.
pub(crate) fn all() -> impl Iterator<Item = &'static Test> {
    [
        ipc::TESTS,
        transfer::TESTS,
        notification::TESTS,
        deadline::TESTS,
        cnode::TESTS,
        untyped::TESTS,
        revoke::TESTS,
        refusal::TESTS,
        memory::TESTS,
        copying::TESTS,
        stubs::TESTS,
        fault::TESTS,
        scheduling::TESTS,
        irq::TESTS,
        ending::TESTS,
        leftovers::TESTS,
        attack::TESTS,
    ]
    .into_iter()
    .flatten()
}
