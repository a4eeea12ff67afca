//! What every gRiTOS task links.
//!
//! From the bottom up: [`raw`] is the seam at which registers go into the
//! kernel and come out; [`cap`] gives slot addresses a type; [`ipc`] and
//! [`invoke`] are the system calls and methods on typed capabilities;
//! [`slots`] and [`memory`] give out slots and memory; [`thread`] and
//! [`process`] make threads and processes of them; [`shared`] and [`heap`] are
//! memory seen from inside, [`mmio`] and [`dma`] that of devices; [`rt`] is
//! where a task begins and ends.
//!
//! `unsafe` lives in `svc`, `rt`, `shared`, `heap`, `mmio` and `dma`. On a host, where there
//! is no kernel to trap into, [`raw::host`] takes the place of `svc`.
#![no_std]

#[cfg(not(target_os = "none"))]
extern crate std;

pub use gritos_abi as abi;

pub mod cap;
pub mod debug;
pub mod dma;
pub mod environment;
pub mod error;
#[cfg(feature = "heap")]
pub mod heap;
pub mod invoke;
pub mod ipc;
pub mod memory;
pub mod mmio;
pub mod process;
pub mod raw;
pub mod rt;
pub mod shared;
pub mod slots;
#[cfg(target_os = "none")]
pub mod svc;
pub mod thread;
pub mod time;

pub use cap::{Cap, Mask};
pub use error::Error;
pub use ipc::{Message, Received, Wait};
