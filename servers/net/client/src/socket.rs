//! The calls of BSD.

use core::net::SocketAddr;

use gritos_idl_runtime::Cap;
use gritos_idl_runtime::object::Notification;
use gritos_net_api::{
    MessageFlags, Readiness, ShutdownHow, Socket as Protocol, SocketClient, SocketOption,
};

use crate::{Error, Local, Net};

/// A socket. Closed when it is dropped.
#[derive(Debug)]
pub struct Socket<L: Local> {
    net: Net<L>,
    cap: Cap<Protocol>,
}

impl<L: Local> Socket<L> {
    pub(crate) const fn new(net: Net<L>, cap: Cap<Protocol>) -> Self {
        Self { net, cap }
    }

    /// The socket behind a capability that somebody else handed over; it may
    /// have fewer rights. `net` is this program's own.
    #[must_use]
    pub const fn from_cap(net: Net<L>, cap: Cap<Protocol>) -> Self {
        Self::new(net, cap)
    }

    /// Its capability, to hand it on. The socket stays open as long as nobody
    /// closes it.
    #[must_use]
    pub const fn cap(&self) -> Cap<Protocol> {
        self.cap
    }

    /// Most bytes that one call moves.
    #[must_use]
    pub fn room(&self) -> usize {
        self.net.room()
    }

    pub(crate) fn client(&self) -> SocketClient<L::Transport> {
        SocketClient::new(self.cap, self.net.local.transport())
    }

    /// Gives it an address of this machine. Port 0 takes any that is free.
    ///
    /// # Errors
    /// What the service says.
    pub fn bind(&self, to: SocketAddr) -> Result<(), Error> {
        let address = self.net.put_address(to)?;
        Ok(self.client().bind(address)?)
    }

    /// Waits for connections from now on, of which `backlog` may queue.
    ///
    /// # Errors
    /// What the service says.
    pub fn listen(&self, backlog: u32) -> Result<(), Error> {
        Ok(self.client().listen(backlog)?)
    }

    /// Takes the next connection, waiting for one unless `flags` say otherwise,
    /// and who it is from.
    ///
    /// # Errors
    /// What the service says.
    pub fn accept(&self, flags: MessageFlags) -> Result<(Self, SocketAddr), Error> {
        let reply = self.client().accept(self.net.address_range(), flags)?;
        let accepted = Self::new(self.net, reply.socket);
        let from = self.net.get_address()?;
        Ok((accepted, from))
    }

    /// Connects to a peer and waits until it answers.
    ///
    /// # Errors
    /// What the service says.
    pub fn connect(&self, to: SocketAddr) -> Result<(), Error> {
        self.connect_with(to, MessageFlags::empty())
    }

    /// Connects to a peer; with `DONT_WAIT` it says `WOULD_BLOCK`, and readiness
    /// tells when it is done.
    ///
    /// # Errors
    /// What the service says.
    pub fn connect_with(&self, to: SocketAddr, flags: MessageFlags) -> Result<(), Error> {
        let address = self.net.put_address(to)?;
        Ok(self.client().connect(address, flags)?)
    }

    /// Sends to the connected peer; how many bytes were taken, which are fewer if
    /// they do not fit the shared memory.
    ///
    /// # Errors
    /// What the service says.
    pub fn send(&self, data: &[u8], flags: MessageFlags) -> Result<usize, Error> {
        let length = self.net.put_data(data)?;
        let sent = self.client().send(self.net.data_range(length), flags)?;
        Ok(usize::try_from(sent).unwrap_or(length).min(length))
    }

    /// Sends `first` and then `second`, as if they were one: a head and a body that lie apart. How many bytes of
    /// both were taken.
    ///
    /// # Errors
    /// What the service says.
    pub fn send_both(
        &self,
        first: &[u8],
        second: &[u8],
        flags: MessageFlags,
    ) -> Result<usize, Error> {
        let length = self.net.put_both(first, second)?;
        let sent = self.client().send(self.net.data_range(length), flags)?;
        Ok(usize::try_from(sent).unwrap_or(length).min(length))
    }

    /// Receives; of a stream 0 bytes mean that it has ended.
    ///
    /// # Errors
    /// What the service says.
    pub fn recv(&self, to: &mut [u8], flags: MessageFlags) -> Result<usize, Error> {
        let received = self.client().recv(self.net.data_range(to.len()), flags)?;
        self.net.get_data(received, to)
    }

    /// Sends one message to an address.
    ///
    /// # Errors
    /// What the service says; [`Error::Memory`] if it does not fit the shared
    /// memory.
    pub fn sendto(&self, data: &[u8], to: SocketAddr, flags: MessageFlags) -> Result<usize, Error> {
        let address = self.net.put_address(to)?;
        let length = self.net.put_data(data)?;
        if length < data.len() {
            return Err(Error::Memory);
        }
        let data = self.net.data_range(length);
        let sent = self.client().sendto(data, address, flags)?;
        Ok(usize::try_from(sent).unwrap_or(length).min(length))
    }

    /// Receives one message, and who it is from.
    ///
    /// # Errors
    /// What the service says.
    pub fn recvfrom(
        &self,
        to: &mut [u8],
        flags: MessageFlags,
    ) -> Result<(usize, SocketAddr), Error> {
        let data = self.net.data_range(to.len());
        let address = self.net.address_range();
        let reply = self.client().recvfrom(data, address, flags)?;
        let count = self.net.get_data(reply.bytes_received, to)?;
        Ok((count, self.net.get_address()?))
    }

    /// Shuts down one half of a connection, or both.
    ///
    /// # Errors
    /// What the service says.
    pub fn shutdown(&self, how: ShutdownHow) -> Result<(), Error> {
        Ok(self.client().shutdown(how)?)
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the service says.
    pub fn getsockname(&self) -> Result<SocketAddr, Error> {
        self.client().getsockname(self.net.address_range())?;
        self.net.get_address()
    }

    /// The address of the connected peer.
    ///
    /// # Errors
    /// What the service says.
    pub fn getpeername(&self) -> Result<SocketAddr, Error> {
        self.client().getpeername(self.net.address_range())?;
        self.net.get_address()
    }

    /// Reads an option.
    ///
    /// # Errors
    /// What the service says.
    pub fn getsockopt(&self, option: SocketOption) -> Result<u64, Error> {
        Ok(self.client().getsockopt(option)?)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// What the service says.
    pub fn setsockopt(&self, option: SocketOption, value: u64) -> Result<(), Error> {
        Ok(self.client().setsockopt(option, value)?)
    }

    /// What it is ready for now.
    ///
    /// # Errors
    /// What the service says.
    pub fn poll(&self) -> Result<Readiness, Error> {
        Ok(self.client().poll()?)
    }

    /// Has `notification` signalled when it becomes ready for something of
    /// `interest`; what it is ready for already.
    ///
    /// # Errors
    /// What the service says.
    pub fn watch(
        &self,
        notification: Cap<Notification>,
        interest: Readiness,
    ) -> Result<Readiness, Error> {
        Ok(self.client().watch(notification, interest)?)
    }

    /// Closes it, and says whether that worked; dropping it does the same
    /// without a word.
    ///
    /// # Errors
    /// What the service says.
    pub fn close(self) -> Result<(), Error> {
        let result = self.client().close();
        self.net.local.release(self.cap.address());
        core::mem::forget(self);
        Ok(result?)
    }
}

impl<L: Local> Drop for Socket<L> {
    fn drop(&mut self) {
        // Nobody is left to whom a failure could matter.
        let _ = self.client().close();
        self.net.local.release(self.cap.address());
    }
}
