//! Tests and measurements that run on the target.
//!
//! The program is the root task of the test image. As such it is the
//! [`runner`]: for each test it makes a process of this very program on an
//! Untyped of the test's own, waits for its verdict, and then checks that the
//! Untyped and the slots are whole again. In the process the same program finds
//! the test by its number and runs it with an [`env::Env`].
//!
//! The runner keeps its state on its stack: the processes begin with a copy of
//! its data as it lies in memory.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
#![cfg_attr(
    target_os = "none",
    expect(
        clippy::result_large_err,
        reason = "there is no heap, and a failure is made once per test"
    )
)]

#[cfg(target_os = "none")]
mod bench;
#[cfg(target_os = "none")]
mod check;
#[cfg(target_os = "none")]
mod env;
#[cfg(target_os = "none")]
mod protocol;
#[cfg(target_os = "none")]
mod runner;
#[cfg(target_os = "none")]
mod scenario;
#[cfg(target_os = "none")]
mod watchdog;

#[cfg(target_os = "none")]
fn start(argument: u64) {
    match gritos_sys::rt::boot_info(argument) {
        Some(info) => runner::main(info),
        None => runner::process(argument),
    }
}

#[cfg(target_os = "none")]
gritos_sys::entry!(start);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("these tests run on the target: `cargo xtask test --target`");
}
