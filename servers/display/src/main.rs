//! The screen of the Raspberry Pi: what goes out on the serial line, on HDMI as well.
//!
//! It has the device `videocore`, the memory in which the firmware shows what is there, asks `board` which part of it is
//! the screen, and `console` for what was written. The console never waits for it: a screen that is slow or dead
//! misses text. What a terminal makes of text is in `gritos-display-core`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod screen;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-display runs on the target: `cargo xtask qemu --board rpi4`");
}
