//! TCP connections.

use alloc::vec::Vec;
use core::net::SocketAddr;

use gritos_net_api::{NetError, Readiness, SocketType};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;

use super::{Stack, route};
use crate::address;
use crate::buffers::{Sink, Source};
use crate::filter::Action;
use crate::frame::FrameDevice;
use crate::sets::Handle;
use crate::socket::{Body, Options, Phase, Socket, SocketId, Stream};

/// How long a peer may take to answer a request for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long a peer may leave data unacknowledged; at least 100 s (RFC 9293,
/// "TCP Connection Failures").
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Bounds of the time between probes of an idle connection.
const KEEP_ALIVE_SECONDS: core::ops::RangeInclusive<u64> = 1..=86_400;

type Tcp = tcp::Socket<'static>;

impl<D: FrameDevice> Stack<D> {
    /// A TCP socket with the buffers that `options` ask for.
    pub(super) fn new_tcp(&mut self, client: u32, options: &Options) -> Result<Handle, NetError> {
        self.reserve(client, options.bytes())?;
        let (receive, send) = (options.receive_buffer, options.send_buffer);
        let handle = self.set.add_tcp(receive, send, || {
            let receive = tcp::SocketBuffer::new(zeroed(receive)?);
            let send = tcp::SocketBuffer::new(zeroed(send)?);
            Ok(tcp::Socket::new(receive, send))
        })?;
        apply(self.set.get_mut(handle), options);
        Ok(handle)
    }

    /// Begins to connect; [`connected`](Self::connected) says what becomes of it.
    /// A UDP socket only remembers its peer.
    ///
    /// # Errors
    /// `ALREADY`, `IS_CONNECTED`, `NOT_SUPPORTED` for a socket that waits for
    /// connections, `ACCESS` if no rule allows it, `FAMILY_NOT_SUPPORTED`,
    /// `ADDRESS_NOT_AVAILABLE` if the address is none of a single machine, `NETWORK_DOWN`,
    /// `NETWORK_UNREACHABLE`, `NO_BUFFERS`, `NO_MEMORY`, `BAD_SOCKET`.
    pub fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), NetError> {
        let socket = self.table.get(id)?;
        if socket.kind != SocketType::Stream {
            return self.connect_datagram(id, to);
        }
        match &socket.body {
            Body::Fresh => {}
            Body::Stream(stream) if stream.phase == Phase::Connecting => {
                return Err(NetError::Already);
            }
            Body::Stream(_) => return Err(NetError::IsConnected),
            _ => return Err(NetError::NotSupported),
        }
        route::fits_family(socket, to)?;
        self.permit(socket.client, Action::ConnectTcp, to)?;
        if to.port() == 0 || to.ip().is_unspecified() || address::is_group(to.ip()) {
            return Err(NetError::AddressNotAvailable);
        }
        let (client, options, bound) = (socket.client, socket.options, socket.local);
        let local = self.local_for(bound, to, SocketType::Stream)?;
        let handle = self.new_tcp(client, &options)?;
        let tcp = self.set.get_mut::<Tcp>(handle);
        tcp.set_timeout(Some(CONNECT_LIMIT));
        let context = self.interface.context();
        if tcp
            .connect(context, address::to_wire(to), address::to_wire(local))
            .is_err()
        {
            self.set.remove(handle);
            return Err(NetError::AddressNotAvailable);
        }
        let socket = self.table.get_mut(id)?;
        socket.local = Some(local);
        socket.remote = Some(to);
        socket.error = None;
        self.set.touch(handle);
        socket.body = Body::Stream(Stream {
            handle,
            phase: Phase::Connecting,
            last: State::SynSent,
            probed_since: self.now_ns,
        });
        Ok(())
    }

    /// The address from which a socket that is bound to `bound` speaks to `to`.
    pub(super) fn local_for(
        &mut self,
        bound: Option<SocketAddr>,
        to: SocketAddr,
        kind: SocketType,
    ) -> Result<SocketAddr, NetError> {
        let source = self.source_for(to.ip())?;
        let port = match bound {
            Some(bound) => bound.port(),
            None => self.free_port(kind)?,
        };
        match bound.map(|bound| bound.ip()) {
            Some(ip) if !ip.is_unspecified() && ip.is_ipv4() != to.is_ipv4() => {
                Err(NetError::FamilyNotSupported)
            }
            Some(ip) if !ip.is_unspecified() => Ok(SocketAddr::new(ip, port)),
            _ => Ok(SocketAddr::new(source, port)),
        }
    }

    /// What became of [`connect`](Self::connect).
    ///
    /// # Errors
    /// `WOULD_BLOCK` while it is under way, then once why it failed: `REFUSED`,
    /// `TIMED_OUT`, `HOST_UNREACHABLE`, `NETWORK_DOWN`. `NOT_CONNECTED` if there
    /// was none, `BAD_SOCKET`.
    pub fn connected(&mut self, id: SocketId) -> Result<(), NetError> {
        let socket = self.table.get_mut(id)?;
        socket.tell()?;
        match &socket.body {
            Body::Stream(stream) if stream.phase == Phase::Connecting => Err(NetError::WouldBlock),
            Body::Stream(_) => Ok(()),
            _ if socket.kind != SocketType::Stream && socket.remote.is_some() => Ok(()),
            _ => Err(NetError::NotConnected),
        }
    }

    /// Puts bytes into a stream; how many there was room for.
    pub(super) fn send_stream(
        &mut self,
        id: SocketId,
        data: &mut dyn Source,
        skip: usize,
    ) -> Result<usize, NetError> {
        let socket = self.table.get_mut(id)?;
        socket.tell()?;
        let Body::Stream(stream) = &socket.body else {
            return Err(NetError::NotConnected);
        };
        if stream.phase == Phase::Connecting {
            return Err(NetError::WouldBlock);
        }
        let tcp = self.set.get_mut::<Tcp>(stream.handle);
        if socket.send_shut || !tcp.may_send() {
            return Err(NetError::BrokenPipe);
        }
        let length = data.length();
        let mut done = skip.min(length);
        // The free part of a ring is in two pieces at most.
        for _ in 0..2 {
            if done == length || !tcp.can_send() {
                break;
            }
            let copied = tcp.send(|room| {
                let count = room.len().min(length - done);
                let room = room.get_mut(..count).unwrap_or(&mut []);
                match data.read(done, room) {
                    Ok(()) => (count, Ok(count)),
                    Err(error) => (0, Err(error)),
                }
            });
            done += copied.unwrap_or(Err(NetError::BrokenPipe))?;
        }
        if done == skip && length > skip {
            return Err(NetError::WouldBlock);
        }
        let handle = stream.handle;
        self.set.touch(handle);
        Ok(done - skip.min(length))
    }

    /// Takes bytes from a stream; 0 at its end.
    pub(super) fn receive_stream(
        &mut self,
        id: SocketId,
        room: &mut dyn Sink,
        skip: usize,
        peek: bool,
    ) -> Result<usize, NetError> {
        let socket = self.table.get_mut(id)?;
        let Body::Stream(stream) = &socket.body else {
            socket.tell()?;
            return Err(NetError::NotConnected);
        };
        if stream.phase == Phase::Connecting {
            return Err(NetError::WouldBlock);
        }
        if socket.receive_shut || room.length() <= skip {
            return Ok(0);
        }
        let tcp = self.set.get_mut::<Tcp>(stream.handle);
        if !tcp.can_recv() {
            let open = tcp.may_recv();
            socket.tell()?;
            return if open {
                Err(NetError::WouldBlock)
            } else {
                Ok(0)
            };
        }
        if peek {
            let bytes = tcp.peek(room.length() - skip);
            let bytes = bytes.map_err(|_| NetError::NotConnected)?;
            room.write(skip, bytes)?;
            return Ok(bytes.len());
        }
        // The peer is told of room that was made, but only if it knows of little: with the queue half empty
        // it knows of a quarter at least.
        let tells = 2 * tcp.recv_queue() > tcp.recv_capacity();
        let mut done = skip;
        for _ in 0..2 {
            if done == room.length() || !tcp.can_recv() {
                break;
            }
            let copied = tcp.recv(|bytes| {
                let count = bytes.len().min(room.length() - done);
                match room.write(done, bytes.get(..count).unwrap_or(&[])) {
                    Ok(()) => (count, Ok(count)),
                    Err(error) => (0, Err(error)),
                }
            });
            done += copied.unwrap_or(Err(NetError::NotConnected))?;
        }
        if tells {
            let handle = stream.handle;
            self.set.touch(handle);
        }
        Ok(done - skip)
    }

    pub(super) fn stream_readiness(&self, socket: &Socket, stream: &Stream) -> Readiness {
        if stream.phase == Phase::Connecting {
            return Readiness::empty();
        }
        let tcp = self.set.get::<Tcp>(stream.handle);
        let ended = !tcp.may_recv();
        let mut ready = Readiness::empty();
        ready.set(
            Readiness::READABLE,
            tcp.can_recv() || ended || socket.receive_shut,
        );
        ready.set(
            Readiness::WRITABLE,
            tcp.can_send() || !tcp.may_send() || socket.send_shut,
        );
        let peer_is_done = !matches!(
            tcp.state(),
            State::Established | State::FinWait1 | State::FinWait2
        );
        ready.set(Readiness::HANG_UP, peer_is_done);
        ready
    }
}

