//! A client that calls without end and checks every answer.
//!
//! Between two lives of the server a call may fail with `ServerDied`, and nothing else may happen: in each life the numbers
//! of its calls grow, lives only follow each other, and no call waits for ever.

use gritos_idl_runtime::{Error, Status, WireError};
use gritos_sys::environment::Environment;
use gritos_sys::{ipc, time};

use crate::component::trial;

/// Pause between calls, so that others of its priority and below run.
const PAUSE: u64 = 200_000;
/// Calls between two lines in the log.
const REPORT: u64 = 2000;

pub(crate) fn run(environment: &Environment<'_>) {
    let mut trial = trial(environment);
    let (mut life, mut number) = (0, 0);
    let (mut served, mut died) = (0_u64, 0_u64);
    loop {
        match trial.count() {
            Ok(now) => {
                let follows = now.life > life || now.life == life && now.number > number;
                if !follows {
                    log::error!(
                        "call {} of life {} came after call {number} of life {life}",
                        now.number,
                        now.life
                    );
                }
                if now.life != life {
                    log::info!(
                        "life {} serves, {served} served and {died} died before",
                        now.life
                    );
                }
                (life, number) = (now.life, now.number);
                served += 1;
                if served.is_multiple_of(REPORT) {
                    log::debug!("{served} served and {died} died");
                }
            }
            Err(Error::Call(Status::ServerDied)) => died += 1,
            // Somebody has stopped it and may start it again.
            Err(Error::Refused(WireError::Unavailable)) => {}
            Err(error) => {
                log::error!("a call came to {error:?}");
                return;
            }
        }
        let _ = ipc::sleep_until(time::after(PAUSE));
    }
}
