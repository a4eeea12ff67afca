//! CRC-32C with the processor's instructions, which every board's processor has.

use core::arch::asm;

/// Continues `crc` (0 to begin) over `bytes`; the same function as `gritos_abi::boot_image::crc32c`.
#[inline(never)]
pub(crate) fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    let (chunks, rest) = bytes.as_chunks::<32>();
    for chunk in chunks {
        // SAFETY: FEAT_CRC32 is mandatory from Armv8.1 on and present in the Cortex-A72. The chunk is 32
        // readable bytes; loads of RAM need no alignment, as SCTLR_EL1.A is clear (reset.s).
        unsafe {
            asm!(".arch_extension crc",
                "ldp {a}, {b}, [{chunk}]",
                "ldp {c}, {chunk}, [{chunk}, #16]",
                "crc32cx {crc:w}, {crc:w}, {a}",
                "crc32cx {crc:w}, {crc:w}, {b}",
                "crc32cx {crc:w}, {crc:w}, {c}",
                "crc32cx {crc:w}, {crc:w}, {chunk}",
                crc = inout(reg) crc, chunk = inout(reg) chunk.as_ptr() => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _,
                options(pure, readonly, nostack, preserves_flags));
        }
    }
    for byte in rest {
        // SAFETY: as above; reads and writes the named registers and nothing else.
        unsafe {
            asm!(".arch_extension crc", "crc32cb {crc:w}, {crc:w}, {byte:w}",
                crc = inout(reg) crc, byte = in(reg) u32::from(*byte),
                options(pure, nomem, nostack, preserves_flags));
        }
    }
    !crc
}
