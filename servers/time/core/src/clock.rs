//! The time of day.

/// Seconds of a year, at which a hardware clock is believed: one that says less has lost its time.
const PLAUSIBLE: u64 = 365 * 86_400;
const SECOND: u64 = 1_000_000_000;

/// The time of day as a distance from the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The time of day at which the monotonic clock began, in nanoseconds since 1970; nobody knows without it.
    began: Option<u64>,
}

impl Clock {
    /// A clock that a hardware clock sets, which shows `seconds` since 1970 at the monotonic time `now`.
    #[must_use]
    pub fn from_hardware(seconds: Option<u64>, now: u64) -> Self {
        let nanoseconds = seconds
            .filter(|&seconds| seconds >= PLAUSIBLE)
            .and_then(|seconds| seconds.checked_mul(SECOND));
        let mut clock = Self::default();
        if let Some(nanoseconds) = nanoseconds {
            clock.set(nanoseconds, now);
        }
        clock
    }

    /// Sets the time of day. Whether that is possible: the machine did not begin before 1970.
    pub const fn set(&mut self, nanoseconds: u64, now: u64) -> bool {
        match nanoseconds.checked_sub(now) {
            Some(began) => {
                self.began = Some(began);
                true
            }
            None => false,
        }
    }

    /// The time of day at the monotonic time `now`; `None` if nobody knows.
    #[must_use]
    pub fn at(&self, now: u64) -> Option<u64> {
        self.began.map(|began| began.saturating_add(now))
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, PLAUSIBLE, SECOND};

    #[test]
    fn it_goes_on_from_what_it_was_set_to() {
        let mut clock = Clock::from_hardware(Some(PLAUSIBLE), 5 * SECOND);
        assert_eq!(clock.at(7 * SECOND), Some((PLAUSIBLE + 2) * SECOND));
        assert!(clock.set(99 * SECOND, 9 * SECOND));
        assert_eq!(clock.at(10 * SECOND), Some(100 * SECOND));
        assert!(!clock.set(SECOND, 9 * SECOND));
        assert_eq!(clock.at(u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn a_clock_that_lost_its_time_is_not_believed() {
        for seconds in [None, Some(0), Some(PLAUSIBLE - 1), Some(u64::MAX)] {
            assert_eq!(Clock::from_hardware(seconds, 0).at(0), None);
        }
    }
}
