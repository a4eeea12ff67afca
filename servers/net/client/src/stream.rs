//! TCP as Rust programs know it.

use core::net::SocketAddr;
use core::time::Duration;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use gritos_net_api::{MessageFlags, Readiness, ShutdownHow, SocketOption};

use crate::{Error, Local, Socket};

/// A TCP connection.
#[derive(Debug)]
pub struct TcpStream<L: Local>(Socket<L>);

impl<L: Local> TcpStream<L> {
    pub(crate) const fn new(socket: Socket<L>) -> Self {
        Self(socket)
    }

    /// The socket below.
    #[must_use]
    pub const fn socket(&self) -> &Socket<L> {
        &self.0
    }

    pub(crate) fn into_socket(self) -> Socket<L> {
        self.0
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// What the service says.
    pub fn peer_addr(&self) -> Result<SocketAddr, Error> {
        self.0.getpeername()
    }

    /// This end.
    ///
    /// # Errors
    /// What the service says.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.0.getsockname()
    }

    /// Says that nothing more will be sent, received, or both.
    ///
    /// # Errors
    /// What the service says.
    pub fn shutdown(&self, how: ShutdownHow) -> Result<(), Error> {
        self.0.shutdown(how)
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// What the service says.
    pub fn set_nodelay(&self, nodelay: bool) -> Result<(), Error> {
        self.0.setsockopt(SocketOption::NoDelay, nodelay.into())
    }

    /// How long reading waits; `None` for as long as it takes.
    ///
    /// # Errors
    /// What the service says.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.0.setsockopt(SocketOption::ReceiveTimeout, ns(timeout))
    }

    /// How long writing waits; `None` for as long as it takes.
    ///
    /// # Errors
    /// What the service says.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.0.setsockopt(SocketOption::SendTimeout, ns(timeout))
    }

    /// Looks at what is there without taking it.
    ///
    /// # Errors
    /// What the service says.
    pub fn peek(&self, to: &mut [u8]) -> Result<usize, Error> {
        self.0.recv(to, MessageFlags::PEEK)
    }
}

/// A time-out of no time at all is the shortest there is.
pub(crate) fn ns(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |time| {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
    })
}

impl<L: Local> ErrorType for TcpStream<L> {
    type Error = Error;
}

impl<L: Local> Read for TcpStream<L> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        self.0.recv(to, MessageFlags::empty())
    }
}

impl<L: Local> Write for TcpStream<L> {
    fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        self.0.send(data, MessageFlags::empty())
    }

    /// Nothing is kept back here.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<L: Local> ReadReady for TcpStream<L> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.0.poll()?.contains(Readiness::READABLE))
    }
}

impl<L: Local> WriteReady for TcpStream<L> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.0.poll()?.contains(Readiness::WRITABLE))
    }
}

/// Waits for TCP connections.
#[derive(Debug)]
pub struct TcpListener<L: Local>(Socket<L>);

impl<L: Local> TcpListener<L> {
    pub(crate) const fn new(socket: Socket<L>) -> Self {
        Self(socket)
    }

    /// The socket below.
    #[must_use]
    pub const fn socket(&self) -> &Socket<L> {
        &self.0
    }

    /// Where it waits.
    ///
    /// # Errors
    /// What the service says.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.0.getsockname()
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// What the service says.
    pub fn accept(&self) -> Result<(TcpStream<L>, SocketAddr), Error> {
        let (socket, from) = self.0.accept(MessageFlags::empty())?;
        Ok((TcpStream(socket), from))
    }

    /// Takes the next connection, if one waits.
    ///
    /// # Errors
    /// What the service says.
    pub fn try_accept(&self) -> Result<Option<(TcpStream<L>, SocketAddr)>, Error> {
        match self.0.accept(MessageFlags::DONT_WAIT) {
            Ok((socket, from)) => Ok(Some((TcpStream(socket), from))),
            Err(Error::Net(gritos_net_api::NetError::WouldBlock)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
