//! The suite as a component: its arguments say which part runs, and the log says what came of it.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod hostile;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-fs-suite runs on the target: `cargo xtask test --target files`");
}
