//! Endpoints, notifications and Replies.

use core::cell::Cell;

use super::Header;
use crate::handle::TcbRef;

/// A FIFO of threads, linked through their TCBs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Queue {
    /// First out.
    pub head: Cell<Option<TcbRef>>,
    /// Last in.
    pub tail: Cell<Option<TcbRef>>,
}

/// A rendezvous point for messages.
///
/// Receivers that can take a Call (they named a Reply) and receivers that
/// cannot wait in queues of their own, so neither kind is searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Endpoint {
    /// Common header.
    pub header: Header,
    /// Callers and faulted threads.
    pub senders: Queue,
    /// Receivers with an armed Reply.
    pub armed: Queue,
    /// Receivers without a Reply, for one-way messages and notifications.
    pub plain: Queue,
}

/// A word of bits that can be signalled and waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Notification {
    /// Common header.
    pub header: Header,
    /// Threads that wait for bits.
    pub waiters: Queue,
    /// Thread that receives the bits in any `Recv`.
    pub bound: Cell<Option<TcbRef>>,
    /// First interrupt line bound here, plus one; 0 is none.
    pub irq: Cell<u32>,
    /// Bits that nobody has taken.
    pub bits: Cell<u64>,
}

/// State bits of a Notification.
pub mod notification_state {
    /// Of the lines that a wait acknowledges, one may have been delivered.
    pub const DELIVERED: u32 = 1 << 8;
}

/// The right to answer one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Reply {
    /// Common header; see [`reply_state`].
    pub header: Header,
    /// Who waits for the answer; none unless an answer is owed.
    pub caller: Cell<Option<TcbRef>>,
    /// Who armed it.
    pub server: Cell<Option<TcbRef>>,
}

/// State bits of a Reply; none set means free.
pub mod reply_state {
    /// A receiver waits with it, or a caller waits for the answer. One bit for
    /// both, so that it stays while calls come and go.
    pub const IN_USE: u32 = 1 << 8;
}

const _: () = assert!(size_of::<Endpoint>() <= 64 && size_of::<Reply>() <= 64);
const _: () = assert!(size_of::<Notification>() <= 64);
