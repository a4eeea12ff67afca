//! When the stack wants its next turn.
//!
//! A turn sends everything that can be sent at its moment. What is then said to be due at that moment, or
//! before it, cannot be done now, whatever the reason; taking turns for it without a pause would take the
//! processor from everybody less urgent. So there is one, longer each time, until something is due later.
//!
//! `Interface::poll_at` cannot be asked of the interface itself (smoltcp 0.14.0): once the last request for a
//! router has passed unanswered, it names the moment of that request for ever, and after the last route of a
//! router has run out it hides the times of every socket. A second interface that asks for no routers, and
//! never gets a frame, knows the times of sockets alone.

use alloc::boxed::Box;

use smoltcp::iface::{Interface, SocketSet};

use super::instant;

/// Nanoseconds of the first pause, and most.
const PAUSE_NS: u64 = 1_000_000;
const PAUSE_LIMIT_NS: u64 = 128 * PAUSE_NS;

/// Knows when sockets want a turn.
pub(super) struct Due {
    shadow: Box<Interface>,
    pause_ns: u64,
}

impl Due {
    /// `shadow` is like the stack's interface, and asks for no routers.
    pub(super) fn new(shadow: Interface) -> Self {
        Self {
            shadow: Box::new(shadow),
            pause_ns: PAUSE_NS,
        }
    }

    /// When sockets want a turn, which is later than `now_ns`, if they do. A turn has just ended.
    pub(super) fn next_ns(&mut self, now_ns: u64, set: &SocketSet<'static>) -> Option<u64> {
        let at = self.shadow.poll_at(instant(now_ns), set);
        let at_ns = at.map(|at| u64::try_from(at.total_micros()).unwrap_or(0) * 1000);
        match at_ns {
            Some(at_ns) if at_ns <= now_ns => {
                let pause_ns = self.pause_ns;
                self.pause_ns = (2 * pause_ns).min(PAUSE_LIMIT_NS);
                Some(now_ns + pause_ns)
            }
            other => {
                self.pause_ns = PAUSE_NS;
                other
            }
        }
    }
}
