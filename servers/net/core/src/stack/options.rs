//! Options and addresses of sockets.

use core::net::SocketAddr;

use gritos_net_api::{NetError, SocketOption, SocketType};
use smoltcp::socket::{icmp, tcp, udp};

use super::{Stack, stream};
use crate::frame::FrameDevice;
use crate::socket::{Body, Options, SocketId};

impl<D: FrameDevice> Stack<D> {
    /// Reads an option.
    ///
    /// # Errors
    /// `BAD_SOCKET`, `NO_OPTION`.
    pub fn option(&mut self, id: SocketId, option: SocketOption) -> Result<u64, NetError> {
        let socket = self.table.get_mut(id)?;
        match option {
            SocketOption::LastError => Ok(socket
                .error
                .take()
                .map_or(0, |error| u64::from(error.number()))),
            SocketOption::Type => Ok(u64::from(socket.kind.number())),
            SocketOption::NoDelay | SocketOption::KeepAlive
                if socket.kind != SocketType::Stream =>
            {
                Err(NetError::NoOption)
            }
            _ => socket.options.get(option),
        }
    }

    /// Sets an option.
    ///
    /// # Errors
    /// `NO_OPTION` if it does not exist, cannot be set, or not for this kind of
    /// socket; `INVALID` if the value is out of range or the socket is no longer
    /// in a state for it; `BAD_SOCKET`.
    pub fn set_option(
        &mut self,
        id: SocketId,
        option: SocketOption,
        value: u64,
    ) -> Result<(), NetError> {
        let socket = self.table.get_mut(id)?;
        let has_buffers = !matches!(socket.body, Body::Fresh);
        socket
            .options
            .set(option, value, socket.kind, has_buffers)?;
        let options = &socket.options;
        match &mut socket.body {
            Body::Fresh | Body::Listener(_) => {}
            Body::Stream(held) => {
                let tcp = self.set.get_mut::<tcp::Socket<'_>>(held.handle);
                stream::apply(tcp, options);
                if option == SocketOption::KeepAlive {
                    held.probed_since = self.now_ns;
                    stream::be_patient(tcp, held.probed_since, self.now_ns);
                }
                self.set.touch(held.handle);
            }
            Body::Datagram(handle) => {
                let udp = self.set.get_mut::<udp::Socket<'_>>(*handle);
                udp.set_hop_limit(Some(options.hop_limit));
            }
            Body::Echo(handle) => {
                let icmp = self.set.get_mut::<icmp::Socket<'_>>(*handle);
                icmp.set_hop_limit(Some(options.hop_limit));
            }
        }
        Ok(())
    }

    /// Options of a socket, for whoever lets callers wait.
    pub(crate) fn options(&self, id: SocketId) -> Result<Options, NetError> {
        Ok(self.table.get(id)?.options)
    }

    /// The address that a socket is bound to.
    ///
    /// # Errors
    /// `INVALID` if it is not, `BAD_SOCKET`.
    pub fn local_address(&self, id: SocketId) -> Result<SocketAddr, NetError> {
        self.table.get(id)?.local.ok_or(NetError::Invalid)
    }

    /// The address that a socket is connected to.
    ///
    /// # Errors
    /// `NOT_CONNECTED`, `BAD_SOCKET`.
    pub fn peer_address(&self, id: SocketId) -> Result<SocketAddr, NetError> {
        self.table.get(id)?.remote.ok_or(NetError::NotConnected)
    }
}
