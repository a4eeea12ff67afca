//! The web server.
//!
//! It uses the services `net`, `system` and, if there is one, `fs`. It serves the files below `/data/www`;
//! `/api/system` is the state of the system as JSON; where there is no `index.html`, a page that shows it.
//! Everything about HTTP is in `gritos-http-core`. One thread serves all connections: it waits until one of
//! them can go on.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod component;
#[cfg(target_os = "none")]
mod guests;
#[cfg(target_os = "none")]
mod site;
#[cfg(target_os = "none")]
mod state;
#[cfg(target_os = "none")]
mod storage;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-http runs on the target: `cargo xtask qemu`");
}
