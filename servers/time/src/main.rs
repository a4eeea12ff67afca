//! The time component.
//!
//! It offers the service `time` and, where the board has one, drives the clock `rtc`. Everything but the machine is in
//! `gritos-time-core`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-time runs on the target: `cargo xtask qemu`");
}
