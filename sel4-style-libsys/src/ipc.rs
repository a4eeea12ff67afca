//! Messages: sending, receiving, replying, signalling, sleeping.
//!
//! A [`Message`] is what goes in, a [`Received`] what comes out, a [`Wait`] how
//! to wait for it. All of it is plain data that the optimiser keeps in
//! registers: a call of two words without capabilities compiles to the moves
//! that fill x0–x10 and one `svc`.

use gritos_abi::message::{Arrival, DATA_WORDS, Kind};
use gritos_abi::{Address, CapsIn, Control, ObjectType, Rights, Syscall};

use crate::cap::{Any, Cap, Endpoint, Mask, Notification, Object, Reply, require};
use crate::error::{Error, Operation};
use crate::invoke::padded;
use crate::raw::{RawCalls, Request, Returned, kernel};

/// A message to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    tag: u64,
    words: [u64; DATA_WORDS],
    word_count: u32,
    caps: CapsIn,
    cap_count: u32,
    moved: u32,
}

impl Message {
    /// An empty message with this tag.
    #[must_use]
    #[inline(always)]
    pub const fn new(tag: u64) -> Self {
        Self::with(tag, [])
    }

    /// A message of these words.
    #[must_use]
    #[inline(always)]
    pub const fn with<const N: usize>(tag: u64, words: [u64; N]) -> Self {
        const { assert!(N <= DATA_WORDS, "eight words fit in one message") };
        Self {
            tag,
            words: padded(words),
            word_count: N as u32,
            caps: CapsIn {
                slots: [0; 4],
                badges: [0; 2],
            },
            cap_count: 0,
            moved: 0,
        }
    }

    /// Adds a copy of a capability, with at most the rights of `mask`. A fifth
    /// capability makes the call fail with `InvalidArgument`.
    #[must_use]
    #[inline(always)]
    pub const fn copy<T, const R: u32>(self, cap: Cap<T, R>, mask: Mask) -> Self {
        self.mint(cap, mask, 0)
    }

    /// Adds a copy of a capability and gives the copy its badge.
    #[must_use]
    #[inline(always)]
    pub const fn mint<T, const R: u32>(mut self, cap: Cap<T, R>, mask: Mask, badge: u32) -> Self {
        if self.cap_count < 4 {
            let slot = self.cap_count as usize;
            self.caps = self.caps.with(slot, cap.address(), mask.bits(), badge);
        }
        self.cap_count += 1;
        self
    }

    /// Adds a capability that leaves the sender's slot, with its rights and its
    /// badge.
    #[must_use]
    #[inline(always)]
    pub const fn give<T, const R: u32>(mut self, cap: Cap<T, R>) -> Self {
        if self.cap_count < 4 {
            self.moved |= 1 << self.cap_count;
        }
        self.copy(cap, Mask::AS_HELD)
    }

    #[inline(always)]
    const fn control(&self) -> Control {
        Control::words(self.word_count).with_caps(self.cap_count, self.moved)
    }
}

/// How to wait: until when, and where capabilities may be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    deadline: Option<u64>,
    window: (Address, u32),
}

impl Wait {
    /// Without end, and without room for capabilities.
    pub const FOREVER: Self = Self {
        deadline: None,
        window: (Address::NULL, 0),
    };

    /// Until the system counter reaches `ticks`.
    #[must_use]
    #[inline(always)]
    pub const fn until(ticks: u64) -> Self {
        Self::FOREVER.and_until(ticks)
    }

    /// With up to four empty slots for capabilities, the first at `first`.
    #[must_use]
    #[inline(always)]
    pub const fn window(first: Address, slots: u32) -> Self {
        Self::FOREVER.and_window(first, slots)
    }

    /// Until the system counter reaches `ticks`.
    #[must_use]
    #[inline(always)]
    pub const fn and_until(mut self, ticks: u64) -> Self {
        self.deadline = Some(ticks);
        self
    }

    /// With up to four empty slots for capabilities, the first at `first`.
    #[must_use]
    #[inline(always)]
    pub const fn and_window(mut self, first: Address, slots: u32) -> Self {
        self.window = (first, slots);
        self
    }

    #[inline(always)]
    const fn control(&self, control: Control) -> Control {
        let control = control.with_window(self.window.0, self.window.1);
        match self.deadline {
            Some(_) => control.with_deadline(),
            None => control,
        }
    }
}

/// A capability that came with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It lies in a slot of the window.
    InSlot {
        /// Type of its object.
        object: ObjectType,
        /// Position in the window.
        position: u8,
        /// Its rights.
        rights: Rights,
        /// Its badge.
        badge: u32,
    },
    /// It is one of the receiver's own: badge and rights say which.
    Unwrapped {
        /// Its badge.
        badge: u32,
        /// Its rights.
        rights: Rights,
    },
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received(Returned);

