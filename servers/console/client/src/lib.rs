//! The console as a byte stream.
//!
//! [`Console`] turns the calls of `gritos.console` into [`embedded_io::Read`],
//! [`embedded_io::Write`] and [`core::fmt::Write`], so that code which knows
//! nothing of gRiTOS can talk to the user. Each `write` is one call of at most
//! 63 bytes; `read` waits for input and keeps what the caller had no room for.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use gritos_console_api::{ConsoleClient, ConsoleError, MAX_READ, MAX_WRITE};
use gritos_idl_runtime::{Bytes, Cap, Error as CallError, Status, Transport};

/// The console, for one client.
#[derive(Debug)]
pub struct Console<T> {
    client: ConsoleClient<T>,
    /// Input that was received and not yet read.
    waiting: Bytes<{ MAX_READ as usize }>,
    taken: usize,
}

/// Why the console did not take or give bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub CallError<ConsoleError>);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "console: {:?}", self.0)
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            CallError::Call(Status::ServerDied) => ErrorKind::ConnectionReset,
            CallError::Call(Status::TimedOut) => ErrorKind::TimedOut,
            CallError::Server(ConsoleError::Invalid) => ErrorKind::InvalidInput,
            CallError::Server(ConsoleError::NotOwner) => ErrorKind::PermissionDenied,
            _ => ErrorKind::Other,
        }
    }
}

impl<T: Transport> Console<T> {
    /// The console behind a session.
    pub fn new(session: Cap<gritos_console_api::Console>, transport: T) -> Self {
        Self {
            client: ConsoleClient::new(session, transport),
            waiting: Bytes::default(),
            taken: 0,
        }
    }

    /// The stubs, for what a stream cannot say.
    pub const fn stubs(&mut self) -> &mut ConsoleClient<T> {
        &mut self.client
    }
}

impl<T> ErrorType for Console<T> {
    type Error = Error;
}

impl<T: Transport> Write for Console<T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let count = bytes.len().min(MAX_WRITE as usize);
        let part = bytes.get(..count).unwrap_or_default();
        if !part.is_empty() {
            let part = Bytes::new(part).unwrap_or_default();
            self.client.write(part).map_err(Error)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.client.flush().map_err(Error)
    }
}

impl<T: Transport> Read for Console<T> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.taken == self.waiting.len() {
            // An answer without bytes only tells of events on the line.
            self.waiting = self.client.read().map_err(Error)?.data;
            self.taken = 0;
        }
        let rest = self.waiting.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.taken += count;
        Ok(count)
    }
}

impl<T: Transport> fmt::Write for Console<T> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests;
