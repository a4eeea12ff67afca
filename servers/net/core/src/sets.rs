//! Sockets of the TCP machine below: each TCP socket in a set of its own, all others in a common one.
//!
//! The machine looks at every socket of a set for each frame that comes and each that may go, several times.
//! With a set for each connection a frame or a call costs the same however many other connections there are;
//! the times at which they want to send are kept beside them.
//!
//! `Interface::poll_at` cannot be asked of the interface itself (smoltcp 0.14.0): once the last request for a
//! router has passed unanswered, it names the moment of that request for ever, and after the last route of a
//! router has run out it hides the times of every socket. A second interface that asks for no routers, and
//! never gets a frame, knows the times of sockets alone; requests for routers are looked after every second.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::iface::{Interface, SocketHandle};
use smoltcp::socket::AnySocket;
use smoltcp::socket::tcp::{self, CongestionControl, State};
use smoltcp::time::Instant;

use crate::frame::FrameDevice;
use crate::link::{Link, Numbers, Seen, Special, Transport};

mod group;
mod next;

use group::{Group, Sent};
use next::Next;

/// Most TCP sockets that are kept for the next who wants one, with their buffers.
const SPARES: usize = 8;
/// Nanoseconds after which it is looked anew whether to ask for routers.
const ROUTERS_NS: u64 = 1_000_000_000;
/// The place of the common group, beside those of TCP sockets.
const COMMON: usize = usize::MAX;
/// Port at which DHCP answers.
const DHCP_PORT: u16 = 68;

type Tcp = tcp::Socket<'static>;

/// Names a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    /// In the common set.
    Common(SocketHandle),
    /// In the set of this number.
    Own(usize, SocketHandle),
}

/// What sockets exchange frames with, at a moment.
pub(crate) struct Outside<'a, D> {
    pub(crate) interface: &'a mut Interface,
    pub(crate) link: &'a mut Link<D>,
    pub(crate) now_ns: u64,
}

impl<D> Outside<'_, D> {
    fn now(&self) -> Instant {
        instant(self.now_ns)
    }
}

/// Frames for which a TCP socket is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    None,
    /// Requests for connections to this port, of one address or all.
    Port(u16, Option<IpAddr>),
    /// Those between these ports and addresses, ours first.
    Peer([u16; 2], [IpAddr; 2]),
}

/// Whether there is a socket, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// There is none.
    Vacant,
    /// It is kept for the next who wants one.
    Spare,
    Somebody,
}

/// The place of a TCP socket.
struct Own {
    group: Group,
    socket: SocketHandle,
    holder: Holder,
    key: Key,
    /// It has got or sent a frame since [`Sets::forget_moves`].
    moved: bool,
    /// It is among the active ones.
    active: bool,
    /// Nobody holds it any more, but it is not done.
    lingers: bool,
    /// Numbers of the segment that it sent last.
    numbers: Option<Numbers>,
}

impl Own {
    fn tcp(&self) -> &Tcp {
        self.group.set.get(self.socket)
    }

    /// Gives the socket the frame that was fetched.
    #[inline]
    fn take_in<D: FrameDevice>(&mut self, outside: &mut Outside<'_, D>) {
        let now = outside.now();
        let set = &mut self.group.set;
        outside
            .interface
            .poll_ingress_single(now, outside.link, set);
    }

    /// The same, of one with a segment that needs care.
    #[inline(never)]
    fn take_in_special<D: FrameDevice>(&mut self, outside: &mut Outside<'_, D>, special: Special) {
        match special {
            Special::End(end) => {
                outside.link.part_end(end);
                self.take_in(outside);
                outside.link.fetch_end(end);
            }
            Special::Reset(reset) => {
                if let Some(sent) = self.say_what_comes_next(outside) {
                    let tcp = self.tcp();
                    let room = tcp.recv_capacity() - tcp.recv_queue();
                    let ahead = reset.number.wrapping_sub(sent.acknowledged);
                    let is_odd = ahead != 0 && tcp.state() == State::SynReceived;
                    if is_odd || ahead as usize >= room.max(1) {
                        outside.link.drop_fetched();
                    } else if ahead != 0 {
                        outside.link.doubt(reset, sent);
                    }
                }
            }
        }
        self.take_in(outside);
    }

