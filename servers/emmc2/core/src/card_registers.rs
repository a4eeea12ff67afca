//! Registers of a card, as they come in answers and data.

/// Blocks and whether the card may be written, out of the CSD.
///
/// SD spec, "CSD Register", versions 1.0 and 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csd {
    /// How much it holds, and how it counts.
    pub capacity: Capacity,
    /// Written once and for all, or by who set the bit.
    pub read_only: bool,
}

/// How much a card holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Commands name blocks, not bytes: the card holds more than 2 GB.
    pub by_block: bool,
}

impl Csd {
    /// Reads a long answer, in which bits 127:8 of the register lie at bit 0; `None` for a version that is
    /// not known, or a size that is impossible.
    #[must_use]
    pub fn parse(answer: [u32; 4]) -> Option<Self> {
        let field = |high: u32, low: u32| field(answer, high - 8, low - 8);
        let capacity = match field(127, 126) {
            0 => {
                // BLOCKNR · BLOCK_LEN, where BLOCKNR = (C_SIZE + 1) · 2^(C_SIZE_MULT + 2).
                let length = field(83, 80);
                let shift = field(49, 47) + 2 + length.checked_sub(9)?;
                if length > 11 {
                    return None;
                }
                let blocks = (u64::from(field(73, 62)) + 1) << shift;
                Capacity {
                    blocks,
                    by_block: false,
                }
            }
            // (C_SIZE + 1) · 512 KiB.
            1 => Capacity {
                blocks: (u64::from(field(69, 48)) + 1) << 10,
                by_block: true,
            },
            _ => return None,
        };
        // PERM_WRITE_PROTECT, TMP_WRITE_PROTECT.
        let read_only = field(13, 12) != 0;
        Some(Self {
            capacity,
            read_only,
        })
    }
}

/// What the card's SCR says. SD spec, "SCR register".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scr {
    /// It can use four data lines.
    pub four_bits: bool,
    /// It knows CMD6: version 1.10 or later.
    pub can_switch: bool,
}

impl Scr {
    /// Reads the register as it comes, the highest byte first.
    #[must_use]
    pub const fn parse(bytes: [u8; 8]) -> Self {
        // SD_SPEC in bits 59:56, SD_BUS_WIDTHS in 51:48.
        Self {
            four_bits: bytes[1] & 1 << 2 != 0,
            can_switch: bytes[0] & 0xf >= 1,
        }
    }
}

/// Whether the card switched to High Speed, out of the 64 bytes that CMD6 returns. SD spec, "Switch Function
/// Status": bits 379:376 are the function of group 1.
#[must_use]
pub(crate) const fn switched_to_high_speed(status: &[u8; 64]) -> bool {
    status[16] & 0xf == 1
}

/// Bits `high` to `low` of a value whose lowest word comes first; at most 32 of them.
fn field(words: [u32; 4], high: u32, low: u32) -> u32 {
    let bit = |at: u32| {
        let word = words.get(at as usize / 32).copied().unwrap_or(0);
        word >> (at % 32) & 1
    };
    (low..=high).rev().fold(0, |value, at| value << 1 | bit(at))
}

#[cfg(test)]
mod tests {
    use super::{Capacity, Csd, Scr, switched_to_high_speed};

    /// The answer for a register of so many 128 bits.
    fn answer(csd: u128) -> [u32; 4] {
        let bits = csd >> 8;
        [0, 32, 64, 96].map(|shift| (bits >> shift) as u32)
    }

    #[test]
    fn version_1_counts_in_powers_of_two() {
        // READ_BL_LEN 9, C_SIZE 0xefb, C_SIZE_MULT 5: (0xefb + 1) · 2^7 blocks of 512 bytes.
        let csd = 9_u128 << 80 | 0xefb_u128 << 62 | 5_u128 << 47;
        let parsed = Csd::parse(answer(csd)).unwrap();
        assert_eq!(
            parsed.capacity,
            Capacity {
                blocks: 0xefc << 7,
                by_block: false
            }
        );
        // A card of 2 GB has blocks of 1024 bytes, and is counted in those of 512 all the same.
        let csd = 10_u128 << 80 | 0xfff_u128 << 62 | 7_u128 << 47;
        assert_eq!(Csd::parse(answer(csd)).unwrap().capacity.blocks, 4 << 20);
    }

    #[test]
    fn version_2_counts_in_512_kib() {
        let csd = 1_u128 << 126 | 0x1d59_u128 << 48;
        let parsed = Csd::parse(answer(csd)).unwrap();
        assert_eq!(
            parsed.capacity,
            Capacity {
                blocks: 0x1d5a << 10,
                by_block: true
            }
        );
        assert!(!parsed.read_only);
        let largest = 1_u128 << 126 | 0x3f_ffff_u128 << 48 | 1 << 12;
        let parsed = Csd::parse(answer(largest)).unwrap();
        assert_eq!(parsed.capacity.blocks, 1 << 32, "2 TiB");
        assert!(parsed.read_only);
    }

    #[test]
    fn what_is_unknown_or_impossible_is_refused() {
        for csd in [2_u128 << 126, 3 << 126, 8 << 80, 12 << 80, 0] {
            assert_eq!(Csd::parse(answer(csd)), None, "{csd:#x}");
        }
    }

    #[test]
    fn bus_and_version_are_read_from_the_scr() {
        let scr = |bytes: [u8; 2]| Scr::parse([bytes[0], bytes[1], 0, 0, 0, 0, 0, 0]);
        let both = scr([0x02, 0x35]);
        assert!(both.four_bits && both.can_switch);
        let old = scr([0x00, 0x21]);
        assert!(!old.four_bits && !old.can_switch);
    }

    #[test]
    fn a_refused_switch_is_none() {
        let mut status = [0; 64];
        status[16] = 1;
        assert!(switched_to_high_speed(&status));
        status[16] = 0xf;
        assert!(!switched_to_high_speed(&status));
    }
}
