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
    doorbell: Cap<Notification>,
    wake: Cap<Notification>,
    memory: SharedBuf,
    /// When patience ends, in ticks.
    end: u64,
    /// Patience and slice in ticks.
    patience: u64,
    slice: u64,
}

impl Wires {
    pub(crate) fn new(
        doorbell: Cap<Notification>,
        wake: Cap<Notification>,
        memory: SharedBuf,
    ) -> Self {
        Self {
            doorbell,
            wake,
            memory,
            end: 0,
            patience: time::ticks(PATIENCE),
            slice: time::ticks(SLICE),
        }
    }
}

impl Signals for Wires {
    fn ring(&mut self) -> Result<(), DiskError> {
        self.doorbell.signal(1).map_err(|_| DiskError::Gone)
    }

    fn wait(&mut self, progress: bool) -> Result<(), DiskError> {
        let now = time::now();
        if progress {
            self.end = now.saturating_add(self.patience);
        }
        let slice = now.saturating_add(self.slice);
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
