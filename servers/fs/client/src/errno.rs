//! What went wrong, as POSIX numbers it.

use core::fmt;

use gritos_fs_api::FsError;
use gritos_idl_runtime::{Error, Status, WireError};

/// An error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u32);

macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal $text:literal)*) => {
        impl Errno {
            $($(#[doc = $doc])+ pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    number => write!(f, "error {number}"),
                }
            }
        }
    };
}

errnos! {
    /// Not permitted.
    PERM = 1 "not permitted"
    /// No such file or folder.
    NOENT = 2 "no such file or folder"
    /// The device failed.
    IO = 5 "the device failed"
    /// There is no data there.
    NXIO = 6 "no data there"
    /// No such descriptor, or it was not opened for that.
    BADF = 9 "not open, or not for that"
    /// Try again.
    AGAIN = 11 "the file server is busy"
    /// No memory.
    NOMEM = 12 "no memory"
    /// Access denied.
    ACCES = 13 "access denied"
    /// The memory of the buffer went away.
    FAULT = 14 "the buffer went away"
    /// In use.
    BUSY = 16 "in use"
    /// Exists already.
    EXIST = 17 "exists already"
    /// Old and new name are on different file systems.
    XDEV = 18 "on another file system"
    /// Not a folder.
    NOTDIR = 20 "not a folder"
    /// Is a folder.
    ISDIR = 21 "is a folder"
    /// An argument is out of range.
    INVAL = 22 "invalid argument"
    /// The server has too many open files.
    NFILE = 23 "the file server has too many open files"
    /// The program has too many open files.
    MFILE = 24 "too many open files"
    /// The file would be too large.
    FBIG = 27 "too large for the file system"
    /// No space is left.
    NOSPC = 28 "no space left"
    /// The file system is read-only.
    ROFS = 30 "the file system is read-only"
    /// Too many folders in the folder.
    MLINK = 31 "too many folders in it"
    /// A path or a name in it is too long.
    NAMETOOLONG = 36 "the name is too long"
    /// Not supported.
    NOSYS = 38 "not supported"
    /// The folder is not empty.
    NOTEMPTY = 39 "the folder is not empty"
    /// Too many symbolic links.
    LOOP = 40 "too many symbolic links"
    /// The server's answer makes no sense.
    PROTO = 71 "the file server's answer makes no sense"
    /// The file server died during the call, which may or may not have taken effect.
    CONNRESET = 104 "the file server was restarted"
    /// No answer in time.
    TIMEDOUT = 110 "no answer in time"
    /// The file was opened in an earlier life of the server.
    STALE = 116 "opened before the file server was restarted"
    /// The file system on the device is damaged.
    UCLEAN = 117 "the file system is damaged"
}

impl core::error::Error for Errno {}

impl From<Error<FsError>> for Errno {
    fn from(error: Error<FsError>) -> Self {
        match error {
            Error::Server(error) => Self(error.number()),
            Error::Refused(WireError::MissingRight) => Self::BADF,
            Error::Refused(WireError::Busy) => Self::AGAIN,
            Error::Refused(WireError::BufferGone) => Self::FAULT,
            Error::Refused(WireError::BadCap | WireError::BadCapRights) => Self::FAULT,
            Error::Refused(_) => Self::INVAL,
            Error::BadReply(_) | Error::UnknownStatus(_) => Self::PROTO,
            Error::Call(Status::TimedOut) => Self::TIMEDOUT,
            Error::Call(Status::ServerDied) => Self::CONNRESET,
            Error::Call(_) => Self::STALE,
        }
    }
}

impl embedded_io::Error for Errno {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind;
        match *self {
            Self::NOENT => ErrorKind::NotFound,
            Self::PERM | Self::ACCES | Self::ROFS => ErrorKind::PermissionDenied,
            Self::CONNRESET => ErrorKind::ConnectionReset,
            Self::EXIST => ErrorKind::AlreadyExists,
            Self::INVAL => ErrorKind::InvalidInput,
            Self::UCLEAN => ErrorKind::InvalidData,
            Self::TIMEDOUT => ErrorKind::TimedOut,
            Self::NOSYS => ErrorKind::Unsupported,
            Self::NOMEM => ErrorKind::OutOfMemory,
            _ => ErrorKind::Other,
        }
    }
}
