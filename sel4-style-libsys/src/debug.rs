//! Text on the kernel's debug console, where the kernel has one.
//!
//! For the root task, for tests, and for last words. A component writes to the
//! console service instead.

use core::fmt;

use gritos_abi::{Control, Syscall};

use crate::raw::{RawCalls, Request, kernel};

/// Writes bytes one system call at a time; a kernel without the call drops
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugConsole;

impl DebugConsole {
    /// Writes one byte as it is.
    pub fn put(self, byte: u8) {
        let request = Request {
            words: [u64::from(byte), 0, 0, 0, 0, 0, 0, 0],
            control: Control::words(1),
            ..Request::default()
        };
        kernel().short(Syscall::DebugPutchar, request);
    }
}

impl fmt::Write for DebugConsole {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        Ok(())
    }
}

#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = fmt::Write::write_fmt(&mut DebugConsole, arguments);
}

/// Prints a line on the debug console.
#[macro_export]
macro_rules! debug_println {
    () => { $crate::debug::print(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::debug::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Prints on the debug console.
#[macro_export]
macro_rules! debug_print {
    ($($argument:tt)*) => { $crate::debug::print(format_args!($($argument)*)) };
}

/// The sink of the `log` facade: records as lines on the debug console.
#[cfg(feature = "log")]
#[derive(Debug)]
pub struct DebugLog;

#[cfg(feature = "log")]
impl log::Log for DebugLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            debug_println!(
                "{:5} {}: {}",
                record.level(),
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}

/// Sends the records of the `log` facade to the debug console, up to `level`.
/// The first sink that is installed stays.
#[cfg(feature = "log")]
pub fn install_log(level: log::LevelFilter) {
    if log::set_logger(&DebugLog).is_ok() {
        log::set_max_level(level);
    }
}
