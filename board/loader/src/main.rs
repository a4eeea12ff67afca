//! The first stage for a board on a desk: takes the place of `kernel8.img` on the card, receives the kernel
//! over the serial line and starts it.
//!
//! It runs at the level at which the firmware enters a kernel, with MMU and data cache off, on the boot
//! processor alone; the others stay in the firmware's stub. It puts what it receives at 4 MiB, above itself,
//! and jumps there exactly as the firmware would, with the same device tree. What it says and hears is in
//! `gritos-loader-core`; the registers it touches are in [`machine`].
//!
//! Deliberately not here: anything that the kernel does for itself, interrupts, other boards than the Pi 4.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod stage;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-loader runs on the board: `cargo xtask image --board rpi4 --loader`");
}
