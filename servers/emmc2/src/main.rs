//! The driver of the Raspberry Pi 4's card, and of one behind any other standard SD host controller.
//!
//! It has the device `emmc2` with its interrupt and offers the service `disk`. Serving clients is in
//! `gritos-block-driver`, cards and controller in `gritos-emmc2-core`; here they meet the registers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod disk;
#[cfg(target_os = "none")]
mod pci;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-emmc2 runs on the target: `cargo xtask qemu --board rpi4`");
}