impl Received {
    /// What came; `Err` with the number for a kind this library does not know.
    ///
    /// # Errors
    /// The raw number of an unknown kind.
    #[inline(always)]
    pub const fn kind(&self) -> Result<Kind, u8> {
        self.0.outcome.kind()
    }

    /// Whether it is of this kind.
    #[must_use]
    #[inline(always)]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind() == Ok(kind)
    }

    /// The tag.
    #[must_use]
    #[inline(always)]
    pub const fn tag(&self) -> u64 {
        self.0.tag
    }

    /// All eight words; those beyond what the sender declared are what its
    /// registers held, zero from senders that use this library.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u64; DATA_WORDS] {
        self.0.words
    }

    /// How many words the sender declared.
    #[must_use]
    #[inline(always)]
    pub const fn word_count(&self) -> u32 {
        self.0.outcome.word_count()
    }

    /// Badge of the capability that the sender used.
    #[must_use]
    #[inline(always)]
    pub const fn badge(&self) -> u32 {
        self.0.sender as u32
    }

    /// Rights of the capability that the sender used.
    #[must_use]
    #[inline(always)]
    pub const fn rights(&self) -> Rights {
        Rights::from_bits_retain((self.0.sender >> 32) as u32)
    }

    /// How many capabilities came.
    #[must_use]
    #[inline(always)]
    pub const fn cap_count(&self) -> u32 {
        self.0.outcome.cap_count()
    }

    /// The capability in slot `slot` of the message.
    #[must_use]
    pub fn cap(&self, slot: usize) -> Option<Carried> {
        let word = *self.0.caps.get(slot)?;
        let (badge, rights) = (word as u32, Rights::from_bits_retain((word >> 32) as u32));
        match Arrival::of_slot(self.0.arrivals, slot) {
            Arrival::None => None,
            Arrival::InSlot { object, position } => Some(Carried::InSlot {
                object,
                position,
                rights,
                badge,
            }),
            Arrival::Unwrapped => Some(Carried::Unwrapped { badge, rights }),
        }
    }

    /// The capability in slot `slot`, if it is a `T` that lies in the window
    /// that begins at `first`.
    #[must_use]
    pub fn taken<T: Object>(&self, slot: usize, first: Address) -> Option<Cap<T>> {
        match self.cap(slot)? {
            Carried::InSlot {
                object, position, ..
            } if object == T::TYPE => Some(Cap::at(Address(first.0 + u32::from(position)))),
            _ => None,
        }
    }

    /// The registers themselves.
    #[must_use]
    #[inline(always)]
    pub const fn registers(&self) -> &Returned {
        &self.0
    }
}

#[inline(always)]
fn issue(
    call: Syscall,
    target: Address,
    reply: Address,
    message: &Message,
    wait: &Wait,
) -> Result<Received, Error> {
    let control = wait.control(message.control());
    let request = Request::new(target, message.tag, message.words, control).with_reply(reply);
    let returned = if message.cap_count == 0 && wait.deadline.is_none() {
        kernel().short(call, request)
    } else {
        kernel().full(call, request, message.caps, wait.deadline.unwrap_or(0))
    };
    if returned.outcome.is_ok() {
        Ok(Received(returned))
    } else {
        Err(Error::new(returned.outcome, Operation::Message(call)))
    }
}

const NOTHING: Message = Message::new(0);

#[inline(always)]
const fn address_of(reply: Option<Cap<Reply>>) -> Address {
    match reply {
        Some(reply) => reply.address(),
        None => Address::NULL,
    }
}

impl<const R: u32> Cap<Endpoint, R> {
    /// Sends and waits for the reply.
    ///
    /// # Errors
    /// `ServerDied`, `Deleted`, `TimedOut`, `Aborted`, the transfer errors with
    /// the slot at fault, `MissingRight`.
    #[inline(always)]
    pub fn call(self, message: &Message, wait: &Wait) -> Result<Received, Error> {
        require!(R, SEND);
        issue(Syscall::Call, self.address(), Address::NULL, message, wait)
    }

    /// Delivers to a receiver that waits now, or fails.
    ///
    /// # Errors
    /// `WouldBlock`, `PassiveReceiver`, the transfer errors, `MissingRight`.
    #[inline(always)]
    pub fn send(self, message: &Message) -> Result<(), Error> {
        require!(R, SEND);
        issue(
            Syscall::SendAsync,
            self.address(),
            Address::NULL,
            message,
            &Wait::FOREVER,
        )?;
        Ok(())
    }