    /// Has the socket acknowledge what it has not yet; the numbers of what it sent last, if there is a peer that
    /// can know them.
    fn say_what_comes_next<D: FrameDevice>(
        &mut self,
        outside: &mut Outside<'_, D>,
    ) -> Option<Numbers> {
        let tcp = self.tcp();
        if matches!(tcp.state(), State::Closed | State::Listen | State::SynSent) {
            return None;
        }
        // An acknowledgement that waits for company is due by then.
        let then = outside.now() + tcp.ack_delay().unwrap_or_default();
        let _ = outside.link.wire.take_numbers();
        let set = &mut self.group.set;
        outside.interface.poll_egress(then, outside.link, set);
        self.note_numbers(outside);
        self.numbers
    }

    /// Takes note of what the socket has sent.
    #[inline]
    fn note_numbers<D: FrameDevice>(&mut self, outside: &mut Outside<'_, D>) {
        self.numbers = outside.link.wire.take_numbers().or(self.numbers);
    }

    /// Takes note of the frames that the socket is there for now.
    fn find_key(&mut self) {
        let tcp = self.tcp();
        if matches!(self.key, Key::Peer(..))
            && !matches!(tcp.state(), State::Closed | State::Listen)
        {
            return;
        }
        self.key = match (tcp.local_endpoint(), tcp.remote_endpoint()) {
            (Some(local), Some(remote)) => Key::Peer(
                [local.port, remote.port],
                [local.addr.into(), remote.addr.into()],
            ),
            _ if tcp.state() == State::Listen => {
                let at = tcp.listen_endpoint();
                Key::Port(at.port, at.addr.map(IpAddr::from))
            }
            _ => Key::None,
        };
    }
}

/// All sockets.
pub(crate) struct Sets {
    common: Group,
    own: Vec<Own>,
    /// The places of those that were touched or moved lately.
    active: Vec<usize>,
    /// Something happened to a stream that has no place any more.
    lost: bool,
    /// The place that a frame was found to be for.
    found: usize,
    shadow: Box<Interface>,
    asks_routers: bool,
    /// Some group is touched.
    touched: bool,
    /// A frame came that may tell of addresses.
    told: bool,
    /// The device had no room for what was to be sent.
    stuck: bool,
    /// When the first group, or whoever asks for routers, wants to send; at that moment it is found out anew.
    next: Next,
}

impl Sets {
    /// No sockets. `shadow` is like the stack's interface, and asks for no routers; whether that one does is
    /// `asks_routers`.
    pub(crate) fn new(shadow: Interface, asks_routers: bool) -> Self {
        let mut sets = Self {
            common: Group::new(),
            own: Vec::new(),
            active: Vec::new(),
            lost: false,
            found: 0,
            shadow: Box::new(shadow),
            asks_routers,
            touched: true,
            told: false,
            stuck: false,
            next: Next::of(asks_routers.then_some(0)),
        };
        sets.common.touched = true;
        sets
    }

