//! Links the task for the target as `task.ld` lays it out.

use std::env;

fn main() {
    const SCRIPT: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../sel4-style-libsys/task.ld"
    );
    println!("cargo::rerun-if-changed={SCRIPT}");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
