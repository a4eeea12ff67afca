//! Sockets that the TCP machine looks at together, and when they want to send again.
//!
//! A group sends everything that can be sent at a moment. What is then said to be due at that moment, or
//! before it, cannot be done now, whatever the reason; taking turns for it without a pause would take the
//! processor from everybody less urgent. So there is one, longer each time, until something is due later.

use alloc::vec::Vec;

use smoltcp::iface::{Interface, SocketSet};

use super::Outside;
use crate::frame::FrameDevice;

/// Rounds in which each socket of a group may send.
const ROUNDS: usize = 64;
/// Nanoseconds of the first pause, and most.
const PAUSE_NS: u64 = 1_000_000;
const PAUSE_LIMIT_NS: u64 = 128 * PAUSE_NS;

/// What became of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Everything that could be sent was.
    All,
    /// There is more, and the device has room.
    More,
    /// The device has no room.
    Stuck,
}

/// Sockets.
pub(super) struct Group {
    pub(super) set: SocketSet<'static>,
    /// Something may be to be sent, or when to do so has changed.
    pub(super) touched: bool,
    /// When it is time to send again, in nanoseconds.
    pub(super) at_ns: Option<u64>,
    pause_ns: u64,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            set: SocketSet::new(Vec::new()),
            touched: false,
            at_ns: None,
            pause_ns: PAUSE_NS,
        }
    }

    /// Sends what can be sent, and finds out when to send again: later than now, unless there is more.
    pub(super) fn send_out<D: FrameDevice>(
        &mut self,
        outside: &mut Outside<'_, D>,
        shadow: &mut Interface,
    ) -> Sent {
        for _ in 0..ROUNDS {
            let before = outside.link.frames_out();
            outside
                .interface
                .poll_egress(outside.now(), outside.link, &mut self.set);
            let sent = outside.link.frames_out() != before;
            let room = outside.link.wire.device.can_send();
            if !self.goes_on(outside, shadow, sent, room) {
                self.touched = !room;
                return if room { Sent::All } else { Sent::Stuck };
            }
        }
        Sent::More
    }

    /// After frames were `sent`, or not: whether more can be at once.
    fn goes_on<D: FrameDevice>(
        &mut self,
        outside: &mut Outside<'_, D>,
        shadow: &mut Interface,
        sent: bool,
        room: bool,
    ) -> bool {
        let now_ns = outside.now_ns;
        let at = shadow.poll_at(outside.now(), &self.set);
        let at_ns = at.map(|at| u64::try_from(at.total_micros()).unwrap_or(0) * 1000);
        let now = at_ns.is_some_and(|at| at <= now_ns);
        // The rest of a packet that goes out in pieces is no socket's any more.
        outside.link.wire.in_pieces &= sent || !room;
        let rest = outside.link.wire.in_pieces;
        if sent && room && (now || rest) {
            return true;
        }
        let pause_ns = self.pause_ns;
        self.pause_ns = match now && !sent {
            true => (2 * pause_ns).min(PAUSE_LIMIT_NS),
            false => PAUSE_NS,
        };
        self.at_ns = match now || rest {
            true => Some(now_ns + pause_ns),
            false => at_ns,
        };
        false
    }
}
