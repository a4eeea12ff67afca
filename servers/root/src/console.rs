//! Where the root task prints: the kernel's console, also while a driver has
//! the device.

use gritos_sys::cap::Platform;
use gritos_sys::{Cap, debug_print};

/// The console and whether a component has it.
#[derive(Debug)]
pub(crate) struct Console {
    platform: Cap<Platform>,
    handed_over: bool,
}

impl Console {
    /// The console, which the kernel has at the start.
    pub(crate) const fn new(platform: Cap<Platform>) -> Self {
        Self {
            platform,
            handed_over: false,
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

    /// Prints what `text` prints, before anybody else prints again. While a
    /// component has the console the root task, which runs before all others,
    /// borrows it for so long.
    pub(crate) fn say(&self, text: impl FnOnce()) {
        if !self.handed_over {
            return text();
        }
        let _ = self.platform.take_console(false);
        debug_print!("\n");
        self.replay();
        text();
        let _ = self.platform.take_console(true);
    }

    /// Prints what the kernel and dying components wrote while a driver had the
    /// device, panic messages for example.
    fn replay(&self) {
        while let Ok(text) = self.platform.read_log() {
            if text.bytes().is_empty() {
                return;
            }
            for &byte in text.bytes() {
                gritos_sys::debug::DebugConsole.put(byte);
            }
        }
    }
}
