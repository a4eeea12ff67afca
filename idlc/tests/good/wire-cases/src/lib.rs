//! A table of calls, the words they must become, and what must come back; and a
//! table of messages that differ from good ones by one mistake, with the error
//! that answers it.
//!
//! The same cases run wherever there is a [`Transport`]; nothing here needs a
//! host. The server is [`Mirror`], which answers with what it was asked; [`Recorder`] stands between client and
//! transport and compares words. Whoever runs them provides the capabilities in [`Given`].
#![no_std]
#![forbid(unsafe_code)]

mod cases;
mod given;
mod malformed;
mod mirror;
mod recorder;

use core::cell::Cell;

use gritos_idl_runtime::{Cap, Transport, WORDS, Words};
use gritos_test_shapes_api::ShapesClient;

pub use cases::{Case, cases};
pub use given::Given;
pub use malformed::{Carries, MALFORMED, Malformed, Message};
pub use mirror::Mirror;
pub use recorder::Recorder;

/// A case that did not go as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub case: &'static str,
    /// The words that were sent.
    pub sent: Words,
    /// Tag of the answer to a message by itself; 0 for a method.
    pub tag: u64,
    /// Whether what came back was right.
    pub answered: bool,
}

/// Runs all cases over a transport to a server of
/// [`Everything`](gritos_test_shapes_api::Everything), a [`Mirror`] that nobody has called before.
/// Returns how many there were.
///
/// # Errors
/// The first case that fails.
pub fn run<T: Transport>(given: &Given, transport: T) -> Result<usize, Failure> {
    let sent = Cell::new([0; WORDS]);
    let target = Cap::new(given.session);
    let mut client = ShapesClient::new(target, Recorder::new(transport, &sent));
    let cases = cases();
    for case in &cases {
        let answered = (case.call)(&mut client, given);
        if !answered || sent.get() != case.words {
            return Err(Failure {
                case: case.name,
                sent: sent.get(),
                tag: 0,
                answered,
            });
        }
    }
    Ok(cases.len())
}

/// Sends each good message, which must be accepted, and then its malformed
/// variant, which must be answered with the declared error. Returns how many there were.
///
/// # Errors
/// The first case that fails.
pub fn run_malformed<T: Transport>(given: &Given, mut transport: T) -> Result<usize, Failure> {
    for case in MALFORMED {
        let failure = |message: &Message, tag| Failure {
            case: case.name,
            sent: message.words,
            tag,
            answered: false,
        };
        let good = case.good.send(given, &mut transport);
        if good >= malformed::REFUSALS {
            return Err(failure(&case.good, good));
        }
        let bad = case.bad.send(given, &mut transport);
        if bad != case.error.tag() {
            return Err(failure(&case.bad, bad));
        }
    }
    Ok(MALFORMED.len())
}
