//! CRC-32C by the processor's own instructions, which the Cortex-A72 of both boards has.

use core::arch::asm;

/// The CRC-32C (Castagnoli) of `bytes`, continuing `seed`; neither is inverted.
#[must_use]
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(seed, |sum, word| eight(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| one(sum, *byte))
}

#[inline(always)]
fn eight(sum: u32, word: u64) -> u32 {
    let next: u32;
    // SAFETY: the instruction reads and writes these registers and nothing else.
    unsafe {
        asm!(
            ".arch_extension crc",
            "crc32cx {next:w}, {sum:w}, {word}",
            next = lateout(reg) next,
            sum = in(reg) sum,
            word = in(reg) word,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    next
}

#[inline(always)]
fn one(sum: u32, byte: u8) -> u32 {
    let next: u32;
    // SAFETY: as above; of the last operand only the lowest byte counts.
    unsafe {
        asm!(
            ".arch_extension crc",
            "crc32cb {next:w}, {sum:w}, {byte:w}",
            next = lateout(reg) next,
            sum = in(reg) sum,
            byte = in(reg) u32::from(byte),
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    next
}
