//! A component in many roles, for tests of supervision.
//!
//! `servers/trial/system.toml` starts it several times; its arguments say as what: [`failing`] faults, [`server`] serves
//! and can be made to fail in service, [`checks`] are clients that say in the log whether all was as it should be, [`load`]
//! calls without end, [`callers`] does so to every service there is, [`rogue`] does all the harm it can, [`metronome`] measures how late deadlines come.
//!
//! The first life of most roles ends at once, so that a test starts them when it wants to: with `restart`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod callers;
#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod failing;
#[cfg(target_os = "none")]
mod load;
#[cfg(target_os = "none")]
mod metronome;
#[cfg(target_os = "none")]
mod rogue;
#[cfg(target_os = "none")]
mod server;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-trial runs on the target: `cargo xtask test --target supervision`");
}
