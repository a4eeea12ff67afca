//! The file server.
//!
//! It offers the service `files` and uses the service `disk`, if there is one. Everything that is not the
//! machine is in `gritos-fs-core`; here are the disk as a process sees it, and what is mounted where.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod disk;
#[cfg(target_os = "none")]
mod mounts;
#[cfg(target_os = "none")]
mod timed;
#[cfg(target_os = "none")]
mod wires;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-fs runs on the target: `cargo xtask qemu`");
}
