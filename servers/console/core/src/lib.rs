//! The console service without the machine.
//!
//! [`Uart`] drives a PL011 through [`Registers`], which hardware and a model in tests implement. [`Input`] keeps what was
//! received until its owner reads it; [`Output`] puts what many clients write in turns, line by line. [`History`]
//! keeps the end of it for those who show it on a screen. [`Service`] joins them into the server of `console.gidl`; what it needs of the system is [`Outside`].
//!
//! Nothing a client or the other end of the line does makes it panic, block or use more than its fixed memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod history;
mod input;
mod output;
mod probe;
mod service;
mod uart;

pub use history::{HISTORY_BYTES, History};
pub use input::{INPUT_BYTES, Input, OWNER_LIMIT};
pub use output::{LINE_LIMIT, Next, Output, QUEUE_BYTES, WRITER_LIMIT};
pub use probe::{PROBE, Probe};
pub use service::{Outside, Service};
pub use uart::{Received, Register, Registers, Uart};
