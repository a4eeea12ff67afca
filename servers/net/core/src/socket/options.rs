//! What `getsockopt` and `setsockopt` know.

use gritos_net_api::{NetError, SocketOption, SocketType};

/// Least and most bytes of a buffer.
const BUFFER_RANGE: core::ops::RangeInclusive<u64> = 2048..=1 << 20;
/// Bytes of a buffer unless set.
const BUFFER_DEFAULT: usize = 32 * 1024;
/// Packets that a buffer of messages has room for, however small they are.
pub(crate) const MESSAGES: usize = 64;

/// Options of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) non_blocking: bool,
    /// Nanoseconds; 0 is never.
    pub(crate) receive_timeout: u64,
    /// Nanoseconds; 0 is never.
    pub(crate) send_timeout: u64,
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) no_delay: bool,
    /// Nanoseconds; 0 is none.
    pub(crate) keep_alive: u64,
    pub(crate) hop_limit: u8,
    pub(crate) reuse_address: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            non_blocking: false,
            receive_timeout: 0,
            send_timeout: 0,
            receive_buffer: BUFFER_DEFAULT,
            send_buffer: BUFFER_DEFAULT,
            no_delay: false,
            keep_alive: 0,
            hop_limit: 64,
            reuse_address: false,
        }
    }
}

impl Options {
    /// Bytes of both buffers.
    pub(crate) const fn bytes(&self) -> usize {
        self.receive_buffer + self.send_buffer
    }

    /// The value of an option that is kept here.
    pub(crate) fn get(&self, option: SocketOption) -> Result<u64, NetError> {
        Ok(match option {
            SocketOption::NonBlocking => u64::from(self.non_blocking),
            SocketOption::ReceiveTimeout => self.receive_timeout,
            SocketOption::SendTimeout => self.send_timeout,
            SocketOption::ReceiveBuffer => self.receive_buffer as u64,
            SocketOption::SendBuffer => self.send_buffer as u64,
            SocketOption::NoDelay => u64::from(self.no_delay),
            SocketOption::KeepAlive => self.keep_alive,
            SocketOption::HopLimit => u64::from(self.hop_limit),
            SocketOption::ReuseAddress => u64::from(self.reuse_address),
            _ => return Err(NetError::NoOption),
        })
    }

    /// Sets an option of a socket that has buffers already, or not.
    pub(crate) fn set(
        &mut self,
        option: SocketOption,
        value: u64,
        kind: SocketType,
        has_buffers: bool,
    ) -> Result<(), NetError> {
        let flag = || match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(NetError::Invalid),
        };
        let bytes = || {
            if has_buffers || !BUFFER_RANGE.contains(&value) {
                Err(NetError::Invalid)
            } else {
                Ok(value as usize)
            }
        };
        let is_stream = kind == SocketType::Stream;
        match option {
            SocketOption::NonBlocking => self.non_blocking = flag()?,
            SocketOption::ReceiveTimeout => self.receive_timeout = value,
            SocketOption::SendTimeout => self.send_timeout = value,
            SocketOption::ReceiveBuffer => self.receive_buffer = bytes()?,
            SocketOption::SendBuffer => self.send_buffer = bytes()?,
            SocketOption::NoDelay if is_stream => self.no_delay = flag()?,
            SocketOption::KeepAlive if is_stream => self.keep_alive = value,
            SocketOption::HopLimit => {
                self.hop_limit = u8::try_from(value)
                    .ok()
                    .filter(|hops| *hops > 0)
                    .ok_or(NetError::Invalid)?;
            }
            SocketOption::ReuseAddress => self.reuse_address = flag()?,
            _ => return Err(NetError::NoOption),
        }
        Ok(())
    }
}
