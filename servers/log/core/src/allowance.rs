//! How much one client may write.

use gritos_service::{Setting, SettingError, read_settings};

/// Records that a client may write at once, unless the system's description says otherwise.
pub const BURST: u32 = 256;
/// Records that it may write per second in the long run, likewise.
pub const PER_SECOND: u32 = 64;
/// The most of either that a description can allow: with more than the store keeps a client could drive out all others.
const MOST: u32 = 1 << 16;

const SECOND: u64 = 1_000_000_000;

/// How much each client may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Records at once.
    pub burst: u32,
    /// Records per second in the long run; at least one.
    pub per_second: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            burst: BURST,
            per_second: PER_SECOND,
        }
    }
}

impl Rate {
    /// Takes what the component's `arguments` set: `burst` and `per-second`.
    ///
    /// # Errors
    /// The first line that is wrong; those before it count.
    pub fn read(&mut self, arguments: &str) -> Result<(), SettingError> {
        read_settings(
            arguments,
            &mut [
                Setting {
                    name: "burst",
                    range: 1..=MOST,
                    value: &mut self.burst,
                },
                Setting {
                    name: "per-second",
                    range: 1..=MOST,
                    value: &mut self.per_second,
                },
            ],
        )
    }

    /// Time in which a client earns one record, in nanoseconds.
    fn price(self) -> u64 {
        SECOND / u64::from(self.per_second.max(1))
    }
}

/// The account of one client: it is full at the start, each record takes one from it, time fills it again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// When the account would be full again, in nanoseconds.
    full_at: u64,
    /// Records that were not kept since the last one that was.
    left_out: u32,
}

impl Allowance {
    /// Whether a record may be kept at the time `now`, and how many were not since the last one.
    pub fn take(&mut self, now: u64, rate: Rate) -> Option<u32> {
        let price = rate.price();
        let full_at = self.full_at.max(now).saturating_add(price);
        if full_at - now > u64::from(rate.burst) * price {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.full_at = full_at;
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, BURST, PER_SECOND, Rate, SECOND};

    #[test]
    fn a_burst_passes_and_then_so_many_per_second() {
        let mut allowance = Allowance::default();
        let at_once = (0..1000)
            .filter(|_| allowance.take(5, Rate::default()).is_some())
            .count();
        assert_eq!(at_once, BURST as usize);
        let mut kept = 0;
        for milli in 0..10_000 {
            kept += u32::from(
                allowance
                    .take(5 + milli * (SECOND / 1000), Rate::default())
                    .is_some(),
            );
        }
        assert!(kept.abs_diff(10 * PER_SECOND) <= 1, "{kept}");
    }

    #[test]
    fn the_description_says_how_much() {
        let mut rate = Rate::default();
        rate.read("burst 3\nper-second 2").unwrap();
        let mut allowance = Allowance::default();
        let kept = |allowance: &mut Allowance, now| {
            (0..10)
                .filter(|_| allowance.take(now, rate).is_some())
                .count()
        };
        assert_eq!(kept(&mut allowance, 0), 3);
        assert_eq!(kept(&mut allowance, SECOND), 2);
        assert!(rate.read("per-second 0").is_err());
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let mut allowance = Allowance::default();
        let left = (0..BURST + 7)
            .filter(|_| allowance.take(0, Rate::default()).is_none())
            .count();
        assert_eq!(left, 7);
        assert_eq!(allowance.take(SECOND, Rate::default()), Some(7));
        assert_eq!(allowance.take(SECOND, Rate::default()), Some(0));
    }

    #[test]
    fn the_end_of_time_is_no_special_moment() {
        let mut allowance = Allowance::default();
        for now in [u64::MAX, u64::MAX - 1, 0, u64::MAX] {
            let _ = allowance.take(now, Rate::default());
        }
    }
}
