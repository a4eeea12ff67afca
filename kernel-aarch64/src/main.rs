//! The gRiTOS kernel for AArch64: everything that touches the machine.
//!
//! `entry` gets from reset to [`entry::start`], `arch` holds exceptions and the MMU, `drivers` what
//! the kernel itself needs: UART, interrupt controller, timer, power. What only computes is the
//! crate `gritos-kernel-core`, which runs on the host too.

#![cfg_attr(target_os = "none", no_std, no_main)]

core::cfg_select! {
    target_os = "none" => {
        mod arch;
        mod drivers;
        mod entry;
    }
    _ => {
        /// Lets `cargo check|clippy|test --workspace` pass on a host, where there is no kernel.
        fn main() {
            println!("build me with --target aarch64-unknown-none-softfloat");
        }
    }
}
