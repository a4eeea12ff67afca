//! The server half of a block driver, for any device.
//!
//! A driver process has a [`Hardware`], which carries out jobs on memory that the device accesses itself,
//! and hands it to a [`Server`]. The server answers `gritos.block`, gives each client rings and a data area
//! out of the driver's own memory, and runs the queue whenever a client or the device signals. A driver that
//! finds no device serves with [`Absent`], so that its clients get an error and do not wait for ever.
//!
//! Checking requests and taking turns between clients is in `gritos-block-core`; nothing of it is here, and
//! nothing of any device.
#![no_std]
#![forbid(unsafe_code)]

mod absent;
mod place;
mod server;

pub use absent::Absent;
pub use gritos_sys::dma::DmaMemory;
pub use server::{Hardware, INTERRUPT, Server};

/// Most bytes of a data area that a client of a [`Server`] can have: what memory is set aside for.
pub const DATA_BYTES_LIMIT: u32 = 1 << 20;
