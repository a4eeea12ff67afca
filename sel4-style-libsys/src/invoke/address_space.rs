//! AddressSpace, and the authority to give it its ASID.

use gritos_abi::method::{AddressSpace as Method, AsidControl as Control};

use super::Argument;
use crate::cap::{AddressSpace, AsidControl, Cap, Untyped, require};
use crate::error::Error;

/// State of an AddressSpace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpaceInfo {
    /// Its ASID; 0 before one is assigned.
    pub asid: u64,
    /// Bytes left for translation tables.
    pub table_bytes_left: u64,
    /// Translation tables in use.
    pub tables: u64,
}

impl<const R: u32> Cap<AddressSpace, R> {
    /// Moves `untyped` into the AddressSpace as memory for its tables, for as
    /// long as the AddressSpace lives.
    ///
    /// # Errors
    /// `WrongType`, `MissingRight`, `DeviceMemory`, `InvalidState` (the
    /// Untyped has children).
    pub fn donate(self, untyped: Cap<Untyped>) -> Result<(), Error> {
        require!(R, MANAGE);
        self.invoke_with(Method::Donate as u64, [], [Argument::new(untyped)])?;
        Ok(())
    }

    /// ASID and table memory.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn info(self) -> Result<AddressSpaceInfo, Error> {
        require!(R, READ);
        let words = self.invoke(Method::Info as u64, [])?;
        Ok(AddressSpaceInfo {
            asid: words[0],
            table_bytes_left: words[1],
            tables: words[2],
        })
    }
}

impl<const R: u32> Cap<AsidControl, R> {
    /// Gives `space` its ASID; without one no thread can run in it.
    ///
    /// # Errors
    /// `NoAsid`, `AlreadyBound`, `WrongType`, `MissingRight`.
    pub fn assign(self, space: Cap<AddressSpace>) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke_with(Control::Assign as u64, [], [Argument::new(space)])?;
        Ok(())
    }
}
