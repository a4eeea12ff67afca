//! What a program has on its side: shared memory, and slots.

use gritos_idl_runtime::{Address, Transport};
use gritos_service::Kernel;
use gritos_sys::shared::SharedBuf;

/// A program's side: how calls go out, the memory that it shares with the
/// network service, and the slots of its capabilities.
pub trait Local: Copy {
    /// What carries calls.
    type Transport: Transport;

    /// What carries calls, for the next one.
    fn transport(&self) -> Self::Transport;

    /// Bytes of the shared memory.
    fn bytes(&self) -> usize;

    /// Copies from the shared memory; whether it was there.
    fn read(&self, offset: usize, to: &mut [u8]) -> bool;

    /// Copies into the shared memory; whether it was there.
    fn write(&self, offset: usize, from: &[u8]) -> bool;

    /// Deletes a capability of the program's.
    fn release(&self, capability: Address);
}

/// Calls through the kernel, and memory that is mapped.
#[derive(Clone, Copy, Debug)]
pub struct SharedMemory(pub SharedBuf);

impl Local for SharedMemory {
    type Transport = Kernel;

    fn transport(&self) -> Kernel {
        Kernel
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        self.0.read(offset, to).is_ok()
    }

    fn write(&self, offset: usize, from: &[u8]) -> bool {
        self.0.write(offset, from).is_ok()
    }

    fn release(&self, capability: Address) {
        // A slot that cannot be emptied stays taken: nothing can be done here.
        let _ = gritos_service::release(capability);
    }
}
