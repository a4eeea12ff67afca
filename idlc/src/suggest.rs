//! "Did you mean": the known name nearest to a misspelt one.

/// The candidate nearest to `wrong`, if one is near enough to be what was meant:
/// at most a third of its letters differ, or only case and underscores do.
#[must_use]
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = wrong.chars().count() / 3;
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = if plain(candidate) == plain(wrong) {
                0
            } else {
                distance(wrong, candidate)
            };
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A help line for the nearest candidate.
#[must_use]
pub fn did_you_mean<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(wrong, candidates).map(|name| format!("did you mean `{name}`?"))
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 8 || a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn small_slips_are_recognised_and_strangers_are_not() {
        let names = ["MemoryObject", "Endpoint", "Notification"];
        assert_eq!(nearest("MemoryObjct", names), Some("MemoryObject"));
        assert_eq!(nearest("Enpdoint", names), Some("Endpoint"));
        assert_eq!(nearest("memory_object", names), Some("MemoryObject"));
        assert_eq!(nearest("Socket", names), None);
    }
}
