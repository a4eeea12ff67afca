//! The network service: the protocols of `net.gidl` over a [`Stack`].
//!
//! A method that would have to wait keeps its caller and returns; after each
//! message and each wait the stack takes a turn, and callers that can be
//! answered are. Nobody waits with anybody else.

use alloc::vec::Vec;

use gritos_base_api::BaseError;
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Address, Cap, Hooks, ServerPort};
use gritos_net_api::NetError;
use gritos_service::{BufferMemory, Buffers, MapMemory, Mapped};
use gritos_sys::shared::BufferError;

use crate::buffers::{Sink, Source};
use crate::frame::{Clock, FrameDevice};
use crate::sets::earlier;
use crate::stack::Stack;

mod rings;
mod session;
mod socket;
mod sockets;
mod waiting;
mod watch;

use rings::Streaming;
use waiting::Waiting;
use watch::Watch;

/// Turns of the stack in a row, before others are heard.
const TURNS: usize = 4;
/// Turns in a row that were due at once and moved nothing, before one waits for [`PAUSE_NS`]: whatever is due
/// and cannot be done must not take the processor from everybody less urgent.
const IN_VAIN_LIMIT: u8 = 32;
/// Nanoseconds.
const PAUSE_NS: u64 = 1_000_000;

/// Notifications of clients.
pub trait Signals {
    /// Keeps a notification that came with a message. `None` if there is no
    /// space.
    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>>;

    /// Signals one that is kept. A badge on the capability takes the place of
    /// `bits`.
    fn signal(&mut self, notification: Cap<Notification>, bits: u64);

    /// Gives one back.
    fn release(&mut self, notification: Cap<Notification>);
}

/// What ends a server's wait when no message comes.
pub trait Alarm {
    /// Ends each wait at `at_ns` of the server's [`Clock`]; `None` for never.
    fn set_alarm(&mut self, at_ns: Option<u64>);
}

impl<const REPLIES: usize> Alarm for gritos_service::Port<REPLIES> {
    fn set_alarm(&mut self, at_ns: Option<u64>) {
        self.set_deadline(at_ns.map(gritos_sys::time::ticks));
    }
}

/// How much there may be of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Callers of one client's sockets that may wait at a time.
    pub waiting: usize,
    /// Sockets that are watched, of all clients.
    pub watches: usize,
    /// Streams whose data goes through rings, of all clients.
    pub rings: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            waiting: 16,
            watches: 128,
            rings: 32,
        }
    }
}

/// The server: `D` has the frames, `C` the time, `P` maps memory of clients, up
/// to `N` buffers, `S` signals their notifications.
pub struct Service<D, C, P: MapMemory, S, const N: usize> {
    stack: Stack<D>,
    clock: C,
    buffers: Buffers<P, N>,
    signals: S,
    endpoint: Address,
    generation: u64,
    limits: ServiceLimits,
    waiting: Vec<Waiting>,
    /// A call that waits can be answered although nothing happens any more.
    look_again: bool,
    watches: Vec<Watch>,
    rings: Vec<Streaming>,
    /// Turns in a row that were due at once and moved nothing.
    in_vain: u8,
    /// When the next wait ends, as the port was told.
    alarm: Option<u64>,
    /// The message in hand gave the stack nothing to do by itself.
    only_took: bool,
}

impl<D, C, P: MapMemory, S, const N: usize> core::fmt::Debug for Service<D, C, P, S, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Service")
            .field("stack", &self.stack)
            .field("waiting", &self.waiting.len())
            .field("watches", &self.watches.len())
            .finish_non_exhaustive()
    }
}

impl<D: FrameDevice, C: Clock, P: MapMemory, S: Signals, const N: usize> Service<D, C, P, S, N> {
    /// A server whose capabilities are made from the one in slot `endpoint`.
    /// `generation` counts its lives.
    pub const fn new(
        stack: Stack<D>,
        clock: C,
        buffers: Buffers<P, N>,
        signals: S,
        endpoint: Address,
        generation: u64,
        limits: ServiceLimits,
    ) -> Self {
        Self {
            stack,
            clock,
            buffers,
            signals,
            endpoint,
            generation,
            limits,
            waiting: Vec::new(),
            look_again: false,
            watches: Vec::new(),
            rings: Vec::new(),
            in_vain: 0,
            // What nobody is ever told, so that the first moment is news.
            alarm: Some(u64::MAX),
            only_took: false,
        }
    }

