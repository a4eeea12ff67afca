//! The server: UART, input and output behind `console.gidl`.

use alloc::vec::Vec;

use gritos_abi::frame::{Channel, encode};
use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_console_api::{
    ConsoleError, ConsoleFlushTicket, ConsoleReadReply, ConsoleReadTicket, ConsoleServer,
    ConsoleWatchReply, ConsoleWatchTicket, ConsoleWriteTicket, InputEvents, LineCounters, MAX_READ,
    MAX_WATCH,
};
use gritos_idl_runtime::object::{MemoryObject, Notification};
use gritos_idl_runtime::{Bytes, Caller, Cap, EndpointCap, Hooks, Later, Response, ServerPort};
use gritos_service::Port;

use crate::history::History;
use crate::input::Input;
use crate::output::{Next, Output, WRITER_LIMIT};
use crate::probe::Probe;
use crate::uart::{Received, Registers, Uart};

/// What the user types to interrupt: Ctrl-C.
const INTERRUPT: u8 = 0x03;
/// Under which the console itself writes: no session has this badge.
const OWN: u32 = 0;
/// Most clients that may ask to be told of interrupts.
const NOTIFIED_LIMIT: usize = 8;
/// Most clients that may wait for text to show.
const WATCHER_LIMIT: usize = 2;

/// What the console needs of the system that it runs in.
pub trait Outside {
    /// Nanoseconds since any fixed moment.
    fn now(&self) -> u64;

    /// Signals `bits`.
    fn signal(&mut self, notification: Cap<Notification>, bits: u64);

    /// Keeps a capability that arrived with the current message. Where it is kept; `None` if there is no place.
    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>>;

    /// Deletes a capability that was kept.
    fn delete(&mut self, notification: Cap<Notification>);
}

/// The console service.
#[derive(Debug)]
pub struct Service<R, O> {
    uart: Uart<R>,
    outside: O,
    input: Input,
    output: Output,
    history: History,
    probe: Probe,
    /// Tells this life of the service from others.
    life: u64,
    reader: Option<(u32, ConsoleReadTicket)>,
    /// Reads whose caller has called anew, to be answered `Busy`.
    superseded: Vec<ConsoleReadTicket>,
    writes: Vec<(u32, ConsoleWriteTicket, Bytes<63>)>,
    /// Writes of clients that are gone.
    refused: Vec<ConsoleWriteTicket>,
    flushes: Vec<(u32, ConsoleFlushTicket)>,
    /// Who waits for text, and behind which position.
    watchers: Vec<(u32, ConsoleWatchTicket, u64)>,
    /// Those of clients that are gone or have called anew.
    unwatched: Vec<ConsoleWatchTicket>,
    notified: Vec<(u32, Cap<Notification>)>,
    deadline: Option<u64>,
    /// A ticket was kept for the message in hand: it can be answered from the next turn on.
    fresh: bool,
    received: u64,
    sent: u64,
    lost: u64,
}

impl<R: Registers, O: Outside> Service<R, O> {
    /// Takes over the UART behind `registers`. `life` is how often it was started before.
    pub fn start(registers: R, outside: O, life: u64) -> Self {
        let mut early = Vec::new();
        let uart = Uart::start(registers, |one| early.push(one));
        let mut service = Self {
            uart,
            outside,
            input: Input::new(),
            output: Output::new(),
            history: History::new(),
            probe: Probe::default(),
            life,
            reader: None,
            superseded: Vec::new(),
            writes: Vec::new(),
            refused: Vec::new(),
            flushes: Vec::new(),
            watchers: Vec::new(),
            unwatched: Vec::new(),
            notified: Vec::new(),
            deadline: None,
            fresh: false,
            received: 0,
            sent: 0,
            lost: 0,
        };
        for one in early {
            service.take(one);
        }
        service
    }

    /// The time in nanoseconds at which [`turn`](Self::turn) is to be called although nothing arrived.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// The registers, for whoever needs to look.
    pub const fn registers(&mut self) -> &mut R {
        self.uart.registers()
    }

    /// What it was started with.
    pub const fn outside(&mut self) -> &mut O {
        &mut self.outside
    }

