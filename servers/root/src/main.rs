//! The root task: the first task, which the kernel starts with every authority
//! there is.
//!
//! It reports what machine it found, starts each component of the boot image in
//! a process of its own, and watches them through one fault endpoint. What ends
//! or faults is reported with component, offset and registers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod answer;
#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
mod grants;
#[cfg(target_os = "none")]
mod helper;
#[cfg(target_os = "none")]
mod leaving;
#[cfg(target_os = "none")]
mod make;
#[cfg(target_os = "none")]
mod messenger;
#[cfg(any(target_os = "none", test))]
mod policy;
#[cfg(target_os = "none")]
mod printer;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
mod root;
#[cfg(target_os = "none")]
mod stand_in;
#[cfg(target_os = "none")]
mod tasks;
#[cfg(any(target_os = "none", test))]
mod text;
#[cfg(target_os = "none")]
mod worker;

#[cfg(target_os = "none")]
gritos_sys::root_entry!(root::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-root runs on the target: `cargo xtask qemu`");
}
