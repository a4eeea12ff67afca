//! The network service without a machine.
//!
//! [`Stack`] turns Ethernet frames into sockets with the semantics of BSD:
//! queues of waiting connections, half-closed streams, errors that say what
//! happened. It never waits: an operation that cannot be done now says
//! `WOULD_BLOCK`. [`Service`] puts the protocols of `net.gidl` on top of it: it
//! keeps callers that have to wait, and answers them when they can be.
//!
//! Frames come from a [`FrameDevice`], time from a [`Clock`], memory of clients
//! through `gritos-service`; nothing here touches hardware or the kernel. TCP/IP
//! itself is `smoltcp`'s, which no signature of this crate shows.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "host")]
extern crate std;

mod address;
mod buffers;
mod entropy;
mod filter;
mod frame;
#[cfg(feature = "host")]
pub mod host;
mod link;
mod resolver;
mod service;
mod sets;
mod settings;
mod socket;
mod stack;

pub use buffers::{Sink, Source};
pub use entropy::{Entropy, Generator};
pub use filter::{Action, Rule, RuleError, Rules};
pub use frame::{Clock, Counters, FrameDevice};
pub use resolver::QueryId;
pub use service::{Alarm, Service, ServiceLimits, Signals};
pub use settings::{Settings, SettingsError};
pub use socket::{Received, SocketId};
pub use stack::{Config, Limits, Stack};
