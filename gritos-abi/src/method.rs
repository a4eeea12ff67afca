//! Methods of kernel objects: the tag of a `Call` on anything but an endpoint.
//!
//! Arguments travel as in any message: words in MR0–MR7, slot addresses with
//! rights mask and badge in the capability registers. Results are words. The
//! rights named are those the *invoked* capability needs; what an argument
//! capability needs is said with the argument. `docs/reference/objects.md`
//! gives every method with its errors.

macro_rules! methods {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u64)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)* }

        impl $name {
            /// Every method, in the order of its number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Decodes a tag.
            #[must_use]
            #[inline]
            pub const fn from_tag(tag: u64) -> Option<Self> {
                match tag {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    /// Methods of a CNode; the destination is a slot of the CNode invoked.
    CNode {
        /// Copies slot 0 (rights mask applies) into index MR0. Right: WRITE.
        Copy = 0,
        /// As `Copy`, and sets the badge of slot 0. Right: WRITE.
        Mint = 1,
        /// Moves slot 0 into index MR0; the mask must be 0. Right: WRITE.
        Move = 2,
        /// Empties index MR0; the last capability destroys its object; what
        /// was derived from it becomes derived from its parent. Right: WRITE.
        Delete = 3,
        /// Deletes everything derived from index MR0. Right: WRITE.
        Revoke = 4,
        /// Describes index MR0: MR0 = type `[7:0]`, mapped `[8]`, has children
        /// `[9]`, device `[10]`; MR1 = rights `[31:0]`, badge `[63:32]`;
        /// MR2 = size in bytes (memory) or slots (CNode). Right: READ.
        Inspect = 5,
    }
}

methods! {
    /// Methods of Untyped memory.
    Untyped {
        /// Makes MR2 objects of type MR0 in the empty slots from MR3 on of the
        /// CNode in slot 0 (which needs WRITE). MR1 = bytes (Untyped,
        /// MemoryObject) or slots (CNode), else 0. MR4 = physical address at
        /// which the first shall lie, or 0 for the next free place. MR5 = a
        /// [`MemoryType`] for a MemoryObject, else 0. The mask of slot 0 are the
        /// rights of the new capabilities, 0 for all. Memory arrives zeroed.
        /// Right: MANAGE.
        Retype = 0,
        /// MR0 = size, MR1 = free bytes, MR2 = 1 for device memory, MR3 =
        /// physical address (0 without DMA). Right: READ.
        Info = 1,
    }
}

methods! {
    /// Methods of a thread control block.
    Tcb {
        /// Gives the thread the root CNode in slot 0, the AddressSpace in slot
        /// 1, the fault endpoint (SEND; badge settable) in slot 2; a null
        /// address keeps what is there. The thread must not be able to run.
        /// Right: MANAGE.
        Configure = 0,
        /// Sets priority MR0 and ceiling MR1 (0 highest, 255 lowest); neither
        /// may be above the ceiling of the TCB in slot 0. Right: CONTROL.
        SetPriority = 1,
        /// MR0… = registers MR0 to MR0 + MR1 - 1, at most 8, numbered as
        /// [`Register`]. Right: READ.
        ReadRegisters = 2,
        /// Sets registers `MR0[7:0]` on, `MR0[15:8]` many (at most 7), from
        /// MR1…. The thread must not be able to run. Right: MANAGE.
        WriteRegisters = 3,
        /// Lets an inactive thread run. Right: CONTROL.
        Resume = 4,
        /// Stops the thread; a wait it is in ends with `Aborted`. Right:
        /// CONTROL.
        Suspend = 5,
        /// Binds the SchedulingContext in slot 0. Right: CONTROL.
        BindContext = 6,
        /// Unbinds it. Right: CONTROL.
        UnbindContext = 7,
        /// Binds the notification in slot 0 (RECV), so that one `Recv` waits
        /// for both. Right: MANAGE.
        BindNotification = 8,
        /// Unbinds it. Right: MANAGE.
        UnbindNotification = 9,
        /// MR0 = [`ThreadState`] `[7:0]`, priority `[15:8]`, ceiling `[23:16]`,
        /// [`TcbFlags`](crate::method::TCB_FLAG_FP) `[31:24]`. Right: READ.
        Info = 10,
        /// Sets the flags of MR0 (see [`TCB_FLAG_FP`]). The thread must not be
        /// able to run. Right: MANAGE.
        SetFlags = 11,
        /// Ends the thread for good. Right: CONTROL.
        Kill = 12,
    }
}

methods! {
    /// Methods of a notification.
    Notification {
        /// Sets the bits of the capability's badge, or MR0 if it has none; the
        /// same as `SendAsync`. Right: SEND.
        Signal = 0,
    }
}

methods! {
    /// Methods of a scheduling context.
    SchedulingContext {
        /// MR0 = budget, MR1 = period, MR2 = budget left now, MR3 = time used
        /// in all, in nanoseconds. Right: READ.
        Info = 0,
    }
}

methods! {
    /// Methods of SchedControl.
    SchedControl {
        /// Gives the SchedulingContext in slot 0 (MANAGE) a budget of MR0 per
        /// period of MR1 nanoseconds. Budget = period is a time slice for
        /// round robin. Right: CONTROL.
        Configure = 0,
    }
}

methods! {
    /// Methods of an AddressSpace.
    AddressSpace {
        /// Moves the Untyped in slot 0 (MANAGE) into the AddressSpace as
        /// memory for translation tables. Right: MANAGE.
        Donate = 0,
        /// MR0 = ASID, MR1 = bytes left for tables, MR2 = tables in use.
        /// Right: READ.
        Info = 1,
    }
}

methods! {
    /// Methods of a memory object; a mapping belongs to the capability invoked.
    MemoryObject {
        /// Maps MR2 bytes (0 = to the end) from offset MR1 at address MR0 of
        /// the AddressSpace in slot 0 (MAP) with the rights in MR3 (READ,
        /// WRITE, EXECUTE). Right: MAP and those of MR3.
        Map = 0,
        /// Removes the mapping that this capability records. Right: MAP.
        Unmap = 1,
        /// Changes the rights of the whole mapping to MR0. Right: MAP and
        /// those of MR0.
        Protect = 2,
        /// MR0 = size, MR1 = [`MemoryType`], MR2 = mapped address, MR3 =
        /// offset, MR4 = length (0 = not mapped), MR5 = rights. Right: none.
        Info = 3,
        /// MR0 = physical address. Right: DMA.
        PhysicalAddress = 4,
    }
}

methods! {
    /// Methods of IrqControl.
    IrqControl {
        /// Makes the handler of interrupt MR0 (the GIC's interrupt ID) in
        /// index MR1 of the CNode in slot 0 (WRITE); MR2 = 1 for edge
        /// triggered. Right: CONTROL.
        Get = 0,
    }
}

methods! {
    /// Methods of an IrqHandler.
    IrqHandler {
        /// Binds the notification in slot 0 (SEND), whose badge gives the
        /// bits; MR0 = 1: waiting on that notification acknowledges. Unmasks
        /// the line. Right: CONTROL.
        Bind = 0,
        /// Masks the line and unbinds. Right: CONTROL.
        Unbind = 1,
        /// Unmasks the line after a delivery. Right: CONTROL.
        Ack = 2,
    }
}

methods! {
    /// Methods of the platform authority.
    Platform {
        /// Resets the machine. Right: CONTROL.
        Reset = 0,
        /// Switches the machine off; MR0 = exit code where the emulator takes
        /// one and the boot image allows it. Right: CONTROL.
        PowerOff = 1,
        /// MR0–MR3 = the entropy that the firmware gave, once; then
        /// `Unsupported`. Right: CONTROL.
        Entropy = 2,
        /// Hands the debug UART to the caller (MR0 = 1) or back to the kernel
        /// (MR0 = 0). While handed over kernel text goes to a ring. Right:
        /// CONTROL.
        TakeConsole = 3,
        /// MR0 = bytes read (at most 56), MR1–MR7 = kernel text from the ring.
        /// Right: READ.
        ReadLog = 4,
        /// MR0 = counter value, MR1 = counter frequency in Hz. Right: READ.
        Clock = 5,
    }
}

methods! {
    /// Methods of AsidControl.
    AsidControl {
        /// Gives the AddressSpace in slot 0 (MANAGE) its ASID. Right: CONTROL.
        Assign = 0,
    }
}

numbered! {
    /// Memory type of a MemoryObject.
    MemoryType: u64 {
        /// Normal memory, write-back cacheable.
        Normal = 0,
        /// Normal memory, not cacheable: for devices that do not snoop.
        Uncached = 1,
        /// Device-nGnRE: registers. The only type of device Untyped.
        Device = 2,
    }
}

/// Numbers of registers in `ReadRegisters` and `WriteRegisters`: 0–30 are
/// x0–x30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Register {
    /// Stack pointer.
    Sp = 31,
    /// Program counter.
    Pc = 32,
    /// Condition flags, `[31:28]`; all else is ignored when it is written.
    Pstate = 33,
    /// `TPIDR_EL0`, the thread pointer.
    ThreadPointer = 34,
}

/// One past the last register number.
pub const REGISTER_END: u64 = 35;

/// Thread flag: the thread may use the FP and SIMD registers.
pub const TCB_FLAG_FP: u64 = 1;

/// State of a thread as `Tcb::Info` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ThreadState {
    /// Never resumed, or suspended.
    Inactive = 0,
    /// Able to run.
    Ready = 1,
    /// Running now.
    Running = 2,
    /// In a queue of senders of an endpoint.
    BlockedIpcSend = 3,
    /// Waiting for a message, or for the reply to a Call.
    BlockedIpcRecv = 4,
    /// Waiting for the bits of a notification.
    BlockedNotification = 5,
    /// Sleeping until a deadline.
    BlockedSleep = 6,
    /// Ended for good.
    Terminated = 7,
}

