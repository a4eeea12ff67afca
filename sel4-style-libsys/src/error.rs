//! What went wrong with a system call: which operation, why, and which
//! capability of the message is to blame.

use core::fmt;

use gritos_abi::{ObjectType, Outcome, Status, Syscall, method};

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A message through an endpoint, or a wait.
    Message(Syscall),
    /// The method with this tag of an object of this type.
    Method(ObjectType, u64),
    /// An allocator of this crate had nothing left to give.
    Allocate(ObjectType),
    /// The making of a process from a boot-image entry.
    Load,
}

/// A refused or failed system call. Nothing changed on behalf of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    outcome: Outcome,
    operation: Operation,
}

impl Error {
    /// The failure of `operation` that `outcome` tells of.
    #[must_use]
    pub const fn new(outcome: Outcome, operation: Operation) -> Self {
        Self { outcome, operation }
    }

    /// A failure found before the kernel was asked.
    #[must_use]
    pub const fn local(status: Status, operation: Operation) -> Self {
        Self::new(Outcome::error(status), operation)
    }

    /// Why.
    ///
    /// # Errors
    /// The raw number, when the kernel answers with one that is newer than
    /// this library.
    pub const fn status(&self) -> Result<Status, u8> {
        self.outcome.status()
    }

    /// Whether it failed for this reason.
    #[must_use]
    pub fn is(&self, status: Status) -> bool {
        self.status() == Ok(status)
    }

    /// The capability slot of the message that is at fault. Meaningful for the
    /// statuses that blame one, else 0.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.outcome.fault_slot()
    }

    /// What was asked.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn named<M: fmt::Debug>(
            f: &mut fmt::Formatter<'_>,
            object: ObjectType,
            tag: u64,
            method: Option<M>,
        ) -> fmt::Result {
            match method {
                Some(method) => write!(f, "{object:?}.{method:?}"),
                None => write!(f, "{object:?} method {tag}"),
            }
        }
        match *self {
            Self::Message(call) => write!(f, "{call:?}"),
            Self::Allocate(object) => write!(f, "allocate {object:?}"),
            Self::Load => f.write_str("load program"),
            Self::Method(object, tag) => match object {
                ObjectType::CNode => named(f, object, tag, method::CNode::from_tag(tag)),
                ObjectType::Untyped => named(f, object, tag, method::Untyped::from_tag(tag)),
                ObjectType::Tcb => named(f, object, tag, method::Tcb::from_tag(tag)),
                ObjectType::Notification => {
                    named(f, object, tag, method::Notification::from_tag(tag))
                }
                ObjectType::SchedulingContext => {
                    named(f, object, tag, method::SchedulingContext::from_tag(tag))
                }
                ObjectType::SchedControl => {
                    named(f, object, tag, method::SchedControl::from_tag(tag))
                }
                ObjectType::AddressSpace => {
                    named(f, object, tag, method::AddressSpace::from_tag(tag))
                }
                ObjectType::MemoryObject => {
                    named(f, object, tag, method::MemoryObject::from_tag(tag))
                }
                ObjectType::IrqControl => named(f, object, tag, method::IrqControl::from_tag(tag)),
                ObjectType::IrqHandler => named(f, object, tag, method::IrqHandler::from_tag(tag)),
                ObjectType::Platform => named(f, object, tag, method::Platform::from_tag(tag)),
                ObjectType::AsidControl => {
                    named(f, object, tag, method::AsidControl::from_tag(tag))
                }
                ObjectType::Null | ObjectType::Endpoint | ObjectType::Reply => {
                    named::<()>(f, object, tag, None)
                }
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match self.status() {
            Ok(status) => write!(f, "{status:?}")?,
            Err(number) => write!(f, "status {number}")?,
        }
        match self.slot() {
            0 => Ok(()),
            slot => write!(f, " (slot {slot})"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::{Error, Operation};
    use gritos_abi::{ObjectType, Outcome, Status, method};
    use std::string::ToString;

    #[test]
    fn display_names_method_reason_and_slot() {
        let error = Error::new(
            Outcome::slot_error(Status::NoGrant, 2),
            Operation::Method(ObjectType::Tcb, method::Tcb::Configure as u64),
        );
        assert_eq!(error.to_string(), "Tcb.Configure: NoGrant (slot 2)");
        assert!(error.is(Status::NoGrant) && !error.is(Status::Ok));
    }

    #[test]
    fn unknown_status_keeps_its_number() {
        let error = Error::new(Outcome(0xee), Operation::Method(ObjectType::Platform, 99));
        assert_eq!(error.to_string(), "Platform method 99: status 238");
        assert_eq!(error.status(), Err(0xee));
    }
}
