//! Sockets as records, and the table that numbers them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use gritos_net_api::{Domain, NetError, SocketType};
use smoltcp::socket::tcp::State;
use smoltcp::wire::IpListenEndpoint;

use crate::sets::Handle;

mod options;

pub(crate) use options::{MESSAGES, Options};

/// Number of a socket. A number is not used again for another socket before its
/// place in the table has been used a million times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u32);

/// Bits of a number that say where in the table.
const PLACE_BITS: u32 = 10;
/// Bits of a number.
const NUMBER_BITS: u32 = 30;

impl SocketId {
    /// Most sockets at a time.
    pub(crate) const LIMIT: usize = 1 << PLACE_BITS;

    /// The number, less than 2^30 and not 0.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The socket of that number, if there is one.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    const fn place(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }
}

/// What came with received data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes received. A message that is longer than the buffer is cut.
    pub bytes: usize,
    /// Who sent it.
    pub from: SocketAddr,
}

/// A socket.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Badge of the session that made it.
    pub(crate) client: u32,
    pub(crate) domain: Domain,
    pub(crate) kind: SocketType,
    pub(crate) options: Options,
    /// What it is bound to.
    pub(crate) local: Option<SocketAddr>,
    /// What it is connected to, or connecting.
    pub(crate) remote: Option<SocketAddr>,
    /// What went wrong and has not been told yet.
    pub(crate) error: Option<NetError>,
    pub(crate) receive_shut: bool,
    pub(crate) send_shut: bool,
    pub(crate) body: Body,
}

/// What a socket has become.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing yet: it has no buffers.
    Fresh,
    /// It waits for connections.
    Listener(Listener),
    /// A TCP connection.
    Stream(Stream),
    /// UDP.
    Datagram(Handle),
    /// ICMP echo.
    Echo(Handle),
}

/// Connections on their way to `accept`.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) endpoint: IpListenEndpoint,
    pub(crate) backlog: usize,
    /// The one that takes the next request.
    pub(crate) spare: Option<Handle>,
    /// Those whose handshake is under way, with when it began, in nanoseconds.
    pub(crate) half: Vec<(Handle, u64)>,
    /// Those that wait for `accept`.
    pub(crate) ready: VecDeque<Handle>,
}

impl Listener {
    /// How many connections wait.
    pub(crate) fn waiting(&self) -> usize {
        self.half.len() + self.ready.len()
    }

    /// Everything it holds.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        let half = self.half.iter().map(|(handle, _)| *handle);
        half.chain(self.ready.iter().copied()).chain(self.spare)
    }
}

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) handle: Handle,
    pub(crate) phase: Phase,
    /// Its state when it was last looked at.
    pub(crate) last: State,
    /// Since when an idle connection is probed, in nanoseconds.
    pub(crate) probed_since: u64,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Open,
    /// Nothing more is exchanged; data may still wait to be received.
    Ended,
}

impl Socket {
    pub(crate) fn new(client: u32, domain: Domain, kind: SocketType) -> Self {
        Self {
            client,
            domain,
            kind,
            options: Options::default(),
            local: None,
            remote: None,
            error: None,
            receive_shut: false,
            send_shut: false,
            body: Body::Fresh,
        }
    }

    /// Bytes of the buffers that it takes, or will.
    pub(crate) fn bytes(&self) -> usize {
        let one = self.options.bytes();
        match &self.body {
            Body::Fresh => 0,
            Body::Listener(listener) => one * listener.handles().count(),
            _ => one,
        }
    }

    /// Fails with the error that has not been told yet, and forgets it.
    pub(crate) fn tell(&mut self) -> Result<(), NetError> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// All sockets.
///
/// Those that there are lie side by side, so that looking at each costs what they are, not what was once.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sockets: Vec<(SocketId, Socket)>,
    places: Vec<Place>,
    /// Where the search for a free place begins, so that places rest.
    next: usize,
}

/// What a number's lower part names.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The number of the socket that has it, or of the next that will.
    id: SocketId,
    /// Where that socket lies.
    at: Option<usize>,
}

impl Table {
    fn at(&self, id: SocketId) -> Result<usize, NetError> {
        self.places
            .get(id.place())
            .filter(|place| place.id == id)
            .and_then(|place| place.at)
            .ok_or(NetError::BadSocket)
    }

    pub(crate) fn get(&self, id: SocketId) -> Result<&Socket, NetError> {
        let found = self.sockets.get(self.at(id)?);
        found.map(|(_, socket)| socket).ok_or(NetError::BadSocket)
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Result<&mut Socket, NetError> {
        let at = self.at(id)?;
        let found = self.sockets.get_mut(at);
        found.map(|(_, socket)| socket).ok_or(NetError::BadSocket)
    }

    /// Adds a socket unless there are `limit` already.
    pub(crate) fn add(&mut self, socket: Socket, limit: usize) -> Result<SocketId, NetError> {
        let limit = limit.min(SocketId::LIMIT);
        if self.places.len() < limit {
            // Generations begin at 1, so that no number is 0.
            let id = SocketId(1 << PLACE_BITS | self.places.len() as u32);
            self.places.push(Place { id, at: None });
            return self.put(id.place(), socket);
        }
        let count = self.places.len();
        let free = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|at| self.places.get(*at).is_some_and(|p| p.at.is_none()))
            .ok_or(NetError::ServerLimit)?;
        self.next = free + 1;
        self.put(free, socket)
    }

    fn put(&mut self, place: usize, socket: Socket) -> Result<SocketId, NetError> {
        let place = self.places.get_mut(place).ok_or(NetError::ServerLimit)?;
        place.at = Some(self.sockets.len());
        self.sockets.push((place.id, socket));
        Ok(place.id)
    }

    pub(crate) fn remove(&mut self, id: SocketId) -> Result<Socket, NetError> {
        let at = self.at(id)?;
        let (_, socket) = self.sockets.swap_remove(at);
        let next = id.0.wrapping_add(1 << PLACE_BITS) & ((1 << NUMBER_BITS) - 1);
        let wrapped = next >> PLACE_BITS == 0;
        if let Some(place) = self.places.get_mut(id.place()) {
            place.at = None;
            place.id = SocketId(if wrapped {
                next | 1 << PLACE_BITS
            } else {
                next
            });
        }
        // The last one now lies where this one did.
        if let Some((moved, _)) = self.sockets.get(at)
            && let Some(place) = self.places.get_mut(moved.place())
        {
            place.at = Some(at);
        }
        Ok(socket)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.sockets.iter().map(|(id, socket)| (*id, socket))
    }

    /// The sockets at this place and behind it, in the order of their places, each with its place.
    pub(crate) fn starting_at(&self, first: usize) -> impl Iterator<Item = (usize, &Socket)> {
        let places = self.places.iter().enumerate().skip(first);
        places.filter_map(|(number, place)| {
            let (_, socket) = self.sockets.get(place.at?)?;
            Some((number, socket))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SocketId, &mut Socket)> {
        self.sockets.iter_mut().map(|(id, socket)| (*id, socket))
    }

    /// Sockets of a client.
    pub(crate) fn of(&self, client: u32) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.iter()
            .filter(move |(_, socket)| socket.client == client)
    }
}
