//! The link below the stack: a device, a loop for frames to this machine, and
//! what is dropped before the stack sees it.
//!
//! Frames that this machine sends to itself go round in memory, and the stack is told beforehand where it is itself:
//! so nothing outside, present or absent, can come between. Frames from
//! outside that claim to come from this machine, or are for its inside, are
//! dropped. So are requests for connections to a listener whose queue is full:
//! the peer asks again, and by then there may be room.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::frame::FrameDevice;

mod absent;
mod checksum;
mod inspect;
mod inward;
mod special;
mod wire;

use inspect::Head;
use special::{End, Reset};
use wire::Wire;

pub(crate) use inspect::{Protocol, Seen, Transport, Unreachable};
pub(crate) use special::{Numbers, Special};

/// Bytes of an Ethernet header.
pub(crate) const HEADER_BYTES: usize = 14;
/// Most bytes of a packet that the link carries.
const MTU_LIMIT: usize = 9000;

/// What [`Link::fetch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    None,
    /// A frame that the stack does not get.
    Dropped,
    /// The next that the stack gets.
    Frame,
}

/// A device with a loop.
pub(crate) struct Link<D> {
    pub(crate) wire: Wire<D>,
    /// Ports at which connections are not taken at the moment.
    pub(crate) closed_ports: Vec<u16>,
    /// What was noticed about the last frame.
    pub(crate) seen: Seen,
    loop_next: bool,
    incoming: Vec<u8>,
    /// The head of the frame that was seen last, if one with the same head would be seen as the same.
    head: Option<Head>,
    /// Source and destination of the last packet that was not forged.
    honest: Option<(IpAddr, IpAddr)>,
    /// Length of the frame that was fetched.
    fetched: Option<usize>,
    /// It may have a segment that needs care.
    may_be_special: bool,
}

impl<D: FrameDevice> Link<D> {
    pub(crate) fn new(device: D) -> Self {
        let bytes = device.mtu().min(MTU_LIMIT) + HEADER_BYTES;
        Self {
            closed_ports: Vec::new(),
            seen: Seen::default(),
            loop_next: false,
            incoming: vec![0; bytes],
            head: None,
            honest: None,
            fetched: None,
            may_be_special: false,
            wire: Wire::new(device, bytes),
        }
    }

    /// Whether a frame waits in the loop.
    pub(crate) fn has_looped(&self) -> bool {
        self.wire.has_looped()
    }

    /// Frames that went out or round so far.
    pub(crate) const fn frames_out(&self) -> u64 {
        self.wire.frames_out()
    }

    /// Fetches the next frame; what it is can be [`seen`](Self::seen).
    pub(crate) fn fetch(&mut self) -> Fetched {
        let Some(length) = self.take() else {
            return Fetched::None;
        };
        self.fetched = (length > 0).then_some(length);
        match self.fetched {
            Some(_) => Fetched::Frame,
            None => Fetched::Dropped,
        }
    }

    /// The segment in the frame that was fetched, if it needs care.
    #[inline]
    pub(crate) fn special(&self) -> Option<Special> {
        match self.may_be_special {
            true => special::find(self.incoming.get(..self.fetched?)?),
            false => None,
        }
    }

    /// Leaves of the frame that was fetched the data. The end is for [`fetch_end`](Self::fetch_end).
    pub(crate) fn part_end(&mut self, end: End) {
        special::keep_data(&mut self.incoming, end);
    }

    /// Fetches the end of the stream that the frame before had behind its data.
    pub(crate) fn fetch_end(&mut self, end: End) {
        self.fetched = special::keep_end(&mut self.incoming, end);
    }

    /// Has the reset that was fetched be one that is not believed: the stack says which number it should have had.
    pub(crate) fn doubt(&mut self, reset: Reset, sent: Numbers) {
        special::doubt(&mut self.incoming, reset, sent);
    }

    /// Drops the frame that was fetched.
    pub(crate) const fn drop_fetched(&mut self) {
        self.wire.counters.dropped_frames += 1;
        self.fetched = None;
    }

