//! UDP, and ICMP echo.

use core::net::SocketAddr;

use gritos_net_api::{Domain, NetError, Readiness, SocketType};
use smoltcp::socket::{icmp, udp};

use super::{Stack, route, stream};
use crate::address;
use crate::buffers::{Sink, Source};
use crate::filter::Action;
use crate::frame::FrameDevice;
use crate::sets::Handle;
use crate::socket::{Body, MESSAGES, Received, Socket, SocketId};

/// Most bytes of an IPv4 packet that is sent in fragments.
const FRAGMENTED_LIMIT: usize = 8000;
/// Bytes of the headers of an IPv4 packet without options and of a UDP message.
const DATAGRAM_HEADERS: usize = 28;
/// Bytes of an ICMP echo header.
const ECHO_BYTES: usize = 8;

type Udp = udp::Socket<'static>;
type Icmp = icmp::Socket<'static>;

impl<D: FrameDevice> Stack<D> {
    /// Gives a socket of messages its buffers, and a port if it has none.
    #[inline]
    pub(super) fn open_datagram(&mut self, id: SocketId) -> Result<(), NetError> {
        match self.table.get(id)?.body {
            Body::Fresh => self.open_fresh_datagram(id),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn open_fresh_datagram(&mut self, id: SocketId) -> Result<(), NetError> {
        let socket = self.table.get(id)?;
        let (client, kind, options) = (socket.client, socket.kind, socket.options);
        let local = match socket.local {
            Some(local) => local,
            None => {
                let any = match socket.domain {
                    Domain::Inet => SocketAddr::from(([0; 4], 0)),
                    Domain::Inet6 => SocketAddr::from(([0; 16], 0)),
                };
                SocketAddr::new(any.ip(), self.free_port(kind)?)
            }
        };
        self.reserve(client, options.bytes())?;
        let receive = stream::zeroed(options.receive_buffer)?;
        let send = stream::zeroed(options.send_buffer)?;
        let body = if kind == SocketType::Raw {
            let buffer = |bytes| {
                icmp::PacketBuffer::new(alloc::vec![icmp::PacketMetadata::EMPTY; MESSAGES], bytes)
            };
            let mut icmp = Icmp::new(buffer(receive), buffer(send));
            icmp.set_hop_limit(Some(options.hop_limit));
            icmp.bind(icmp::Endpoint::Ident(local.port()))
                .map_err(|_| NetError::AddressInUse)?;
            Body::Echo(self.set.add(icmp))
        } else {
            let buffer = |bytes| {
                udp::PacketBuffer::new(alloc::vec![udp::PacketMetadata::EMPTY; MESSAGES], bytes)
            };
            let mut udp = Udp::new(buffer(receive), buffer(send));
            udp.set_hop_limit(Some(options.hop_limit));
            udp.bind(address::to_listen(local))
                .map_err(|_| NetError::AddressInUse)?;
            Body::Datagram(self.set.add(udp))
        };
        let socket = self.table.get_mut(id)?;
        socket.local = Some(local);
        socket.body = body;
        Ok(())
    }

    pub(super) fn connect_datagram(
        &mut self,
        id: SocketId,
        to: SocketAddr,
    ) -> Result<(), NetError> {
        self.permit_message(self.table.get(id)?, to)?;
        self.source_for(to.ip())?;
        self.open_datagram(id)?;
        let socket = self.table.get_mut(id)?;
        socket.remote = Some(to);
        socket.error = None;
        Ok(())
    }

    fn permit_message(&self, socket: &Socket, to: SocketAddr) -> Result<(), NetError> {
        route::fits_family(socket, to)?;
        let action = if socket.kind == SocketType::Raw {
            Action::Ping
        } else {
            Action::ConnectUdp
        };
        let without_port = to.port() == 0 && socket.kind == SocketType::Datagram;
        if without_port || to.ip().is_unspecified() {
            return Err(NetError::AddressNotAvailable);
        }
        self.permit(socket.client, action, to)
    }

    /// Sends one message, to `to` or to the connected peer.
    pub(super) fn send_message(
        &mut self,
        id: SocketId,
        data: &mut dyn Source,
        to: Option<SocketAddr>,
    ) -> Result<usize, NetError> {
        let socket = self.table.get_mut(id)?;
        socket.tell()?;
        if socket.send_shut {
            return Err(NetError::BrokenPipe);
        }
        let to = to.or(socket.remote).ok_or(NetError::DestinationRequired)?;
        let socket = self.table.get(id)?;
        self.permit_message(socket, to)?;
        let source = self.source_for(to.ip())?;
        if matches!(socket.body, Body::Fresh) {
            self.open_datagram(id)?;
        }
        let length = data.length();
        let packet_limit = if to.is_ipv4() {
            FRAGMENTED_LIMIT - DATAGRAM_HEADERS
        } else {
            self.mtu() - 48
        };
        let socket = self.table.get(id)?;
        if length > packet_limit.min(socket.options.send_buffer) {
            return Err(NetError::MessageTooLarge);
        }
        let bound = socket.local.map(|local| local.ip());
        let source = bound.filter(|ip| !ip.is_unspecified()).unwrap_or(source);
        let ident = socket.local.map_or(0, |local| local.port());
        let mut message = core::mem::take(&mut self.scratch);
        message.clear();
        message.resize(length, 0);
        let set = &mut self.set;
        let result = data
            .read(0, &mut message)
            .and_then(|()| match &socket.body {
                Body::Datagram(handle) => {
                    let udp = set.get_mut::<Udp>(*handle);
                    let mut metadata = udp::UdpMetadata::from(address::to_wire(to));
                    metadata.local_address = Some(source.into());
                    let sent = udp.send_slice(&message, metadata);
                    sent.map_err(|error| match error {
                        udp::SendError::Unaddressable => NetError::AddressNotAvailable,
                        udp::SendError::BufferFull => NetError::WouldBlock,
                    })?;
                    Ok(*handle)
                }
                Body::Echo(handle) => {
                    check_echo(&mut message, to, ident)?;
                    let icmp = set.get_mut::<Icmp>(*handle);
                    let sent = icmp.send_slice(&message, to.ip().into());
                    sent.map_err(|error| match error {
                        icmp::SendError::Unaddressable => NetError::AddressNotAvailable,
                        icmp::SendError::BufferFull => NetError::WouldBlock,
                    })?;
                    Ok(*handle)
                }
                _ => Err(NetError::NotSupported),
            });
        self.scratch = message;
        self.set.touch(result?);
        Ok(length)
    }

    /// Takes one message.
    pub(super) fn receive_message(
        &mut self,
        id: SocketId,
        room: &mut dyn Sink,
        peek: bool,
    ) -> Result<Received, NetError> {
        self.open_datagram(id)?;
        let socket = self.table.get_mut(id)?;
        socket.tell()?;
        if socket.receive_shut {
            let from = socket.remote.ok_or(NetError::NotConnected)?;
            return Ok(Received { bytes: 0, from });
        }
        match &socket.body {
            Body::Datagram(handle) => {
                let udp = self.set.get_mut::<Udp>(*handle);
                loop {
                    let (message, metadata) = udp.peek().map_err(|_| NetError::WouldBlock)?;
                    let from = address::from_wire(metadata.endpoint);
                    let wanted = is_wanted(socket, from);
                    let bytes = if wanted { put(message, room)? } else { 0 };
                    if !(wanted && peek) {
                        // It was just seen.
                        let _ = udp.recv();
                    }
                    if wanted {
                        return Ok(Received { bytes, from });
                    }
                }
            }
            Body::Echo(handle) => {
                if peek {
                    return Err(NetError::NotSupported);
                }
                let icmp = self.set.get_mut::<Icmp>(*handle);
                let (message, from) = icmp.recv().map_err(|_| NetError::WouldBlock)?;
                let port = socket.local.map_or(0, |local| local.port());
                let from = SocketAddr::new(from.into(), port);
                let bytes = put(message, room)?;
                Ok(Received { bytes, from })
            }
            _ => Err(NetError::NotSupported),
        }
    }

    /// Drops messages at the front that are not for this socket: of another
    /// family, or not of the connected peer.
    pub(super) fn drop_unwanted(&mut self, id: SocketId) -> Result<(), NetError> {
        let socket = self.table.get(id)?;
        let Body::Datagram(handle) = &socket.body else {
            return Ok(());
        };
        let udp = self.set.get_mut::<Udp>(*handle);
        while let Ok((_, metadata)) = udp.peek() {
            if is_wanted(socket, address::from_wire(metadata.endpoint)) {
                break;
            }
            let _ = udp.recv();
        }
        Ok(())
    }

    pub(super) fn datagram_readiness(&self, handle: Handle) -> Readiness {
        let udp = self.set.get::<Udp>(handle);
        readiness(udp.can_recv(), udp.can_send())
    }

    pub(super) fn echo_readiness(&self, handle: Handle) -> Readiness {
        let icmp = self.set.get::<Icmp>(handle);
        readiness(icmp.can_recv(), icmp.can_send())
    }
}

fn readiness(readable: bool, writable: bool) -> Readiness {
    let mut ready = Readiness::empty();
    ready.set(Readiness::READABLE, readable);
    ready.set(Readiness::WRITABLE, writable);
    ready
}

fn is_wanted(socket: &Socket, from: SocketAddr) -> bool {
    let of_family = socket.domain == Domain::Inet6 || from.is_ipv4();
    let of_peer = socket
        .remote
        .is_none_or(|peer| peer.ip() == from.ip() && peer.port() == from.port());
    of_family && of_peer
}

/// Only echo requests are sent, and only with the identifier of the socket, by
/// which it gets the answers.
fn check_echo(message: &mut [u8], to: SocketAddr, ident: u16) -> Result<(), NetError> {
    let request = if to.is_ipv4() { 8 } else { 128 };
    let header = message
        .first_chunk_mut::<ECHO_BYTES>()
        .ok_or(NetError::Invalid)?;
    if header[0] != request || header[1] != 0 {
        return Err(NetError::NotPermitted);
    }
    [header[4], header[5]] = ident.to_be_bytes();
    Ok(())
}

/// As much of a message as there is room for.
fn put(message: &[u8], room: &mut dyn Sink) -> Result<usize, NetError> {
    let count = message.len().min(room.length());
    room.write(0, message.get(..count).unwrap_or(&[]))?;
    Ok(count)
}
