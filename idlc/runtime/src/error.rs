//! What can go wrong between a client and a server, kept apart by who says so.

use core::fmt;

use crate::{Outcome, Status};

/// Why a client's method failed. `E` is the error type of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The kernel did not deliver the call, or nobody answered it.
    Call(Status),
    /// The kernel's status is a number this build does not know.
    UnknownStatus(u8),
    /// The server's stub refused the request before the server saw it.
    Refused(WireError),
    /// The reply is not what the interface says.
    BadReply(WireError),
    /// The server said no.
    Server(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(status) => write!(f, "the call failed: {status:?}"),
            Self::UnknownStatus(number) => write!(f, "the call failed: kernel status {number}"),
            Self::Refused(error) => write!(f, "the request was refused: {error}"),
            Self::BadReply(error) => write!(f, "the reply is malformed: {error}"),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

/// The error type of a protocol.
pub trait ErrorNumber: Sized {
    /// The error with this number, 1 to `0x7fff_ffff`.
    fn from_number(number: u32) -> Option<Self>;

    /// Its number.
    fn number(self) -> u32;
}

/// The error of methods that declare none: no value of it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoError {}

impl ErrorNumber for NoError {
    fn from_number(_number: u32) -> Option<Self> {
        None
    }

    fn number(self) -> u32 {
        match self {}
    }
}

impl fmt::Display for NoError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl core::error::Error for NoError {}

/// What a reply that is not the expected one says. By value, so that the
/// expected reply need not lie in memory.
#[cold]
#[inline(never)]
#[must_use]
pub fn failure<E: ErrorNumber>(outcome: Outcome, tag: u64) -> Error<E> {
    match outcome.status() {
        Err(number) => return Error::UnknownStatus(number),
        Ok(Status::Ok) => {}
        Ok(status) => return Error::Call(status),
    }
    if let Some(error) = WireError::from_tag(tag) {
        return Error::Refused(error);
    }
    let number = u32::try_from(tag)
        .ok()
        .filter(|number| (1..=0x7fff_ffff).contains(number));
    match number.and_then(E::from_number) {
        Some(error) => Error::Server(error),
        None if tag != 0 => Error::BadReply(WireError::UnknownResult),
        None => Error::BadReply(WireError::WrongShape),
    }
}

/// What a one-way message that was not sent says.
///
/// # Errors
/// [`Error::Call`] or [`Error::UnknownStatus`], unless it was sent.
#[inline]
pub const fn sent(outcome: Outcome) -> Result<(), Error<NoError>> {
    match outcome.status() {
        Ok(Status::Ok) => Ok(()),
        Ok(status) => Err(Error::Call(status)),
        Err(number) => Err(Error::UnknownStatus(number)),
    }
}

macro_rules! wire_errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $low:literal $text:literal)*) => {
        /// Why a message was refused. As the tag of a reply it is
        /// `0xffff_ff00 + n`, which no error of a protocol can be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum WireError {
            $($(#[doc = $doc])+ $name = 0xffff_ff00 + $low),*
        }

        impl WireError {
            /// Every one, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        impl fmt::Display for WireError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text),* })
            }
        }
    };
}

wire_errors! {
    /// The server has no method with this tag.
    UnknownMethod = 1 "unknown method"
    /// The badge is of the other class: a client's session where an object of
    /// the server is needed, or the reverse.
    WrongBadge = 2 "badge of the wrong class"
    /// The capability used lacks a server right that the method requires.
    MissingRight = 3 "missing server right"
    /// Number of words or capabilities, or kind of message.
    WrongShape = 4 "wrong number of words or capabilities"
    /// A `bool` that is neither 0 nor 1.
    BadBool = 5 "neither 0 nor 1"
    /// A number that the strict enum or the union does not list.
    BadEnum = 6 "unknown enum value"
    /// A bit that the strict flags do not list.
    BadFlags = 7 "unknown flag"
    /// A length above its limit, or a range beyond 64 bits.
    BadLength = 8 "length out of range"
    /// A text that is not UTF-8.
    BadText = 9 "not UTF-8"
    /// A capability that is missing, or refers to another type of object.
    BadCap = 10 "wrong or missing capability"
    /// A capability with fewer rights than the interface asks for.
    BadCapRights = 11 "capability with too few rights"
    /// No Reply is left with which the server could answer later.
    Busy = 12 "server is busy"
    /// The capabilities of the reply could not be delivered.
    CapsRefused = 13 "capabilities of the reply could not be delivered"
    /// The server neither answered nor kept the request to answer it later.
    Dropped = 14 "the server dropped the request"
    /// The memory behind a buffer went away while the server used it.
    BufferGone = 15 "buffer is gone"
    /// The reply has a tag that is no error of the protocol.
    UnknownResult = 16 "unknown result"
    /// The component that served this is gone and will not be started again by itself.
    Unavailable = 17 "nobody serves this any more"
}

impl WireError {
    /// The tag of a reply that says so.
    #[inline]
    #[must_use]
    pub const fn tag(self) -> u64 {
        self as u64
    }

    /// The error that a reply's tag stands for, if it is one of these.
    #[must_use]
    pub fn from_tag(tag: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.tag() == tag)
    }
}

impl core::error::Error for WireError {}
