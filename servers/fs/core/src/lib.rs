//! The file server's logic, without the machine: it runs in the server and, under
//! test, on a host.
//!
//! From the device upwards: [`block`] devices, a [`cache`] that writes back, and
//! [`partition`]s; file systems as [`volume::Volume`]s (in memory, ext4, FAT);
//! [`vfs`], which joins them to one tree with paths and open files; and [`service`],
//! which speaks the protocols of `fs.gidl` on top of it.
//!
//! Everything is synchronous: an operation returns when it is done. Input from
//! clients and from disks is never trusted; errors are those of the interface.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
pub mod cache;
pub mod ext4;
pub mod fat;
#[cfg(feature = "host")]
pub mod host;
pub mod memfs;
mod numbers;
pub mod partition;
pub mod service;
pub mod vfs;
pub mod volume;
