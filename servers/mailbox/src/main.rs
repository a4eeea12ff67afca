//! The driver of the mailbox through which the Raspberry Pi's firmware is asked.
//!
//! It has the device `mailbox` and offers the service `board`. What is asked and how is in
//! `gritos-mailbox-core`; here are the registers and the memory that the firmware answers in.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-mailbox runs on the target: `cargo xtask qemu --board rpi4`");
}
