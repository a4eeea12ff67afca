//! Programs that ask the processor what it can do.
//!
//! Libraries that choose between instructions read the identification registers, which EL0 may not: the read is
//! undefined there (Arm ARM, "AArch64 Identification registers"), and other systems emulate it. The answer is
//! known when an image is made, because both boards have the same processor: so the instruction that reads is
//! replaced by one that loads the answer.

/// `MRS Xt, ID_AA64ISAR0_EL1`, without t.
const READ_ISAR0: u32 = 0xd538_0600;
/// `MOVZ Xd, #1, LSL #16`, without d: of all optional instructions the CRC32 ones, which is what a Cortex-A72
/// without the cryptographic extension has (Cortex-A72 TRM, "AArch64 Instruction Set Attribute Register 0").
const CRC32_ONLY: u32 = 0xd2a0_0020;
/// The bits of either that number the general register.
const REGISTER: u32 = 0x1f;

/// Replaces the reads in the text of a program; says how many there were.
pub(super) fn answer(text: &mut [u8]) -> usize {
    let (instructions, _) = text.as_chunks_mut::<4>();
    let mut count = 0;
    for bytes in instructions {
        let instruction = u32::from_le_bytes(*bytes);
        if instruction & !REGISTER == READ_ISAR0 {
            *bytes = (CRC32_ONLY | instruction & REGISTER).to_le_bytes();
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn reads_become_loads_of_the_same_register_and_the_rest_stays() {
        // mrs x8, id_aa64isar0_el1; mrs x8, tpidr_el0; mrs x30, id_aa64isar0_el1; ret
        let text = [0xd538_0608_u32, 0xd53b_d048, 0xd538_061e, 0xd65f_03c0];
        let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.push(0x08);
        assert_eq!(answer(&mut bytes), 2);
        let words: Vec<u32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        // mov x8, #0x10000; the same; mov x30, #0x10000; the same.
        assert_eq!(words, [0xd2a0_0028, text[1], 0xd2a0_003e, text[3]]);
        assert_eq!(answer(&mut bytes), 0, "none is left");
    }
}
