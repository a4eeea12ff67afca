//! Typed handles of capabilities.
//!
//! A [`Cap`] is the address of a slot together with what the program knows of
//! the capability in it: the type of its object, and in `R` the rights that the
//! program claims. A method that needs a right refuses at compile time a handle
//! whose type lacks it. The kernel checks the real thing every time; the type
//! only moves mistakes to where they are cheap.
//!
//! Handles are plain numbers and `Copy`. Who *owns* a slot, and empties it, is
//! the business of a [`Slot`](crate::slots::Slot).

use core::fmt;
use core::marker::PhantomData;

use gritos_abi::{Address, ObjectType, Rights};

/// A type of kernel object, as a parameter of [`Cap`].
pub trait Object {
    /// Its number in the ABI.
    const TYPE: ObjectType;
}

/// An object whose size does not depend on an argument.
pub trait FixedSize: Object {}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident $(: $mark:ident)?,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Object for $name {
            const TYPE: ObjectType = ObjectType::$name;
        }
        $(impl $mark for $name {})?
    )*};
}

objects! {
    /// Memory from which objects are made.
    Untyped,
    /// A table of slots.
    CNode,
    /// A thread.
    Tcb: FixedSize,
    /// A rendezvous point for messages.
    Endpoint: FixedSize,
    /// A word of bits that can be signalled and waited for.
    Notification: FixedSize,
    /// The right to answer one caller.
    Reply: FixedSize,
    /// A budget of processor time per period.
    SchedulingContext: FixedSize,
    /// A translation table.
    AddressSpace: FixedSize,
    /// Contiguous pages.
    MemoryObject,
    /// One interrupt line.
    IrqHandler,
    /// Authority to set budgets and periods.
    SchedControl,
    /// Authority to make interrupt handlers.
    IrqControl,
    /// Authority over the machine.
    Platform,
    /// Authority to give out ASIDs.
    AsidControl,
}

/// An object of a type that is not known.
#[derive(Clone, Copy, Debug)]
pub enum Any {}

impl Object for Any {
    const TYPE: ObjectType = ObjectType::Null;
}

/// The claim of every right: what a handle has until it is
/// [narrowed](Cap::narrow).
pub const ALL: u32 = u32::MAX;

/// The address of a capability to a `T`, with the rights `R` claimed.
pub struct Cap<T, const R: u32 = ALL> {
    address: Address,
    object: PhantomData<T>,
}

impl<T, const R: u32> Cap<T, R> {
    /// The capability that lies at `address`.
    ///
    /// Naming a slot is no authority: the kernel refuses what does not fit.
    #[must_use]
    #[inline(always)]
    pub const fn at(address: Address) -> Self {
        Self {
            address,
            object: PhantomData,
        }
    }

    /// Where it lies.
    #[must_use]
    #[inline(always)]
    pub const fn address(self) -> Address {
        self.address
    }

    /// The same slot, fewer rights claimed.
    #[must_use]
    pub const fn narrow<const FEWER: u32>(self) -> Cap<T, FEWER> {
        const { assert!(FEWER & !R == 0, "a handle cannot claim more rights") };
        Cap::at(self.address)
    }

    /// The same slot, as a capability of any type.
    #[must_use]
    pub const fn any(self) -> Cap<Any> {
        Cap::at(self.address)
    }
}

impl Cap<Any> {
    /// Takes the object for a `T`. If it is none, methods answer `WrongType`.
    #[must_use]
    pub const fn assume<T: Object>(self) -> Cap<T> {
        Cap::at(self.address)
    }
}

// Written out, because derived impls would demand them of `T`.
impl<T, const R: u32> Clone for Cap<T, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const R: u32> Copy for Cap<T, R> {}

impl<T, const R: u32> PartialEq for Cap<T, R> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T, const R: u32> Eq for Cap<T, R> {}

impl<T: Object, const R: u32> fmt::Debug for Cap<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:#x}", T::TYPE, self.address.0)
    }
}

/// Refuses to compile a method for a handle whose type lacks a right.
macro_rules! require {
    ($rights:ident, $right:ident) => {
        const {
            assert!(
                $rights & gritos_abi::Rights::$right.bits() != 0,
                concat!("this handle does not claim ", stringify!($right))
            )
        }
    };
}
pub(crate) use require;

/// A rights mask for a derived capability.
///
/// In the ABI a mask of 0 means "as held", so an intersection that happens to
/// be empty would hand over everything. Here 0 comes from
/// [`AS_HELD`](Self::AS_HELD) alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// All the rights that the source holds.
    pub const AS_HELD: Self = Self(Rights::AS_HELD.bits());

    /// These rights, of which there must be one at least.
    #[must_use]
    pub const fn new(rights: Rights) -> Option<Self> {
        if rights.is_empty() {
            None
        } else {
            Some(Self(rights.bits()))
        }
    }

    /// These rights, where they are known when the program is written.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub const fn only(rights: Rights) -> Self {
        match Self::new(rights) {
            Some(mask) => mask,
            None => panic!("a mask without rights would mean as held"),
        }
    }

    /// The mask as it travels.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Cap, Endpoint, Mask};
    use gritos_abi::{Address, Rights};
    use std::format;

    #[test]
    fn an_empty_intersection_is_no_mask() {
        assert_eq!(Mask::new(Rights::SEND & Rights::RECV), None);
        assert_eq!(Mask::AS_HELD.bits(), 0);
        assert_eq!(Mask::only(Rights::SEND).bits(), Rights::SEND.bits());
    }

    #[test]
    fn narrowing_keeps_the_slot() {
        const SEND: u32 = Rights::SEND.bits();
        let cap = Cap::<Endpoint, ALL>::at(Address::nested(3, 4));
        assert_eq!(cap.narrow::<SEND>().address(), cap.address());
        assert_eq!(format!("{cap:?}"), "Endpoint@0x30004");
    }
}
