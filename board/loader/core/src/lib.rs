//! Loading an image over a serial line that may damage, lose or insert bytes.
//!
//! The board's first stage is the [`Receiver`]; the host sends. Both speak in frames ([`wire`]), each with
//! its length and a CRC-32C. The host sends one piece at a time and goes on when it was accepted; what
//! arrived damaged it sends again. The image as a whole has a CRC, too: nothing is started that is not,
//! byte for byte, what the host meant.
//!
//! ```text
//! board  Ready(version, room)          every half second while nothing happens
//! host   Speed(baud)                   optional; answered at the old speed, then both change
//! host   Begin(bytes, crc)         ->  Accepted(0), or Refused(why)
//! host   Data(offset, bytes)       ->  Accepted(next offset)
//!        anything damaged          ->  Damaged
//! host   Start(crc)                ->  Started, or Refused(Checksum); the image runs
//! ```
//!
//! A `Ready` behind `Accepted` means that the board was reset. Every message may come twice; none does harm.
//! The normative text is `docs/reference/serial-load.md`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod message;
mod receiver;
pub mod wire;

pub use message::{FromBoard, FromHost, Refusal};
pub use receiver::{Action, Memory, Receiver};

/// Version of the protocol, in `Ready`.
pub const VERSION: u32 = 1;
/// Most bytes of a piece of the image. At 115200 baud it takes 180 ms, and is what an error costs.
pub const PIECE_BYTES: usize = 2048;
