//! UDP as Rust programs know it.

use core::net::SocketAddr;
use core::time::Duration;

use gritos_net_api::{MessageFlags, SocketOption};

use crate::stream::ns;
use crate::{Error, Local, Socket};

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket<L: Local>(Socket<L>);

impl<L: Local> UdpSocket<L> {
    pub(crate) const fn new(socket: Socket<L>) -> Self {
        Self(socket)
    }

    /// The socket below.
    #[must_use]
    pub const fn socket(&self) -> &Socket<L> {
        &self.0
    }

    /// The address it has.
    ///
    /// # Errors
    /// What the service says.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.0.getsockname()
    }

    /// Exchanges messages with one peer only from now on.
    ///
    /// # Errors
    /// What the service says.
    pub fn connect(&self, to: SocketAddr) -> Result<(), Error> {
        self.0.connect(to)
    }

    /// Sends a message to the connected peer.
    ///
    /// # Errors
    /// What the service says; [`Error::Memory`] if it does not fit the shared
    /// memory.
    pub fn send(&self, data: &[u8]) -> Result<usize, Error> {
        if data.len() > self.0.room() {
            return Err(Error::Memory);
        }
        self.0.send(data, MessageFlags::empty())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What the service says.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> Result<usize, Error> {
        self.0.sendto(data, to, MessageFlags::empty())
    }

    /// Waits for a message of the connected peer. What does not fit is lost.
    ///
    /// # Errors
    /// What the service says.
    pub fn recv(&self, to: &mut [u8]) -> Result<usize, Error> {
        self.0.recv(to, MessageFlags::empty())
    }

    /// Waits for a message, and says who it is from. What does not fit is lost.
    ///
    /// # Errors
    /// What the service says.
    pub fn recv_from(&self, to: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        self.0.recvfrom(to, MessageFlags::empty())
    }

    /// How long receiving waits; `None` for as long as it takes.
    ///
    /// # Errors
    /// What the service says.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.0.setsockopt(SocketOption::ReceiveTimeout, ns(timeout))
    }
}
