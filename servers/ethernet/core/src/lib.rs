//! Both sides of `gritos.ethernet`, for any memory and any device.
//!
//! A client has a [`Link`], which copies frames in and out. A driver has a
//! [`Station`], which moves slots between the client's rings and an [`Adapter`],
//! the device; it never touches the frames. Neither side believes the other: a
//! slot that comes back must be one that was given, and a length must fit.
#![no_std]
#![forbid(unsafe_code)]

mod layout;
mod link;
mod slots;
mod station;

pub use gritos_ethernet_api as api;
pub use layout::{HEADER_BYTES, layout, memory_bytes, slot_offset};
pub use link::{Link, LinkError, Signals};
pub use station::{Adapter, Busy, Pass, Station};

use gritos_ethernet_api::Frame;
use gritos_idl_runtime::Wire;
use gritos_ring::RingError;

/// Bytes of an entry of each ring.
pub const ENTRY_BYTES: usize = Frame::SIZE;

/// How many of so many slots are worth being handed over: the other side has most of the others.
const fn batch(slots: u16) -> u16 {
    slots / 16
}

fn encode(frame: Frame) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    frame.encode(&mut entry);
    entry
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> Result<Frame, RingError> {
    Frame::decode(entry).map_err(|_| RingError::Corrupt)
}
