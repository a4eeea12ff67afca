//! Why something did not work.

use core::fmt;

use gritos_base_api::BaseError;
use gritos_idl_runtime as rt;
use gritos_net_api::NetError;

/// Why something did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The network service says no.
    Net(NetError),
    /// The service could not be reached, or did not understand.
    Call(rt::Error<NetError>),
    /// The shared memory could not be set up.
    Setup(rt::Error<BaseError>),
    /// The shared memory is gone, or too small.
    Memory,
    /// An address came back that is none.
    Address,
}

impl Error {
    /// What the network service said, if it was it that said no.
    #[must_use]
    pub const fn net(&self) -> Option<NetError> {
        match self {
            Self::Net(error) => Some(*error),
            _ => None,
        }
    }
}

impl From<rt::Error<NetError>> for Error {
    fn from(error: rt::Error<NetError>) -> Self {
        match error {
            rt::Error::Server(error) => Self::Net(error),
            other => Self::Call(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
            Self::Setup(error) => write!(f, "memory could not be shared: {error}"),
            Self::Memory => f.write_str("the memory shared with the network service is gone"),
            Self::Address => f.write_str("the network service returned no address"),
        }
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind;
        match self.net() {
            Some(NetError::NotPermitted | NetError::Access) => ErrorKind::PermissionDenied,
            Some(NetError::Refused) => ErrorKind::ConnectionRefused,
            Some(NetError::Reset) => ErrorKind::ConnectionReset,
            Some(NetError::Aborted) => ErrorKind::ConnectionAborted,
            Some(NetError::NotConnected) => ErrorKind::NotConnected,
            Some(NetError::AddressInUse) => ErrorKind::AddrInUse,
            Some(NetError::AddressNotAvailable) => ErrorKind::AddrNotAvailable,
            Some(NetError::BrokenPipe) => ErrorKind::BrokenPipe,
            Some(NetError::Invalid) => ErrorKind::InvalidInput,
            Some(NetError::TimedOut) => ErrorKind::TimedOut,
            Some(NetError::NoMemory | NetError::NoBuffers) => ErrorKind::OutOfMemory,
            Some(NetError::NotSupported) => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }
}
