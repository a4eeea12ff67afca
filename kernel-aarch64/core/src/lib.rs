//! The computing half of the gRiTOS kernel.
//!
//! Everything that decides is here: capabilities, messages, threads, time,
//! memory. Nothing here touches the machine: objects are reached through a
//! [`store::Store`], effects go through a [`machine::Machine`]. So the kernel
//! that runs on the target is the one that unit tests, model checkers and
//! servers' tests run on the host.
//!
//! The shape of every operation: resolve and check everything, then change
//! state. An error means that nothing changed. Long work goes in bounded steps
//! and gives way to a pending interrupt; the thread's pc then goes back to its
//! `svc` (see [`work`]).
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[cfg(any(test, feature = "host"))]
extern crate std;

pub mod boot;
pub mod cspace;
pub mod derivation;
pub mod dtb;
pub mod endpoint;
pub mod fast;
pub mod fault;
pub mod handle;
pub mod invoke;
pub mod irq;
pub mod kernel;
pub mod machine;
pub mod memory_map;
pub mod notification;
pub mod object;
pub mod queue;
pub mod reply;
pub mod sched;
pub mod store;
pub mod syscall;
pub mod thread;
pub mod timer;
pub mod transfer;
pub mod untyped;
pub mod vspace;
pub mod work;

#[cfg(any(test, feature = "host"))]
pub mod host;
