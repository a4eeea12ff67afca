//! TCB: a thread.

use gritos_abi::method::{Register, Tcb as Method, ThreadState};
use gritos_abi::{Address, message::DATA_WORDS};

use super::{Argument, padded};
use crate::cap::{
    AddressSpace, CNode, Cap, Endpoint, Notification, SchedulingContext, Tcb, require,
};
use crate::error::Error;

/// State of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// What it does; `None` for a number this library does not know.
    pub state: Option<ThreadState>,
    /// Its priority, 0 the highest.
    pub priority: u8,
    /// The highest priority that this TCB lets its presenter set.
    pub ceiling: u8,
    /// `TCB_FLAG_*`.
    pub flags: u8,
}

const fn state(number: u8) -> Option<ThreadState> {
    Some(match number {
        0 => ThreadState::Inactive,
        1 => ThreadState::Ready,
        2 => ThreadState::Running,
        3 => ThreadState::BlockedIpcSend,
        4 => ThreadState::BlockedIpcRecv,
        5 => ThreadState::BlockedNotification,
        6 => ThreadState::BlockedSleep,
        7 => ThreadState::Terminated,
        _ => return None,
    })
}

impl<const R: u32> Cap<Tcb, R> {
    /// Gives the thread its CSpace, AddressSpace and fault endpoint; `None`
    /// keeps what it has.
    ///
    /// # Errors
    /// `WrongType`, `MissingRight`, `InvalidState` (it can run).
    pub fn configure(
        self,
        cspace: Option<Cap<CNode>>,
        space: Option<Cap<AddressSpace>>,
        fault: Option<Cap<Endpoint>>,
    ) -> Result<(), Error> {
        require!(R, MANAGE);
        const fn or_null<T>(cap: Option<Cap<T>>) -> Argument {
            Argument::new(match cap {
                Some(cap) => cap,
                None => Cap::at(Address::NULL),
            })
        }
        let arguments = [or_null(cspace), or_null(space), or_null(fault)];
        self.invoke_with(Method::Configure as u64, [], arguments)?;
        Ok(())
    }

    /// Sets priority and ceiling, on the authority of another thread's ceiling.
    ///
    /// # Errors
    /// `PriorityCeiling`, `MissingRight`, `InvalidArgument`.
    pub fn set_priority(self, priority: u8, ceiling: u8, authority: Cap<Tcb>) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke_with(
            Method::SetPriority as u64,
            [u64::from(priority), u64::from(ceiling)],
            [Argument::new(authority)],
        )?;
        Ok(())
    }

    /// Reads `count` registers (at most 8) from number `first` on.
    ///
    /// # Errors
    /// `MissingRight`, `InvalidArgument`.
    pub fn read_registers(self, first: u64, count: u64) -> Result<[u64; DATA_WORDS], Error> {
        require!(R, READ);
        self.invoke(Method::ReadRegisters as u64, [first, count])
    }

    /// Sets `values` (at most 7) from register number `first` on.
    ///
    /// # Errors
    /// `MissingRight`, `InvalidArgument`, `InvalidState` (it can run).
    pub fn write_registers<const N: usize>(
        self,
        first: u64,
        values: [u64; N],
    ) -> Result<(), Error> {
        require!(R, MANAGE);
        const { assert!(N < DATA_WORDS, "seven registers fit in one message") };
        let mut words = [0; DATA_WORDS];
        words[0] = first & 0xff | (N as u64) << 8;
        words[1..].copy_from_slice(&padded(values)[..DATA_WORDS - 1]);
        self.invoke(Method::WriteRegisters as u64, words)?;
        Ok(())
    }

    /// Sets where the thread begins: x0, stack pointer and program counter.
    ///
    /// # Errors
    /// As [`write_registers`](Self::write_registers).
    pub fn set_entry(self, pc: u64, sp: u64, argument: u64) -> Result<(), Error> {
        self.write_registers(0, [argument])?;
        self.write_registers(Register::Sp as u64, [sp, pc])
    }

    /// Lets the thread run.
    ///
    /// # Errors
    /// `InvalidState`, `MissingRight`.
    pub fn resume(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Resume as u64, [])?;
        Ok(())
    }

    /// Stops the thread; a wait it is in ends with `Aborted`.
    ///
    /// # Errors
    /// `InvalidState`, `MissingRight`.
    pub fn suspend(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Suspend as u64, [])?;
        Ok(())
    }

    /// Ends the thread for good.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn kill(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Kill as u64, [])?;
        Ok(())
    }

    /// Binds the context that entitles the thread to run.
    ///
    /// # Errors
    /// `AlreadyBound`, `WrongType`, `MissingRight`.
    pub fn bind_context(self, context: Cap<SchedulingContext>) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke_with(Method::BindContext as u64, [], [Argument::new(context)])?;
        Ok(())
    }

    /// Takes its context away: the thread is passive from now on.
    ///
    /// # Errors
    /// `NotBound`, `MissingRight`.
    pub fn unbind_context(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::UnbindContext as u64, [])?;
        Ok(())
    }

    /// Binds a notification, whose bits then end any `Recv` of the thread.
    ///
    /// # Errors
    /// `AlreadyBound`, `WrongType`, `MissingRight`, `InvalidState` (passive).
    pub fn bind_notification(self, notification: Cap<Notification>) -> Result<(), Error> {
        require!(R, MANAGE);
        let argument = Argument::new(notification);
        self.invoke_with(Method::BindNotification as u64, [], [argument])?;
        Ok(())
    }

    /// Unbinds it.
    ///
    /// # Errors
    /// `NotBound`, `MissingRight`.
    pub fn unbind_notification(self) -> Result<(), Error> {
        require!(R, MANAGE);
        self.invoke(Method::UnbindNotification as u64, [])?;
        Ok(())
    }

    /// State, priority and flags.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn info(self) -> Result<ThreadInfo, Error> {
        require!(R, READ);
        let [word, ..] = self.invoke(Method::Info as u64, [])?;
        let [number, priority, ceiling, flags, ..] = word.to_le_bytes();
        Ok(ThreadInfo {
            state: state(number),
            priority,
            ceiling,
            flags,
        })
    }

    /// Sets `TCB_FLAG_*`.
    ///
    /// # Errors
    /// `MissingRight`, `InvalidArgument`, `InvalidState` (it can run).
    pub fn set_flags(self, flags: u64) -> Result<(), Error> {
        require!(R, MANAGE);
        self.invoke(Method::SetFlags as u64, [flags])?;
        Ok(())
    }
}
