//! Calls that are given up after a time.

use gritos_idl_runtime::{Address, Incoming, Outcome, Outgoing, Transport};
use gritos_service::Kernel;

/// Carries calls to the kernel, and gives each up after so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient(pub(crate) u64);

impl Patient {
    /// Longer than any call takes that can be answered at once, also on a busy machine.
    pub(crate) const LONG: Self = Self(5_000_000_000);
    /// For calls that are to wait in vain.
    pub(crate) const SHORT: Self = Self(2_000_000);
}

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        Kernel.call::<CAPS, WINDOW>(target, message, Some(self.0))
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}
