//! Messages as they lie in registers, and the two seams they pass through.

use crate::{
    Address, BadgeClass, Caller, Cap, EndpointCap, Kind, ObjectType, Outcome, Rights, Status,
    WireError, object::Object,
};
use gritos_abi::Arrival;

/// Data words in a message.
pub const WORDS: usize = 8;

/// MR0 to MR7. A message image is their bytes, little-endian.
pub type Words = [u64; WORDS];

/// A message to the kernel with room for `CAPS` capabilities.
///
/// `CAPS` is zero for most messages, and then nothing is spent on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<const CAPS: usize> {
    /// Data words; those beyond `word_count` are zero.
    pub words: Words,
    /// Ordinal of the method, or result of a reply.
    pub tag: u64,
    /// How many words count.
    pub word_count: u32,
    /// Capabilities.
    pub caps: [CapSlot; CAPS],
    /// How many capabilities count.
    pub cap_count: u32,
}

impl Outgoing<0> {
    /// A message without capabilities.
    #[inline(always)]
    #[must_use]
    pub const fn new(tag: u64, words: Words, word_count: u32) -> Self {
        Self {
            words,
            tag,
            word_count,
            caps: [],
            cap_count: 0,
        }
    }

    /// A reply that is an error of the protocol.
    #[inline(always)]
    #[must_use]
    pub const fn error(number: u32) -> Self {
        Self::new(number as u64, [0; WORDS], 0)
    }

    /// A reply that says that something was wrong with the message.
    #[must_use]
    pub const fn refusal(error: WireError) -> Self {
        Self::new(error.tag(), [0; WORDS], 0)
    }
}

impl<const CAPS: usize> Outgoing<CAPS> {
    /// A message whose capability slots are all used.
    #[inline(always)]
    #[must_use]
    pub const fn with_caps(tag: u64, words: Words, word_count: u32, caps: [CapSlot; CAPS]) -> Self {
        Self {
            words,
            tag,
            word_count,
            caps,
            cap_count: CAPS as u32,
        }
    }

    /// Leaves the last slot out if `present` is false.
    #[inline(always)]
    #[must_use]
    pub const fn last_cap_if(mut self, present: bool) -> Self {
        if !present {
            self.cap_count -= 1;
        }
        self
    }
}

/// One capability of a message to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSlot {
    /// Slot it is taken from.
    pub source: Address,
    /// Rights to send; none means as held.
    pub rights: Rights,
    /// Badge to set; 0 means none.
    pub badge: u32,
    /// Whether the sender loses it.
    pub moved: bool,
}

/// A message from the kernel, register by register: what a receiver got, or
/// what came back from a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// x0–x7.
    pub words: Words,
    /// x8: badge and rights of the capability that the sender used.
    pub sender: u64,
    /// x9: ordinal of the method, or result.
    pub tag: u64,
    /// x10: status, kind and counts.
    pub outcome: Outcome,
    /// x11–x14: badge and rights of each capability.
    pub caps: [u64; 4],
    /// x15: how each capability arrived.
    pub arrivals: u64,
    /// First slot of the window that was offered.
    pub window: Address,
}

/// Where an arrived capability is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this slot of the receiver.
    Slot {
        /// The slot.
        address: Address,
        /// Type of the object.
        object: ObjectType,
    },
    /// It names the endpoint that the message came through: only badge and
    /// rights were delivered.
    Unwrapped,
}

impl Incoming {
    /// A call that the kernel, or whoever stands for it, did not carry out.
    #[must_use]
    pub const fn failed(status: Status) -> Self {
        Self {
            words: [0; WORDS],
            sender: 0,
            tag: 0,
            outcome: Outcome::error(status),
            caps: [0; 4],
            arrivals: 0,
            window: Address::NULL,
        }
    }

    /// A request made of any bytes, for fuzzers: the first chooses among
    /// `ordinals`, the second counts words and capabilities, then come the
    /// registers; what is missing is zero.
    #[must_use]
    pub fn from_bytes(data: &[u8], ordinals: &[u32]) -> Self {
        let (head, rest) = data.split_at(data.len().min(2));
        let chosen = usize::from(head.first().copied().unwrap_or(0));
        let counts = u32::from(head.get(1).copied().unwrap_or(0));
        let mut registers = rest.chunks(8).map(|chunk| {
            let mut bytes = [0; 8];
            bytes
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(bytes)
        });
        let mut next = || registers.next().unwrap_or(0);
        // One number beyond the list stands for a tag that is no method's.
        let tag = ordinals
            .get(chosen % (ordinals.len() + 1))
            .map_or(0xdead, |tag| u64::from(*tag));
        let kind = if counts & 0x80 == 0 {
            Kind::Call
        } else {
            Kind::OneWay
        };
        Self {
            words: core::array::from_fn(|_| next()),
            sender: next(),
            tag,
            outcome: Outcome::message(kind, (counts & 0xf).min(8), (counts >> 4 & 7).min(4)),
            caps: core::array::from_fn(|_| next()),
            arrivals: next(),
            window: Address::root(0x100),
        }
    }

    /// Badge of the capability that the sender used.
    #[inline(always)]
    #[must_use]
    pub const fn badge(&self) -> u32 {
        self.sender as u32
    }

    /// Rights of the capability that the sender used.
    #[inline(always)]
    #[must_use]
    pub const fn rights(&self) -> Rights {
        Rights::from_bits_retain((self.sender >> 32) as u32)
    }

    /// Whether this is a message of exactly this kind and size: one comparison.
    #[inline(always)]
    #[must_use]
    pub const fn has_shape(&self, kind: Kind, words: u32, caps: u32) -> bool {
        self.outcome.0 == Outcome::message(kind, words, caps).0
    }

