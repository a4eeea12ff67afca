//! A byte string as a source of choices, and byte strings by chance.

/// Bytes not used yet. Beyond the end everything is zero.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `n`, which is at most 256.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()).checked_rem(n).unwrap_or(0)
    }

    /// Whether this choice, one of `n`, falls on the first.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        // The last byte, so that a string of zeros is an ordinary one.
        self.below(n) == n - 1
    }

    pub(super) fn of<T: Copy + Default>(&mut self, values: &[T]) -> T {
        let index = self.below(values.len());
        values.get(index).copied().unwrap_or_default()
    }

    pub(super) fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        bytes.iter_mut().for_each(|byte| *byte = self.byte());
        u64::from_le_bytes(bytes)
    }

    /// A word that is often near a limit.
    pub(super) fn number(&mut self) -> u64 {
        const LIMITS: [u64; 16] = [
            0,
            1,
            2,
            3,
            8,
            16,
            64,
            0xff,
            0x1000,
            0x2000,
            0x1_0001,
            1 << 21,
            1 << 31,
            1 << 32,
            1 << 39,
            u64::MAX,
        ];
        match self.below(8) {
            0 => self.word(),
            1 => self.byte().into(),
            2 => self.of(&LIMITS).wrapping_sub(1),
            _ => self.of(&LIMITS),
        }
    }
}

/// Numbers that look random, the same for the same seed. `SplitMix64`: Steele,
/// Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16).checked_rem(n as u64).unwrap_or(0) as usize
    }
}
