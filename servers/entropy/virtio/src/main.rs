//! The driver of a virtio entropy device.
//!
//! It has the device `virtio-rng` and offers the service `entropy`. Bytes go to one caller each, and are
//! forgotten when they have gone. Nothing is stretched or mixed here: whoever needs many numbers seeds a
//! generator of its own.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod source;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-virtio-rng runs on the target: `cargo xtask qemu`");
}
