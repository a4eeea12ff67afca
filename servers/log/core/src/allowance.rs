//! How much one client may write.

/// Records that a client may write at once.
pub const BURST: u32 = 256;
/// Records that it may write per second in the long run.
pub const PER_SECOND: u32 = 64;

const SECOND: u64 = 1_000_000_000;
/// Time in which a client earns one record, in nanoseconds.
const PRICE: u64 = SECOND / PER_SECOND as u64;

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
    pub fn take(&mut self, now: u64) -> Option<u32> {
        let full_at = self.full_at.max(now).saturating_add(PRICE);
        if full_at - now > u64::from(BURST) * PRICE {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.full_at = full_at;
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, BURST, PER_SECOND, SECOND};

    #[test]
    fn a_burst_passes_and_then_so_many_per_second() {
        let mut allowance = Allowance::default();
        let at_once = (0..1000).filter(|_| allowance.take(5).is_some()).count();
        assert_eq!(at_once, BURST as usize);
        let mut kept = 0;
        for milli in 0..10_000 {
            kept += u32::from(allowance.take(5 + milli * (SECOND / 1000)).is_some());
        }
        assert!(kept.abs_diff(10 * PER_SECOND) <= 1, "{kept}");
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let mut allowance = Allowance::default();
        let left = (0..BURST + 7)
            .filter(|_| allowance.take(0).is_none())
            .count();
        assert_eq!(left, 7);
        assert_eq!(allowance.take(SECOND), Some(7));
        assert_eq!(allowance.take(SECOND), Some(0));
    }

    #[test]
    fn the_end_of_time_is_no_special_moment() {
        let mut allowance = Allowance::default();
        for now in [u64::MAX, u64::MAX - 1, 0, u64::MAX] {
            let _ = allowance.take(now);
        }
    }
}
