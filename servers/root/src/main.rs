//! The root task: the first task, which the kernel starts with every authority
//! there is.
//!
//! It reports what machine it found, starts each component of the boot image in
//! a process of its own, and watches them through one fault endpoint. What ends
//! or faults is reported with component, offset and registers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(dead_code, reason = "helpers and the start need a machine")
)]

#[cfg(any(target_os = "none", test))]
mod answer;
#[cfg(any(target_os = "none", test))]
mod component;
#[cfg(any(target_os = "none", test))]
mod console;
#[cfg(any(target_os = "none", test))]
mod devices;
#[cfg(any(target_os = "none", test))]
mod grants;
#[cfg(any(target_os = "none", test))]
mod helper;
#[cfg(any(target_os = "none", test))]
mod leaving;
#[cfg(any(target_os = "none", test))]
mod make;
#[cfg(any(target_os = "none", test))]
mod messenger;
#[cfg(any(target_os = "none", test))]
mod policy;
#[cfg(any(target_os = "none", test))]
mod printer;
#[cfg(any(target_os = "none", test))]
mod report;
#[cfg(any(target_os = "none", test))]
mod root;
#[cfg(any(target_os = "none", test))]
mod stand_in;
#[cfg(target_os = "none")]
mod start;
#[cfg(any(target_os = "none", test))]
mod tasks;
#[cfg(any(target_os = "none", test))]
mod text;
#[cfg(any(target_os = "none", test))]
mod worker;

#[cfg(target_os = "none")]
gritos_sys::root_entry!(start::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-root runs on the target: `cargo xtask qemu`");
}
