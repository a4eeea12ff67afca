//! Notification: a word of bits. Waiting is a system call of its own, see
//! [`crate::ipc`].

use gritos_abi::method::Notification as Method;

use crate::cap::{Cap, Notification, require};
use crate::error::Error;

impl<const R: u32> Cap<Notification, R> {
    /// Sets the bits of the capability's badge, or `bits` if it has none, as a
    /// method call. [`signal`](Self::signal) does the same in fewer
    /// instructions.
    ///
    /// # Errors
    /// `MissingRight`, `EmptySlot`.
    pub fn invoke_signal(self, bits: u64) -> Result<(), Error> {
        require!(R, SEND);
        self.invoke(Method::Signal as u64, [bits])?;
        Ok(())
    }
}
