//! Memory of a process on the target as ring memory.

use core::sync::atomic::{Ordering, fence};

use gritos_sys::dma::DmaMemory;
use gritos_sys::shared::SharedBuf;

use crate::{Gone, Memory};

impl Memory for SharedBuf {
    #[inline]
    fn len(&self) -> usize {
        Self::len(self)
    }

    #[inline]
    fn load(&self, offset: usize) -> Result<u32, Gone> {
        self.load_acquire(offset).map_err(|_| Gone)
    }

    #[inline]
    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        self.store_release(offset, value).map_err(|_| Gone)
    }

    #[inline]
    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        Self::read(self, offset, to).map_err(|_| Gone)
    }

    #[inline]
    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        Self::write(self, offset, from).map_err(|_| Gone)
    }

    #[inline]
    fn fence(&self) {
        // The accesses themselves are assembly, which the compiler does not
        // move across this; the processor does not either.
        fence(Ordering::SeqCst);
    }
}

impl Memory for DmaMemory {
    #[inline]
    fn len(&self) -> usize {
        self.shared().len()
    }

    #[inline]
    fn load(&self, offset: usize) -> Result<u32, Gone> {
        Memory::load(self.shared(), offset)
    }

    #[inline]
    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        Memory::store(self.shared(), offset, value)
    }

    #[inline]
    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        Memory::read(self.shared(), offset, to)
    }

    #[inline]
    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        Memory::write(self.shared(), offset, from)
    }

    #[inline]
    fn fence(&self) {
        Memory::fence(self.shared());
    }
}
