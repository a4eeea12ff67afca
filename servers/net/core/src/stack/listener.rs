//! Sockets that wait for connections.
//!
//! The TCP machine below has no queue: a socket that listens becomes the
//! connection. So each listener keeps one spare socket that listens, and gets
//! another as soon as that one has been taken, until as many connections wait as its
//! backlog allows. From then on requests for its port are dropped before the
//! stack sees them.

use gritos_net_api::{Domain, MAX_BACKLOG, NetError, SocketType};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;

use super::{Stack, stream};
use crate::address;
use crate::filter::Action;
use crate::frame::FrameDevice;
use crate::sets::Handle;
use crate::socket::{Body, Listener, Phase, Socket, SocketId, Stream};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);
/// Age in nanoseconds from which a handshake makes room for another if the
/// queue is full: floods of requests from addresses that never answer do not
/// keep others out. An answer that was lost is sent again after a second, and must not come too late.
const HALF_REST_NS: u64 = 3_000_000_000;

type Tcp = tcp::Socket<'static>;

impl<D: FrameDevice> Stack<D> {
    /// Waits for connections from now on, or changes how many may wait: at least
    /// one and at most `MAX_BACKLOG`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` unless it is a TCP socket, `INVALID` if it is connected,
    /// `ACCESS` if no rule allows it, `ADDRESS_IN_USE`, `NO_BUFFERS`,
    /// `NO_MEMORY`, `BAD_SOCKET`.
    pub fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), NetError> {
        let backlog = backlog.clamp(1, MAX_BACKLOG) as usize;
        let socket = self.table.get_mut(id)?;
        if socket.kind != SocketType::Stream {
            return Err(NetError::NotSupported);
        }
        match &mut socket.body {
            Body::Fresh => {}
            Body::Listener(listener) => {
                listener.backlog = backlog;
                return Ok(());
            }
            _ => return Err(NetError::Invalid),
        }
        let (client, domain, bound) = (socket.client, socket.domain, socket.local);
        let local = match bound {
            Some(local) => local,
            None => SocketAddr::new(unspecified(domain), self.free_port(SocketType::Stream)?),
        };
        self.permit(client, Action::ListenTcp, local)?;
        let mut listener = Listener {
            endpoint: address::to_listen(local),
            backlog,
            spare: None,
            half: alloc::vec::Vec::new(),
            ready: alloc::collections::VecDeque::new(),
        };
        listener.spare = Some(self.new_spare(id, &listener)?);
        let socket = self.table.get_mut(id)?;
        socket.local = Some(local);
        socket.body = Body::Listener(listener);
        Ok(())
    }

    /// Takes the next connection.
    ///
    /// # Errors
    /// `WOULD_BLOCK` if none waits, `INVALID` if the socket does not listen,
    /// `CLIENT_LIMIT`, `SERVER_LIMIT`, `BAD_SOCKET`.
    pub fn accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddr), NetError> {
        let socket = self.table.get_mut(id)?;
        let (client, domain, options) = (socket.client, socket.domain, socket.options);
        let Body::Listener(listener) = &mut socket.body else {
            return Err(NetError::Invalid);
        };
        let Some(handle) = listener.ready.front().copied() else {
            return Err(NetError::WouldBlock);
        };
        let tcp = self.set.get_mut::<Tcp>(handle);
        let (Some(local), Some(remote)) = (tcp.local_endpoint(), tcp.remote_endpoint()) else {
            // It was reset while it waited.
            listener.ready.pop_front();
            self.set.remove(handle);
            return Err(NetError::Aborted);
        };
        stream::apply(tcp, &options);
        stream::be_patient(tcp, self.now_ns, self.now_ns);
        let remote = address::from_wire(remote);
        let mut connection = Socket::new(client, domain, SocketType::Stream);
        connection.options = options;
        connection.options.non_blocking = false;
        connection.local = Some(address::from_wire(local));
        connection.remote = Some(remote);
        connection.body = Body::Stream(Stream {
            handle,
            phase: Phase::Open,
            last: tcp.state(),
            probed_since: self.now_ns,
        });
        let accepted = self.add(connection)?;
        if let Body::Listener(listener) = &mut self.table.get_mut(id)?.body {
            listener.ready.pop_front();
        }
        self.tend(id);
        self.update_closed_ports();
        Ok((accepted, remote))
    }

    /// Looks after every listener at which something may have happened.
    pub(super) fn tend_listeners(&mut self) {
        let set = &self.set;
        let is_busy = |socket: &Socket| match &socket.body {
            Body::Listener(listener) => {
                let quiet = listener.waiting() == 0
                    && listener
                        .spare
                        .is_some_and(|spare| set.get::<Tcp>(spare).state() == State::Listen);
                !quiet
            }
            _ => false,
        };
        if !self.table.iter().any(|(_, socket)| is_busy(socket)) {
            return;
        }
        for id in self.listeners(None) {
            self.tend(id);
        }
        self.update_closed_ports();
    }

    /// Looks after the listener at a port, because a request came in.
    pub(super) fn tend_port(&mut self, port: u16) {
        for id in self.listeners(Some(port)) {
            self.tend(id);
        }
        self.update_closed_ports();
    }

    fn listeners(&self, port: Option<u16>) -> alloc::vec::Vec<SocketId> {
        self.table
            .iter()
            .filter_map(|(id, socket)| match &socket.body {
                Body::Listener(listener) if port.is_none_or(|p| p == listener.endpoint.port) => {
                    Some(id)
                }
                _ => None,
            })
            .collect()
    }

    fn tend(&mut self, id: SocketId) {
        let now_ns = self.now_ns;
        let Ok(socket) = self.table.get_mut(id) else {
            return;
        };
        let Body::Listener(mut listener) = core::mem::replace(&mut socket.body, Body::Fresh) else {
            return;
        };
        let only_v4 = socket.domain == Domain::Inet;
        if let Some(spare) = listener.spare
            && self.set.get::<Tcp>(spare).state() != State::Listen
        {
            listener.spare = None;
            listener.half.push((spare, now_ns));
        }
        self.sort(&mut listener, only_v4, id);
        if listener.waiting() >= listener.backlog {
            self.make_room(&mut listener, now_ns);
        }
        if listener.spare.is_none() && listener.waiting() < listener.backlog {
            // Without memory the port stays closed; the next turn tries again.
            listener.spare = self.new_spare(id, &listener).ok();
        }
        if listener.waiting() >= listener.backlog
            && let Some(spare) = listener.spare.take()
        {
            self.set.remove(spare);
        }
        if let Ok(socket) = self.table.get_mut(id) {
            socket.body = Body::Listener(listener);
        }
    }

    /// Moves connections on, and forgets those that came to nothing.
    fn sort(&mut self, listener: &mut Listener, only_v4: bool, id: SocketId) {
        let mut refused = alloc::vec::Vec::new();
        let set = &mut self.set;
        let ready = &mut listener.ready;
        listener.half.retain(|(handle, _)| {
            let tcp = set.get_mut::<Tcp>(*handle);
            let is_v6 = tcp
                .remote_endpoint()
                .is_some_and(|remote| IpAddr::from(remote.addr).is_ipv6());
            if only_v4 && is_v6 {
                refused.push(*handle);
                return false;
            }
            match tcp.state() {
                State::SynReceived => true,
                State::Closed | State::Listen => {
                    set.remove(*handle);
                    false
                }
                _ => {
                    // It may wait for as long as it takes.
                    tcp.set_timeout(None);
                    ready.push_back(*handle);
                    false
                }
            }
        });
        ready.retain(|handle| {
            let gone = set.get::<Tcp>(*handle).state() == State::Closed;
            if gone {
                set.remove(*handle);
            }
            !gone
        });
        for handle in refused {
            self.set.get_mut::<Tcp>(handle).abort();
            self.set.touch(handle);
            if let Ok(owner) = self.table.get(id) {
                let (client, options) = (owner.client, owner.options);
                let mut owner = Socket::new(client, Domain::Inet, SocketType::Stream);
                owner.options = options;
                self.keep(handle, &owner, HALF_REST_NS);
            }
        }
    }

    /// Gives up the oldest handshake of a full queue, if it has had its time.
    fn make_room(&mut self, listener: &mut Listener, now_ns: u64) {
        let oldest = listener.half.first().copied();
        if let Some((handle, since)) = oldest
            && now_ns.saturating_sub(since) >= HALF_REST_NS
        {
            listener.half.remove(0);
            self.set.remove(handle);
        }
    }

    fn new_spare(&mut self, id: SocketId, listener: &Listener) -> Result<Handle, NetError> {
        let socket = self.table.get(id)?;
        let (client, options) = (socket.client, socket.options);
        // While a listener is looked after its own buffers are not in the table.
        let own = options.bytes() * listener.handles().count();
        self.reserve(client, own + options.bytes())?;
        let handle = self.new_tcp(client, &options)?;
        let tcp = self.set.get_mut::<Tcp>(handle);
        tcp.set_timeout(Some(HANDSHAKE_LIMIT));
        if tcp.listen(listener.endpoint).is_err() {
            self.set.remove(handle);
            return Err(NetError::Invalid);
        }
        self.set.touch(handle);
        Ok(handle)
    }

    fn update_closed_ports(&mut self) {
        let ports = &mut self.link.closed_ports;
        ports.clear();
        for (_, socket) in self.table.iter() {
            if let Body::Listener(listener) = &socket.body
                && listener.spare.is_none()
            {
                ports.push(listener.endpoint.port);
            }
        }
    }
}

const fn unspecified(domain: Domain) -> IpAddr {
    match domain {
        Domain::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Domain::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
