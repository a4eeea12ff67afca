//! The stack: frames below, sockets above.
//!
//! Nothing here waits. [`Stack::turn`] moves what can be moved, a bounded
//! number of frames at a time; operations on sockets say `WOULD_BLOCK` when
//! they have to be tried again after a turn.

use alloc::vec::Vec;
use core::cell::Cell;
use core::net::IpAddr;

use gritos_net_api::{Domain, IpProtocol, NetError, Readiness, ShutdownHow, SocketType};
use smoltcp::iface::Interface;
use smoltcp::wire::IpCidr;

use crate::entropy::{Entropy, Generator};
use crate::filter::Rules;
use crate::frame::FrameDevice;
use crate::link::{Fetched, Link};
use crate::resolver::Resolver;
use crate::sets::{Handle, Outside, Sets, earlier, instant};
use crate::socket::{Body, Phase, Socket, SocketId, Table};

mod configure;
mod datagram;
mod hardware;
mod linger;
mod list;
mod listener;
mod names;
mod observe;
mod options;
mod route;
mod stream;
mod transfer;

use linger::Lingering;

/// Frames that one turn takes in, and rounds in which each socket may send.
const BUDGET: usize = 64;

/// Nanoseconds between looks at what time alone changes: handshakes and addresses that grew old.
const LOOK_NS: u64 = 20_000_000;

/// How an interface gets its addresses.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Ask for an IPv4 address, a gateway and name servers with DHCP.
    pub dhcp: bool,
    /// Take IPv6 addresses from what routers announce.
    pub slaac: bool,
    /// Fixed addresses, each with the bits of its network. Those that are no
    /// addresses of a single machine are left out, and so is what exceeds four.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Fixed gateways, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// Fixed name servers; those of DHCP come behind them.
    pub name_servers: Vec<IpAddr>,
}

/// How much there may be of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets, at most 1024.
    pub sockets: usize,
    /// Sockets of one client.
    pub client_sockets: usize,
    /// Bytes of all socket buffers.
    pub bytes: usize,
    /// Bytes of the socket buffers of one client.
    pub client_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 256,
            client_sockets: 128,
            bytes: 16 << 20,
            client_bytes: 8 << 20,
        }
    }
}

/// A network stack over one device and the machine's own loop.
pub struct Stack<D> {
    link: Link<D>,
    interface: Interface,
    set: Sets,
    table: Table,
    lingering: Vec<Lingering>,
    /// When the first of them has waited long enough.
    lingering_ns: Option<u64>,
    random: Generator,
    rules: Rules,
    limits: Limits,
    config: Config,
    dhcp: Option<Handle>,
    dhcp_servers: Vec<IpAddr>,
    /// The interface's addresses when they were last looked at.
    known: Vec<IpCidr>,
    /// Where packets went last, and the address from which they came; until addresses may have changed.
    route: Cell<Option<(IpAddr, IpAddr)>>,
    resolver: Resolver,
    scratch: Vec<u8>,
    now_ns: u64,
    /// Frames were left over in the last turn.
    more: bool,
    /// When the device wants a turn.
    device_ns: Option<u64>,
    /// The device wakes whoever waits for the next frame.
    armed: bool,
    /// When it was last looked at what time alone changes.
    looked_ns: u64,
    /// Frames went in or out since [`Stack::has_moved`] was asked.
    moved: bool,
}

impl<D> core::fmt::Debug for Stack<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack")
            .field("sockets", &self.table.iter().count())
            .field("addresses", &self.known)
            .finish_non_exhaustive()
    }
}

