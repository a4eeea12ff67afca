//! Numbers that nobody outside can guess.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Where true randomness comes from.
pub trait Entropy {
    /// Fills `seed` with bytes that nobody else knows.
    fn seed(&mut self, seed: &mut [u8; 32]);
}

/// A generator that was seeded once, `ChaCha20`.
pub struct Generator(ChaCha20Rng);

impl core::fmt::Debug for Generator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Generator(..)")
    }
}

impl Generator {
    /// Seeds a generator.
    #[must_use]
    pub fn new(entropy: &mut impl Entropy) -> Self {
        let mut seed = [0; 32];
        entropy.seed(&mut seed);
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Any number.
    pub fn any_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Any number of 16 bits.
    pub fn any_u16(&mut self) -> u16 {
        self.0.next_u32() as u16
    }

    /// A port from the range that is kept for whoever does not care which.
    pub fn ephemeral_port(&mut self) -> u16 {
        EPHEMERAL_FIRST | self.any_u16() >> 2
    }
}

/// First of the dynamic ports (RFC 6335, "Port Number Ranges"); they go up to
/// 65535.
pub(crate) const EPHEMERAL_FIRST: u16 = 0xc000;

/// A fixed seed, for tests.
impl Entropy for [u8; 32] {
    fn seed(&mut self, seed: &mut [u8; 32]) {
        *seed = *self;
    }
}
