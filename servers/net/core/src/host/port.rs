//! The server's port of a machine in memory.

use alloc::vec::Vec;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use gritos_idl_runtime::{
    Address, Answer, CapSlot, Incoming, ObjectType, Outgoing, Rights, ServerPort, Status, Ticket,
    WireError,
};

use super::{lock, ticket};
use crate::Alarm;

/// Answers that went out, by the number of the call.
pub(super) type Outcomes = Arc<Mutex<BTreeMap<u64, Outgoing<4>>>>;

pub(super) struct HostPort {
    calls: u64,
    current: Option<u64>,
    kept: Vec<u64>,
    replies: usize,
    outcomes: Outcomes,
}

impl HostPort {
    pub(super) const fn new(replies: usize, outcomes: Outcomes) -> Self {
        Self {
            calls: 0,
            current: None,
            kept: Vec::new(),
            replies,
            outcomes,
        }
    }

    /// A call came in.
    pub(super) fn begin(&mut self) -> u64 {
        self.calls += 1;
        self.current = Some(self.calls);
        self.calls
    }

    /// What the server's loop does with an answer.
    pub(super) fn finish(&mut self, answer: Answer) {
        match answer {
            Answer::Words(reply) => self.reply(reply),
            Answer::Caps(reply) => self.reply(reply),
            Answer::Refused(error) => self.reply(Outgoing::refusal(error)),
            Answer::Kept => self.keep(),
            Answer::Nothing => self.reply(Outgoing::refusal(WireError::Dropped)),
        }
    }

    fn reply<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) {
        if let Some(call) = self.current.take() {
            self.put(call, &reply);
        }
    }

    fn put<const CAPS: usize>(&self, call: u64, reply: &Outgoing<CAPS>) {
        let mut caps = [CapSlot::default(); 4];
        for (to, from) in caps.iter_mut().zip(&reply.caps) {
            *to = *from;
        }
        let reply = Outgoing {
            words: reply.words,
            tag: reply.tag,
            word_count: reply.word_count,
            caps,
            cap_count: reply.cap_count,
        };
        lock(&self.outcomes).insert(call, reply);
    }
}

impl ServerPort for HostPort {
    fn recv(&mut self) -> Incoming {
        Incoming::failed(Status::Unsupported)
    }

    fn reply_recv<const CAPS: usize>(&mut self, _reply: Outgoing<CAPS>) -> Incoming {
        Incoming::failed(Status::Unsupported)
    }

    fn ticket(&mut self) -> Option<Ticket> {
        let further = self.kept.len() + 1 < self.replies;
        self.current.filter(|_| further).map(ticket)
    }

    fn keep(&mut self) {
        self.kept.extend(self.current.take());
    }

    fn answer<const CAPS: usize>(
        &mut self,
        caller: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        let place = self.kept.iter().position(|call| ticket(*call) == caller);
        // As the real one: a Reply that is not set aside yet cannot be answered.
        let call = self.kept.remove(place.ok_or(Status::ReplySpent)?);
        self.put(call, &reply);
        Ok(())
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}

impl Alarm for HostPort {
    fn set_alarm(&mut self, _at_ns: Option<u64>) {}
}

/// Puts a capability into a message. `object` is `None` for one that unwraps.
pub(super) fn put_cap(
    incoming: &mut Incoming,
    at: usize,
    slot: Address,
    object: Option<ObjectType>,
    badge: u32,
    rights: Rights,
) {
    use gritos_sys::abi::Arrival;
    let arrival = match object {
        // The window reaches over all slots, as far as a position has room.
        Some(object) => {
            if incoming.window == Address::NULL {
                incoming.window = slot;
            }
            let position = slot.0.wrapping_sub(incoming.window.0) as u8;
            Arrival::InSlot { object, position }
        }
        None => Arrival::Unwrapped,
    };
    if let Some(register) = incoming.caps.get_mut(at) {
        *register = u64::from(badge) | u64::from(rights.bits()) << 32;
    }
    incoming.arrivals |= u64::from(arrival.encode()) << (16 * at);
}
