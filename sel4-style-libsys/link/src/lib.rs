//! How build scripts have a task linked: the whole `build.rs` of a component is a call of [`task`].
#![forbid(unsafe_code)]

use std::env;

/// Has the linker lay out the package's programs as `sel4-style-libsys/task.ld` says, if they are built for the target.
/// On the host, where the same packages are tested, nothing changes.
pub fn task() {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../task.ld");
    println!("cargo::rerun-if-changed={SCRIPT}");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
