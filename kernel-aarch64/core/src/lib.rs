//! gritos-kernel-core: what the kernel computes, without touching the machine.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[cfg(test)]
extern crate std;

pub mod dtb;
pub mod memory_map;