    /// Adds a socket that is none of TCP.
    pub(crate) fn add<T: AnySocket<'static>>(&mut self, socket: T) -> Handle {
        let handle = Handle::Common(self.common.set.add(socket));
        self.touch(handle);
        handle
    }

    /// A closed TCP socket with buffers of these lengths, whose options are to be set: one that was used
    /// before, or what `make` makes.
    pub(crate) fn add_tcp<E>(
        &mut self,
        receive: usize,
        send: usize,
        make: impl FnOnce() -> Result<Tcp, E>,
    ) -> Result<Handle, E> {
        let fits = |own: &Own| {
            let is_spare = own.holder == Holder::Spare;
            is_spare && own.tcp().recv_capacity() == receive && own.tcp().send_capacity() == send
        };
        if let Some(at) = self.own.iter().position(fits)
            && let Some(own) = self.own.get_mut(at)
        {
            own.holder = Holder::Somebody;
            let tcp = own.group.set.get_mut::<Tcp>(own.socket);
            tcp.set_congestion_control(CongestionControl::Reno);
            tcp.set_timeout(None);
            return Ok(Handle::Own(at, own.socket));
        }
        let mut group = Group::new();
        let socket = group.set.add(make()?);
        let own = Own {
            group,
            socket,
            holder: Holder::Somebody,
            key: Key::None,
            moved: false,
            active: false,
            lingers: false,
            numbers: None,
        };
        let is_vacant = |own: &Own| own.holder == Holder::Vacant;
        let at = match self.own.iter().position(is_vacant) {
            Some(at) => at,
            None => self.own.len(),
        };
        match self.own.get_mut(at) {
            Some(place) => {
                *place = Own {
                    active: place.active,
                    ..own
                }
            }
            None => self.own.push(own),
        }
        Ok(Handle::Own(at, socket))
    }

    /// Takes a socket away.
    pub(crate) fn remove(&mut self, handle: Handle) {
        let (at, socket) = match handle {
            Handle::Common(socket) => {
                self.common.set.remove(socket);
                return;
            }
            Handle::Own(at, socket) => (at, socket),
        };
        let spares = self.own.iter().filter(|own| own.holder == Holder::Spare);
        let keep = spares.count() < SPARES;
        if let Some(own) = self.own.get_mut(at) {
            // Nobody hears of it any more: whoever wants to tell the peer has done so.
            own.group.set.get_mut::<Tcp>(socket).abort();
            own.key = Key::None;
            own.moved = false;
            own.lingers = false;
            own.numbers = None;
            own.group.touched = false;
            own.group.at_ns = None;
            own.holder = match keep {
                true => Holder::Spare,
                false => {
                    own.group = Group::new();
                    Holder::Vacant
                }
            };
        }
    }

    const fn socket(handle: Handle) -> SocketHandle {
        match handle {
            Handle::Common(socket) | Handle::Own(_, socket) => socket,
        }
    }

    fn group(&mut self, handle: Handle) -> &mut Group {
        match handle {
            Handle::Common(_) => &mut self.common,
            Handle::Own(at, _) => match self.own.get_mut(at) {
                Some(own) => &mut own.group,
                None => &mut self.common,
            },
        }
    }

    pub(crate) fn get<T: AnySocket<'static>>(&self, handle: Handle) -> &T {
        let own = match handle {
            Handle::Common(_) => None,
            Handle::Own(at, _) => self.own.get(at),
        };
        let group = own.map_or(&self.common, |own| &own.group);
        group.set.get(Self::socket(handle))
    }

    pub(crate) fn get_mut<T: AnySocket<'static>>(&mut self, handle: Handle) -> &mut T {
        self.group(handle).set.get_mut(Self::socket(handle))
    }

    /// Something was done to a socket that may be to be sent, or changes when, or for which frames it is
    /// there.
    pub(crate) fn touch(&mut self, handle: Handle) {
        self.touched = true;
        self.group(handle).touched = true;
        if let Handle::Own(at, _) = handle
            && let Some(own) = self.own.get_mut(at)
        {
            own.find_key();
            activate(own, at, &mut self.active);
        }
    }

    /// Nobody holds a socket any more, but it is not done.
    pub(crate) fn let_linger(&mut self, handle: Handle) {
        if let Handle::Own(at, _) = handle
            && let Some(own) = self.own.get_mut(at)
        {
            own.lingers = true;
        }
    }

    /// Whether something happened to a socket that nobody holds.
    pub(crate) fn has_lingering_moved(&self) -> bool {
        let own = self.active.iter().filter_map(|at| self.own.get(*at));
        own.into_iter().any(|own| own.lingers)
    }

    /// Whether a frame came, since it was asked last, that may tell of addresses of this machine.
    pub(crate) const fn tells_of_addresses(&mut self) -> bool {
        core::mem::replace(&mut self.told, false)
    }

    /// Whether [`send_out`](Self::send_out) has something to do that it was not asked for yet.
    pub(crate) const fn is_touched(&self) -> bool {
        self.touched
    }

    /// A neighbour was found, or an address changed: whoever waits for it may send.
    pub(crate) fn touch_all(&mut self) {
        self.touched = true;
        self.common.touched = true;
        for (at, own) in self.own.iter_mut().enumerate() {
            if own.holder == Holder::Somebody {
                own.group.touched = true;
                activate(own, at, &mut self.active);
            }
        }
    }

    /// Whether a socket has got or sent a frame since [`forget_moves`](Self::forget_moves), or was touched.
    pub(crate) fn has_moved(&self, handle: Handle) -> bool {
        match handle {
            Handle::Common(_) => true,
            Handle::Own(at, _) => {
                let own = self.own.get(at);
                own.is_some_and(|own| own.moved || own.group.touched)
            }
        }
    }

    /// Whether no TCP socket has moved or was touched.
    pub(crate) const fn has_nothing_moved(&self) -> bool {
        self.active.is_empty() && !self.lost
    }

    /// Something happened to a stream that has lost its place.
    pub(crate) const fn note_lost(&mut self) {
        self.lost = true;
    }

    /// Everybody has looked at what moved.
    pub(crate) fn forget_moves(&mut self) {
        self.lost = false;
        let own = &mut self.own;
        self.active.retain(|at| {
            own.get_mut(*at).is_some_and(|own| {
                own.moved = false;
                // Those for which the device had no room go on later.
                own.active = own.group.touched;
                own.active
            })
        });
    }

    /// Gives the frame that the link has fetched to whom it is for.
    pub(crate) fn take_in<D: FrameDevice>(&mut self, outside: &mut Outside<'_, D>) {
        let transport = outside.link.seen.transport;
        let now = outside.now();
        let at = self.find(&outside.link.seen);
        let own = at.and_then(|at| Some((at, self.own.get_mut(at)?)));
        let set = match own {
            Some((at, own)) => {
                activate(own, at, &mut self.active);
                match outside.link.special() {
                    None => own.take_in(outside),
                    Some(special) => own.take_in_special(outside, special),
                }
                own.group.touched = true;
                own.moved = true;
                own.find_key();
                self.touched = true;
                return;
            }
            None => &mut self.common.set,
        };
        outside
            .interface
            .poll_ingress_single(now, outside.link, set);
        match transport {
            // Nothing of ours answers.
            Transport::Tcp { .. } => {}
            Transport::Udp { to } if to != DHCP_PORT => {}
            Transport::Neighbour => {
                self.told = true;
                self.touch_all();
            }
            _ => {
                self.told = true;
                self.touched = true;
                self.common.touched = true;
            }
        }
    }

    /// The place of the TCP socket that a frame is for.
    fn find(&mut self, seen: &Seen) -> Option<usize> {
        let (Transport::Tcp { from, to }, Some((source, destination))) =
            (seen.transport, seen.addresses)
        else {
            return None;
        };
        let wanted = Key::Peer([to, from], [destination, source]);
        // Frames of a connection often follow each other.
        let found = self.own.get(self.found);
        if found.is_some_and(|own| own.key == wanted) {
            return Some(self.found);
        }
        let known = self.own.iter().position(|own| own.key == wanted);
        self.found = known.unwrap_or(self.found);
        known.or_else(|| {
            self.own.iter().position(|own| match own.key {
                Key::Port(port, at) => port == to && at.is_none_or(|at| at == destination),
                _ => false,
            })
        })
    }

    /// Whether something is to be sent at `now_ns`.
    pub(crate) fn is_due(&mut self, now_ns: u64, device_has_room: bool) -> bool {
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now_ns);
        if is_due(self.next.ns()) {
            self.next = Next::of(self.asks_routers.then_some(now_ns + ROUTERS_NS));
            // With the common ones routers are looked after, too.
            match self.asks_routers || is_due(self.common.at_ns) {
                true => self.common.touched = true,
                false => self.next.note(COMMON, self.common.at_ns),
            }
            self.touched |= self.common.touched;
            for (at, own) in self.own.iter_mut().enumerate() {
                if is_due(own.group.at_ns) {
                    own.group.touched = true;
                    self.touched = true;
                    activate(own, at, &mut self.active);
                } else {
                    self.next.note(at, own.group.at_ns);
                }
            }
        }
        self.touched |= self.stuck && device_has_room;
        self.touched
    }

    /// Sends what can be sent, of those that were touched. Whether there is more.
    pub(crate) fn send_out<D: FrameDevice>(&mut self, outside: &mut Outside<'_, D>) -> bool {
        self.touched = false;
        self.stuck = false;
        let mut more = false;
        for at in &self.active {
            let Some(own) = self.own.get_mut(*at) else {
                continue;
            };
            if !own.group.touched || own.holder != Holder::Somebody {
                continue;
            }
            own.moved = true;
            // Whatever others have sent is no news of this one.
            let _ = outside.link.wire.take_numbers();
            let sent = own.group.send_out(outside, &mut self.shadow);
            own.note_numbers(outside);
            own.find_key();
            more |= sent == Sent::More;
            self.stuck |= sent == Sent::Stuck;
            self.next.note(*at, own.group.at_ns);
        }
        if self.common.touched {
            let sent = self.common.send_out(outside, &mut self.shadow);
            more |= sent == Sent::More;
            self.stuck |= sent == Sent::Stuck;
            self.next.note(COMMON, self.common.at_ns);
        }
        self.touched |= more;
        more
    }

    /// When something is to be sent at the latest, in nanoseconds, unless a socket is touched before.
    pub(crate) const fn next_ns(&self) -> Option<u64> {
        self.next.ns()
    }
}

/// Adds a place to those that are active, if it is not among them.
fn activate(own: &mut Own, at: usize, active: &mut Vec<usize>) {
    if !own.active {
        own.active = true;
        active.push(at);
    }
}

/// The earlier of two moments, if there are any.
#[inline]
pub(crate) const fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) if one < other => Some(one),
        (one, None) => one,
        (_, other) => other,
    }
}

/// A moment as smoltcp has it.
pub(crate) fn instant(now_ns: u64) -> Instant {
    Instant::from_micros(i64::try_from(now_ns / 1000).unwrap_or(i64::MAX))
}
