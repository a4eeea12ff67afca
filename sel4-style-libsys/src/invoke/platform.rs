//! Platform: authority over the machine.

use gritos_abi::method::Platform as Method;

use crate::cap::{Cap, Platform, require};
use crate::error::Error;

/// A piece of kernel text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogText {
    bytes: [u8; 56],
    len: usize,
}

impl LogText {
    /// The bytes read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl<const R: u32> Cap<Platform, R> {
    /// Resets the machine; returns only if that fails.
    ///
    /// # Errors
    /// `Unsupported`, `MissingRight`.
    pub fn reset(self) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::Reset as u64, [])?;
        Ok(())
    }

    /// Switches the machine off, with an exit code for an emulator; returns
    /// only if that fails.
    ///
    /// # Errors
    /// `Unsupported`, `MissingRight`.
    pub fn power_off(self, exit_code: u64) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::PowerOff as u64, [exit_code])?;
        Ok(())
    }

    /// The entropy that the firmware gave, once.
    ///
    /// # Errors
    /// `Unsupported` (none, or taken already), `MissingRight`.
    pub fn entropy(self) -> Result<[u64; 4], Error> {
        require!(R, CONTROL);
        let [a, b, c, d, ..] = self.invoke(Method::Entropy as u64, [])?;
        Ok([a, b, c, d])
    }

    /// Takes the debug UART from the kernel, or gives it back.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn take_console(self, take: bool) -> Result<(), Error> {
        require!(R, CONTROL);
        self.invoke(Method::TakeConsole as u64, [u64::from(take)])?;
        Ok(())
    }

    /// Reads kernel text that was written while the console was taken.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn read_log(self) -> Result<LogText, Error> {
        require!(R, READ);
        let [len, words @ ..] = self.invoke(Method::ReadLog as u64, [])?;
        let mut bytes = [0; 56];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let len = usize::try_from(len).unwrap_or(bytes.len()).min(bytes.len());
        Ok(LogText { bytes, len })
    }

    /// Counter value and frequency in Hz.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn clock(self) -> Result<(u64, u64), Error> {
        require!(R, READ);
        let [ticks, hz, ..] = self.invoke(Method::Clock as u64, [])?;
        Ok((ticks, hz))
    }
}
