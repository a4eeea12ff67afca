//! Both sides of `gritos.block`, for any memory and any device.
//!
//! A client has a [`Disk`]: it reads, writes and flushes, waiting for each, or
//! starts many requests and waits for all of them. A driver has a [`Queue`]: it
//! takes the requests of all its clients in turn, hands those that are in order
//! to a [`Backend`], and answers the others itself. Between them lie rings and
//! data in memory that both can write ([`layout`] says where), and neither
//! believes the other: a driver checks each request against the disk and the
//! data area, a client each completion against what it asked for.
//!
//! Nothing here knows the kernel: memory is a [`Memory`](gritos_ring::Memory),
//! signals are a trait of two functions.
#![no_std]
#![forbid(unsafe_code)]

mod attachment;
mod disk;
mod layout;
mod queue;
mod requests;
pub mod virtio;

pub use attachment::{Attachment, Job, Operation};
pub use disk::{Disk, DiskError, Signals};
pub use gritos_block_api as api;
pub use layout::{BLOCK_BYTES_LIMIT, geometry_is_sound, layout, memory_bytes};
pub use queue::{Backend, Busy, Queue, Tag};
pub use requests::Requests;

use gritos_idl_runtime::Wire;

/// Bytes of an entry of the ring of requests.
pub const REQUEST_BYTES: usize = api::BlockRequest::SIZE;
/// Bytes of an entry of the ring of completions.
pub const COMPLETION_BYTES: usize = api::BlockCompletion::SIZE;
