//! System-call numbers: the immediate of the `svc` instruction.
//!
//! The number travels in the instruction, so one compare of `ESR_EL1` answers
//! both "is it a system call" and "which". Any other number is
//! [`Status::InvalidSyscall`](crate::Status::InvalidSyscall), and the thread
//! goes on.

numbered! {
    /// A system call of the kernel.
    Syscall: u16 {
        /// Sends a message and waits for the reply; on any object but an endpoint,
        /// invokes the method named by the tag.
        Call = 0,
        /// Answers the Reply named in `x8[63:32]`, then receives with it armed
        /// again.
        ReplyRecv = 1,
        /// Delivers to a waiting receiver now, or fails with
        /// [`Status::WouldBlock`](crate::Status::WouldBlock). On a notification it
        /// signals. Never blocks.
        SendAsync = 2,
        /// Waits for a message on an endpoint or for bits on a notification. On
        /// the null address it sleeps until the deadline.
        Recv = 3,
        /// As [`Recv`](Self::Recv), but returns
        /// [`Status::WouldBlock`](crate::Status::WouldBlock) instead of waiting.
        Poll = 4,
        /// Answers the Reply named in `x8[63:32]`.
        Reply = 5,
        /// Goes behind the other ready threads of the same priority.
        Yield = 6,
        /// Writes the low byte of `x0` to the debug UART, or to the kernel's ring
        /// while user space has the UART.
        DebugPutchar = 7,
    }
}

impl Syscall {
    /// How many there are.
    pub const COUNT: u16 = Self::ALL.len() as u16;
}

#[cfg(test)]
mod tests {
    use super::Syscall;

    #[test]
    fn numbers_round_trip_and_end_at_count() {
        for number in 0..Syscall::COUNT {
            assert_eq!(Syscall::from_number(number).map(|s| s as u16), Some(number));
        }
        assert_eq!(Syscall::from_number(Syscall::COUNT), None);
    }
}