    /// The stack.
    pub const fn stack(&mut self) -> &mut Stack<D> {
        &mut self.stack
    }

    /// When the server has something to do at the latest, in nanoseconds.
    pub fn next_ns(&mut self) -> Option<u64> {
        let turn = self.stack.next_turn_ns();
        let deadlines = self.waiting.iter().map(|waiting| waiting.deadline_ns);
        deadlines.fold(turn, earlier)
    }

    /// Whether nothing is to be moved until somebody asks for it, a frame comes or time passes.
    fn rests(&self, now_ns: u64) -> bool {
        let time = self.alarm.is_none_or(|at| now_ns < at);
        time && !self.look_again && self.rings.is_empty() && self.stack.rests()
    }

    /// Has the port end its waits at this moment.
    fn tell_alarm<Q: Alarm>(&mut self, port: &mut Q, alarm: Option<u64>) {
        if self.alarm != alarm {
            self.alarm = alarm;
            port.set_alarm(alarm);
        }
    }

    /// Moves everything that can be moved, and answers who can be answered.
    fn advance<Q: ServerPort>(&mut self, port: &mut Q, now_ns: u64) {
        // Callers that were kept meanwhile have not been looked at since.
        let all = core::mem::take(&mut self.look_again);
        let mut any = all || self.is_somebody_late(now_ns);
        for _ in 0..TURNS {
            any |= self.stack.begin_turn(now_ns);
            // Before frames go out: answers may make room that the peer is told of with them.
            if any {
                self.serve_waiting(port, now_ns, all);
            }
            any |= self.move_rings();
            let ended = self.stack.end_turn();
            if ended {
                // Connections that ran out of time are told of.
                any |= self.move_rings();
            }
            // What was sent may have made room for more messages.
            if ended || (any && self.does_somebody_send()) {
                any = true;
                self.serve_waiting(port, now_ns, all);
            }
            // Frames that came while frames were sent have announced themselves to nobody.
            if !self.stack.has_more() {
                self.stack.arm();
            }
            if !self.stack.has_more() {
                break;
            }
        }
        if any {
            self.signal_watches();
            self.stack.forget_moves();
        }
    }
}

impl<D, C, P, S, Q, const N: usize> Hooks<Q> for Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
    Q: ServerPort + Alarm,
{
    fn notified(&mut self, _port: &mut Q, bits: u64) {
        self.stack.notified(bits);
    }

    fn turn(&mut self, port: &mut Q) {
        let now_ns = self.clock.now_ns();
        if core::mem::take(&mut self.only_took) && self.rests(now_ns) {
            // Nothing moves: all that may be new is when a caller has waited long enough.
            if let Some(deadline_ns) = self.settle_calmly() {
                self.tell_alarm(port, earlier(self.alarm, deadline_ns));
            }
            return;
        }
        self.advance(port, now_ns);
        self.look_again = self.settle_fresh();
        let next = match self.look_again || self.rings_are_due() {
            true => Some(now_ns),
            false => self.next_ns(),
        };
        let in_vain = !self.stack.has_moved() && next.is_some_and(|at| at <= now_ns);
        self.in_vain = if in_vain {
            self.in_vain.saturating_add(1)
        } else {
            0
        };
        let alarm = match self.in_vain {
            ..=IN_VAIN_LIMIT => next,
            _ => Some(now_ns.saturating_add(PAUSE_NS)),
        };
        self.tell_alarm(port, alarm);
    }
}

/// A range of a client's memory as the stack uses it.
struct Range<M>(Mapped<M>);

impl<M: BufferMemory> Source for Range<M> {
    fn length(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), NetError> {
        self.0.read(offset as u64, to).map_err(bad_memory)
    }
}

impl<M: BufferMemory> Sink for Range<M> {
    fn length(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), NetError> {
        self.0.write(offset as u64, from).map_err(bad_memory)
    }
}

const fn bad_memory(_: BufferError) -> NetError {
    NetError::BadBuffer
}

/// What is wrong with a buffer, as a socket's method says it.
const fn bad_buffer(error: BaseError) -> NetError {
    match error {
        BaseError::NoMemory => NetError::NoMemory,
        BaseError::Access => NetError::Access,
        BaseError::Limit => NetError::NoBuffers,
        BaseError::NotRegistered => NetError::BadBuffer,
        _ => NetError::Invalid,
    }
}