    /// Goes on with everything that can: after each message, interrupt and deadline.
    pub fn turn(&mut self, port: &mut impl ServerPort) {
        if core::mem::take(&mut self.fresh) {
            // The rest waits until the port has put the ticket aside: one turn later, which is at once.
            self.transmit();
            self.deadline = Some(0);
            return;
        }
        loop {
            let more = self.fetch();
            self.transmit();
            for ticket in core::mem::take(&mut self.superseded) {
                let _ = ticket.answer(port, Err(ConsoleError::Busy));
            }
            for ticket in core::mem::take(&mut self.refused) {
                let _ = ticket.answer(port, Err(ConsoleError::Invalid));
            }
            self.answer_reader(port);
            self.answer_watchers(port);
            let progress = self.answer_writers(port);
            if !more && !progress {
                break;
            }
        }
    }

    /// Closes everything of a client: how many things that were.
    fn forget(&mut self, client: u32) -> u32 {
        let mut closed = u32::from(self.input.forget(client));
        closed += u32::from(self.output.forget(client));
        if self
            .reader
            .as_ref()
            .is_some_and(|(reader, _)| *reader == client)
        {
            self.superseded.extend(self.reader.take().map(|(_, t)| t));
        }
        closed += self.unwatch(client);
        for (writer, ticket, data) in core::mem::take(&mut self.writes) {
            if writer == client {
                self.refused.push(ticket);
                closed += 1;
            } else {
                self.writes.push((writer, ticket, data));
            }
        }
        while let Some(place) = self.notified.iter().position(|(c, _)| *c == client) {
            let (_, notification) = self.notified.swap_remove(place);
            self.outside.delete(notification);
            closed += 1;
        }
        closed
    }

    /// Takes what has arrived, as far as there is room. Whether there may be more.
    fn fetch(&mut self) -> bool {
        // Kept apart so that what is received may change everything but the UART.
        let mut batch = Vec::new();
        let mut room = self.input.room();
        let more = self.uart.receive(
            || {
                let free = room > 0;
                room = room.saturating_sub(1);
                free
            },
            |one| batch.push(one),
        );
        for one in batch {
            self.take(one);
        }
        more
    }

    fn take(&mut self, one: Received) {
        if !one.events.is_empty() {
            self.input.note(one.events);
            self.lost += 1;
        }
        let Some(byte) = one.byte else { return };
        self.received += 1;
        if byte == INTERRUPT && self.interrupt() {
            // What was typed before is no longer meant.
            self.input.drop_bytes();
        }
        let (input, lost) = (&mut self.input, &mut self.lost);
        let asked = self.probe.push(byte, |byte| {
            if !input.push(byte) {
                *lost += 1;
                input.note(InputEvents::OVERRUN);
            }
        });
        if asked {
            self.report();
        }
    }

    /// Signals who has the input, if that does not wait for it and wants to know. Whether it was so. The byte is
    /// read as well, so that whoever has the input knows what came before it and what after.
    fn interrupt(&mut self) -> bool {
        let Some(owner) = self.input.owner() else {
            return false;
        };
        let wanted = self.notified.iter().find(|(client, _)| *client == owner);
        match wanted {
            Some(&(_, notification)) if self.reader.is_none() => {
                self.outside.signal(
                    notification,
                    gritos_console_api::ConsoleEvents::INTERRUPT.bits(),
                );
                true
            }
            _ => false,
        }
    }

    /// Answers a probe.
    fn report(&mut self) {
        let owner = self.input.owner().unwrap_or(0);
        let text = alloc::format!("console {} {owner}", self.life);
        let mut frame = Vec::new();
        encode(Channel::Status, text.as_bytes(), |byte| frame.push(byte));
        // Without place in its queue the last answer is not out yet: the host will ask again.
        self.output.write(OWN, &frame);
    }

    fn transmit(&mut self) {
        let now = self.outside.now();
        let (output, sent, deadline) = (&mut self.output, &mut self.sent, &mut self.deadline);
        let history = &mut self.history;
        *deadline = None;
        self.uart.transmit(|| match output.next(now) {
            Next::Byte(byte) => {
                *sent += 1;
                history.push(byte);
                Some(byte)
            }
            Next::Nothing => None,
            Next::NothingUntil(time) => {
                *deadline = Some(time);
                None
            }
        });
    }

