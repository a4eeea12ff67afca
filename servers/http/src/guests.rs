//! Connections, and how the network says which of them can go on.
//!
//! Each connection has a place, and a group of places has a bit of the one notification that the server
//! waits for. A bit that is set says that one of its group can go on.

use alloc::vec::Vec;

use gritos_http_core::{Connection, Memory, Progress, Site, Stopped, Stream};
use gritos_idl_runtime::{Cap as StubCap, Rights};
use gritos_net_client::api::{MessageFlags, NetError, Readiness, ShutdownHow};
use gritos_net_client::{Error, SharedMemory, Socket};
use gritos_sys::cap::Notification;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Mask};

/// Bits of a badge: one for the listener, the others for groups of connections.
const BITS: usize = 32;
/// Groups of connections.
const GROUPS: usize = BITS - 1;
/// Most connections at a time; others wait in the listener's queue.
const LIMIT: usize = 4 * GROUPS;
/// Memory of connections that have ended, kept for the next ones.
const SPARES: usize = 8;
/// The listener's bit.
pub(crate) const LISTENER: u64 = 1;

/// Notifications for the listener and for each group.
pub(crate) struct Bells([Cap<Notification>; BITS]);

impl Bells {
    /// Makes them from the one that the server waits for.
    ///
    /// # Errors
    /// When slots are used up.
    pub(crate) fn new(events: Cap<Notification>) -> Result<Self, gritos_sys::Error> {
        let mut bells = [events; BITS];
        for (bit, bell) in bells.iter_mut().enumerate() {
            let rights = Mask::only(Rights::SEND.union(Rights::GRANT));
            *bell = own::take()?.mint(events, rights, 1 << bit)?;
        }
        Ok(Self(bells))
    }

    /// The one with this bit, for the network service.
    pub(crate) fn with_bit(&self, bit: usize) -> StubCap<gritos_idl_runtime::object::Notification> {
        let bell = self.0.get(bit).or(self.0.first());
        let address = bell.map_or(gritos_idl_runtime::Address::NULL, |bell| bell.address());
        StubCap::with_rights(address, Rights::SEND)
    }
}

/// A connection and its socket.
struct Guest<F> {
    socket: Wire,
    connection: Connection<F>,
    /// It had more to do when others had to be heard.
    more: bool,
}

/// A socket as the server sees it.
struct Wire(Socket<SharedMemory>);

impl Stream for Wire {
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Stopped> {
        self.0.recv(into, MessageFlags::DONT_WAIT).map_err(stopped)
    }

    fn send(&mut self, first: &[u8], second: &[u8]) -> Result<usize, Stopped> {
        let sent = self.0.send_both(first, second, MessageFlags::DONT_WAIT);
        sent.map_err(stopped)
    }

    fn end(&mut self) -> Result<(), Stopped> {
        self.0.shutdown(ShutdownHow::Send).map_err(stopped)
    }
}

fn stopped(error: Error) -> Stopped {
    match error.net() {
        Some(NetError::WouldBlock) => Stopped::WouldBlock,
        _ => Stopped::Gone,
    }
}

/// All connections.
pub(crate) struct Guests<F> {
    places: Vec<Option<Guest<F>>>,
    spares: Vec<Memory>,
    count: usize,
    /// Bits of groups some of which had more to do.
    more: u64,
}

const fn bit_of(place: usize) -> usize {
    1 + place % GROUPS
}

impl<F> Guests<F> {
    /// None.
    pub(crate) fn new() -> Self {
        let mut places = Vec::new();
        places.resize_with(LIMIT, || None);
        Self {
            places,
            spares: Vec::with_capacity(SPARES),
            count: 0,
            more: 0,
        }
    }

    /// Whether there is place for another.
    pub(crate) const fn has_place(&self) -> bool {
        self.count < LIMIT
    }

    /// Takes a connection in and begins to serve it.
    pub(crate) fn admit<S: Site<File = F>>(
        &mut self,
        socket: Socket<SharedMemory>,
        bells: &Bells,
        site: &mut S,
        now_ns: u64,
    ) {
        let Some(place) = self.places.iter().position(Option::is_none) else {
            return;
        };
        let interest = Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR;
        let watched = socket.watch(bells.with_bit(bit_of(place)), interest);
        // What cannot be watched could never go on.
        let Ok(ready) = watched else { return };
        self.places[place] = Some(Guest {
            socket: Wire(socket),
            connection: Connection::new(self.spares.pop().unwrap_or_default(), now_ns),
            more: false,
        });
        self.count += 1;
        if ready.contains(Readiness::READABLE) {
            self.serve_place(place, site, now_ns);
        }
    }

    /// Serves those whose bits are set, and those that had more to do. Whether some still have.
    pub(crate) fn serve<S: Site<File = F>>(
        &mut self,
        bits: u64,
        site: &mut S,
        now_ns: u64,
    ) -> bool {
        let more = core::mem::take(&mut self.more);
        let mut groups = (bits & !LISTENER | more) & ((1 << BITS) - 1);
        while groups != 0 {
            let bit = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            for place in (bit - 1..LIMIT).step_by(GROUPS) {
                let wanted = |guest: &Guest<F>| bits & 1 << bit != 0 || guest.more;
                if self.places[place].as_ref().is_some_and(wanted) {
                    self.serve_place(place, site, now_ns);
                }
            }
        }
        self.more != 0
    }

    fn serve_place<S: Site<File = F>>(&mut self, place: usize, site: &mut S, now_ns: u64) {
        let Some(Some(guest)) = self.places.get_mut(place) else {
            return;
        };
        let progress = guest.connection.work(&mut guest.socket, site, now_ns);
        guest.more = progress == Progress::More;
        match progress {
            Progress::Wait => {}
            Progress::More => self.more |= 1 << bit_of(place),
            Progress::Close => self.dismiss(place, site),
        }
    }

    /// Closes those that have been silent for too long.
    pub(crate) fn dismiss_late<S: Site<File = F>>(&mut self, site: &mut S, now_ns: u64) {
        for place in 0..self.places.len() {
            let late = |guest: &Guest<F>| guest.connection.is_late(now_ns);
            if self.places[place].as_ref().is_some_and(late) {
                self.dismiss(place, site);
            }
        }
    }

    /// Closes all.
    pub(crate) fn dismiss_all<S: Site<File = F>>(&mut self, site: &mut S) {
        for place in 0..self.places.len() {
            self.dismiss(place, site);
        }
    }

    fn dismiss<S: Site<File = F>>(&mut self, place: usize, site: &mut S) {
        if let Some(guest) = self.places.get_mut(place).and_then(Option::take) {
            let memory = guest.connection.finish(site);
            if self.spares.len() < SPARES {
                self.spares.push(memory);
            }
            self.count -= 1;
        }
    }
}
