//! The network service.
//!
//! It uses the services `ethernet`, `entropy` and `system`, and offers `net`. The stack and the calls are in
//! `gritos-net-core`; here is what touches the system: frames in memory shared with the driver, time, and
//! notifications of clients. Its arguments are [`gritos_net_core::Settings`].
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod cable;
#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod outside;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-net runs on the target: `cargo xtask qemu`");
}
