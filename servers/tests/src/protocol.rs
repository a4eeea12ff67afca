//! What the host is told, as frames on the debug console. `xtask` reads them.

use core::fmt::{self, Write};

use gritos_sys::abi::frame::{self, Channel, PAYLOAD_LIMIT};
use gritos_sys::debug::DebugConsole;

struct Payload {
    bytes: [u8; PAYLOAD_LIMIT],
    len: usize,
}

impl Write for Payload {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// Sends one frame; a payload that is too long is cut.
pub(crate) fn send(channel: Channel, text: fmt::Arguments<'_>) {
    let mut payload = Payload {
        bytes: [0; PAYLOAD_LIMIT],
        len: 0,
    };
    let _ = payload.write_fmt(text);
    let bytes = payload.bytes.get(..payload.len).unwrap_or(&[]);
    frame::encode(channel, bytes, |byte| DebugConsole.put(byte));
}

/// Sends an event of the test run.
macro_rules! event {
    ($($argument:tt)*) => {
        $crate::protocol::send(
            gritos_sys::abi::frame::Channel::Test,
            format_args!($($argument)*),
        )
    };
}

pub(crate) use event;
