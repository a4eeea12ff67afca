//! CNode: a table of slots. The destination of each method is an index of the
//! CNode invoked; sources are addresses in the caller's CSpace.

use gritos_abi::method::CNode as Method;
use gritos_abi::{ObjectType, Rights};

use super::Argument;
use crate::cap::{CNode, Cap, Mask, require};
use crate::error::Error;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Type of the object; `None` for a number this library does not know.
    pub object: Option<ObjectType>,
    /// Whether the capability records a mapping.
    pub mapped: bool,
    /// Whether others were derived from it.
    pub has_children: bool,
    /// Whether it is device memory.
    pub device: bool,
    /// Rights held.
    pub rights: Rights,
    /// Badge; 0 for none.
    pub badge: u32,
    /// Bytes of memory or slots of a CNode.
    pub size: u64,
}

impl<const R: u32> Cap<CNode, R> {
    /// Copies `source` into `index`, with at most the rights of `mask`.
    ///
    /// # Errors
    /// `SlotOccupied`, `RightsNotHeld`, `NotCopyable`, `OutOfRange`.
    pub fn copy<T, const S: u32>(
        self,
        index: u16,
        source: Cap<T, S>,
        mask: Mask,
    ) -> Result<(), Error> {
        require!(R, WRITE);
        let argument = Argument::derived(source, mask, 0);
        self.invoke_with(Method::Copy as u64, [u64::from(index)], [argument])?;
        Ok(())
    }

    /// Copies `source` into `index` and gives the copy its badge.
    ///
    /// # Errors
    /// As [`copy`](Self::copy), and `BadgeAlreadySet`, `NotBadgeable`.
    pub fn mint<T, const S: u32>(
        self,
        index: u16,
        source: Cap<T, S>,
        mask: Mask,
        badge: u32,
    ) -> Result<(), Error> {
        require!(R, WRITE);
        let argument = Argument::derived(source, mask, badge);
        self.invoke_with(Method::Mint as u64, [u64::from(index)], [argument])?;
        Ok(())
    }

    /// Moves `source` into `index`; its slot is empty afterwards.
    ///
    /// # Errors
    /// `SlotOccupied`, `EmptySlot`, `OutOfRange`.
    pub fn move_from<T, const S: u32>(self, index: u16, source: Cap<T, S>) -> Result<(), Error> {
        require!(R, WRITE);
        self.invoke_with(
            Method::Move as u64,
            [u64::from(index)],
            [Argument::new(source)],
        )?;
        Ok(())
    }

    /// Empties `index`. The last capability takes its object with it.
    ///
    /// # Errors
    /// `OutOfRange`, `MissingRight`.
    pub fn delete(self, index: u16) -> Result<(), Error> {
        require!(R, WRITE);
        self.invoke(Method::Delete as u64, [u64::from(index)])?;
        Ok(())
    }

    /// Deletes everything that was derived from the capability in `index`.
    ///
    /// # Errors
    /// `OutOfRange`, `EmptySlot`, `MissingRight`.
    pub fn revoke(self, index: u16) -> Result<(), Error> {
        require!(R, WRITE);
        self.invoke(Method::Revoke as u64, [u64::from(index)])?;
        Ok(())
    }

    /// Tells what lies in `index`.
    ///
    /// # Errors
    /// `OutOfRange`, `MissingRight`.
    pub fn inspect(self, index: u16) -> Result<Inspection, Error> {
        require!(R, READ);
        let words = self.invoke(Method::Inspect as u64, [u64::from(index)])?;
        Ok(Inspection {
            object: ObjectType::from_number(words[0] as u8),
            mapped: words[0] & 1 << 8 != 0,
            has_children: words[0] & 1 << 9 != 0,
            device: words[0] & 1 << 10 != 0,
            rights: Rights::from_bits_retain(words[1] as u32),
            badge: (words[1] >> 32) as u32,
            size: words[2],
        })
    }
}