    /// Length of the next frame for the stack, now in `incoming`; 0 for one that
    /// was dropped. Loop and device take turns.
    fn take(&mut self) -> Option<usize> {
        self.loop_next = !self.loop_next;
        if self.loop_next
            && let Some(length) = self.take_looped()
        {
            return Some(length);
        }
        self.take_received().or_else(|| self.take_looped())
    }

    fn take_looped(&mut self) -> Option<usize> {
        let frame = self.wire.next_looped()?;
        self.incoming
            .get_mut(..frame.len())?
            .copy_from_slice(&frame);
        Some(self.admit(frame.len(), true))
    }

    fn take_received(&mut self) -> Option<usize> {
        let length = self.wire.device.receive(&mut self.incoming)?;
        self.wire.counters.received_frames += 1;
        self.wire.counters.received_bytes += length as u64;
        Some(self.admit(length, false))
    }

    /// Whether the frame that was seen last is none of an honest neighbour. Most come from where the one
    /// before came from.
    fn is_forged(&mut self) -> bool {
        let addresses = self.seen.addresses;
        if addresses.is_some() && addresses == self.honest {
            return false;
        }
        let forged = self.seen.is_forged(&self.wire.own);
        if !forged {
            self.honest = addresses;
        }
        forged
    }

    /// Addresses of this machine have changed.
    pub(crate) fn set_own(&mut self, own: Vec<IpAddr>) {
        self.wire.own = own;
        self.honest = None;
        self.head = None;
        self.wire.introduce();
    }

    /// What a neighbour says of itself came in.
    fn hear(&mut self, length: usize) {
        let frame = self.incoming.get(..length).unwrap_or(&[]);
        let from = frame.get(6..).and_then(<[u8]>::first_chunk::<6>);
        if let (Some((neighbour, _)), Some(mac)) = (self.seen.addresses, from) {
            self.wire.hear(neighbour, *mac);
        }
    }

    /// Sees what came in; whether it is to be dropped because it is forged, or asks for what is not to be had.
    #[inline(never)]
    fn is_unwelcome(&mut self, length: usize, looped: bool, head: Option<Head>) -> bool {
        self.seen = inspect::inspect(self.incoming.get(..length).unwrap_or(&[]));
        let forged = !looped && self.is_forged();
        self.head = head.filter(|_| !looped && !forged);
        let opens = self.seen.opens_port();
        forged || opens.is_some_and(|port| self.closed_ports.contains(&port))
    }

    fn admit(&mut self, length: usize, looped: bool) -> usize {
        let head = Head::of(self.incoming.get(..length).unwrap_or(&[]));
        let is_like_last = !looped && head.is_some() && head == self.head;
        let refused = !is_like_last && self.is_unwelcome(length, looped, head);
        let frame = self.incoming.get(..length).unwrap_or(&[]);
        self.may_be_special = !is_like_last || special::may_have(frame);
        // What went round in memory has no checksum.
        let right = looped
            || if is_like_last {
                checksum::is_plain_right(frame)
            } else {
                checksum::is_header_right(frame) && checksum::is_right(frame)
            };
        if refused || !right {
            self.wire.counters.dropped_frames += 1;
            self.seen.unreachable = None;
            return 0;
        }
        if !looped && self.seen.transport == Transport::Neighbour {
            self.hear(length);
        }
        length
    }
}

impl<D: FrameDevice> Device for Link<D> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a, D>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let length = self.fetched.take()?;
        let frame = self.incoming.get(..length).unwrap_or(&[]);
        Some((Incoming(frame), Outgoing(&mut self.wire)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        self.wire.has_room().then_some(Outgoing(&mut self.wire))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        // The link looks after them itself.
        capabilities.checksum.tcp = Checksum::None;
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.max_transmission_unit = self.incoming.len();
        capabilities
    }
}

/// A frame that arrived.
pub(crate) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// The right to send one frame.
pub(crate) struct Outgoing<'a, D>(&'a mut Wire<D>);

impl<D: FrameDevice> TxToken for Outgoing<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let wire = self.0;
        let result = f(wire.place(length));
        wire.pass(length);
        result
    }
}
