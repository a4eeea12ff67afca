//! What generated stubs are written against.
//!
//! A client stub turns arguments into an [`Outgoing`] message and hands it to a
//! [`Transport`]; a server loop ([`serve()`]) takes an [`Incoming`] message from a
//! [`ServerPort`], has it dispatched and hands the [`Answer`] back. Both
//! traits mirror the kernel's message registers one to one, are used by value
//! and without dynamic dispatch, so that the eight words stay in registers
//! from the caller's arguments to the server's. The `gritos-sys` crate
//! implements them over the kernel, [`loopback`] in memory.
//!
//! Checked values ([`Text`], [`Bytes`], [`Cap`], …) and the [`Wire`] encoding
//! of everything wider than a word are here too.
#![no_std]
#![forbid(unsafe_code)]

pub use bitflags;
pub use gritos_abi::{Address, Kind, ObjectType, Outcome, Rights, Status};

pub mod loopback;
pub mod object;

mod cap;
mod error;
mod message;
mod serve;
mod value;
mod wire;

pub use cap::{
    BUFFER_READ, BUFFER_WRITE, Buffer, BufferRange, BufferSource, Cap, EndpointCap, Grant,
};
pub use error::{Error, ErrorNumber, NoError, WireError, failure, sent};
pub use message::{
    CapSlot, Incoming, Outgoing, Place, ServerPort, Ticket, Transport, WORDS, Words,
};
pub use serve::{Answer, BadgeClass, Caller, Dispatch, Hooks, Later, Response, serve};
pub use value::{Bytes, Text, TooLong};
pub use wire::{Image, Wire, bool_from, get, image_of, put, words_of};
