//! The log component.
//!
//! It offers the service `log` and reads, through the service `system`, what kernel and root task print. Everything but
//! the machine is in `gritos-log-core`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-log runs on the target: `cargo xtask qemu`");
}
