//! Where the root task prints: the kernel's console, also while a driver has
//! the device, and a ring that the log reads.

use core::fmt;

use gritos_idl_runtime::Bytes;
use gritos_sys::Cap;
use gritos_sys::cap::{Notification, Platform};
use gritos_sys::debug::DebugConsole;
use gritos_sys::slots::Slot;

use crate::text::Ring;

/// The console and whether a component has it.
#[derive(Debug)]
pub(crate) struct Console {
    platform: Cap<Platform>,
    handed_over: bool,
    ring: Ring,
    /// Whom to tell that the ring has something.
    reader: Option<Slot>,
    /// It has something that the reader was not told of.
    untold: bool,
}

/// A text on its way to the device and into the ring.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    ring: &'a mut Ring,
    failure: bool,
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.ring.push(self.failure, text.as_bytes());
        DebugConsole.write_str(text)
    }
}

impl Console {
    /// The console, which the kernel has at the start.
    pub(crate) const fn new(platform: Cap<Platform>) -> Self {
        Self {
            platform,
            handed_over: false,
            ring: Ring::new(),
            reader: None,
            untold: false,
        }
    }

    /// Authority over the machine.
    pub(crate) const fn platform(&self) -> Cap<Platform> {
        self.platform
    }

    /// A component drives the device from now on.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over = self.platform.take_console(true).is_ok();
    }

    /// The component is gone.
    pub(crate) fn take_back(&mut self) {
        if self.handed_over {
            // The kernel refuses nobody who has the authority.
            let _ = self.platform.take_console(false);
            self.handed_over = false;
        }
    }

    /// Prints that something failed; see [`say`](Self::say).
    pub(crate) fn complain(&mut self, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.print(true, text);
    }

    /// Prints what `text` writes, before anybody else prints again. While a
    /// component has the console the root task, which runs before all others,
    /// borrows it for so long.
    pub(crate) fn say(&mut self, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.print(false, text);
    }

    fn print(&mut self, failure: bool, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let borrowed = self.handed_over;
        if borrowed {
            let _ = self.platform.take_console(false);
            // The driver may be in the middle of a line.
            let _ = fmt::Write::write_str(&mut DebugConsole, "\n");
            self.replay(failure);
        }
        let ring = &mut self.ring;
        // The device takes everything.
        let _ = text(&mut Writer { ring, failure });
        if borrowed {
            let _ = self.platform.take_console(true);
        }
        self.untold = true;
    }

    /// There may be something to read.
    pub(crate) const fn note_text(&mut self) {
        self.untold = true;
    }

    /// Tells the reader of the ring that there is something new: at a moment
    /// when it can be answered at once.
    pub(crate) fn tell_reader(&mut self) {
        if let Some(reader) = self.reader.filter(|_| self.untold) {
            // A reader that is gone has its successor read what it missed.
            let _ = reader.cap::<Notification>().signal(1);
            self.untold = false;
        }
    }

    /// Prints what the kernel and dying components wrote while a driver had the
    /// device.
    fn replay(&mut self, failure: bool) {
        while let Ok(text) = self.platform.read_log() {
            if text.bytes().is_empty() {
                return;
            }
            self.ring.push(failure, text.bytes());
            for &byte in text.bytes() {
                DebugConsole.put(byte);
            }
        }
    }

    /// The next piece for the log: whether it tells of a failure, and its text.
    pub(crate) fn piece(&mut self) -> (bool, Bytes<61>) {
        let (failure, text) = self.ring.piece();
        if !text.is_empty() {
            return (failure, text);
        }
        let rest = self.platform.read_log().ok();
        let rest = rest.and_then(|rest| Bytes::new(rest.bytes()).ok());
        (false, rest.unwrap_or_default())
    }

    /// From now on the notification in `slot` is told when there is a piece.
    /// Returns that which was told until now.
    pub(crate) const fn watch(&mut self, slot: Slot) -> Option<Slot> {
        self.reader.replace(slot)
    }
}
