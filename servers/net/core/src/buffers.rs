//! Data on its way between a socket and whoever uses it.

use gritos_net_api::NetError;

/// Bytes to be sent: memory of a client that may change or go away at any time.
pub trait Source {
    /// How many.
    fn length(&self) -> usize;

    /// Copies the bytes from `offset` on.
    ///
    /// # Errors
    /// `BAD_BUFFER` if the memory is not there.
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), NetError>;
}

/// Room for bytes that are received.
pub trait Sink {
    /// How many fit.
    fn length(&self) -> usize;

    /// Puts bytes at `offset`.
    ///
    /// # Errors
    /// `BAD_BUFFER` if the memory is not there.
    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), NetError>;
}

impl Source for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), NetError> {
        let from = offset
            .checked_add(to.len())
            .and_then(|end| self.get(offset..end))
            .ok_or(NetError::BadBuffer)?;
        to.copy_from_slice(from);
        Ok(())
    }
}

impl Sink for &mut [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), NetError> {
        let to = offset
            .checked_add(from.len())
            .and_then(|end| self.get_mut(offset..end))
            .ok_or(NetError::BadBuffer)?;
        to.copy_from_slice(from);
        Ok(())
    }
}
