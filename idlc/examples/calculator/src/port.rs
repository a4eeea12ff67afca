//! A server's port in memory: messages that are written down before, answers
//! that are looked at afterwards.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use gritos_idl_runtime::{
    Address, CapSlot, Incoming, Kind, Outcome, Outgoing, Rights, ServerPort, Status, Ticket,
    Transport, WORDS, Words,
};

/// An answer that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which of the messages it answers, counted from 0.
    pub caller: u32,
    /// Result.
    pub tag: u64,
    /// Words.
    pub words: Words,
    /// Capabilities.
    pub caps: Vec<CapSlot>,
}

/// The port.
#[derive(Debug, Default)]
pub struct Script {
    messages: VecDeque<(u32, Incoming)>,
    written: u32,
    current: Option<u32>,
    kept: Vec<u32>,
    pool: usize,
    replies: Vec<Sent>,
    /// Whether answers with capabilities cannot be delivered.
    pub refuses_caps: bool,
    /// How many messages' capabilities were deleted.
    pub discarded: u32,
}

impl Script {
    /// A port with a pool of so many Replies.
    pub fn new(pool: usize) -> Self {
        Self {
            pool,
            ..Self::default()
        }
    }

    /// A transport that writes down what a client sends and fails its calls.
    pub fn client(&mut self, badge: u32, rights: Rights) -> Writer<'_> {
        Writer {
            script: self,
            sender: u64::from(badge) | u64::from(rights.bits()) << 32,
        }
    }

    /// Writes down a message as it is.
    pub fn push(&mut self, incoming: Incoming) {
        self.messages.push_back((self.written, incoming));
        self.written += 1;
    }

    /// The answers so far.
    pub fn replies(&self) -> &[Sent] {
        &self.replies
    }

    fn send<const CAPS: usize>(
        &mut self,
        caller: u32,
        reply: &Outgoing<CAPS>,
    ) -> Result<(), Status> {
        if self.refuses_caps && reply.cap_count > 0 {
            return Err(Status::ReceiverWindow);
        }
        let caps = reply.caps[..reply.cap_count as usize].to_vec();
        self.replies.push(Sent {
            caller,
            tag: reply.tag,
            words: reply.words,
            caps,
        });
        Ok(())
    }
}

impl ServerPort for Script {
    fn recv(&mut self) -> Incoming {
        // Behind the last message the endpoint is gone.
        let Some((caller, incoming)) = self.messages.pop_front() else {
            return Incoming::failed(Status::Deleted);
        };
        self.current = (incoming.outcome.kind() == Ok(Kind::Call)).then_some(caller);
        incoming
    }

    fn reply_recv<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Incoming {
        let Some(caller) = self.current else {
            return Incoming::failed(Status::ReplySpent);
        };
        match self.send(caller, &reply) {
            Ok(()) => self.recv(),
            Err(status) => Incoming::failed(status),
        }
    }

    fn ticket(&mut self) -> Option<Ticket> {
        let further = self.kept.len() + 1 < self.pool;
        self.current.filter(|_| further).map(|caller| Ticket {
            reply: Address(caller),
            generation: 0,
        })
    }

    fn keep(&mut self) {
        self.kept.extend(self.current.take());
    }

    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        let place = self
            .kept
            .iter()
            .position(|caller| *caller == ticket.reply.0)
            .ok_or(Status::ReplySpent)?;
        self.send(ticket.reply.0, &reply)?;
        self.kept.remove(place);
        Ok(())
    }

    fn discard(&mut self, _incoming: &Incoming) {
        self.discarded += 1;
    }
}

/// What a client writes with.
#[derive(Debug)]
pub struct Writer<'a> {
    script: &'a mut Script,
    sender: u64,
}

impl Writer<'_> {
    fn write<const CAPS: usize>(&mut self, kind: Kind, message: &Outgoing<CAPS>) {
        self.script.push(Incoming {
            words: message.words,
            sender: self.sender,
            tag: message.tag,
            outcome: Outcome::message(kind, message.word_count, 0),
            ..Incoming::failed(Status::Ok)
        });
    }
}

impl Transport for Writer<'_> {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        _target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        self.write(Kind::Call, &message);
        Incoming {
            words: [0; WORDS],
            ..Incoming::failed(Status::WouldBlock)
        }
    }

    fn send<const CAPS: usize>(&mut self, _target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.write(Kind::OneWay, &message);
        Outcome::error(Status::Ok)
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}
