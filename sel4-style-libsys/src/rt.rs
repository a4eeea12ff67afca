//! Where a task begins and how it ends.
//!
//! The kernel (for the root task) or the root task (for all others) starts a
//! thread at `_start` with a stack and one word in x0. [`entry!`](crate::entry)
//! and [`root_entry!`](crate::root_entry) define `_start`. A task ends by a
//! breakpoint whose immediate says how: [`EXIT`] or [`PANIC`]; its fault
//! handler is thereby told.

use core::fmt;
#[cfg(target_os = "none")]
use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, Ordering};

use gritos_abi::boot_info::{BootInfo, MAGIC, VIRTUAL_ADDRESS};

#[cfg(target_os = "none")]
mod copying;
#[cfg(target_os = "none")]
mod crc;

#[cfg(target_os = "none")]
pub use crc::crc32c;

/// Immediate of the `brk` by which a task ends.
pub const EXIT: u16 = 0xe0;
/// Immediate of the `brk` by which a task ends that panicked.
pub const PANIC: u16 = 0xe1;

/// Begins a task at `$main: fn(u64)`, which gets the word that its creator
/// chose. The task ends when it returns. On a host the program says that it is
/// for the target.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[cfg(not(target_os = "none"))]
        fn main() {
            let _for_the_target: fn(u64) = $main;
            eprintln!(
                "{} runs on the target: `cargo xtask qemu`",
                env!("CARGO_PKG_NAME")
            );
        }

        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn _start(argument: u64) -> ! {
            let main: fn(u64) = $main;
            main(argument);
            $crate::rt::exit()
        }
    };
}

/// Begins the root task at `$main: fn(&'static BootInfo)`. The task ends when
/// it returns.
#[macro_export]
macro_rules! root_entry {
    ($main:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn _start(argument: u64) -> ! {
            let main: fn(&'static $crate::abi::boot_info::BootInfo) = $main;
            if let Some(info) = $crate::rt::boot_info(argument) {
                main(info);
            }
            $crate::rt::exit()
        }
    };
}

/// Ends the task.
#[cfg(target_os = "none")]
pub fn exit() -> ! {
    crate::svc::breakpoint::<EXIT>()
}

/// The boot information, if `argument` is what the kernel passes to a root
/// task.
///
/// The page lies at a fixed address that the kernel maps for the root task
/// alone, and that libsys maps nothing at: an argument with this value does not
/// occur elsewhere.
#[must_use]
pub fn boot_info(argument: u64) -> Option<&'static BootInfo> {
    if argument != VIRTUAL_ADDRESS {
        return None;
    }
    let page = core::ptr::with_exposed_provenance::<BootInfo>(usize::try_from(argument).ok()?);
    // SAFETY: the kernel maps the page at this address before the root task
    // runs, read-only and for good, and fills it with a `BootInfo`, for which
    // every bit pattern is valid.
    let info = unsafe { &*page };
    (info.magic == MAGIC && info.version == 1).then_some(info)
}

/// The bytes of a memory object that this program mapped read-only and leaves
/// mapped; for the boot image, which nobody writes while a root task lives.
///
/// # Errors
/// `NotMapped`; `InvalidArgument` if the object is mapped writable, mapped
/// outside [`IMMUTABLE_BASE`]..[`IMMUTABLE_END`], or could be written through
/// this capability.
#[cfg(target_os = "none")]
pub fn immutable_bytes(
    object: crate::Cap<crate::cap::MemoryObject>,
) -> Result<&'static [u8], crate::Error> {
    use crate::error::{Error, Operation};
    use gritos_abi::{Rights, Status};
    let refuse = |status| Error::local(status, Operation::Load);
    let info = object.info()?;
    let mapping = info.mapping.ok_or(refuse(Status::NotMapped))?;
    let end = mapping.address.saturating_add(mapping.length);
    if info.rights != Rights::READ || mapping.address < IMMUTABLE_BASE || end > IMMUTABLE_END {
        return Err(refuse(Status::InvalidArgument));
    }
    let start = core::ptr::with_exposed_provenance(mapping.address as usize);
    // SAFETY: the kernel says that the range is mapped read-only; the addresses
    // are for what stays mapped and unwritten, by whoever maps there.
    Ok(unsafe { core::slice::from_raw_parts(start, mapping.length as usize) })
}

/// First address of memory that is mapped read-only, for good.
pub const IMMUTABLE_BASE: u64 = 0x4_0000_0000;
/// One past the last.
pub const IMMUTABLE_END: u64 = 0x8_0000_0000;

/// Whether somebody reads the registers of this program when it panics.
static SUPERVISED: AtomicBool = AtomicBool::new(false);

/// From now on a panic leaves its message in the registers, where the fault
/// handler reads it, instead of on the debug console.
pub fn supervised() {
    SUPERVISED.store(true, Ordering::Relaxed);
}

/// Bytes of the registers x0 to x30.
pub const LAST_WORDS: usize = 31 * 8;

/// A message as it lies in the registers: cut, and filled with zeros.
#[derive(Clone, Copy, Debug)]
pub struct LastWords {
    bytes: [u8; LAST_WORDS],
    filled: usize,
}

impl LastWords {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; LAST_WORDS],
            filled: 0,
        }
    }

    /// As the registers have it, x0 first.
    #[must_use]
    pub fn words(&self) -> [u64; 31] {
        let mut words = [0; 31];
        for (word, bytes) in words.iter_mut().zip(self.bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }
}

impl Default for LastWords {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let place = self.bytes.get_mut(self.filled).ok_or(fmt::Error)?;
            *place = byte;
            self.filled += 1;
        }
        Ok(())
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if SUPERVISED.load(Ordering::Relaxed) {
        let mut last = LastWords::new();
        // What does not fit is cut.
        let _ = match info.location() {
            Some(at) => write!(last, "{}:{}: {}", at.file(), at.line(), info.message()),
            None => write!(last, "{}", info.message()),
        };
        crate::svc::last_words::<PANIC>(&last.words());
    }
    crate::debug_println!("{info}");
    crate::svc::breakpoint::<PANIC>()
}

#[cfg(test)]
mod tests {
    use super::{LAST_WORDS, LastWords};
    use core::fmt::Write;

    #[test]
    fn a_message_is_cut_where_the_registers_end() {
        let mut last = LastWords::new();
        write!(last, "ab{}", 7).unwrap();
        let words = last.words();
        assert_eq!(
            (words[0], words[1]),
            (u64::from_le_bytes(*b"ab7\0\0\0\0\0"), 0)
        );
        assert!(last.write_str(&"x".repeat(LAST_WORDS)).is_err());
        assert_eq!(last.words()[30], u64::from_le_bytes([b'x'; 8]));
    }
}
