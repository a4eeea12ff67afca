//! Ending an emulator run with an exit code (Arm, *Semihosting*, `SYS_EXIT`).
//!
//! Only for a machine that said at boot that somebody listens: elsewhere HLT is an undefined
//! instruction.

use core::arch::asm;

/// Ends the emulator with exit status `code`.
pub(crate) fn exit(code: u32) -> ! {
    /// `ADP_Stopped_ApplicationExit`.
    const APPLICATION_EXIT: u64 = 0x20026;
    let block = [APPLICATION_EXIT, u64::from(code)];
    // SAFETY: SYS_EXIT (0x18) reads the two words at x1 and does not come back; no `nomem`, so that
    // they are in memory by then.
    unsafe {
        asm!("hlt #0xf000", in("x0") 0x18, in("x1") &raw const block, options(nostack));
    }
    super::fault::halt()
}
