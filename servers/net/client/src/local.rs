//! What a program has on its side: shared memory, and slots.

use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Address, Cap, Rights, Transport};
use gritos_service::Kernel;
use gritos_sys::ipc::Wait;
use gritos_sys::shared::SharedBuf;
use gritos_sys::time;

use crate::Bell;

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

/// A notification of the kernel, waited for so long and no longer.
#[derive(Clone, Copy, Debug)]
pub struct KernelBell {
    /// A capability to it without a badge.
    pub notification: gritos_sys::Cap<gritos_sys::cap::Notification>,
    /// Nanoseconds; `None` for as long as it takes.
    pub patience_ns: Option<u64>,
}

impl Bell for KernelBell {
    fn notification(&self) -> Cap<Notification> {
        Cap::with_rights(self.notification.address(), Rights::SEND)
    }

    fn wait(&mut self) -> Option<u64> {
        let wait = match self.patience_ns {
            Some(ns) => Wait::until(time::after(ns)),
            None => Wait::FOREVER,
        };
        self.notification.wait(&wait).ok()
    }
}
