//! Handles: how the core names objects.
//!
//! A handle is a physical address shifted right by four, so 32 bits reach
//! 64 GiB and one shifted add resolves it. The core never sees a pointer; the
//! [`Store`](crate::store::Store) alone turns a handle into memory. A handle is
//! never zero, so an `Option` of it is one 32-bit word, and every bit pattern
//! of that word is a valid value.

use core::num::NonZeroU32;

/// Bytes per unit of a handle.
pub const UNIT: u64 = 16;

macro_rules! handles {
    ($($(#[$doc:meta])* $Name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(transparent)]
        pub struct $Name(NonZeroU32);

        impl $Name {
            /// The handle with this number; 0 is none.
            #[inline(always)]
            #[must_use]
            pub const fn from_raw(raw: u32) -> Option<Self> {
                match NonZeroU32::new(raw) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// The number of the handle.
            #[inline(always)]
            #[must_use]
            pub const fn raw(self) -> u32 {
                self.0.get()
            }

            /// The physical address that the handle stands for.
            #[inline(always)]
            #[must_use]
            pub const fn address(self) -> u64 {
                (self.0.get() as u64) << 4
            }
        }
    )*};
}

handles! {
    /// Any object that begins with a [`Header`](crate::object::Header).
    ObjectRef,
    /// A capability slot.
    SlotRef,
    /// A CNode.
    CNodeRef,
    /// A thread control block.
    TcbRef,
    /// An endpoint.
    EndpointRef,
    /// A notification.
    NotificationRef,
    /// A Reply.
    ReplyRef,
    /// A scheduling context.
    ContextRef,
    /// An address space.
    SpaceRef,
    /// A translation table.
    TableRef,
    /// A node of the timer tree: part of a TCB or of a scheduling context.
    TimerRef,
}

macro_rules! objects {
    ($($Name:ident)*) => {$(
        impl From<$Name> for ObjectRef {
            #[inline(always)]
            fn from(handle: $Name) -> Self {
                Self(handle.0)
            }
        }

        impl From<ObjectRef> for $Name {
            /// Takes the caller's word for the type; the store checks it.
            #[inline(always)]
            fn from(handle: ObjectRef) -> Self {
                Self(handle.0)
            }
        }
    )*};
}

objects!(CNodeRef TcbRef EndpointRef NotificationRef ReplyRef ContextRef SpaceRef);

macro_rules! timed {
    ($($Name:ident)*) => {$(
        impl From<$Name> for TimerRef {
            #[inline(always)]
            fn from(handle: $Name) -> Self {
                Self(handle.0)
            }
        }
    )*};
}

timed!(TcbRef ContextRef);
