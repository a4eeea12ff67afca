//! When a component that ended is started again.

use gritos_system::{Policy, Restart};

/// How a component ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It returned.
    Returned,
    /// It faulted or panicked.
    Failed,
}

/// What became of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Starts again, in all.
    pub(crate) restarts: u32,
    /// Starts again in the window that is running.
    recent: u32,
    /// When that window began, in nanoseconds.
    window_start: u64,
}

impl History {
    /// That of a component that was never started.
    pub(crate) const NEW: Self = Self {
        restarts: 0,
        recent: 0,
        window_start: 0,
    };

    /// The time at which the component is to be started again, in nanoseconds,
    /// if it is. Each further attempt of a window waits twice as long.
    pub(crate) fn next(&mut self, end: End, restart: &Restart, now: u64) -> Option<u64> {
        let wanted = match (restart.policy, end) {
            (Policy::Never, _) | (Policy::OnFailure, End::Returned) => false,
            (Policy::OnFailure, End::Failed) | (Policy::Always, _) => true,
        };
        if !wanted {
            return None;
        }
        if self.recent == 0 || now.saturating_sub(self.window_start) > restart.window_ns {
            self.window_start = now;
            self.recent = 0;
        }
        if self.recent >= restart.attempts {
            return None;
        }
        let factor = 1_u64.checked_shl(self.recent).unwrap_or(u64::MAX);
        self.recent += 1;
        self.restarts = self.restarts.saturating_add(1);
        Some(now.saturating_add(restart.backoff_ns.saturating_mul(factor)))
    }

    /// Somebody asked for the start: what failed before does not count.
    pub(crate) fn asked(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
        self.recent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{End, History};
    use gritos_system::{Policy, Restart};

    const THREE: Restart = Restart {
        policy: Policy::OnFailure,
        attempts: 3,
        window_ns: 1000,
        backoff_ns: 10,
    };

    #[test]
    fn each_attempt_waits_twice_as_long_and_the_last_is_the_last() {
        let mut history = History::NEW;
        let due: Vec<_> = (0..4)
            .map(|_| history.next(End::Failed, &THREE, 100))
            .collect();
        assert_eq!(due, [Some(110), Some(120), Some(140), None]);
        assert_eq!(history.restarts, 3);
    }

    #[test]
    fn attempts_count_within_their_window() {
        let mut history = History::NEW;
        for _ in 0..3 {
            history.next(End::Failed, &THREE, 100).unwrap();
        }
        assert_eq!(history.next(End::Failed, &THREE, 1100), None);
        assert_eq!(history.next(End::Failed, &THREE, 1101), Some(1111));
        history.asked();
        assert_eq!(history.next(End::Failed, &THREE, 1102), Some(1112));
    }

    #[test]
    fn policies_differ_in_what_they_start_again() {
        for (policy, returned, failed) in [
            (Policy::Never, false, false),
            (Policy::OnFailure, false, true),
            (Policy::Always, true, true),
        ] {
            let restart = Restart { policy, ..THREE };
            for (end, expected) in [(End::Returned, returned), (End::Failed, failed)] {
                let mut history = History::NEW;
                let due = history.next(end, &restart, 0);
                assert_eq!(due.is_some(), expected, "{policy:?} {end:?}");
            }
        }
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let restart = Restart {
            attempts: u32::MAX,
            window_ns: u64::MAX,
            backoff_ns: u64::MAX / 2,
            ..THREE
        };
        let mut history = History::NEW;
        for _ in 0..100 {
            assert!(history.next(End::Failed, &restart, 5).is_some());
        }
    }
}
