//! The two instructions of the store. In a file of their own, so that a host can have others in
//! their place and run the store as it is.

use core::arch::asm;

/// Bytes that one DC ZVA zeroes on every Cortex-A.
pub(crate) const BLOCK: u64 = 64;

/// `base + (handle << 4)`, in one instruction: the compiler would join the shift with those that
/// found the handle.
#[inline(always)]
pub(crate) fn address(base: usize, handle: u32) -> usize {
    let at: usize;
    // SAFETY: adds.
    unsafe {
        asm!("add {at}, {base}, {handle:w}, uxtw #4", at = lateout(reg) at, base = in(reg) base,
            handle = in(reg) handle, options(pure, nomem, nostack, preserves_flags));
    }
    at
}

/// Zeroes [`BLOCK`] bytes. `DCZID_EL0` was checked at boot.
///
/// # Safety
/// They must be memory in which Rust has no object.
#[inline(always)]
pub(crate) unsafe fn zero(at: u64) {
    // SAFETY: by the caller's word.
    unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
}
