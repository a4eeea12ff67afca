//! The log service without the machine.
//!
//! [`Store`] keeps records in fixed memory, the oldest dropped first. [`Allowance`] bounds what one client may write, so
//! that whoever writes without end loses its own records and nobody else's. [`Service`] joins them into the server of
//! `log.gidl`; what it needs of the system is [`Outside`].
//!
//! Nothing that a client sends makes it panic, block or use more than its fixed memory. Text is kept as it came but for
//! control characters, which could play tricks on a terminal.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod allowance;
mod draft;
mod service;
mod store;

pub use allowance::{Allowance, BURST, PER_SECOND, Rate};
pub use draft::{Draft, is_shown};
pub use service::{Outside, Piece, ROOT, Service, WRITER_LIMIT};
pub use store::{RECORD_LIMIT, Record, Store, TEXT_BYTES};