/// Size in bytes of a CNode slot and of a CNode's header.
pub const SLOT_BYTES: u64 = 64;

/// Bytes that an object of this type occupies, and its alignment; `None` for
/// types that are not made from Untyped or for a size out of range.
///
/// `size` is in bytes for Untyped (a multiple of 64) and MemoryObject (a
/// multiple of 4096), in slots for a CNode (1–65,536), else 0.
#[must_use]
pub const fn object_layout(object: crate::ObjectType, size: u64) -> Option<(u64, u64)> {
    use crate::ObjectType as T;
    const LIMIT: u64 = 1 << 36;
    match object {
        T::Untyped if size > 0 && size.is_multiple_of(64) && size <= LIMIT => {
            Some((size, if size >= 4096 { 4096 } else { 64 }))
        }
        T::MemoryObject if size > 0 && size.is_multiple_of(4096) && size <= LIMIT => {
            Some((size, if size >= 1 << 21 { 1 << 21 } else { 4096 }))
        }
        T::CNode if size > 0 && size <= 0x1_0000 => Some((SLOT_BYTES * (size + 1), 64)),
        T::Tcb if size == 0 => Some((1152, 64)),
        T::SchedulingContext if size == 0 => Some((128, 64)),
        T::Endpoint | T::Notification | T::Reply if size == 0 => Some((64, 64)),
        T::AddressSpace if size == 0 => Some((4096 * 2, 4096)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CNode, Platform, Tcb, object_layout};
    use crate::ObjectType;

    #[test]
    fn tags_round_trip_and_unknown_tags_do_not() {
        for (tag, method) in Tcb::ALL.iter().enumerate() {
            assert_eq!(Tcb::from_tag(tag as u64), Some(*method));
        }
        assert_eq!(CNode::from_tag(CNode::ALL.len() as u64), None);
        assert_eq!(Platform::from_tag(u64::MAX), None);
    }

    #[test]
    fn layouts_are_multiples_of_their_slot_size() {
        for object in ObjectType::ALL {
            for size in [0, 1, 64, 4096, 1 << 21, 1 << 36, u64::MAX] {
                if let Some((bytes, align)) = object_layout(object, size) {
                    assert!(bytes % 64 == 0 && align.is_power_of_two() && align >= 64);
                }
            }
        }
        assert_eq!(object_layout(ObjectType::Platform, 0), None);
        assert_eq!(object_layout(ObjectType::CNode, 0x1_0001), None);
    }
}
