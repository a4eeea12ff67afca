//! The gRiTOS kernel for AArch64: everything that touches the machine.
//!
//! `entry` gets from reset to its function `start`, `arch` holds exceptions and the MMU, `drivers`
//! what the kernel itself needs: UART, interrupt controller, timer, power. What only computes is
//! the crate `gritos-kernel-core`, which runs on the host too.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod drivers;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod store;

/// Lets `cargo check|clippy|test --workspace` pass on a host, where there is no kernel.
#[cfg(not(target_os = "none"))]
fn main() {
    println!("build me with --target aarch64-unknown-none-softfloat");
}
