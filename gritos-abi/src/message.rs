//! The message in registers, into the kernel and out of it.
//!
//! | register | into the kernel |
//! |---|---|
//! | x0–x7 | data words MR0–MR7 |
//! | x8 | `[31:0]` address of the capability invoked; `[63:32]` address of the Reply |
//! | x9 | tag |
//! | x10 | [`Control`] |
//! | x11–x14 | capability slot 0–3: `[31:0]` source address, `[63:32]` rights mask |
//! | x15, x16 | badges for slots 0, 1 and 2, 3 |
//! | x17 | absolute deadline in counter ticks (CNTVCT), read only if the control says so |
//!
//! | register | out of the kernel |
//! |---|---|
//! | x0–x7 | data words as the sender left them; of a notification: x0 = bits |
//! | x8 | badge `[31:0]` and rights `[63:32]` of the capability the sender used |
//! | x9 | tag |
//! | x10 | [`Outcome`] |
//! | x11–x14 | slot i: badge `[31:0]`, rights `[63:32]` |
//! | x15 | [`Arrival`] of each slot, 16 bits each |
//! | x16, x17 | zero |

use crate::cap::{Address, ObjectType};
use crate::status::Status;

#[cfg(feature = "user")]
mod user;

/// Data words in a message (N of the message structure).
pub const DATA_WORDS: usize = 8;
/// Capability slots in a message (M of the message structure).
pub const CAP_SLOTS: usize = 4;

/// The control word, x10 on the way into the kernel.
///
/// ```text
/// 63           32 31    15 14 13  11 10   7 6  4 3   0
/// +--------------+--------+--+------+------+----+-----+
/// | first window |  zero  |D | wins | move |caps|words|
/// +--------------+--------+--+------+------+----+-----+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Control(pub u64);

impl Control {
    /// Bit that says that x17 holds a deadline.
    pub const DEADLINE: u64 = 1 << 14;
    /// Bits that must be zero.
    pub const RESERVED: u64 = 0xffff_8000;

    /// Number of data words, 0–15 as found; more than 8 is refused.
    #[must_use]
    pub const fn word_count(self) -> u32 {
        (self.0 & 0xf) as u32
    }

    /// Number of capabilities, 0–7 as found; more than 4 is refused.
    #[must_use]
    pub const fn cap_count(self) -> u32 {
        (self.0 >> 4 & 7) as u32
    }

    /// Which slots move.
    #[must_use]
    pub const fn move_mask(self) -> u32 {
        (self.0 >> 7 & 0xf) as u32
    }

    /// Number of window slots, 0–7; a message fills at most 4.
    #[must_use]
    pub const fn window_count(self) -> u32 {
        (self.0 >> 11 & 7) as u32
    }

    /// Address of the first window slot.
    #[must_use]
    pub const fn window_first(self) -> Address {
        Address((self.0 >> 32) as u32)
    }

    /// Whether x17 holds a deadline.
    #[must_use]
    pub const fn has_deadline(self) -> bool {
        self.0 & Self::DEADLINE != 0
    }

    /// Whether every field is within its range and the reserved bits are zero.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.word_count() <= 8 && self.cap_count() <= 4 && self.0 & Self::RESERVED == 0
    }
}

/// The capability registers x11–x16 of a message into the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapsIn {
    /// x11–x14: source address and rights mask of each slot.
    pub slots: [u64; CAP_SLOTS],
    /// x15, x16: badges of slots 0, 1 and of 2, 3.
    pub badges: [u64; 2],
}

impl CapsIn {
    /// Source address of slot `i`.
    #[must_use]
    pub const fn source(&self, i: usize) -> Address {
        Address(self.slots[i] as u32)
    }

    /// Rights mask of slot `i`; 0 means as held.
    #[must_use]
    pub const fn rights_mask(&self, i: usize) -> u32 {
        (self.slots[i] >> 32) as u32
    }

    /// Badge for slot `i`; 0 means none.
    #[must_use]
    pub const fn badge(&self, i: usize) -> u32 {
        (self.badges[i / 2] >> (32 * (i as u32 % 2))) as u32
    }
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A message whose sender waits for a reply.
    Call = 0,
    /// A message without a reply.
    OneWay = 1,
    /// Bits of a notification.
    Notification = 2,
    /// A fault of a thread.
    Fault = 3,
    /// The reply to a Call, or the result of a method.
    Reply = 4,
}

