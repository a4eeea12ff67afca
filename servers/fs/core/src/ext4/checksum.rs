//! CRC-32C as ext4 uses it: without inversion at the end, each sum going on from
//! another one, its seed. Source: Linux, `Documentation/filesystems/ext4/checksums.rst`.

#[cfg(not(target_os = "none"))]
use crc::{Algorithm, Crc, Table};

#[cfg(not(target_os = "none"))]
const CASTAGNOLI: Algorithm<u32> = Algorithm {
    width: 32,
    poly: 0x1edc_6f41,
    init: 0,
    refin: true,
    refout: true,
    xorout: 0,
    check: 0,
    residue: 0,
};

#[cfg(not(target_os = "none"))]
static ENGINE: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CASTAGNOLI);

/// Where sums that continue no other start.
pub(super) const START: u32 = u32::MAX;

/// The sum of `bytes`, continuing `seed`.
#[cfg(target_os = "none")]
pub(super) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    gritos_sys::rt::crc32c(seed, bytes)
}

/// The sum of `bytes`, continuing `seed`.
#[cfg(not(target_os = "none"))]
pub(super) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    // The crate takes initial values in the order of the polynomial.
    let mut digest = ENGINE.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::{START, crc};

    #[test]
    fn sums_are_those_of_the_standard_and_can_be_continued() {
        assert_eq!(!crc(START, b"123456789"), 0xe306_9283);
        let first = crc(START, b"12345");
        assert_eq!(crc(first, b"6789"), crc(START, b"123456789"));
    }
}