    fn answer_reader(&mut self, port: &mut impl ServerPort) {
        let Some((client, _)) = self.reader else {
            return;
        };
        let disturbed = self.output.is_disturbed(client);
        if self.input.owner() != Some(client) {
            self.superseded.extend(self.reader.take().map(|(_, t)| t));
            return;
        }
        if !self.input.is_ready() && !disturbed {
            return;
        }
        let mut data = [0; MAX_READ as usize];
        let (count, mut events) = self.input.peek(&mut data);
        if disturbed {
            events |= InputEvents::DISTURBED;
        }
        let reply = ConsoleReadReply {
            data: Bytes::new(data.get(..count).unwrap_or(&[])).unwrap_or_default(),
            events,
        };
        // Only what the reader has got is taken from the ring.
        if let Some((_, ticket)) = self.reader.take()
            && ticket.answer(port, Ok(reply)).is_ok()
        {
            self.input.consume(count);
            self.output.take_disturbed(client);
        }
    }

    /// Gives those who wait for text what there is.
    fn answer_watchers(&mut self, port: &mut impl ServerPort) {
        for ticket in core::mem::take(&mut self.unwatched) {
            let _ = ticket.answer(port, Err(ConsoleError::Busy));
        }
        let end = self.history.end();
        for (client, ticket, from) in core::mem::take(&mut self.watchers) {
            if from >= end {
                self.watchers.push((client, ticket, from));
                continue;
            }
            let mut data = [0; MAX_WATCH as usize];
            let (count, next) = self.history.read(from, &mut data);
            let reply = ConsoleWatchReply {
                data: Bytes::new(data.get(..count).unwrap_or(&[])).unwrap_or_default(),
                next,
                more: next < end,
            };
            // Who has gone away meanwhile asks again, or is no concern of ours.
            let _ = ticket.answer(port, Ok(reply));
        }
    }

    /// Lets a client wait for text no more; how often it did.
    fn unwatch(&mut self, client: u32) -> u32 {
        let mut count = 0;
        for (watcher, ticket, from) in core::mem::take(&mut self.watchers) {
            if watcher == client {
                self.unwatched.push(ticket);
                count += 1;
            } else {
                self.watchers.push((watcher, ticket, from));
            }
        }
        count
    }

    /// Lets writers go on whose bytes fit now. Whether any did.
    fn answer_writers(&mut self, port: &mut impl ServerPort) -> bool {
        let mut progress = false;
        let output = &mut self.output;
        for (client, ticket, data) in core::mem::take(&mut self.writes) {
            if output.write(client, &data) {
                // Callers that have gone away meanwhile are no concern of ours.
                let _ = ticket.answer(port, Ok(()));
                progress = true;
            } else {
                self.writes.push((client, ticket, data));
            }
        }
        for (client, ticket) in core::mem::take(&mut self.flushes) {
            let waits = self.writes.iter().any(|(writer, ..)| *writer == client);
            if output.is_drained(client) && !waits {
                let _ = ticket.answer(port, Ok(()));
            } else {
                self.flushes.push((client, ticket));
            }
        }
        progress
    }
}

impl<R: Registers, O: Outside> ConsoleServer for Service<R, O> {
    fn write(
        &mut self,
        caller: Caller,
        later: Later<'_, ConsoleWriteTicket>,
        data: Bytes<63>,
    ) -> Response<(), ConsoleError> {
        let client = caller.badge;
        if self.writes.iter().any(|(writer, ..)| *writer == client) {
            return Response::Now(Err(ConsoleError::Busy));
        }
        if self.output.write(client, &data) {
            return Response::Now(Ok(()));
        }
        if self.writes.len() >= WRITER_LIMIT {
            return Response::Now(Err(ConsoleError::Limit));
        }
        self.fresh = true;
        self.writes.push((client, later.keep(), data));
        Response::Later
    }

