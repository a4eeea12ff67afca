//! A client of the file server that writes without end, and checks what it wrote before.
//!
//! It works in steps that are numbered without a gap from the first life of a disk on. In step n it writes a new
//! file, makes it durable, gives it the name of place n modulo [`pattern::PLACES`], makes that durable, and says so
//! in the log. What is in a file follows from n alone. So whoever kills something while it works knows what must be
//! there afterwards, and so does it itself: the number in a place is that of the last step for it, or of the one
//! that was under way.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod component;
#[cfg(any(test, target_os = "none"))]
mod pattern;

#[cfg(target_os = "none")]
gritos_sys::entry!(component::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("gritos-fs-load runs on the target: `cargo xtask test --target files`");
}