impl<D: FrameDevice> Stack<D> {
    /// A stack over `device`, at the time `now_ns`.
    pub fn new(
        device: D,
        config: Config,
        limits: Limits,
        rules: Rules,
        entropy: &mut impl Entropy,
        now_ns: u64,
    ) -> Self {
        let mut random = Generator::new(entropy);
        let mut link = Link::new(device);
        let now = instant(now_ns);
        let interface = configure::interface(&mut link, &config, random.any_u64(), now);
        let shadow = configure::shadow(&mut link, now);
        let asks_routers = config.slaac;
        let mut stack = Self {
            link,
            interface,
            set: Sets::new(shadow, asks_routers),
            table: Table::default(),
            lingering: Vec::new(),
            lingering_ns: None,
            random,
            rules,
            limits,
            config,
            dhcp: None,
            dhcp_servers: Vec::new(),
            known: Vec::new(),
            route: Cell::new(None),
            resolver: Resolver::default(),
            scratch: Vec::new(),
            now_ns,
            more: false,
            device_ns: None,
            armed: false,
            looked_ns: 0,
            moved: false,
        };
        stack.start_configuration();
        stack
    }

    /// The device.
    pub const fn device(&mut self) -> &mut D {
        &mut self.link.wire.device
    }

    /// What clients may do.
    pub const fn rules(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// Takes in frames, sends frames, and carries out what is due by `now_ns`.
    pub fn turn(&mut self, now_ns: u64) {
        self.begin_turn(now_ns);
        self.end_turn();
        self.forget_moves();
    }

    /// Everybody has looked at the sockets at which something happened.
    pub(crate) fn forget_moves(&mut self) {
        self.set.forget_moves();
    }

    /// Whether something may have happened at a socket.
    pub(crate) fn has_moved_at(&self, id: SocketId) -> bool {
        let Ok(socket) = self.table.get(id) else {
            return true;
        };
        match &socket.body {
            Body::Stream(stream) => {
                let over = stream.phase == Phase::Ended || socket.error.is_some();
                over || self.set.has_moved(stream.handle)
            }
            _ => true,
        }
    }

    /// Whether something may have happened at a stream, or at a socket for connections.
    pub(crate) const fn has_stream_moved(&self) -> bool {
        !self.set.has_nothing_moved()
    }

    /// Whether a socket may be ready for something that it was not ready for `before`.
    pub(crate) fn has_news(&self, id: SocketId, before: Readiness) -> bool {
        let Ok(socket) = self.table.get(id) else {
            return true;
        };
        match &socket.body {
            Body::Stream(stream) => {
                let over = stream.phase == Phase::Ended || socket.error.is_some();
                over || self.set.has_moved(stream.handle)
            }
            Body::Listener(listener) => {
                let is_empty = listener.ready.is_empty() && socket.error.is_none();
                !(is_empty && before.is_empty())
            }
            _ => true,
        }
    }

    /// The first half of a turn: takes in frames and looks at what time changes. Whether anything may have
    /// become of it.
    pub(crate) fn begin_turn(&mut self, now_ns: u64) -> bool {
        self.now_ns = now_ns;
        self.link.wire.set_now(now_ns);
        let now = instant(now_ns);
        // A device that wakes whoever waits for frames has none; one that is gone says nothing.
        let announced = self.has_no_frames() && self.device_ns.is_some_and(|at| now_ns < at);
        self.device_ns = self.link.wire.device.tend(now_ns);
        // Only frames and time change what a peer, a router or a name server has said.
        let frames = !announced && self.take_in();
        let by_time = now_ns >= self.looked_ns + LOOK_NS;
        let looks = frames || by_time;
        if looks {
            if self.set.tells_of_addresses() || by_time {
                self.looked_ns = now_ns;
                self.follow_hardware();
                self.interface.poll_maintenance(now);
                self.follow_configuration();
                self.route.set(None);
                self.link.wire.introduce_in_time();
            }
            // Messages move no connection.
            if by_time || !self.set.has_nothing_moved() {
                self.observe(observe::Cause::Peer);
                self.tend_listeners();
            }
        }
        self.turn_resolver();
        let room = self.link.wire.device.can_send();
        self.set.is_due(now_ns, room) || looks
    }

    /// The second half: sends frames. Whether a connection ended meanwhile, which somebody may wait to hear.
    pub(crate) fn end_turn(&mut self) -> bool {
        let mut news = false;
        if self.set.is_due(self.now_ns, false) {
            let before = self.link.frames_out();
            self.more |= self.set.send_out(&mut Outside {
                interface: &mut self.interface,
                link: &mut self.link,
                now_ns: self.now_ns,
            });
            self.moved |= self.link.frames_out() != before;
            if let Some(packet) = self.link.wire.take_lost() {
                self.note_unreachable(packet);
                news = true;
            }
            news |= self.observe(observe::Cause::Time);
            self.reap();
        } else if self.lingering_ns.is_some_and(|at| at <= self.now_ns) {
            self.reap();
        }
        self.armed &= self.link.wire.device.flush();
        news
    }

    /// Whether frames went in or out since it was asked last.
    pub(crate) const fn has_moved(&mut self) -> bool {
        core::mem::replace(&mut self.moved, false)
    }

    /// Whether frames that come in are announced, and none waits to be taken in.
    fn has_no_frames(&self) -> bool {
        self.armed && !self.more && !self.link.has_looped()
    }

    /// Whether nothing is to be done until a frame comes, a socket is used or time passes.
    pub(crate) fn rests(&self) -> bool {
        self.has_no_frames() && !self.set.is_touched()
    }

    /// Whether something waits that the last turn did not come to.
    pub(crate) fn has_more(&self) -> bool {
        self.more || self.link.has_looped() || self.set.is_touched()
    }

    /// Takes in frames; whether there were any.
    fn take_in(&mut self) -> bool {
        let mut any = false;
        for _ in 0..BUDGET {
            let fetched = self.link.fetch();
            if fetched == Fetched::None {
                self.more = false;
                return any;
            }
            any = true;
            self.moved = true;
            self.armed = false;
            if fetched == Fetched::Frame {
                self.set.take_in(&mut Outside {
                    interface: &mut self.interface,
                    link: &mut self.link,
                    now_ns: self.now_ns,
                });
            }
            let seen = &self.link.seen;
            let unreachable = seen.unreachable;
            if let Some(port) = seen.opens_port() {
                self.tend_port(port);
            }
            if let Some(packet) = unreachable {
                self.note_unreachable(packet);
            }
        }
        self.more = true;
        any
    }

    /// When [`turn`](Self::turn) has something to do at the latest, in
    /// nanoseconds, if no frame arrives and nobody uses a socket before that.
    pub fn next_turn_ns(&mut self) -> Option<u64> {
        if self.has_more() {
            return Some(self.now_ns);
        }
        let next = earlier(self.set.next_ns(), self.device_ns);
        let next = earlier(next, self.lingering_ns);
        let next = earlier(next, self.resolver.next_ns());
        next.map(|at| at.max(self.now_ns))
    }

    /// Takes note of bits of a notification.
    pub(crate) fn notified(&mut self, bits: u64) {
        self.armed = false;
        self.link.wire.device.notified(bits);
    }

    /// Asks the device to wake whoever waits for the next turn: when a frame arrives, and when one can be
    /// sent if none can be now. If that has happened already, the next turn is due at once.
    pub(crate) fn arm(&mut self) {
        let device = &mut self.link.wire.device;
        let send = !device.can_send();
        if self.armed && !send {
            return;
        }
        let armed = device.arm(send);
        self.armed = armed && !send;
        self.more |= !armed;
    }

    /// Makes a socket.
    ///
    /// # Errors
    /// `PROTOCOL_NOT_SUPPORTED` if the protocol does not fit, `CLIENT_LIMIT` and
    /// `SERVER_LIMIT`.
    pub fn socket(
        &mut self,
        client: u32,
        domain: Domain,
        kind: SocketType,
        protocol: IpProtocol,
    ) -> Result<SocketId, NetError> {
        let fits = match (kind, protocol) {
            (SocketType::Stream, IpProtocol::Any | IpProtocol::Tcp)
            | (SocketType::Datagram, IpProtocol::Any | IpProtocol::Udp) => true,
            (SocketType::Raw, IpProtocol::Icmp) => domain == Domain::Inet,
            (SocketType::Raw, IpProtocol::Icmpv6) => domain == Domain::Inet6,
            _ => false,
        };
        if !fits {
            return Err(NetError::ProtocolNotSupported);
        }
        self.add(Socket::new(client, domain, kind))
    }

    fn add(&mut self, socket: Socket) -> Result<SocketId, NetError> {
        if self.table.of(socket.client).count() >= self.limits.client_sockets {
            return Err(NetError::ClientLimit);
        }
        self.table.add(socket, self.limits.sockets)
    }

    /// The client that made a socket.
    ///
    /// # Errors
    /// `BAD_SOCKET`.
    pub fn owner(&self, id: SocketId) -> Result<u32, NetError> {
        Ok(self.table.get(id)?.client)
    }

    /// Whether a socket carries a stream rather than messages.
    pub(crate) fn is_stream(&self, id: SocketId) -> Result<bool, NetError> {
        Ok(self.table.get(id)?.kind == SocketType::Stream)
    }

    /// What a socket is ready for.
    ///
    /// # Errors
    /// `BAD_SOCKET`.
    pub fn readiness(&mut self, id: SocketId) -> Result<Readiness, NetError> {
        self.drop_unwanted(id)?;
        let socket = self.table.get(id)?;
        let mut ready = match &socket.body {
            Body::Fresh if socket.kind == SocketType::Stream => Readiness::empty(),
            Body::Fresh => Readiness::WRITABLE,
            Body::Listener(listener) if listener.ready.is_empty() => Readiness::empty(),
            Body::Listener(_) => Readiness::READABLE,
            Body::Stream(stream) => self.stream_readiness(socket, stream),
            Body::Datagram(handle) => self.datagram_readiness(*handle),
            Body::Echo(handle) => self.echo_readiness(*handle),
        };
        if socket.error.is_some() {
            ready |= Readiness::ERROR | Readiness::READABLE | Readiness::WRITABLE;
        }
        Ok(ready)
    }

    /// Shuts down one half of a connection, or both. What was sent is still
    /// delivered, and followed by the end of the stream.
    ///
    /// # Errors
    /// `NOT_CONNECTED`, `BAD_SOCKET`.
    pub fn shutdown(&mut self, id: SocketId, how: ShutdownHow) -> Result<(), NetError> {
        let socket = self.table.get_mut(id)?;
        let connected = match &socket.body {
            Body::Stream(stream) => stream.phase != Phase::Connecting,
            Body::Listener(_) => false,
            _ => socket.remote.is_some(),
        };
        if !connected {
            return Err(NetError::NotConnected);
        }
        if how != ShutdownHow::Send {
            socket.receive_shut = true;
            // What waits to be read is dropped, and the peer told of the room.
            if let Body::Stream(stream) = &socket.body {
                self.set.touch(stream.handle);
            }
        }
        if how != ShutdownHow::Receive {
            socket.send_shut = true;
            if let Body::Stream(stream) = &mut socket.body {
                let tcp = self
                    .set
                    .get_mut::<smoltcp::socket::tcp::Socket<'_>>(stream.handle);
                tcp.close();
                stream.last = tcp.state();
                self.set.touch(stream.handle);
            }
        }
        Ok(())
    }

    /// Closes a socket. What was sent is still delivered; if something that was
    /// received has not been read, the peer is told that it is lost.
    ///
    /// # Errors
    /// `BAD_SOCKET`.
    pub fn close(&mut self, id: SocketId) -> Result<(), NetError> {
        let socket = self.table.remove(id)?;
        self.linger(socket);
        Ok(())
    }

    /// Closes every socket of a client; how many there were.
    pub fn client_gone(&mut self, client: u32) -> u32 {
        let ids: Vec<_> = self.table.of(client).map(|(id, _)| id).collect();
        ids.iter()
            .map(|id| u32::from(self.close(*id).is_ok()))
            .sum()
    }
}
