//! Who used the processor between two looks at the components.

use alloc::vec::Vec;

/// What is known of a component at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How often it was started again.
    pub restarts: u32,
    /// Processor time since it was started last, in nanoseconds.
    pub used_ns: u64,
}

/// How the processor's time was divided, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What each component had, by its number.
    pub of: Vec<u64>,
    /// What is left: nobody ran, or who ran has ended since.
    pub idle: u64,
}

/// All of it.
const WHOLE: u64 = 1000;

/// Divides the `passed_ns` nanoseconds between two looks. A component that was started anew meanwhile counts from
/// zero, one that was not there before likewise.
#[must_use]
pub fn shares(before: &[Sample], now: &[Sample], passed_ns: u64) -> Shares {
    let of: Vec<u64> = now
        .iter()
        .enumerate()
        .map(|(number, sample)| {
            let same_life = before
                .get(number)
                .filter(|old| old.restarts == sample.restarts);
            let used = sample
                .used_ns
                .saturating_sub(same_life.map_or(0, |old| old.used_ns));
            (used.saturating_mul(WHOLE) / passed_ns.max(1)).min(WHOLE)
        })
        .collect();
    let used = of
        .iter()
        .fold(0, |sum: u64, share| sum.saturating_add(*share));
    Shares {
        of,
        idle: WHOLE.saturating_sub(used),
    }
}

impl Shares {
    /// Numbers of the components, those with the largest shares first, equal ones in order.
    #[must_use]
    pub fn ranked(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.of.len()).collect();
        numbers.sort_by_key(|&number| core::cmp::Reverse(self.of.get(number).copied()));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sample(restarts: u32, used_ns: u64) -> Sample {
        Sample { restarts, used_ns }
    }

    #[test]
    fn the_time_between_two_looks_is_divided() {
        let before = [sample(0, 100), sample(0, 500), sample(2, 900)];
        let now = [
            sample(0, 350),
            sample(0, 500),
            sample(3, 100),
            sample(0, 50),
        ];
        let shares = shares(&before, &now, 1000);
        // The third was started anew, the fourth was not there before.
        assert_eq!(shares.of, [250, 0, 100, 50]);
        assert_eq!(shares.idle, 600);
        assert_eq!(shares.ranked(), [0, 2, 3, 1]);
    }

    #[test]
    fn whatever_is_reported_no_share_exceeds_the_whole() {
        let now = [sample(0, u64::MAX), sample(0, 7)];
        let shares = shares(&[], &now, 0);
        assert_eq!(shares.of, [1000, 1000]);
        assert_eq!(shares.idle, 0);
    }
}