/// Sets what can be set of a TCP socket.
pub(super) fn apply(tcp: &mut Tcp, options: &Options) {
    tcp.set_nagle_enabled(!options.no_delay);
    tcp.set_hop_limit(Some(options.hop_limit.max(1)));
    let seconds = options.keep_alive.div_ceil(1_000_000_000);
    let seconds = seconds.clamp(*KEEP_ALIVE_SECONDS.start(), *KEEP_ALIVE_SECONDS.end());
    tcp.set_keep_alive((options.keep_alive > 0).then(|| Duration::from_secs(seconds)));
}

/// Sets how long the peer of a connection may be silent. Below, a time-out counts
/// from the last segment that arrived, whether or not one was to be expected;
/// so there is one only while data waits for an acknowledgement, and while the
/// connection is probed. Probes that have just begun are not to find a time-out
/// that ran out before: it begins with all the time there was.
pub(super) fn be_patient(tcp: &mut Tcp, probed_since: u64, now_ns: u64) {
    let limit = match tcp.keep_alive() {
        Some(every) => {
            let limit = SILENCE_LIMIT.max(Duration::from_secs(every.secs().saturating_mul(4)));
            let probed_us = now_ns.saturating_sub(probed_since) / 1000;
            let before = if probed_us < limit.total_micros() {
                now_ns / 1000
            } else {
                0
            };
            Some(limit + Duration::from_micros(before))
        }
        None => (tcp.send_queue() > 0).then_some(SILENCE_LIMIT),
    };
    if tcp.timeout() != limit {
        tcp.set_timeout(limit);
    }
}

/// So many zeros, if there is memory for them.
pub(super) fn zeroed(bytes: usize) -> Result<Vec<u8>, NetError> {
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(bytes)
        .map_err(|_| NetError::NoMemory)?;
    zeros.resize(bytes, 0);
    Ok(zeros)
}
