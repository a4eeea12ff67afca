//! The virtual timer: one counter, one comparator, level-triggered interrupt (Arm ARM, D12 "The
//! Generic Timer in AArch64 state").

use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTKCTL_EL1, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable,
};

/// Stops the timer and lets EL0 read the counter, and nothing else of it.
pub(crate) fn init() {
    disarm();
    CNTKCTL_EL1.write(CNTKCTL_EL1::EL0VCTEN::SET);
}

/// Ticks per second.
pub(crate) fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// The counter. Read without a barrier: it may be sampled a few instructions early, which is
/// nothing next to what it is used for.
pub(crate) fn now() -> u64 {
    CNTVCT_EL0.get()
}

/// Raises the interrupt once the counter has reached `deadline`.
pub(crate) fn arm(deadline: u64) {
    CNTV_CVAL_EL0.set(deadline);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
}

/// Lowers the interrupt until the timer is armed again.
pub(crate) fn disarm() {
    CNTV_CTL_EL0.set(0);
}
