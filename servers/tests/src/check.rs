//! Verdicts of a test: a failure says where and what.

use core::fmt::{self, Debug, Display, Write};
use core::panic::Location;

use gritos_sys::Error;
use gritos_sys::abi::Status;

/// What a test returns.
pub(crate) type Verdict<T = ()> = Result<T, Failure>;

/// Longest text of a failure; more is cut off.
const TEXT_LIMIT: usize = 224;

/// Why a test failed.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    bytes: [u8; TEXT_LIMIT],
    len: usize,
}

impl Failure {
    /// A failure found at the caller's place.
    #[track_caller]
    pub(crate) fn new(what: fmt::Arguments<'_>) -> Self {
        let place = Location::caller();
        let file = place.file().rsplit('/').next().unwrap_or("");
        let mut failure = Self {
            bytes: [0; TEXT_LIMIT],
            len: 0,
        };
        // A text that does not fit is cut, which is no reason to fail twice.
        let _ = write!(failure, "{file}:{}: {what}", place.line());
        failure
    }

    /// The text.
    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl Write for Failure {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format_args!("{error}"))
    }
}

/// Passes if `found` is what was expected.
#[track_caller]
pub(crate) fn equal<T, U>(found: &T, expected: &U, what: &str) -> Verdict
where
    T: PartialEq<U> + Debug + ?Sized,
    U: Debug + ?Sized,
{
    if found == expected {
        Ok(())
    } else {
        Err(Failure::new(format_args!(
            "{what}: found {found:x?}, expected {expected:x?}"
        )))
    }
}

/// Passes if `result` is a refusal for this reason.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, Error>, status: Status, what: &dyn Display) -> Verdict {
    match result {
        Err(error) if error.is(status) => Ok(()),
        Err(error) => Err(Failure::new(format_args!(
            "{what}: refused with {error}, expected {status:?}"
        ))),
        Ok(_) => Err(Failure::new(format_args!(
            "{what}: done, expected {status:?}"
        ))),
    }
}

/// Passes if `result` is a refusal for this reason that blames this slot.
#[track_caller]
pub(crate) fn refused_at<T>(result: Result<T, Error>, status: Status, slot: u32) -> Verdict {
    match result {
        Err(error) if error.is(status) && error.slot() == slot => Ok(()),
        Err(error) => Err(Failure::new(format_args!(
            "refused with {error}, expected {status:?} of slot {slot}"
        ))),
        Ok(_) => Err(Failure::new(format_args!("done, expected {status:?}"))),
    }
}

/// Fails unless the condition holds.
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::check::Failure::new(format_args!(
                "{}",
                stringify!($condition)
            )));
        }
    };
}

/// Fails unless both are equal.
macro_rules! check_eq {
    ($found:expr, $expected:expr) => {
        $crate::check::equal(&$found, &$expected, stringify!($found))?
    };
}

/// Fails unless the call is refused with this status.
macro_rules! check_refused {
    ($call:expr, $status:ident) => {
        $crate::check::refused($call, gritos_sys::abi::Status::$status, &stringify!($call))?
    };
}

pub(crate) use {check, check_eq, check_refused};
