//! The earliest of many moments that change, without looking at all of them.
//!
//! Whose moment is the earliest is known, and a moment before which nobody else's is. So the one that changes most, a
//! connection that waits to acknowledge and then does, leaves nothing behind. What is known of the others may be too
//! early, never too late: then it is found out anew at that moment.

use super::earlier;

/// Moments, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Next {
    /// The earliest.
    first: Option<u64>,
    /// Whose that is, if it is known.
    whose: Option<usize>,
    /// None of all others is earlier.
    rest: Option<u64>,
}

impl Next {
    /// Nobody's moment but this, if any.
    pub(super) const fn of(moment: Option<u64>) -> Self {
        Self {
            first: moment,
            whose: None,
            rest: moment,
        }
    }

    /// The earliest, or earlier than that.
    pub(super) const fn ns(&self) -> Option<u64> {
        self.first
    }

    /// It is `moment` now for this one.
    pub(super) fn note(&mut self, one: usize, moment: Option<u64>) {
        let others = match self.whose {
            Some(whose) if whose == one => self.rest,
            _ => self.first,
        };
        let is_first = moment.is_some_and(|at| others.is_none_or(|others| at < others));
        if is_first {
            *self = Self {
                first: moment,
                whose: Some(one),
                rest: others,
            };
        } else if self.whose == Some(one) {
            *self = Self::of(self.rest);
        } else {
            self.rest = earlier(self.rest, moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Next;
    use crate::entropy::Generator;

    #[test]
    fn one_that_goes_back_and_forth_leaves_nothing_behind() {
        let mut next = Next::of(Some(1000));
        next.note(3, Some(500));
        for step in 0..100 {
            next.note(7, Some(10 + step));
            assert_eq!(next.ns(), Some(10 + step));
            next.note(7, Some(700));
            assert_eq!(next.ns(), Some(500));
        }
        next.note(3, None);
        assert_eq!(next.ns(), Some(500), "a bound is what is left of it");
    }

    #[test]
    fn it_is_never_too_late() {
        let mut random = Generator::new(&mut [9; 32]);
        for _ in 0..200 {
            let mut moments = [None; 5];
            let mut next = Next::default();
            for _ in 0..50 {
                let one = random.any_u64() as usize % moments.len();
                let moment = random.any_u64() % 20;
                moments[one] = (moment > 0).then_some(moment);
                next.note(one, moments[one]);
                let earliest = moments.iter().flatten().min();
                if let Some(earliest) = earliest {
                    assert!(next.ns().is_some_and(|ns| ns <= *earliest), "{next:?}");
                }
            }
        }
    }
}
