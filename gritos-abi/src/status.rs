//! What the kernel answers. A server's own result is the tag of its reply and
//! never shares this field: "the call failed" is not "the server said no".

numbered! {
    /// Status of a system call, `x10[7:0]` on the way out of the kernel.
    ///
    /// An error means that nothing changed. Numbers are never reused.
    Status: u8 {
        /// Done.
        Ok = 0,
        /// The `svc` immediate is not a system call of this kernel. Use a
        /// [`Syscall`](crate::Syscall).
        InvalidSyscall = 1,
        /// A reserved bit is set, a count is out of range, or an argument of the
        /// method is not one it accepts.
        InvalidArgument = 2,
        /// A slot address names no slot: no CNode at its upper half, or an index
        /// beyond the CNode.
        InvalidAddress = 3,
        /// The slot is empty.
        EmptySlot = 4,
        /// The capability refers to an object of another type than is needed here.
        WrongType = 5,
        /// The capability lacks a right that the operation needs.
        MissingRight = 6,
        /// The object has no method with this tag.
        UnknownMethod = 7,
        /// The destination slot is not empty.
        SlotOccupied = 8,
        /// The rights mask asks for rights that the source does not hold.
        RightsNotHeld = 9,
        /// The capability already has a badge; a badge is set once.
        BadgeAlreadySet = 10,
        /// Capabilities to this object carry no badge, or none can be set here.
        NotBadgeable = 11,
        /// The capability cannot be copied, only moved (Untyped).
        NotCopyable = 12,
        /// Nobody waits to receive, or nothing is there to be received.
        WouldBlock = 13,
        /// The deadline passed first.
        TimedOut = 14,
        /// The object waited on was destroyed.
        Deleted = 15,
        /// The server went away, or its Reply was destroyed, before it answered.
        ServerDied = 16,
        /// Somebody suspended the thread while it waited.
        Aborted = 17,
        /// The Reply still owes an answer or is armed by another receiver.
        ReplyInUse = 18,
        /// The Reply owes no answer: it was used, or its caller is gone.
        ReplySpent = 19,
        /// The receiver waits by lending: a one-way message would leave it without
        /// processor time. Use Call.
        PassiveReceiver = 20,
        /// A capability in the message lacks GRANT (the slot is named).
        NoGrant = 21,
        /// The endpoint capability used lacks GRANT, so the message cannot carry
        /// capabilities.
        EndpointNoGrant = 22,
        /// The receiver's window has too few free slots for this message.
        ReceiverWindow = 23,
        /// The Untyped is too small for what was asked.
        NoMemory = 24,
        /// An address, offset or size is not aligned as needed.
        Unaligned = 25,
        /// The range lies outside the object or outside user addresses.
        OutOfRange = 26,
        /// The capability records a mapping already; copy it to map twice.
        AlreadyMapped = 27,
        /// The capability records no mapping.
        NotMapped = 28,
        /// Something is mapped in that range.
        AddressInUse = 29,
        /// The AddressSpace has no page-table memory left; donate an Untyped.
        NoTableMemory = 30,
        /// Writable and executable together is refused.
        WriteExecute = 31,
        /// Device memory cannot hold kernel objects or be executed.
        DeviceMemory = 32,
        /// The priority is above the ceiling of the authority presented.
        PriorityCeiling = 33,
        /// The object is bound already.
        AlreadyBound = 34,
        /// The object is not bound.
        NotBound = 35,
        /// The object is not in a state in which this is possible.
        InvalidState = 36,
        /// The interrupt line does not exist or has a handler already.
        IrqUnavailable = 37,
        /// This board cannot do that.
        Unsupported = 38,
        /// No ASID is left.
        NoAsid = 39,
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn numbers_are_dense_and_round_trip() {
        for (number, status) in Status::ALL.iter().enumerate() {
            assert_eq!(*status as usize, number);
            assert_eq!(Status::from_number(number as u8), Some(*status));
        }
        assert_eq!(Status::from_number(Status::ALL.len() as u8), None);
    }
}