    /// Checks what every method checks first: kind and size of the message, class
    /// of the badge, rights of the server.
    ///
    /// # Errors
    /// [`WireError::WrongShape`], [`WireError::WrongBadge`] or
    /// [`WireError::MissingRight`].
    #[inline(always)]
    pub const fn admit(
        &self,
        kind: Kind,
        words: u32,
        caps: u32,
        class: BadgeClass,
        requires: Rights,
    ) -> Result<Caller, WireError> {
        if !self.has_shape(kind, words, caps) {
            return Err(WireError::WrongShape);
        }
        if !class.accepts(self.badge()) {
            return Err(WireError::WrongBadge);
        }
        if !self.rights().contains(requires) {
            return Err(WireError::MissingRight);
        }
        Ok(Caller {
            badge: self.badge(),
            rights: self.rights(),
        })
    }

    /// Whether the call failed because its server went away.
    #[inline(always)]
    #[must_use]
    pub const fn server_died(&self) -> bool {
        self.outcome.0 as u8 == Status::ServerDied as u8
    }

    /// Where capability `slot` is, with its badge and rights.
    ///
    /// # Errors
    /// [`WireError::BadCap`] if none arrived in that slot.
    #[inline]
    pub fn arrived(&self, slot: usize) -> Result<(Place, u32, Rights), WireError> {
        let Some(register) = self.caps.get(slot).copied() else {
            return Err(WireError::BadCap);
        };
        let rights = Rights::from_bits_retain((register >> 32) as u32);
        let place = match Arrival::of_slot(self.arrivals, slot) {
            Arrival::None => return Err(WireError::BadCap),
            Arrival::InSlot { object, position } => {
                let address = Address(self.window.0.wrapping_add(u32::from(position)));
                Place::Slot { address, object }
            }
            Arrival::Unwrapped => Place::Unwrapped,
        };
        Ok((place, register as u32, rights))
    }

    /// Capability `slot`, which must lie in the window, refer to a `K` and have
    /// at least `rights`.
    ///
    /// # Errors
    /// [`WireError::BadCap`] or [`WireError::BadCapRights`].
    #[inline]
    pub fn cap<K: Object>(&self, slot: usize, rights: Rights) -> Result<Cap<K>, WireError> {
        match self.arrived(slot)? {
            (Place::Slot { address, object }, _, held) if object == K::TYPE => {
                if held.contains(rights) {
                    Ok(Cap::with_rights(address, held))
                } else {
                    Err(WireError::BadCapRights)
                }
            }
            _ => Err(WireError::BadCap),
        }
    }

    /// Capability `slot`, to an endpoint where `K` is spoken: the receiver's own
    /// or a foreign one.
    ///
    /// # Errors
    /// [`WireError::BadCap`] or [`WireError::BadCapRights`].
    #[inline]
    pub fn endpoint_cap<K: Object>(
        &self,
        slot: usize,
        rights: Rights,
    ) -> Result<EndpointCap<K>, WireError> {
        let (place, badge, held) = self.arrived(slot)?;
        let foreign = match place {
            Place::Unwrapped => None,
            Place::Slot {
                address,
                object: ObjectType::Endpoint,
            } => Some(address),
            Place::Slot { .. } => return Err(WireError::BadCap),
        };
        if !held.contains(rights) {
            return Err(WireError::BadCapRights);
        }
        Ok(match foreign {
            None => EndpointCap::Own {
                badge,
                rights: held,
            },
            Some(address) => EndpointCap::Foreign(Cap::with_rights(address, held)),
        })
    }
}

/// What carries a client's messages: the kernel, or memory under test.
pub trait Transport {
    /// Sends a message and waits for the answer, for at most `timeout_ns`
    /// nanoseconds if given. Offers `WINDOW` empty slots for capabilities of
    /// the answer; [`Incoming::window`] says which they were.
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming;

    /// Sends a message that nobody answers, without waiting.
    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome;

    /// Deletes the capabilities of an answer that was refused.
    fn discard(&mut self, incoming: &Incoming);
}

impl<T: Transport> Transport for &mut T {
    #[inline(always)]
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        (**self).call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    #[inline(always)]
    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        (**self).send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        (**self).discard(incoming);
    }
}

/// A caller that waits: names the Reply with which it can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The Reply, or whatever the port knows it by.
    pub reply: Address,
    /// Tells one use of a Reply from the next.
    pub generation: u32,
}

/// Where a server receives and answers. It has a current Reply, which owes an
/// answer to the caller of the last message, and a pool of further ones.
pub trait ServerPort {
    /// Receives the next message. If the current Reply still owes an answer it
    /// is given up, and its caller told so.
    fn recv(&mut self) -> Incoming;

    /// Answers the current caller and receives the next message. If the answer
    /// cannot be delivered nothing changes and the failure comes back.
    fn reply_recv<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Incoming;

    /// The current caller's ticket, or `None` if no further Reply is left to
    /// receive with.
    fn ticket(&mut self) -> Option<Ticket>;

    /// Sets the current Reply aside, its ticket having been kept, and takes
    /// another from the pool.
    fn keep(&mut self);

    /// Answers a caller that was kept waiting; its Reply returns to the pool.
    ///
    /// # Errors
    /// What the kernel says; nothing has changed and the ticket is still good,
    /// except after [`Status::ReplySpent`]: then the caller is gone and the
    /// Reply has returned to the pool.
    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status>;

    /// Deletes the capabilities of a message that was refused.
    fn discard(&mut self, incoming: &Incoming);
}
