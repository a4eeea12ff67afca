//! Kernel objects as they lie in memory.
//!
//! Every field is a [`Cell`] of plain integers or optional handles, for which
//! any bit pattern is a value. That makes a shared reference to an object
//! harmless even if its memory is not what it should be: a wrong handle can
//! give wrong numbers, never undefined behaviour. It also lets a path hold
//! several objects at once without borrowing the whole store. No object needs
//! more alignment than a handle gives.
//!
//! Each object begins with a [`Header`], whose word has the [`Tag`] in its low
//! byte and the state of the object above it, so that one load and one compare
//! check type and state together.

use core::cell::Cell;

use crate::handle::{ObjectRef, TcbRef};

mod cnode;
mod context;
mod ipc;
mod space;
mod tcb;

pub(crate) use cnode::SLOT_UNITS;
pub use cnode::{CNode, Embed, Link, Slot};
pub use context::{Context, TimerNode};
pub use ipc::{Endpoint, Notification, Queue, Reply, notification_state, reply_state};
pub use space::{Space, Table};
pub use tcb::{FP_OFFSET, Frame, State, Tcb, flag};

/// Type tag of an object in memory, the low byte of [`Header::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tag {
    /// A CNode.
    CNode = 0xc2,
    /// A thread control block.
    Tcb = 0xc3,
    /// An endpoint.
    Endpoint = 0xc4,
    /// A notification.
    Notification = 0xc5,
    /// A Reply.
    Reply = 0xc6,
    /// A scheduling context.
    Context = 0xc7,
    /// An address space.
    Space = 0xc8,
}

/// What every object begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// [`Tag`] in the low byte, state and flags above.
    pub word: Cell<u32>,
    /// Capabilities that name the object.
    pub refs: Cell<u32>,
    /// Next object in the list of those being destroyed.
    pub dying: Cell<Option<ObjectRef>>,
}

impl Header {
    /// Whether the object has this tag.
    #[inline(always)]
    #[must_use]
    pub fn is(&self, tag: Tag) -> bool {
        self.word.get() & 0xff == tag as u32
    }

    /// State and flags: the word without its tag.
    #[inline(always)]
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.word.get() & !0xff
    }

    /// Sets bits of the word.
    #[inline(always)]
    pub fn set(&self, bits: u32) {
        self.word.set(self.word.get() | bits);
    }

    /// Clears bits of the word.
    #[inline(always)]
    pub fn clear(&self, bits: u32) {
        self.word.set(self.word.get() & !bits);
    }

    /// Whether all these bits are set.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, bits: u32) -> bool {
        self.word.get() & bits == bits
    }
}

impl Queue {
    /// Whether nobody is queued.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Who has waited longest.
    #[inline(always)]
    #[must_use]
    pub fn first(&self) -> Option<TcbRef> {
        self.head.get()
    }
}

const _: () = {
    use crate::handle::UNIT;
    assert!(align_of::<Tcb>() as u64 <= UNIT && align_of::<Context>() as u64 <= UNIT);
    assert!(align_of::<Slot>() as u64 <= UNIT && align_of::<Space>() as u64 <= UNIT);
    assert!(align_of::<Notification>() as u64 <= UNIT && align_of::<Table>() as u64 <= UNIT);
};
