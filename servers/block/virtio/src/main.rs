//! The driver of a virtio block device.
//!
//! It has the device `virtio-blk` with its interrupt and offers the service `disk`. Serving clients is in
//! `gritos-block-driver`, the formats of the device in `gritos-block-core`; here they meet the device's queue.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod disk;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-virtio-blk runs on the target: `cargo xtask qemu`");
}
