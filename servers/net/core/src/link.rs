//! The link below the stack: a device, a loop for frames to this machine, and
//! what is dropped before the stack sees it.
//!
//! Frames that this machine sends to itself go round in memory. Frames from
//! outside that claim to come from this machine, or are for its inside, are
//! dropped. So are requests for connections to a listener whose queue is full:
//! the peer asks again, and by then there may be room.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::frame::{Counters, FrameDevice};

mod checksum;
mod inspect;
mod inward;

pub(crate) use inspect::{Protocol, Seen, Transport, Unreachable};

/// Bytes of an Ethernet header.
pub(crate) const HEADER_BYTES: usize = 14;
/// Most bytes of a packet that the link carries.
const MTU_LIMIT: usize = 9000;
/// Most frames that wait in the loop.
const LOOP_LIMIT: usize = 256;

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
    /// Source and destination of the last packet that was not forged.
    honest: Option<(IpAddr, IpAddr)>,
    /// Length of the frame that was fetched.
    fetched: Option<usize>,
}

/// The sending side.
pub(crate) struct Wire<D> {
    pub(crate) device: D,
    pub(crate) counters: Counters,
    /// Addresses of this machine, so that it can tell itself from others.
    pub(crate) own: Vec<IpAddr>,
    looped: VecDeque<Vec<u8>>,
    /// Frames that went round in memory.
    looped_frames: u64,
    /// The last IPv4 fragment that was sent is followed by others.
    pub(crate) in_pieces: bool,
    /// The hardware address of this machine, by which it reaches itself: never one that is none.
    mac: [u8; 6],
    outgoing: Vec<u8>,
}

impl<D: FrameDevice> Link<D> {
    pub(crate) fn new(device: D) -> Self {
        let bytes = device.mtu().min(MTU_LIMIT) + HEADER_BYTES;
        Self {
            closed_ports: Vec::new(),
            seen: Seen::default(),
            loop_next: false,
            incoming: vec![0; bytes],
            honest: None,
            fetched: None,
            wire: Wire {
                counters: Counters::default(),
                own: Vec::new(),
                looped: VecDeque::new(),
                looped_frames: 0,
                in_pieces: false,
                mac: usable(device.mac()),
                outgoing: vec![0; bytes],
                device,
            },
        }
    }

    /// The hardware address of this machine: the device's or, as long as it says none, one of its own.
    pub(crate) const fn mac(&self) -> [u8; 6] {
        self.wire.mac
    }

    /// Takes over the device's hardware address; whether it is another one.
    pub(crate) fn follow_mac(&mut self) -> bool {
        let mac = self.wire.device.mac();
        let other = is_usable(mac) && mac != self.wire.mac;
        if other {
            self.wire.mac = mac;
        }
        other
    }

    /// Whether a frame waits in the loop.
    pub(crate) fn has_looped(&self) -> bool {
        !self.wire.looped.is_empty()
    }

    /// Frames that went out or round so far.
    pub(crate) const fn frames_out(&self) -> u64 {
        self.wire.counters.sent_frames + self.wire.looped_frames
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
        let frame = self.wire.looped.pop_front()?;
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
    }

    fn admit(&mut self, length: usize, looped: bool) -> usize {
        self.seen = inspect::inspect(self.incoming.get(..length).unwrap_or(&[]));
        let forged = !looped && self.is_forged();
        let frame = self.incoming.get(..length).unwrap_or(&[]);
        let refused = self
            .seen
            .opens_port()
            .is_some_and(|port| self.closed_ports.contains(&port));
        // What went round in memory has no checksum.
        let right = looped || (checksum::is_header_right(frame) && checksum::is_right(frame));
        if forged || refused || !right {
            self.wire.counters.dropped_frames += 1;
            self.seen.unreachable = None;
            return 0;
        }
        length
    }
}

/// Whether this is the hardware address of one device.
fn is_usable(mac: [u8; 6]) -> bool {
    EthernetAddress(mac).is_unicast() && mac != [0; 6]
}

/// A device whose address is none gets one that is administered locally.
fn usable(mac: [u8; 6]) -> [u8; 6] {
    if is_usable(mac) {
        mac
    } else {
        [2, 0, 0, 0, 0, 1]
    }
}

impl<D: FrameDevice> Wire<D> {
    /// Sends the frame that was written to `outgoing`.
    fn pass(&mut self, length: usize) {
        let Some(frame) = self.outgoing.get(..length) else {
            return;
        };
        if let Some(last) = inspect::last_piece(frame) {
            self.in_pieces = !last;
        }
        if let Some(answer) = inward::advertisement(frame, self.mac, &self.own) {
            self.enqueue(answer);
        } else if inward::is_for_inside(frame, self.mac, &self.own) {
            let frame = frame.to_vec();
            self.enqueue(frame);
        } else if let Some(frame) = self.outgoing.get_mut(..length) {
            checksum::fill(frame);
            self.counters.sent_frames += 1;
            self.counters.sent_bytes += length as u64;
            self.device.send(frame);
        }
    }

    fn enqueue(&mut self, frame: Vec<u8>) {
        if self.looped.len() < LOOP_LIMIT {
            self.looped_frames += 1;
            self.looped.push_back(frame);
        } else {
            self.counters.dropped_frames += 1;
        }
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
        let room = self.wire.device.can_send() && self.wire.looped.len() < LOOP_LIMIT;
        room.then_some(Outgoing(&mut self.wire))
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
        if wire.outgoing.len() < length {
            wire.outgoing.resize(length, 0);
        }
        let result = f(wire.outgoing.get_mut(..length).unwrap_or(&mut []));
        wire.pass(length);
        result
    }
}
