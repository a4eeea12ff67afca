//! Messages with one mistake, beside the same without it.

use gritos_idl_runtime::{Address, CapSlot, Outgoing, Rights, Transport, WireError, Words};

use crate::Given;

/// Tags from here on are refusals, of which each is a [`WireError`].
pub(crate) const REFUSALS: u64 = 0xffff_ff00;

/// A message by itself: what a stub would send, or would not.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Which capability is called.
    pub target: fn(&Given) -> Address,
    /// Ordinal of the method.
    pub tag: u64,
    /// Words.
    pub words: Words,
    /// How many of them are sent.
    pub count: u32,
    /// Capabilities.
    pub carries: Carries,
}

/// Capabilities of a message: slots and rights.
#[derive(Clone, Copy, Debug)]
pub enum Carries {
    /// None.
    Nothing,
    /// One.
    One(fn(&Given) -> (Address, Rights)),
    /// Two.
    Two(fn(&Given) -> [(Address, Rights); 2]),
    /// Three.
    Three(fn(&Given) -> [(Address, Rights); 3]),
}

/// A good message, a bad one, and what answers the bad one.
#[derive(Clone, Copy, Debug)]
pub struct Malformed {
    /// What is wrong with it.
    pub name: &'static str,
    /// Accepted.
    pub good: Message,
    /// Refused.
    pub bad: Message,
    /// The refusal.
    pub error: WireError,
}

impl Message {
    /// Sends it; the tag of the answer, or all ones if there is none.
    pub(crate) fn send<T: Transport>(&self, given: &Given, transport: &mut T) -> u64 {
        match self.carries {
            Carries::Nothing => self.send_with(given, transport, []),
            Carries::One(caps) => self.send_with(given, transport, [caps(given)]),
            Carries::Two(caps) => self.send_with(given, transport, caps(given)),
            Carries::Three(caps) => self.send_with(given, transport, caps(given)),
        }
    }

    fn send_with<T: Transport, const CAPS: usize>(
        &self,
        given: &Given,
        transport: &mut T,
        caps: [(Address, Rights); CAPS],
    ) -> u64 {
        let caps = caps.map(|(source, rights)| CapSlot {
            source,
            rights,
            badge: 0,
            moved: false,
        });
        let message = Outgoing::with_caps(self.tag, self.words, self.count, caps);
        let reply = transport.call::<CAPS, 1>((self.target)(given), message, None);
        if !reply.outcome.is_ok() {
            return u64::MAX;
        }
        // A capability that the good ones bring is of no use here.
        transport.discard(&reply);
        reply.tag
    }

    const fn new(tag: u64, words: Words, count: u32) -> Self {
        Self {
            target: |given| given.session,
            tag,
            words,
            count,
            carries: Carries::Nothing,
        }
    }

    const fn carrying(self, carries: Carries) -> Self {
        Self { carries, ..self }
    }

    const fn to(self, target: fn(&Given) -> Address) -> Self {
        Self { target, ..self }
    }
}

const TWO: u64 = 1;
const SCALARS: u64 = 0xec9c_2dd0;
const TEXT: u64 = 0xb71a_91be;
const SHAPE: u64 = 0x8a02_b51a;
const RECORD: u64 = 0xf96e_a533;
const GIVE: u64 = 0xf686_dbe5;
const MAYBE: u64 = 0xb02e_4db3;
const TRANSFER: u64 = 0xa721_ed10;
const CHANGE: u64 = 77;

const fn two(count: u32) -> Message {
    Message::new(TWO, [1, 2, 0, 0, 0, 0, 0, 0], count)
}

/// Bytes of the fourth word: a, e (bool), f (enum), h (flags), j.
const fn scalars(last: u64) -> Message {
    Message::new(SCALARS, [4, 1 << 40, 3, last, 0, 0, 0, 0], 4)
}

/// A text of these bytes, its length first, and no bytes.
const fn text(first: u64) -> Message {
    Message::new(TEXT, [first, 0, 0, 0, 0, 0, 0, 0], 7)
}

const fn shape(which: u64) -> Message {
    Message::new(SHAPE, [which, 77, 0, 0, 0, 0, 0, 0], 4)
}

/// A record without name and mode, whose points have this colour.
const fn record(colour: u64) -> Message {
    let words = [0, 0, colour << 16, colour << 16, 0, 0, 0, 0];
    Message::new(RECORD, words, 5)
}

const fn change() -> Message {
    Message::new(CHANGE, [1, 0, 0, 0, 0, 0, 0, 0], 1).to(|given| given.thing)
}

