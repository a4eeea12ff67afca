//! A client of every service that its line gives it: it asks each for its generation, without end.
//!
//! The method is idempotent: when a server dies in service the stub asks the next life, so that every call is to be
//! answered, and no life may come before an earlier one.

use alloc::vec::Vec;

use gritos_base_api::{Session, SessionClient};
use gritos_idl_runtime::{Cap, Error, Status};
use gritos_service::Kernel;
use gritos_sys::environment::{Environment, GrantKind};
use gritos_sys::{ipc, time};

/// Pause between two rounds, in nanoseconds.
const PAUSE: u64 = 500_000;
/// Time between two lines in the log, in nanoseconds.
const REPORT: u64 = 1_000_000_000;

pub(crate) fn run(environment: &Environment<'_>) {
    let mut services: Vec<_> = environment
        .grants()
        .filter(|grant| grant.kind == GrantKind::Service)
        .map(|grant| {
            let client = SessionClient::new(Cap::<Session>::new(grant.address), Kernel);
            (grant.name, client, 0)
        })
        .collect();
    let (mut answered, mut died, mut next) = (0_u64, 0_u64, time::now());
    loop {
        for (name, client, life) in &mut services {
            match client.generation() {
                Ok(now) if now >= *life => {
                    *life = now;
                    answered += 1;
                }
                Ok(now) => log::error!("life {now} of {name} came after life {life}"),
                // Twice in a row: it died in the second call, too.
                Err(Error::Call(Status::ServerDied)) => died += 1,
                Err(error) => log::error!("{name} answered {error:?}"),
            }
        }
        if time::now() >= next {
            log::info!("{answered} answered and {died} died");
            next = time::after(REPORT);
        }
        let _ = ipc::sleep_until(time::after(PAUSE));
    }
}
