//! Lines that were entered.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Most lines that are remembered.
pub const HISTORY_LIMIT: usize = 200;

/// Lines, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<String>);

impl History {
    /// Adds a line, unless it has nothing to see or is the last one again.
    pub fn add(&mut self, line: &str) {
        if line.trim().is_empty() || self.0.back().is_some_and(|last| last == line) {
            return;
        }
        if self.0.len() >= HISTORY_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(line.into());
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The line `back` lines ago; 0 is the newest.
    #[must_use]
    pub fn back(&self, back: usize) -> Option<&str> {
        let place = self.0.len().checked_sub(back + 1)?;
        self.0.get(place).map(String::as_str)
    }

    /// How many lines ago the newest is that contains `part` and is at least `back` lines old.
    #[must_use]
    pub fn find(&self, part: &str, back: usize) -> Option<usize> {
        (back..self.0.len()).find(|&age| self.back(age).is_some_and(|line| line.contains(part)))
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{HISTORY_LIMIT, History};

    #[test]
    fn repetitions_and_blanks_are_left_out_and_the_oldest_go_first() {
        let mut history = History::default();
        for line in ["a", "a", " ", "", "b", "a"] {
            history.add(line);
        }
        assert!(history.iter().eq(["a", "b", "a"]));
        assert_eq!(
            (history.find("b", 0), history.find("b", 2)),
            (Some(1), None)
        );
        for n in 0..HISTORY_LIMIT {
            history.add(&alloc::format!("line {n}"));
        }
        assert_eq!(history.len(), HISTORY_LIMIT);
        assert_eq!(history.back(HISTORY_LIMIT - 1), Some("line 0"));
        assert_eq!(history.back(HISTORY_LIMIT), None);
    }
}
