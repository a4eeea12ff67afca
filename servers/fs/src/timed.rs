//! The server's port, with an alarm that costs nothing while requests come.
//!
//! A wait with a deadline is set up anew for each request. What has to happen seconds later is left to
//! the time service instead, whose signal arrives between two requests. Without that service, or when it
//! refuses, the wait has its deadline.

use gritos_fs_core::service::Alarm;
use gritos_idl_runtime::{Cap as StubCap, Incoming, Outgoing, Rights, ServerPort, Status, Ticket};
use gritos_service::{Port, call_cap};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error, time};
use gritos_time_api::{Time, TimeClient};

use crate::disk::Patient;

/// What the timer signals.
const RUNG: u64 = 1;
/// How late a timer may be until it is taken to be lost, with the service that had it, in nanoseconds.
const LATE: u64 = 1_000_000_000;

/// The port.
pub(crate) struct TimedPort<const REPLIES: usize> {
    port: Port<REPLIES>,
    notification: Cap<Notification>,
    session: Option<StubCap<Time>>,
    /// Where the time service signals, once it was asked to.
    channel: Option<u32>,
    /// When the timer that is running signals, in nanoseconds.
    rings: Option<u64>,
}

impl<const REPLIES: usize> TimedPort<REPLIES> {
    /// A port that binds a notification to this thread.
    ///
    /// # Errors
    /// When memory or slots are used up.
    pub(crate) fn new(port: Port<REPLIES>, environment: &Environment<'_>) -> Result<Self, Error> {
        let notification = Environment::MEMORY.create::<Notification>(own::take()?)?;
        Environment::TCB.bind_notification(notification)?;
        Ok(Self {
            port,
            notification,
            session: environment.service("time").map(call_cap),
            channel: None,
            rings: None,
        })
    }

    /// Has a timer signal in so many nanoseconds; says whether there is one.
    fn start(&mut self, after_ns: u64) -> bool {
        let now = time::nanoseconds(time::now());
        if self.rings.is_some_and(|at| now <= at.saturating_add(LATE)) {
            return true;
        }
        let Some(session) = self.session else {
            return false;
        };
        let mut service = TimeClient::new(session, Patient::default());
        let at = now.saturating_add(after_ns);
        // A service that was restarted knows no channel of before.
        let mut fresh = false;
        loop {
            let number = match &self.channel {
                Some(channel) => *channel,
                None => {
                    let signals = StubCap::with_rights(self.notification.address(), Rights::SEND);
                    let Ok(number) = service.open_channel(signals) else {
                        return false;
                    };
                    fresh = true;
                    self.channel = Some(number);
                    number
                }
            };
            if service.one_shot(number, at, RUNG).is_ok() {
                self.rings = Some(at);
                return true;
            }
            self.channel = None;
            if fresh {
                return false;
            }
        }
    }
}

impl<const REPLIES: usize> Alarm for TimedPort<REPLIES> {
    fn alarm(&mut self, after_ns: Option<u64>) {
        let deadline = match after_ns {
            Some(after) if after > 0 && self.start(after) => None,
            after => after.map(time::after),
        };
        self.port.set_deadline(deadline);
    }

    fn rang(&mut self) {
        self.rings = None;
    }
}

impl<const REPLIES: usize> ServerPort for TimedPort<REPLIES> {
    fn recv(&mut self) -> Incoming {
        self.port.recv()
    }

    #[inline(always)]
    fn reply_recv<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Incoming {
        self.port.reply_recv(reply)
    }

    fn ticket(&mut self) -> Option<Ticket> {
        self.port.ticket()
    }

    fn keep(&mut self) {
        self.port.keep();
    }

    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        self.port.answer(ticket, reply)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.port.discard(incoming);
    }
}
