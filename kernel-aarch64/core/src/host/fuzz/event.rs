//! What can happen to a kernel.

use gritos_abi::fault::FaultKind;

use crate::host::{Ask, HostMachine};
use crate::kernel::Kernel;
use crate::store::Store;

/// Something that happens between two entries into the kernel, or is one.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The running thread makes a system call.
    Call(Ask),
    /// It runs the preempted system call with this number again.
    Again(u16),
    /// An interrupt will be pending at the point that lets one in behind so many others.
    PreemptAfter(u32),
    /// The counter comes to this value.
    Now(u64),
    /// The timer interrupt, whose handler disarms the timer first.
    Timer,
    /// The interrupt of a device.
    Interrupt(u32),
    /// The running thread faults.
    Fault(FaultKind, u64, u32),
}

impl Event {
    /// Makes it happen, by the general path.
    pub fn happen<S: Store>(&self, kernel: &mut Kernel<S, HostMachine>) {
        match self {
            Self::Call(ask) => {
                kernel.prepare(ask);
                kernel.run_general(ask.number);
            }
            Self::Again(number) => kernel.run_general(*number),
            Self::PreemptAfter(points) => kernel.machine.preempt_after.set(Some(*points)),
            Self::Now(now) => kernel.machine.now = *now,
            Self::Timer => {
                kernel.machine.timer = u64::MAX;
                kernel.tick();
            }
            Self::Interrupt(line) => {
                kernel.interrupt(*line);
                kernel.reschedule();
            }
            Self::Fault(kind, address, details) => {
                kernel.fault(*kind, *address, *details);
                kernel.reschedule();
            }
        }
    }
}