/// The outcome word, x10 on the way out of the kernel.
///
/// ```text
/// 63        21 20  18 17   15 14  12 11    8 7      0
/// +-----------+------+-------+------+-------+--------+
/// |     0     | kind | fault | caps | words | status |
/// +-----------+------+-------+------+-------+--------+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Outcome(pub u64);

impl Outcome {
    /// A message of `kind` with `words` data words and `caps` capabilities.
    #[must_use]
    pub const fn message(kind: Kind, words: u32, caps: u32) -> Self {
        Self((kind as u64) << 18 | ((caps & 7) as u64) << 12 | ((words & 0xf) as u64) << 8)
    }

    /// A failure that no single capability slot is to blame for.
    #[must_use]
    pub const fn error(status: Status) -> Self {
        Self(status as u64)
    }

    /// A failure of capability slot `slot`.
    #[must_use]
    pub const fn slot_error(status: Status, slot: u32) -> Self {
        Self(status as u64 | ((slot & 7) as u64) << 15)
    }

    /// Whether the kernel did what was asked.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 as u8 == 0
    }
}

/// How a capability slot of a message arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// Nothing came in this slot.
    None,
    /// A capability lies at this position of the receive window.
    InSlot {
        /// Type of the object.
        object: ObjectType,
        /// Position in the window, 0–3.
        position: u8,
    },
    /// The capability names the endpoint that the message came through: only
    /// its badge and rights were delivered.
    Unwrapped,
}

impl Arrival {
    const IN_SLOT: u16 = 1 << 8;
    const UNWRAPPED: u16 = 2 << 8;

    /// The 16 bits of one slot: `[7:0]` object type, `[9:8]` how, `[12:10]`
    /// position in the window.
    #[must_use]
    pub const fn encode(self) -> u16 {
        match self {
            Self::None => 0,
            Self::InSlot { object, position } => {
                object as u16 | Self::IN_SLOT | (position as u16 & 7) << 10
            }
            Self::Unwrapped => ObjectType::Endpoint as u16 | Self::UNWRAPPED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, CapsIn, Control, Kind, Outcome};
    use crate::cap::{Address, ObjectType};
    use crate::status::Status;

    #[test]
    fn control_fields_do_not_overlap() {
        let c = Control::words(8)
            .with_caps(4, 0b1010)
            .with_window(Address::nested(0xffff, 0xffff), 4)
            .with_deadline();
        assert_eq!(
            (c.word_count(), c.cap_count(), c.move_mask()),
            (8, 4, 0b1010)
        );
        assert_eq!((c.window_count(), c.window_first().0), (4, u32::MAX));
        assert!(c.has_deadline() && c.is_valid());
        for bad in [9, 5 << 4, 1 << 15, 1 << 31] {
            assert!(!Control(bad).is_valid(), "{bad:#x}");
        }
    }

    #[test]
    fn outcome_fields_do_not_overlap() {
        let o = Outcome::message(Kind::Reply, 8, 4);
        assert_eq!(
            (o.word_count(), o.cap_count(), o.kind()),
            (8, 4, Ok(Kind::Reply))
        );
        assert!(o.is_ok());
        let e = Outcome::slot_error(Status::NoGrant, 3);
        assert_eq!((e.status(), e.fault_slot()), (Ok(Status::NoGrant), 3));
        assert_eq!(Outcome(0xff).status(), Err(0xff));
    }

    #[test]
    fn caps_in_keeps_four_slots_apart() {
        let caps = (0..4).fold(CapsIn::default(), |caps, i| {
            caps.with(
                i,
                Address(i as u32 + 1),
                0x80 + i as u32,
                0x9000_0000 + i as u32,
            )
        });
        for i in 0..4 {
            assert_eq!(caps.source(i), Address(i as u32 + 1));
            assert_eq!(caps.rights_mask(i), 0x80 + i as u32);
            assert_eq!(caps.badge(i), 0x9000_0000 + i as u32);
        }
    }

    #[test]
    fn arrivals_round_trip() {
        for object in &ObjectType::ALL[1..] {
            for position in 0..4 {
                let a = Arrival::InSlot {
                    object: *object,
                    position,
                };
                assert_eq!(Arrival::decode(a.encode()), a);
            }
        }
        assert_eq!(
            Arrival::decode(Arrival::Unwrapped.encode()),
            Arrival::Unwrapped
        );
        assert_eq!(Arrival::decode(0), Arrival::None);
    }
}
