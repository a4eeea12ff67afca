//! The driver of a virtio network device.
//!
//! It has the device `virtio-net` and offers the service `ethernet` to one client at a time. Frames stay
//! where they are: the device reads and writes the slots that client and driver share. Without offloads:
//! checksums and segmentation are the client's.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod driver;
#[cfg(target_os = "none")]
mod nic;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-virtio-net runs on the target: `cargo xtask qemu`");
}