    fn read(
        &mut self,
        caller: Caller,
        later: Later<'_, ConsoleReadTicket>,
    ) -> Response<ConsoleReadReply, ConsoleError> {
        if let Err(error) = self.input.claim(caller.badge) {
            return Response::Now(Err(error));
        }
        // The same client calls again: its earlier call came to its deadline, or another of its threads made it.
        self.superseded.extend(self.reader.take().map(|(_, t)| t));
        self.fresh = true;
        self.reader = Some((caller.badge, later.keep()));
        Response::Later
    }

    fn lend(&mut self, caller: Caller, client: u32) -> Result<(), ConsoleError> {
        if client & gritos_abi::cap::BADGE_CLIENT == 0 {
            return Err(ConsoleError::Invalid);
        }
        self.input.lend(caller.badge, client)
    }

    fn release(&mut self, caller: Caller) -> Result<(), ConsoleError> {
        self.input.release(caller.badge)
    }

    fn notify_interrupt(
        &mut self,
        caller: Caller,
        notification: Cap<Notification>,
    ) -> Result<(), ConsoleError> {
        let client = caller.badge;
        let known = self.notified.iter().position(|(c, _)| *c == client);
        if known.is_none() && self.notified.len() >= NOTIFIED_LIMIT {
            self.outside.delete(notification);
            return Err(ConsoleError::Limit);
        }
        let kept = self.outside.keep(notification).ok_or(ConsoleError::Limit)?;
        if let Some(place) = known {
            let (_, old) = self.notified.swap_remove(place);
            self.outside.delete(old);
        }
        self.notified.push((client, kept));
        Ok(())
    }

    fn flush(
        &mut self,
        caller: Caller,
        later: Later<'_, ConsoleFlushTicket>,
    ) -> Response<(), ConsoleError> {
        let client = caller.badge;
        if self.output.is_drained(client) {
            return Response::Now(Ok(()));
        }
        if self.flushes.len() >= WRITER_LIMIT {
            return Response::Now(Err(ConsoleError::Limit));
        }
        self.fresh = true;
        self.flushes.push((client, later.keep()));
        Response::Later
    }

    fn watch(
        &mut self,
        caller: Caller,
        later: Later<'_, ConsoleWatchTicket>,
        from: u64,
    ) -> Response<ConsoleWatchReply, ConsoleError> {
        // The same client calls again: its earlier call came to nothing.
        self.unwatch(caller.badge);
        if self.watchers.len() >= WATCHER_LIMIT {
            return Response::Now(Err(ConsoleError::Limit));
        }
        // A position that is not reached yet is one of an earlier life of the console.
        let from = if from > self.history.end() { 0 } else { from };
        self.fresh = true;
        self.watchers.push((caller.badge, later.keep(), from));
        Response::Later
    }

    fn counters(&mut self, _caller: Caller) -> Result<LineCounters, ConsoleError> {
        Ok(LineCounters {
            received: self.received,
            sent: self.sent,
            lost: self.lost,
            most_waiting: self.input.most_waiting() as u32,
            clients: self.output.clients(),
        })
    }
}

impl<R: Registers, O: Outside> SessionServer for Service<R, O> {
    /// Everything travels in messages: the console takes no buffers.
    fn register(
        &mut self,
        _caller: Caller,
        _memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        Err(BaseError::Limit)
    }

    fn unregister(
        &mut self,
        _caller: Caller,
        _buffer: EndpointCap<Buffer>,
    ) -> Result<(), BaseError> {
        Err(BaseError::NotRegistered)
    }

    fn generation(&mut self, _caller: Caller) -> Result<u64, BaseError> {
        Ok(self.life)
    }
}

impl<R: Registers, O: Outside> SupervisionServer for Service<R, O> {
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        Ok(self.forget(client))
    }
}

impl<R: Registers, O: Outside, const N: usize> Hooks<Port<N>> for Service<R, O> {
    fn turn(&mut self, port: &mut Port<N>) {
        Self::turn(self, port);
        port.set_deadline(self.deadline.map(gritos_sys::time::ticks));
    }
}

#[cfg(test)]
mod tests;
