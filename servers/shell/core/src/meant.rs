//! What a word that nobody knows may have been meant to be.

use alloc::vec::Vec;

/// Longest word that is compared with others: no name is as long.
const LONGEST: usize = 32;

/// The name that is most like `typed`, if one is: that differs by a letter too few, too many, another one, or two in the
/// wrong order; by two such differences if it has six letters or more.
pub(crate) fn meant<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if typed.chars().count() > LONGEST {
        return None;
    }
    let typed = typed.to_lowercase();
    names
        .map(|name| (distance(&typed, name), name))
        .filter(|(differs, name)| {
            let letters = name.chars().count();
            let allowed = if letters < 6 { 1 } else { 2 };
            *differs <= allowed && *differs < letters
        })
        .min_by_key(|(differs, _)| *differs)
        .map(|(_, name)| name)
}

/// How many letters were left out, added, exchanged, or swapped with the next one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows of the table of distances between beginnings: the last but one, the last, and the one being filled.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let exchanged = at(&last, j) + usize::from(x != y);
            let mut least = exchanged.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = core::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::{distance, meant};

    #[test]
    fn distances_count_typing_mistakes() {
        for (a, b, wanted) in [
            ("", "", 0),
            ("", "ps", 2),
            ("pss", "ps", 1),
            ("sp", "ps", 1),
            ("hepl", "help", 1),
            ("kill", "kilo", 1),
            ("netstat", "nestat", 1),
            ("ebcd", "abdc", 2),
        ] {
            assert_eq!(
                (distance(a, b), distance(b, a)),
                (wanted, wanted),
                "{a} {b}"
            );
        }
    }

    #[test]
    fn only_what_is_alike_is_named() {
        let names = ["ps", "top", "netstat", "restart", "cd"];
        let find = |typed: &str| meant(typed, names.into_iter());
        assert_eq!(find("pss"), Some("ps"));
        assert_eq!(find("Top"), Some("top"));
        assert_eq!(find("restrat"), Some("restart"));
        assert_eq!(find("nestta"), Some("netstat"));
        assert_eq!(find("x"), None);
        assert_eq!(find(""), None);
        assert_eq!(find(&"p".repeat(5000)), None);
        assert_eq!(find("format"), None);
    }
}
