//! Types that name what a capability refers to; no value of them exists.

use crate::ObjectType;

/// What a [`Cap`](crate::Cap) can refer to: a kernel object or, generated from
/// an interface, a protocol that is spoken at an endpoint.
pub trait Object {
    /// Type of the kernel object behind it.
    const TYPE: ObjectType;
}

macro_rules! kernel_objects {
    ($($name:ident)*) => {$(
        #[doc = concat!("The kernel object `", stringify!($name), "`.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}
        impl Object for $name {
            const TYPE: ObjectType = ObjectType::$name;
        }
    )*};
}

kernel_objects! {
    Untyped CNode Tcb Endpoint Notification Reply SchedulingContext AddressSpace MemoryObject
    IrqHandler SchedControl IrqControl Platform AsidControl
}
