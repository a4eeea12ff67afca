//! The time service without the machine.
//!
//! [`Timers`] orders deadlines; [`Service`] joins it with clients, their channels and the clock into the server of
//! `time.gidl`. What it needs of the system is [`Outside`].
//!
//! Each call costs at most a logarithm of the number of timers, and each turn fires or forgets a bounded number of them:
//! whatever a client starts, the others are served in between.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod clock;
mod service;
mod timers;

pub use clock::Clock;
pub use service::{ALL_TIMERS, CLIENT_LIMIT, Limits, Outside, Service};
pub use timers::{Timer, Timers};
