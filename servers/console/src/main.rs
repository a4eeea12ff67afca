//! The console component.
//!
//! It has the device `uart` with its interrupt and offers the service `console`. Everything but the machine is in
//! `gritos-console-core`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-console runs on the target: `cargo xtask qemu`");
}