    /// Waits for a message; a Call arms `reply`. Without one, Calls stay
    /// queued.
    ///
    /// # Errors
    /// `ReplyInUse`, `TimedOut`, `Deleted`, `Aborted`, `MissingRight`.
    #[inline(always)]
    pub fn recv(self, reply: Option<Cap<Reply>>, wait: &Wait) -> Result<Received, Error> {
        require!(R, RECV);
        let reply = address_of(reply);
        issue(Syscall::Recv, self.address(), reply, &NOTHING, wait)
    }

    /// Takes a message if there is one.
    ///
    /// # Errors
    /// `WouldBlock`, `ReplyInUse`, `MissingRight`.
    #[inline(always)]
    pub fn poll(self, reply: Option<Cap<Reply>>, wait: &Wait) -> Result<Received, Error> {
        require!(R, RECV);
        let reply = address_of(reply);
        issue(Syscall::Poll, self.address(), reply, &NOTHING, wait)
    }

    /// Answers with `message`, then waits with the same Reply.
    ///
    /// # Errors
    /// Those of [`Cap::<Reply>::reply`], after which nothing was received, and
    /// those of [`recv`](Self::recv).
    #[inline(always)]
    pub fn reply_recv(
        self,
        reply: Cap<Reply>,
        message: &Message,
        wait: &Wait,
    ) -> Result<Received, Error> {
        require!(R, RECV);
        issue(
            Syscall::ReplyRecv,
            self.address(),
            reply.address(),
            message,
            wait,
        )
    }
}

impl<const R: u32> Cap<Reply, R> {
    /// Answers the caller that this Reply stands for. After an error it still
    /// stands for it.
    ///
    /// # Errors
    /// `ReplySpent`, the transfer errors, `MissingRight`.
    #[inline(always)]
    pub fn reply(self, message: &Message) -> Result<(), Error> {
        require!(R, RECV);
        issue(
            Syscall::Reply,
            Address::NULL,
            self.address(),
            message,
            &Wait::FOREVER,
        )?;
        Ok(())
    }
}

impl<const R: u32> Cap<Notification, R> {
    /// Sets the bits of the capability's badge, or `bits` if it has none.
    ///
    /// # Errors
    /// `MissingRight`, `EmptySlot`.
    #[inline(always)]
    pub fn signal(self, bits: u64) -> Result<(), Error> {
        require!(R, SEND);
        let message = Message::with(0, [bits]);
        issue(
            Syscall::SendAsync,
            self.address(),
            Address::NULL,
            &message,
            &Wait::FOREVER,
        )?;
        Ok(())
    }

    /// Waits until bits are set, and takes them.
    ///
    /// # Errors
    /// `TimedOut`, `Deleted`, `Aborted`, `MissingRight`.
    #[inline(always)]
    pub fn wait(self, wait: &Wait) -> Result<u64, Error> {
        require!(R, RECV);
        let received = issue(Syscall::Recv, self.address(), Address::NULL, &NOTHING, wait)?;
        Ok(received.words()[0])
    }

    /// Takes the bits that are set.
    ///
    /// # Errors
    /// `WouldBlock` if there are none, `MissingRight`.
    #[inline(always)]
    pub fn poll(self) -> Result<u64, Error> {
        require!(R, RECV);
        let received = issue(
            Syscall::Poll,
            self.address(),
            Address::NULL,
            &NOTHING,
            &Wait::FOREVER,
        )?;
        Ok(received.words()[0])
    }
}

impl Cap<Any> {
    /// `SendAsync`, whatever the object: the kernel finds out.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn send_any(self, message: &Message) -> Result<Received, Error> {
        issue(
            Syscall::SendAsync,
            self.address(),
            Address::NULL,
            message,
            &Wait::FOREVER,
        )
    }

    /// `Call`, whatever the object: the kernel finds out.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn call_any(self, message: &Message, wait: &Wait) -> Result<Received, Error> {
        issue(Syscall::Call, self.address(), Address::NULL, message, wait)
    }

    /// `Poll`, whatever the object: the kernel finds out.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn poll_any(self, reply: Option<Cap<Reply>>) -> Result<Received, Error> {
        issue(
            Syscall::Poll,
            self.address(),
            address_of(reply),
            &NOTHING,
            &Wait::FOREVER,
        )
    }
}

/// Sleeps until the system counter reaches `ticks`.
///
/// # Errors
/// `Aborted`, if somebody suspended and resumed the thread meanwhile.
pub fn sleep_until(ticks: u64) -> Result<(), Error> {
    use gritos_abi::Status;
    match issue(
        Syscall::Recv,
        Address::NULL,
        Address::NULL,
        &NOTHING,
        &Wait::until(ticks),
    ) {
        Err(error) if error.is(Status::TimedOut) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Lets the other ready threads of the same priority run first.
#[inline(always)]
pub fn yield_now() {
    kernel().short(Syscall::Yield, Request::default());
}
