//! Names with a text beside each, in two columns.

use alloc::string::String;

/// Columns of a terminal whose size nobody knows.
pub(crate) const WIDTH: usize = 80;
/// Least columns for text, however long the names are.
const LEAST_TEXT: usize = 24;

/// Lays out `entries`, names and what is said of them, a line feed behind each line. With `wraps` a line has at most 79
/// columns, and a longer text goes on below itself; without, as for a pipe, each entry has one line.
#[must_use]
pub fn two_columns(entries: &[(&str, &str)], wraps: bool) -> String {
    let widest = entries.iter().map(|(name, _)| name.chars().count()).max();
    let indent = widest.unwrap_or(0) + 2;
    let room = if wraps {
        (WIDTH - 1).saturating_sub(indent).max(LEAST_TEXT)
    } else {
        usize::MAX
    };
    let mut out = String::new();
    for (name, text) in entries {
        out.push_str(name);
        let mut column = name.chars().count();
        let mut used = 0;
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                out.push('\n');
                (column, used) = (0, 0);
            }
            if used == 0 {
                out.extend(core::iter::repeat_n(' ', indent - column));
            } else {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::two_columns;

    const TEXT: &str =
        "shows who uses the processor: so many times, a second each, or in place until Ctrl-C";

    #[test]
    fn what_is_too_long_goes_on_below_itself() {
        let entries = [("top", TEXT), ("reboot", "starts the machine anew")];
        let text = two_columns(&entries, true);
        assert_eq!(
            text,
            "top     shows who uses the processor: so many times, a second each, or in place\n        \
             until Ctrl-C\nreboot  starts the machine anew\n"
        );
        assert!(text.lines().all(|line| line.len() <= 79));
    }

    #[test]
    fn a_pipe_gets_a_line_each() {
        let text = two_columns(&[("top", TEXT), ("a", "")], false);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.lines().next().map(str::len), Some(5 + TEXT.len()));
    }

    #[test]
    fn no_word_is_lost_and_none_is_cut() {
        let long = "x".repeat(200);
        let text = two_columns(&[("name", &long)], true);
        assert!(text.contains(&long));
        assert_eq!(two_columns(&[], true), "");
    }
}
