//! Numbers that look random and are the same in every run.

/// A generator.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One whose numbers follow from `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number less than `limit`; 0 if there is none.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        match limit {
            0 => 0,
            limit => (self.next() >> 11) % limit,
        }
    }

    /// One of these.
    pub(crate) fn pick<T: Copy + Default>(&mut self, of: &[T]) -> T {
        let place = self.below(of.len() as u64) as usize;
        of.get(place).copied().unwrap_or_default()
    }
}
