//! What a word could become.

use alloc::string::String;
use alloc::vec::Vec;

/// A word that the one being typed could become.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The whole word.
    pub text: String,
    /// More may follow without a space: it is a folder.
    pub goes_on: bool,
}

impl Candidate {
    /// A word that is complete.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            goes_on: false,
        }
    }
}

/// What all candidates begin with.
pub(crate) fn common(candidates: &[Candidate]) -> &str {
    let Some((first, others)) = candidates.split_first() else {
        return "";
    };
    let mut end = first.text.len();
    for other in others {
        let same = first
            .text
            .char_indices()
            .zip(other.text.chars())
            .take_while(|((_, a), b)| a == b)
            .last();
        end = end.min(same.map_or(0, |((at, c), _)| at + c.len_utf8()));
    }
    first.text.get(..end).unwrap_or("")
}

/// Writes the last parts of the candidates' paths in columns.
pub(crate) fn columns(candidates: &[Candidate], width: usize, out: &mut Vec<u8>) {
    let name = |candidate: &Candidate| -> String {
        let path = candidate.text.trim_end_matches('/');
        let mut name = String::from(path.rsplit('/').next().unwrap_or(path));
        if candidate.goes_on {
            name.push('/');
        }
        name
    };
    let widest = candidates.iter().map(|c| name(c).chars().count()).max();
    let column = widest.unwrap_or(0) + 2;
    let per_row = (width / column).max(1);
    for row in candidates.chunks(per_row) {
        let mut line = String::new();
        for candidate in row {
            let name = name(candidate);
            let gap = column.saturating_sub(name.chars().count());
            line.push_str(&name);
            line.extend(core::iter::repeat_n(' ', gap));
        }
        out.extend(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, columns, common};
    use alloc::vec::Vec;

    #[test]
    fn what_candidates_share_is_found_in_characters() {
        let all = |texts: &[&str]| texts.iter().map(|t| Candidate::new(*t)).collect::<Vec<_>>();
        assert_eq!(common(&all(&["reboot", "restart"])), "re");
        assert_eq!(common(&all(&["né", "nè"])), "n");
        assert_eq!(common(&all(&["ab", "abc"])), "ab");
        assert_eq!(common(&all(&["only"])), "only");
        assert_eq!(common(&[]), "");
    }

    #[test]
    fn columns_fit_the_width_and_show_the_last_part() {
        let mut out = Vec::new();
        let many: Vec<_> = (0..7)
            .map(|n| Candidate {
                text: alloc::format!("/d/f{n}"),
                goes_on: n == 0,
            })
            .collect();
        columns(&many, 16, &mut out);
        assert_eq!(out, b"f0/  f1   f2\nf3   f4   f5\nf6\n");
    }
}
