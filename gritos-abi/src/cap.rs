//! Capabilities as user space sees them: addresses, object types, rights.

use bitflags::bitflags;

/// Where a capability lies in the CSpace of a thread: CNode in the upper 16
/// bits, index in the lower 16.
///
/// CNode 0 is the thread's root CNode itself; any other value is the index in
/// the root CNode of a slot that holds a CNode capability. Lookup is therefore
/// one or two bounded steps. Address 0 is the null address: where an argument
/// may be left out, it says so. Slot 0 of a root CNode is therefore best left
/// empty; a call to it then fails with
/// [`Status::EmptySlot`](crate::Status::EmptySlot).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Address(pub u32);

impl Address {
    /// Stands for an argument that is left out.
    pub const NULL: Self = Self(0);

    /// The slot `index` of the root CNode.
    #[must_use]
    pub const fn root(index: u16) -> Self {
        Self(index as u32)
    }

    /// The slot `index` of the CNode found in slot `cnode` of the root CNode.
    #[must_use]
    pub const fn nested(cnode: u16, index: u16) -> Self {
        Self((cnode as u32) << 16 | index as u32)
    }

    /// The CNode part; 0 means the root CNode.
    #[must_use]
    pub const fn cnode(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The index part.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0 as u16
    }

    /// Whether this is the null address.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

numbered! {
    /// What a capability refers to. Numbers are part of the ABI.
    ObjectType: u8 {
        /// Nothing: the slot is empty.
        Null = 0,
        /// Memory from which objects are made.
        Untyped = 1,
        /// A table of capability slots.
        CNode = 2,
        /// A thread.
        Tcb = 3,
        /// A rendezvous point for messages.
        Endpoint = 4,
        /// A word of bits that can be signalled and waited for.
        Notification = 5,
        /// The right to answer one caller.
        Reply = 6,
        /// A budget of processor time per period.
        SchedulingContext = 7,
        /// A translation table and its ASID.
        AddressSpace = 8,
        /// Contiguous pages that can be mapped.
        MemoryObject = 9,
        /// One interrupt line.
        IrqHandler = 10,
        /// Authority to set budgets and periods.
        SchedControl = 11,
        /// Authority to make [`IrqHandler`](Self::IrqHandler)s.
        IrqControl = 12,
        /// Authority over the machine: reset, power off, entropy.
        Platform = 13,
        /// Authority to give an AddressSpace its ASID.
        AsidControl = 14,
    }
}

bitflags! {
    /// What the holder of a capability may do with its object.
    ///
    /// Bits 0–15 belong to the kernel. Bits 16–31 on endpoint capabilities
    /// belong to the server: the kernel only narrows and delivers them.
    /// Derived rights are always a subset. A mask of 0 in a message means "as
    /// held"; any other mask must be contained in the rights held.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct Rights: u32 {
        /// Memory: map readable. TCB, CNode and others: inspect.
        const READ = 1 << 0;
        /// Memory: map writable. CNode: change slots.
        const WRITE = 1 << 1;
        /// Memory: map executable.
        const EXECUTE = 1 << 2;
        /// The capability may be copied or moved to others in a message; on the
        /// endpoint a message travels through, that the message may carry
        /// capabilities.
        const GRANT = 1 << 3;
        /// Change what the object is made of: retype, configure, donate, bind.
        const MANAGE = 1 << 4;
        /// AddressSpace: be mapped into. MemoryObject: be mapped.
        const MAP = 1 << 5;
        /// Learn the physical address, for devices that access memory.
        const DMA = 1 << 6;
        /// Endpoint: send and call. Notification: signal.
        const SEND = 1 << 7;
        /// Endpoint: receive. Notification: wait. Reply: arm and answer.
        const RECV = 1 << 8;
        /// Run control: suspend, resume, priorities, budgets, the machine.
        const CONTROL = 1 << 9;
        /// Server-defined rights of an endpoint.
        const SERVER = 0xffff_0000;
        /// Every right of the kernel.
        const KERNEL = 0x0000_03ff;
        // Bits 10–15 are reserved; a mask that has them is never held.
        const _ = !0;
    }
}

impl Rights {
    /// As a mask in a message or a CNode method: the rights that are held.
    pub const AS_HELD: Self = Self::empty();

    /// Server right number `n`, 0 to 15.
    #[must_use]
    pub const fn server(n: u32) -> Self {
        Self::from_bits_retain(0x1_0000 << (n & 15))
    }
}

/// Badge bit that marks a client, numbered by the root task. With the bit clear
/// a badge names an object of the server. Badge 0 is the unbadged service
/// capability.
pub const BADGE_CLIENT: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::{Address, ObjectType, Rights};

    #[test]
    fn address_keeps_both_parts() {
        let address = Address::nested(0xabcd, 0x1234);
        assert_eq!((address.cnode(), address.index()), (0xabcd, 0x1234));
        assert_eq!(Address::root(7), Address::nested(0, 7));
        assert!(Address::NULL.is_null() && !Address::nested(1, 0).is_null());
    }

    #[test]
    fn object_types_decode_to_themselves_and_nothing_else_decodes() {
        for number in 0..=u8::MAX {
            match ObjectType::from_number(number) {
                Some(t) => assert_eq!(t as u8, number),
                None => assert!(usize::from(number) >= ObjectType::ALL.len()),
            }
        }
    }

    #[test]
    fn kernel_and_server_rights_do_not_meet() {
        assert!((Rights::KERNEL & Rights::SERVER).is_empty());
        assert_eq!(
            Rights::server(0) | Rights::server(15),
            Rights::from_bits_retain(0x8001_0000)
        );
    }
}
