//! CRC-32C with the processor's instructions, which every board's processor has.

use core::arch::asm;

/// Continues `crc` (0 to begin) over `bytes`; the same function as `gritos_abi::boot_image::crc32c`.
#[inline(never)]
pub(crate) fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        // SAFETY: FEAT_CRC32 is mandatory from Armv8.1 on and present in the Cortex-A72; the
        // instruction reads and writes the named registers and nothing else.
        unsafe {
            asm!(".arch_extension crc", "crc32cx {crc:w}, {crc:w}, {word}",
                crc = inout(reg) crc, word = in(reg) word,
                options(pure, nomem, nostack, preserves_flags));
        }
    }
    for byte in rest {
        // SAFETY: as above.
        unsafe {
            asm!(".arch_extension crc", "crc32cb {crc:w}, {crc:w}, {byte:w}",
                crc = inout(reg) crc, byte = in(reg) u32::from(*byte),
                options(pure, nomem, nostack, preserves_flags));
        }
    }
    !crc
}
