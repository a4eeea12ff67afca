//! Which address and port of this machine a socket gets, and whether it may.

use core::net::{IpAddr, SocketAddr};

use gritos_net_api::{Domain, NetError, SocketType};

use super::Stack;
use crate::address;
use crate::entropy::EPHEMERAL_FIRST;
use crate::filter::{Action, within};
use crate::frame::FrameDevice;
use crate::socket::{Body, Socket, SocketId};

const fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

impl<D: FrameDevice> Stack<D> {
    /// Gives a socket an address of this machine. Port 0 takes any that is free.
    ///
    /// # Errors
    /// `INVALID` if it has one already, `FAMILY_NOT_SUPPORTED`,
    /// `ADDRESS_NOT_AVAILABLE`, `ADDRESS_IN_USE`, `ACCESS` if no rule allows it,
    /// `BAD_SOCKET`.
    pub fn bind(&mut self, id: SocketId, to: SocketAddr) -> Result<(), NetError> {
        let socket = self.table.get(id)?;
        if socket.local.is_some() || !matches!(socket.body, Body::Fresh) {
            return Err(NetError::Invalid);
        }
        fits_family(socket, to)?;
        if !to.ip().is_unspecified() && !self.is_own(to.ip()) {
            return Err(NetError::AddressNotAvailable);
        }
        let kind = socket.kind;
        let port = if to.port() == 0 {
            self.free_port(kind)?
        } else {
            let action = match socket.kind {
                SocketType::Stream => Action::ListenTcp,
                SocketType::Datagram => Action::ListenUdp,
                SocketType::Raw => Action::Ping,
            };
            self.permit(socket.client, action, to)?;
            if self.is_port_used(socket.kind, to.port(), socket.options.reuse_address) {
                return Err(NetError::AddressInUse);
            }
            to.port()
        };
        self.table.get_mut(id)?.local = Some(SocketAddr::new(to.ip(), port));
        if kind == SocketType::Stream {
            return Ok(());
        }
        // Messages may arrive from now on.
        let opened = self.open_datagram(id);
        if opened.is_err() {
            self.table.get_mut(id)?.local = None;
        }
        opened
    }

    /// Fails unless a rule allows the client to do this.
    pub(super) fn permit(
        &self,
        client: u32,
        action: Action,
        with: SocketAddr,
    ) -> Result<(), NetError> {
        if self.rules.allows(client, action, with) {
            Ok(())
        } else {
            Err(NetError::Access)
        }
    }

    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        // All of 127.0.0.0/8 is this machine; only its first address is used.
        self.known
            .iter()
            .any(|cidr| IpAddr::from(cidr.address()) == ip)
    }

    /// The address of this machine from which packets to `remote` come.
    pub(super) fn source_for(&self, remote: IpAddr) -> Result<IpAddr, NetError> {
        if let Some((to, source)) = self.route.get()
            && to == remote
        {
            return Ok(source);
        }
        let source = self.find_source(remote)?;
        self.route.set(Some((remote, source)));
        Ok(source)
    }

    fn find_source(&self, remote: IpAddr) -> Result<IpAddr, NetError> {
        if self.is_own(remote) {
            return Ok(remote);
        }
        if remote.is_loopback() || remote.is_unspecified() {
            return Err(NetError::NetworkUnreachable);
        }
        let same_family = |ip: IpAddr| ip.is_ipv4() == remote.is_ipv4() && !ip.is_loopback();
        let has_address = self
            .known
            .iter()
            .any(|cidr| same_family(cidr.address().into()));
        if !has_address {
            return Err(NetError::NetworkDown);
        }
        let near = self
            .known
            .iter()
            .any(|cidr| within(cidr.address().into(), cidr.prefix_len(), remote));
        if !near && !address::is_group(remote) && self.gateway(remote.is_ipv4()).is_none() {
            return Err(NetError::NetworkUnreachable);
        }
        let source = self.interface.get_source_address(&remote.into());
        let source = source.map(IpAddr::from).filter(|ip| same_family(*ip));
        // smoltcp 0.14 takes the inner address for the one that is most like a far one (RFC 6724, "Rule 8").
        let is_far = |ip: &IpAddr| same_family(*ip) && !is_link_local(*ip);
        let mut own = self.known.iter().map(|cidr| cidr.address().into());
        source
            .or_else(|| own.find(is_far))
            .ok_or(NetError::NetworkDown)
    }

    /// Whether a port cannot be bound.
    pub(super) fn is_port_used(&self, kind: SocketType, port: u16, reuse: bool) -> bool {
        let is_taken = |socket: &Socket| {
            let passes = match socket.body {
                Body::Stream(_) => reuse,
                _ => false,
            };
            socket.kind == kind && !passes && socket.local.is_some_and(|local| local.port() == port)
        };
        self.table.iter().any(|(_, socket)| is_taken(socket))
            || (!reuse && self.lingers_at(kind, port))
    }

    /// A port that nobody uses, chosen at random.
    pub(super) fn free_port(&mut self, kind: SocketType) -> Result<u16, NetError> {
        let start = self.random.ephemeral_port();
        let count = u16::MAX - EPHEMERAL_FIRST;
        // Sockets are far fewer than ports, so that a free one is near.
        (0..2048)
            .map(|step| EPHEMERAL_FIRST | (start.wrapping_add(step) & count))
            .find(|port| !self.is_port_used(kind, *port, false))
            .ok_or(NetError::AddressInUse)
    }

    /// Whether the client may have so many more bytes of buffers.
    pub(super) fn reserve(&self, client: u32, bytes: usize) -> Result<(), NetError> {
        let lingering = self.lingering.iter();
        let used = |whose: Option<u32>| -> usize {
            let sockets = self
                .table
                .iter()
                .map(|(_, socket)| (socket.client, socket.bytes()));
            let lingering = lingering.clone().map(|held| (held.client, held.bytes));
            sockets
                .chain(lingering)
                .filter(|(client, _)| whose.is_none_or(|whose| whose == *client))
                .map(|(_, bytes)| bytes)
                .sum()
        };
        if used(Some(client)) + bytes > self.limits.client_bytes {
            return Err(NetError::NoBuffers);
        }
        if used(None) + bytes > self.limits.bytes {
            return Err(NetError::NoMemory);
        }
        Ok(())
    }
}

/// Fails unless the address is of the socket's family. IPv6 sockets speak IPv4
/// too.
pub(super) fn fits_family(socket: &Socket, address: SocketAddr) -> Result<(), NetError> {
    if socket.domain == Domain::Inet && address.is_ipv6() {
        return Err(NetError::FamilyNotSupported);
    }
    Ok(())
}
