//! The sending side of the link: out through the device, round in memory, or nowhere.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::EthernetAddress;

use super::absent::{self, Absent};
use super::special::{self, Numbers};
use super::{Unreachable, checksum, inspect, inward};
use crate::frame::{Counters, FrameDevice};

/// Most frames that wait in the loop.
const LOOP_LIMIT: usize = 256;
/// Nanoseconds after which the stack is told again where its own addresses are; it remembers it for a minute.
const INTRODUCTION_NS: u64 = 20_000_000_000;

/// The sending side.
pub(crate) struct Wire<D> {
    pub(crate) device: D,
    pub(crate) counters: Counters,
    /// Addresses of this machine, so that it can tell itself from others.
    pub(crate) own: Vec<IpAddr>,
    looped: VecDeque<Vec<u8>>,
    /// Frames that went round in memory, or nowhere.
    inner_frames: u64,
    absent: Absent,
    /// Numbers of the last segment that was sent.
    numbers: Option<Numbers>,
    /// The last packet that went nowhere.
    lost: Option<Unreachable>,
    /// The time of this turn, in nanoseconds.
    now_ns: u64,
    /// When the stack was told last where its own addresses are.
    introduced_ns: u64,
    /// The last IPv4 fragment that was sent is followed by others.
    pub(crate) in_pieces: bool,
    /// The hardware address of this machine, by which it reaches itself: never one that is none.
    mac: [u8; 6],
    outgoing: Vec<u8>,
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
    /// The sending side of `device`, for frames of so many bytes.
    pub(super) fn new(device: D, bytes: usize) -> Self {
        Self {
            counters: Counters::default(),
            own: Vec::new(),
            looped: VecDeque::new(),
            inner_frames: 0,
            absent: Absent::default(),
            numbers: None,
            lost: None,
            now_ns: 0,
            introduced_ns: 0,
            in_pieces: false,
            mac: usable(device.mac()),
            outgoing: vec![0; bytes],
            device,
        }
    }

    /// The hardware address of this machine: the device's or, as long as it says none, one of its own.
    pub(crate) const fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Takes over the device's hardware address; whether it is another one.
    pub(crate) fn follow_mac(&mut self) -> bool {
        let mac = self.device.mac();
        let other = is_usable(mac) && mac != self.mac;
        if other {
            self.mac = mac;
            self.absent.clear();
        }
        other
    }

    /// It is `now_ns`.
    pub(crate) const fn set_now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Tells the stack where its own addresses are, if it might soon forget it.
    pub(crate) fn introduce_in_time(&mut self) {
        if self.now_ns >= self.introduced_ns + INTRODUCTION_NS {
            self.introduce();
        }
    }

    /// Tells the stack where its own addresses are: it knows nothing of neighbours.
    pub(crate) fn introduce(&mut self) {
        self.introduced_ns = self.now_ns;
        let own = core::mem::take(&mut self.own);
        for ip in &own {
            if let Some(frame) = inward::introduce(*ip, self.mac) {
                self.enqueue(frame);
            }
        }
        self.own = own;
    }

    /// Numbers of the last segment that was sent since it was asked last.
    pub(crate) const fn take_numbers(&mut self) -> Option<Numbers> {
        self.numbers.take()
    }

    /// A packet that went nowhere since it was asked last, because its neighbour is not there.
    pub(crate) const fn take_lost(&mut self) -> Option<Unreachable> {
        self.lost.take()
    }

    pub(super) fn has_looped(&self) -> bool {
        !self.looped.is_empty()
    }

    pub(super) fn next_looped(&mut self) -> Option<Vec<u8>> {
        self.looped.pop_front()
    }

    pub(super) fn has_room(&mut self) -> bool {
        self.device.can_send() && self.looped.len() < LOOP_LIMIT
    }

    /// Frames that went out or round so far.
    pub(super) const fn frames_out(&self) -> u64 {
        self.counters.sent_frames + self.inner_frames
    }

    /// Where a frame of so many bytes that is to be [passed](Self::pass) is written.
    pub(super) fn place(&mut self, length: usize) -> &mut [u8] {
        if self.outgoing.len() < length {
            self.outgoing.resize(length, 0);
        }
        self.outgoing.get_mut(..length).unwrap_or(&mut [])
    }

    /// Sends the frame that was written to `outgoing`.
    pub(super) fn pass(&mut self, length: usize) {
        let Some(frame) = self.outgoing.get(..length) else {
            return;
        };
        if let Some(last) = inspect::last_piece(frame) {
            self.in_pieces = !last;
        }
        let Some(to) = frame.first_chunk::<6>() else {
            return;
        };
        // Only requests for neighbours go to several machines and concern this one.
        if to[0] & 1 != 0 {
            if let Some(answer) = inward::answer_own(frame, self.mac, &self.own) {
                return self.enqueue(answer);
            }
            if let Some(answer) = self.absent.ask(frame, self.now_ns) {
                // The request goes out all the same.
                self.enqueue(answer);
            }
        } else if *to == self.mac {
            let frame = frame.to_vec();
            return self.enqueue(frame);
        } else if absent::is_nowhere(to) {
            return self.lose(length);
        }
        self.send(length);
    }

    /// Sends what is in `outgoing` through the device.
    fn send(&mut self, length: usize) {
        if let Some(frame) = self.outgoing.get_mut(..length) {
            if let Some(start) = checksum::fill(frame) {
                self.numbers = special::numbers(frame, start).or(self.numbers);
            }
            self.counters.sent_frames += 1;
            self.counters.sent_bytes += length as u64;
            self.device.send(frame);
        }
    }

    /// A neighbour is there: it gets what it may have missed.
    pub(super) fn hear(&mut self, neighbour: IpAddr, mac: [u8; 6]) {
        let frame = self.absent.hear(neighbour, mac, self.now_ns);
        if let Some(frame) = frame
            && let Some(place) = self.outgoing.get_mut(..frame.len())
        {
            place.copy_from_slice(&frame);
            self.send(frame.len());
        }
    }

    /// The frame in `outgoing` is for a neighbour that is not there.
    fn lose(&mut self, length: usize) {
        self.inner_frames += 1;
        self.counters.dropped_frames += 1;
        let frame = self.outgoing.get(..length).unwrap_or(&[]);
        self.lost = inspect::lost(frame).or(self.lost);
        let Some(request) = self.absent.lose(frame, self.now_ns) else {
            return;
        };
        let length = request.len();
        if let Some(place) = self.outgoing.get_mut(..length) {
            place.copy_from_slice(request);
            self.send(length);
        }
    }

    fn enqueue(&mut self, frame: Vec<u8>) {
        if self.looped.len() < LOOP_LIMIT {
            self.inner_frames += 1;
            self.looped.push_back(frame);
        } else {
            self.counters.dropped_frames += 1;
        }
    }
}
