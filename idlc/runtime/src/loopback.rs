//! A transport in memory: a client's call goes straight to a server's dispatch.
//! For tests and examples on the host.

use core::marker::PhantomData;

use crate::{
    Address, Answer, Dispatch, Incoming, Kind, ObjectType, Outcome, Outgoing, Rights, Status,
    Ticket, Transport, WORDS,
};
use gritos_abi::Arrival;

/// What a slot address stands for when it travels through a [`Loopback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The object; `None` for the server's own endpoint, which unwraps.
    pub object: Option<ObjectType>,
    /// Badge.
    pub badge: u32,
    /// Rights.
    pub rights: Rights,
}

/// A server that is called directly; `D` is the protocol or server it serves.
///
/// Capabilities arrive as [`holds`](Self::holds) says, at window slots counted
/// from address 0x100. A method that keeps its ticket leaves the caller
/// without an answer: the call fails with [`Status::WouldBlock`].
#[derive(Debug)]
pub struct Loopback<S, D> {
    /// The server.
    pub server: S,
    /// Badge of the capability that the client uses.
    pub badge: u32,
    /// Rights of it.
    pub rights: Rights,
    /// What is behind the slot addresses of either side.
    pub holds: fn(Address) -> Option<Held>,
    /// The last request as it arrived.
    pub last: Option<Incoming>,
    dispatch: PhantomData<fn(D)>,
}

impl<S, D: Dispatch<S>> Loopback<S, D> {
    /// A client with the unbadged capability and nothing to send but words.
    pub const fn new(server: S) -> Self {
        Self {
            server,
            badge: 0,
            rights: Rights::SEND,
            holds: |_| None,
            last: None,
            dispatch: PhantomData,
        }
    }

    /// Delivers a message as it is, well-formed or not, and returns the reply.
    pub fn deliver(&mut self, incoming: &Incoming) -> Incoming {
        self.last = Some(*incoming);
        let ticket = Ticket {
            reply: Address::root(1),
            generation: 0,
        };
        let answer = D::dispatch(&mut self.server, incoming, || Some(ticket));
        let waiting = incoming.outcome.kind() == Ok(Kind::Call);
        match answer {
            _ if !waiting => Incoming {
                words: [0; WORDS],
                ..Incoming::failed(Status::Ok)
            },
            Answer::Words(reply) => self.arrive(Kind::Reply, 0, &reply),
            Answer::Caps(reply) => self.arrive(Kind::Reply, 0, &reply),
            Answer::Refused(error) => self.arrive(Kind::Reply, 0, &Outgoing::refusal(error)),
            Answer::Kept => Incoming::failed(Status::WouldBlock),
            Answer::Nothing => Incoming::failed(Status::ServerDied),
        }
    }

    /// The message as the other side gets it.
    pub fn arrive<const CAPS: usize>(
        &self,
        kind: Kind,
        sender: u64,
        message: &Outgoing<CAPS>,
    ) -> Incoming {
        let mut incoming = Incoming {
            words: message.words,
            sender,
            tag: message.tag,
            outcome: Outcome::message(kind, message.word_count, message.cap_count),
            window: Address(0x100),
            ..Incoming::failed(Status::Ok)
        };
        for (slot, cap) in message
            .caps
            .iter()
            .take(message.cap_count as usize)
            .enumerate()
        {
            let Some(held) = (self.holds)(cap.source) else {
                return Incoming::failed(Status::EmptySlot);
            };
            if cap.moved && (!cap.rights.is_empty() || cap.badge != 0) {
                return Incoming::failed(Status::InvalidArgument);
            }
            let rights = if cap.rights.is_empty() {
                held.rights
            } else {
                cap.rights
            };
            if !held.rights.contains(rights) {
                return Incoming::failed(Status::RightsNotHeld);
            }
            let badge = if cap.badge == 0 {
                held.badge
            } else {
                cap.badge
            };
            let arrival = match held.object {
                Some(object) => Arrival::InSlot {
                    object,
                    position: slot as u8,
                },
                None if kind == Kind::Reply => Arrival::InSlot {
                    object: ObjectType::Endpoint,
                    position: slot as u8,
                },
                None => Arrival::Unwrapped,
            };
            if let Some(register) = incoming.caps.get_mut(slot) {
                *register = u64::from(badge) | u64::from(rights.bits()) << 32;
            }
            incoming.arrivals |= u64::from(arrival.encode()) << (16 * slot);
        }
        incoming
    }

    fn sender(&self) -> u64 {
        u64::from(self.badge) | u64::from(self.rights.bits()) << 32
    }
}

impl<S, D: Dispatch<S>> Transport for Loopback<S, D> {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        _target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        let incoming = self.arrive(Kind::Call, self.sender(), &message);
        if !incoming.outcome.is_ok() {
            return incoming;
        }
        let reply = self.deliver(&incoming);
        if reply.outcome.cap_count() as usize > WINDOW {
            Incoming::failed(Status::ReceiverWindow)
        } else {
            reply
        }
    }

    fn send<const CAPS: usize>(&mut self, _target: Address, message: Outgoing<CAPS>) -> Outcome {
        let incoming = self.arrive(Kind::OneWay, self.sender(), &message);
        if incoming.outcome.is_ok() {
            self.deliver(&incoming);
        }
        Outcome::error(incoming.outcome.status().unwrap_or(Status::InvalidArgument))
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}
