//! Clients and servers on the host, over the real kernel.
//!
//! A [`System`] boots the kernel's core in memory. Each program is a host thread
//! that is bound to a thread of that kernel: it computes while the kernel says
//! that its thread runs, and waits otherwise, so that exactly one computes at a
//! time and every run is the same. System calls go through
//! [`gritos_sys::raw`], as on the target; capabilities, queues, replies,
//! transfer, deadlines and deaths are the kernel's own. After each call every
//! invariant of the kernel is checked, and the fast path is compared with the
//! general one.
//!
//! Time stands still while anybody runs and jumps to the next deadline when
//! nobody does. Memory objects have their bytes in [`memory`]; there are no page
//! tables behind a mapping.
#![forbid(unsafe_code)]

pub mod memory;
mod seat;
mod system;

pub use system::{Handle, Program, System};

/// Slot of a capability that a program was given first; the others follow.
pub const GIVEN_FIRST: u16 = gritos_sys::environment::slot::GRANT_FIRST;
/// First of a program's free slots.
pub const FREE_FIRST: u16 = 64;
/// Slots of a program's CNode.
pub const SLOTS: u16 = 512;
