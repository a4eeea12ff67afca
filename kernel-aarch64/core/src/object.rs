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

use gritos_abi::ObjectType;

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
    CNode = Tag::number(ObjectType::CNode) as u8,
    /// A thread control block.
    Tcb = Tag::number(ObjectType::Tcb) as u8,
    /// An endpoint.
    Endpoint = Tag::number(ObjectType::Endpoint) as u8,
    /// A notification.
    Notification = Tag::number(ObjectType::Notification) as u8,
    /// A Reply.
    Reply = Tag::number(ObjectType::Reply) as u8,
    /// A scheduling context.
    Context = Tag::number(ObjectType::SchedulingContext) as u8,
    /// An address space.
    Space = Tag::number(ObjectType::AddressSpace) as u8,
}

impl Tag {
    /// That of objects of this type, as a number.
    #[must_use]
    pub const fn number(object: ObjectType) -> u32 {
        0xc0 | object as u32
    }
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