const READ_MAP: Rights = Rights::READ.union(Rights::MAP);
const HELD: Rights = Rights::AS_HELD;

const GIVES: Carries = Carries::Two(|given| [(given.thing, HELD), (given.memory, READ_MAP)]);
const SIGNALS: Carries = Carries::One(|given| (given.signal, Rights::SEND));
const BUFFERS: Carries = Carries::Three(|given| [(given.buffer, HELD); 3]);

const fn give() -> Message {
    Message::new(GIVE, [0; 8], 0).carrying(GIVES)
}

const fn maybe() -> Message {
    Message::new(MAYBE, [0; 8], 0).carrying(SIGNALS)
}

const fn transfer(offset: u64) -> Message {
    Message::new(TRANSFER, [offset, 1, 0, 1, 0, 1, 0, 0], 7).carrying(BUFFERS)
}

macro_rules! malformed {
    ($($name:literal: $good:expr => $bad:expr, $error:ident;)*) => {
        /// The cases.
        pub const MALFORMED: &[Malformed] = &[$(Malformed {
            name: $name,
            good: $good,
            bad: $bad,
            error: WireError::$error,
        }),*];
    };
}

malformed! {
    "a tag that no method has": two(2) => Message { tag: 2, ..two(2) }, UnknownMethod;
    "a tag with bits above an ordinal": two(2) => Message { tag: 1 << 32 | TWO, ..two(2) }, UnknownMethod;
    "too few words": two(2) => two(1), WrongShape;
    "too many words": two(2) => two(3), WrongShape;
    "a capability too many": two(2) => two(2).carrying(SIGNALS), WrongShape;
    "a capability too few": give() => give().carrying(SIGNALS), WrongShape;
    "a bool that is 2": scalars(0x01_0000) => scalars(0x01_0200), BadBool;
    "an enum value that is not listed": scalars(0x01_0000) => scalars(0x63_0000), BadEnum;
    "a stray flag": scalars(0x0301_0000) => scalars(0x0701_0000), BadFlags;
    "an enum value in a struct in an array": record(1) => record(3), BadEnum;
    "an over-long text": text(40) => text(41), BadLength;
    "a text that is not UTF-8": text(0x009f_c302) => text(0x00ff_c302), BadText;
    "a text that ends within a character": text(0x009f_c302) => text(0x009f_c301), BadText;
    "a variant that is not listed": shape(9) => shape(3), BadEnum;
    "memory in the place of an endpoint":
        give() => give().carrying(Carries::Two(|given| [(given.memory, READ_MAP); 2])), BadCap;
    "an endpoint in the place of memory":
        give() => give().carrying(Carries::Two(|given| [(given.thing, HELD), (given.foreign, HELD)])), BadCap;
    "an object of the server in the place of memory":
        give() => give().carrying(Carries::Two(|given| [(given.thing, HELD), (given.thing, HELD)])), BadCap;
    "memory without the right to map it":
        give() => give().carrying(Carries::Two(|given| [(given.thing, HELD), (given.memory, Rights::READ)])), BadCapRights;
    "an object without the server right":
        give() => give().carrying(Carries::Two(|given| [(given.thing_to_look_at, HELD), (given.memory, READ_MAP)])), BadCapRights;
    "memory in the place of a notification":
        maybe() => maybe().carrying(Carries::One(|given| (given.memory, READ_MAP))), BadCap;
    "a buffer that ends beyond 64 bits": transfer(0) => transfer(u64::MAX), BadLength;
    "a buffer that may not be written":
        transfer(0) => transfer(0).carrying(Carries::Three(|given| {
            [(given.buffer, HELD), (given.buffer_to_read, HELD), (given.buffer, HELD)]
        })), BadCapRights;
    "memory that may not be read, as a buffer to read":
        transfer(0) => transfer(0).carrying(Carries::Three(|given| {
            let blind = Rights::WRITE.union(Rights::MAP);
            [(given.memory, blind), (given.buffer, HELD), (given.buffer, HELD)]
        })), BadCapRights;
    "a session in the place of a buffer":
        transfer(0) => transfer(0).carrying(Carries::Three(|given| {
            [(given.session, HELD), (given.buffer, HELD), (given.buffer, HELD)]
        })), BadCap;
    "a session where an object is called": change() => change().to(|given| given.session), WrongBadge;
    "an object without the right that the method needs":
        change() => change().to(|given| given.thing_to_look_at), MissingRight;
}
