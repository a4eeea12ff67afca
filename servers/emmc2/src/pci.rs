//! Configuration space as registers.

use gritos_emmc2_core::pci::Configuration;
use gritos_sys::mmio::Registers;

/// The configuration space of bus 0.
pub(crate) struct Space(pub(crate) Registers);

impl Configuration for Space {
    fn read(&mut self, offset: usize) -> u32 {
        self.0.read(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.0.write(offset, value);
    }
}
