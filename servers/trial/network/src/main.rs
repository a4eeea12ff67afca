//! Clients of the network service, for its tests: an honest one, and those that do what clients can do wrong.
//!
//! `servers/trial/network/system.toml` starts it several times; its arguments say as what: [`echo`] sends back what it
//! receives, for a peer outside that compares it; [`hostile`] makes each mistake there is and expects its error; [`hasty`]
//! is more urgent than the service and changes, unmaps and revokes memory while its calls are served; [`fuzz`] sends
//! messages of random numbers and capabilities; [`lend`] hands its sockets to others.
//!
//! The first life of those that do harm ends at once, so that a test starts them when it wants to: with `restart`. What
//! they find they say in the log.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod echo;
#[cfg(target_os = "none")]
mod fuzz;
#[cfg(target_os = "none")]
mod hasty;
#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod lend;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod patient;
#[cfg(target_os = "none")]
mod random;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "gritos-trial-network runs on the target: `cargo xtask test --target network/hostile`"
    );
}
