//! What programs and tools alone need: writing what goes into the kernel, and
//! reading what comes out.

use super::{Arrival, CapsIn, Control, Kind, Outcome};
use crate::cap::{Address, ObjectType};
use crate::status::Status;

impl Control {
    /// A message of `words` data words (0–8) and nothing else.
    #[must_use]
    pub const fn words(words: u32) -> Self {
        Self((words & 0xf) as u64)
    }

    /// Adds `caps` capabilities (0–4); bit i of `moved` moves slot i instead of
    /// copying it.
    #[must_use]
    pub const fn with_caps(self, caps: u32, moved: u32) -> Self {
        Self(self.0 & !0x7f0 | ((caps & 7) as u64) << 4 | ((moved & 0xf) as u64) << 7)
    }

    /// Adds a receive window of `slots` (0–7) slots that starts at `first`.
    #[must_use]
    pub const fn with_window(self, first: Address, slots: u32) -> Self {
        Self(self.0 & 0xffff_c7ff | ((slots & 7) as u64) << 11 | (first.0 as u64) << 32)
    }

    /// Says that x17 holds a deadline.
    #[must_use]
    pub const fn with_deadline(self) -> Self {
        Self(self.0 | Self::DEADLINE)
    }
}

impl CapsIn {
    /// Fills slot `i`.
    #[must_use]
    pub const fn with(mut self, i: usize, source: Address, mask: u32, badge: u32) -> Self {
        self.slots[i] = source.0 as u64 | (mask as u64) << 32;
        let shift = 32 * (i as u32 % 2);
        let keep = self.badges[i / 2] & !(0xffff_ffff << shift);
        self.badges[i / 2] = keep | (badge as u64) << shift;
        self
    }
}

impl Kind {
    /// Decodes the number of a kind.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Call,
            1 => Self::OneWay,
            2 => Self::Notification,
            3 => Self::Fault,
            4 => Self::Reply,
            _ => return None,
        })
    }
}

impl Outcome {
    /// The kernel's status; a number this crate does not know stays a number.
    ///
    /// # Errors
    /// The raw number, when it is not a [`Status`].
    pub const fn status(self) -> Result<Status, u8> {
        match Status::from_number(self.0 as u8) {
            Some(status) => Ok(status),
            None => Err(self.0 as u8),
        }
    }

    /// Number of data words the sender declared.
    #[must_use]
    pub const fn word_count(self) -> u32 {
        (self.0 >> 8 & 0xf) as u32
    }

    /// Number of capabilities that came.
    #[must_use]
    pub const fn cap_count(self) -> u32 {
        (self.0 >> 12 & 7) as u32
    }

    /// The capability slot at fault, if the status blames one.
    #[must_use]
    pub const fn fault_slot(self) -> u32 {
        (self.0 >> 15 & 7) as u32
    }

    /// What arrived.
    ///
    /// # Errors
    /// The raw number, when it is not a [`Kind`].
    pub const fn kind(self) -> Result<Kind, u8> {
        let number = (self.0 >> 18 & 7) as u8;
        match Kind::from_number(number) {
            Some(kind) => Ok(kind),
            None => Err(number),
        }
    }
}

impl Arrival {
    /// Decodes the 16 bits of one slot; anything the kernel never writes reads
    /// as [`Arrival::None`].
    #[must_use]
    pub const fn decode(bits: u16) -> Self {
        match (bits >> 8 & 3, ObjectType::from_number(bits as u8)) {
            (1, Some(object)) => Self::InSlot {
                object,
                position: (bits >> 10 & 7) as u8,
            },
            (2, Some(ObjectType::Endpoint)) => Self::Unwrapped,
            _ => Self::None,
        }
    }

    /// The arrival of slot `i` from x15.
    #[must_use]
    pub const fn of_slot(x15: u64, i: usize) -> Self {
        Self::decode((x15 >> (16 * i as u32)) as u16)
    }
}
