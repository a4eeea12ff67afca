//! The shell component.
//!
//! It reads and writes the console and runs the commands of [`commands::TABLES`]. Everything but the
//! machine is in `gritos-shell-core`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod commands;
#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod terminal;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-shell runs on the target: `cargo xtask qemu`");
}
