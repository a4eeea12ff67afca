//! How the file server and a block driver wake each other.

use gritos_block_core::{DiskError, Signals};
use gritos_sys::cap::Notification;
use gritos_sys::shared::SharedBuf;
use gritos_sys::{Cap, Wait, time};

/// How long a driver may take for a request, in nanoseconds. A card that erases takes a second; an emulator
/// on a busy machine longer.
const PATIENCE: u64 = 30_000_000_000;
/// How long it goes unnoticed that the driver is gone, in nanoseconds.
const SLICE: u64 = 100_000_000;

/// The notifications of an attachment, and its memory, which goes when the driver goes.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) doorbell: Cap<Notification>,
    pub(crate) wake: Cap<Notification>,
    pub(crate) memory: SharedBuf,
    /// When patience ends, in ticks.
    pub(crate) end: u64,
}

impl Signals for Wires {
    fn ring(&mut self) -> Result<(), DiskError> {
        self.doorbell.signal(1).map_err(|_| DiskError::Gone)
    }

    fn wait(&mut self, progress: bool) -> Result<(), DiskError> {
        let now = time::now();
        if progress {
            self.end = now.saturating_add(time::ticks(PATIENCE));
        }
        let slice = now.saturating_add(time::ticks(SLICE));
        if self.wake.wait(&Wait::until(slice)).is_ok() {
            return Ok(());
        }
        // Nobody signalled. Whoever calls looks for completions once more, and then waits again.
        if self.memory.load_acquire(0).is_err() {
            return Err(DiskError::Gone);
        }
        if time::now() >= self.end {
            return Err(DiskError::TimedOut);
        }
        Ok(())
    }
}
