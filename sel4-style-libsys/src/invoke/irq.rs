//! Interrupts: the authority to make handlers, and the handler of one line.

use gritos_abi::method::{IrqControl as Control, IrqHandler as Method};

use super::Argument;
use crate::cap::{Cap, IrqControl, IrqHandler, Notification, require};
use crate::error::Error;
use crate::slots::Slot;

impl<const R: u32> Cap<IrqControl, R> {
    /// Makes the handler of the interrupt that the GIC numbers `interrupt`.
    ///
    /// # Errors
    /// `IrqUnavailable`, `SlotOccupied`, `MissingRight`.
    pub fn get(self, interrupt: u32, edge: bool, slot: Slot) -> Result<Cap<IrqHandler>, Error> {
        require!(R, CONTROL);
        let words = [
            u64::from(interrupt),
            u64::from(slot.index()),
            u64::from(edge),
        ];
        self.invoke_with(Control::Get as u64, words, [Argument::new(slot.cnode())])?;
        Ok(Cap::at(slot.address()))
    }
}

impl<const R: u32> Cap<IrqHandler, R> {
    /// Binds `notification`, whose badge gives the bits, and unmasks the line.
    /// With `acknowledge`, waiting on that notification acknowledges.
    ///
    /// # Errors
    /// `AlreadyBound`, `WrongType`, `MissingRight`.
    pub fn bind(self, notification: Cap<Notification>, acknowledge: bool) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke_with(
            Method::Bind as u64,
            [u64::from(acknowledge)],
            [Argument::new(notification)],
        )?;
        Ok(())
    }

    /// Masks the line and unbinds.
    ///
    /// # Errors
    /// `NotBound`, `MissingRight`.
    pub fn unbind(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Unbind as u64, [])?;
        Ok(())
    }

    /// Unmasks the line after a delivery.
    ///
    /// # Errors
    /// `NotBound`, `MissingRight`.
    pub fn ack(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Ack as u64, [])?;
        Ok(())
    }
}
