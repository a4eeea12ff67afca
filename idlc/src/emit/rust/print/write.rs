//! Runs into text.

use super::{Group, INDENT, Kind, Piece, Run, WIDTH};

/// A file of items.
pub(super) fn file(runs: &[Run]) -> String {
    let mut writer = Writer {
        out: String::new(),
        line: 0,
    };
    writer.lines(runs, Kind::Items, 0, false);
    writer.out
}

struct Writer {
    out: String,
    /// Where the current line begins.
    line: usize,
}

impl Writer {
    fn column(&self) -> usize {
        self.out.len() - self.line
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.line = self.out.len();
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Runs on lines of their own, the last one ended.
    fn lines(&mut self, runs: &[Run], kind: Kind, indent: usize, trailing: bool) {
        for (i, run) in runs.iter().enumerate() {
            if kind == Kind::Items && i > 0 && is_apart(&runs[..i], &runs[i..]) {
                self.out.push('\n');
            }
            self.line = self.out.len();
            self.out.extend(std::iter::repeat_n(' ', indent));
            let last = i + 1 == runs.len();
            let comma = kind.has_commas()
                && !run.attribute
                && (!last || trailing)
                && !run.is_body_of_arm(kind);
            self.run(run, indent, usize::from(comma));
            if comma {
                self.out.push(',');
            }
            self.out.push('\n');
        }
        self.line = self.out.len();
    }

    /// A run from the current column on, with room for `tail` characters.
    fn run(&mut self, run: &Run, indent: usize, tail: usize) {
        if !run.broken && (run.attribute || self.column() + run.width + tail <= WIDTH) {
            return self.pieces(&run.pieces, &[], indent);
        }
        if !run.broken
            && run
                .pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Operator))
        {
            return self.filled(&run.pieces, indent + INDENT, tail);
        }
        if !run.broken && run.links > 1 {
            return self.chain(&run.pieces, indent + INDENT);
        }
        let broken = self.choose(run, indent, tail);
        self.pieces(&run.pieces, &broken, indent);
    }

    /// Which groups of a run are broken so that the rest fits.
    fn choose(&self, run: &Run, indent: usize, tail: usize) -> Vec<bool> {
        let mut broken: Vec<bool> = run
            .pieces
            .iter()
            .map(|piece| matches!(piece, Piece::Group(group) if group.broken))
            .collect();
        loop {
            let Some(line) = overlong(&run.pieces, &broken, self.column(), indent, tail) else {
                return broken;
            };
            let longest = line
                .filter(|at| matches!(&run.pieces[*at], Piece::Group(group) if !broken[*at] && !group.runs.is_empty()))
                .max_by_key(|at| run.pieces[*at].width());
            match longest {
                Some(at) => broken[at] = true,
                None => return broken,
            }
        }
    }

    /// Pieces in a row; those groups broken that `broken` says.
    fn pieces(&mut self, pieces: &[Piece], broken: &[bool], indent: usize) {
        for (i, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => self.out.push_str(text),
                Piece::Operator => self.out.push(' '),
                Piece::Link => {}
                Piece::Group(group) if broken.get(i) == Some(&true) => self.broken(group, indent),
                Piece::Group(group) => self.flat(group),
            }
        }
    }

    fn flat(&mut self, group: &Group) {
        self.out.push_str(group.open);
        if group.padded {
            self.out.push(' ');
        }
        for (i, run) in group.runs.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.pieces(&run.pieces, &[], 0);
        }
        if group.padded {
            self.out.push(' ');
        }
        self.out.push_str(group.close);
    }

    fn broken(&mut self, group: &Group, indent: usize) {
        if let ([only], false) = (group.runs.as_slice(), group.open == "{")
            && only.can_be_hugged()
        {
            self.out.push_str(group.open);
            self.run(only, indent, 1);
            self.out.push_str(group.close);
            return;
        }
        self.out.push_str(group.open);
        self.out.push('\n');
        if group.is_filled() {
            self.names(&group.runs, indent + INDENT);
        } else {
            self.lines(&group.runs, group.kind, indent + INDENT, group.trailing);
        }
        self.line = self.out.len();
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(group.close);
    }

    /// Short things, as many on a line as fit.
    fn names(&mut self, runs: &[Run], indent: usize) {
        self.line = self.out.len();
        self.out.extend(std::iter::repeat_n(' ', indent));
        for (i, run) in runs.iter().enumerate() {
            if i > 0 && self.column() + run.width + 2 > WIDTH {
                self.new_line(indent);
            } else if i > 0 {
                self.out.push(' ');
            }
            self.pieces(&run.pieces, &[], indent);
            self.out.push(',');
        }
        self.out.push('\n');
    }

    /// Operands, as many on a line as fit.
    fn filled(&mut self, pieces: &[Piece], indent: usize, tail: usize) {
        for (i, operand) in pieces
            .split(|piece| matches!(piece, Piece::Operator))
            .enumerate()
        {
            let width: usize = operand.iter().map(Piece::width).sum();
            if i > 0 && self.column() + 1 + width + tail > WIDTH {
                self.new_line(indent);
            } else if i > 0 {
                self.out.push(' ');
            }
            self.pieces(operand, &[], indent);
        }
    }

    /// Calls of methods, each on a line.
    fn chain(&mut self, pieces: &[Piece], indent: usize) {
        for (i, link) in pieces
            .split(|piece| matches!(piece, Piece::Link))
            .enumerate()
        {
            if i > 0 {
                self.new_line(indent);
            }
            let width: usize = link.iter().map(Piece::width).sum();
            let broken: Vec<bool> = link
                .iter()
                .map(|piece| {
                    self.column() + width > WIDTH
                        && matches!(piece, Piece::Group(group) if !group.runs.is_empty())
                })
                .collect();
            self.pieces(link, &broken, indent);
        }
    }
}

impl Piece {
    fn width(&self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Operator => 1,
            Self::Link => 0,
            Self::Group(group) => group.width,
        }
    }
}

impl Group {
    /// Names and numbers are not written one on a line.
    fn is_filled(&self) -> bool {
        const SHORT: usize = 10;
        let plain = |run: &Run| matches!(run.pieces.as_slice(), [Piece::Text(_)]);
        let short = self.open == "[" && self.runs.iter().all(|run| run.width <= SHORT);
        let names = self.open == "{" && !self.padded;
        self.trailing && (short || names) && self.runs.iter().all(plain) && self.runs.len() > 2
    }
}

impl Run {
    /// Whether its own last brackets may take the place of those around it.
    fn can_be_hugged(&self) -> bool {
        let groups = self
            .pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Group(_)))
            .count();
        let behind = self.pieces.len().saturating_sub(2);
        let last = self.pieces[behind..]
            .iter()
            .any(|piece| matches!(piece, Piece::Group(group) if !group.runs.is_empty()));
        let operators = self
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Operator));
        groups == 1 && last && self.links < 2 && !operators && !self.attribute
    }

    /// Whether it is an arm that ends in a body, which takes no comma.
    fn is_body_of_arm(&self, kind: Kind) -> bool {
        let body = |group: &Group| group.open == "{" && group.kind != Kind::List;
        kind == Kind::Arms
            && matches!(self.pieces.last(), Some(Piece::Group(group)) if body(group))
            && self
                .pieces
                .iter()
                .rev()
                .nth(1)
                .is_some_and(|piece| matches!(piece, Piece::Text(text) if text.ends_with("=> ")))
    }

    fn starts_with(&self, word: &str) -> bool {
        matches!(self.pieces.first(), Some(Piece::Text(text)) if text.starts_with(word))
    }
}

/// Pieces of the first line that is too long: those between groups that are broken.
fn overlong(
    pieces: &[Piece],
    broken: &[bool],
    column: usize,
    indent: usize,
    tail: usize,
) -> Option<std::ops::Range<usize>> {
    let (mut width, mut start) = (column, 0);
    for (at, piece) in pieces.iter().enumerate() {
        if broken[at] {
            // The bracket that opens is still on the line.
            if width + 1 > WIDTH && start < at {
                return Some(start..at);
            }
            (width, start) = (indent + 1, at + 1);
        } else {
            width += piece.width();
        }
    }
    (width + tail > WIDTH && start < pieces.len()).then_some(start..pieces.len())
}

/// Whether a blank line separates items.
fn is_apart(before: &[Run], after: &[Run]) -> bool {
    let (Some(last), Some(first)) = (before.last(), after.first()) else {
        return false;
    };
    let comment = |run: &Run| run.starts_with("//!");
    if last.attribute {
        // Between what is said about the file and what the compiler is told.
        return last.starts_with("//!") && !comment(first)
            || last.starts_with("#!") && !first.starts_with("#!");
    }
    let attributed = before.iter().rev().nth(1).is_some_and(|run| run.attribute);
    let documented = first.starts_with("///");
    last.broken
        || first.broken
        || documented
        || attributed && !first.attribute
        || is_opening(last) != is_opening(first)
}

/// Whether an item belongs to the lines that open a file.
fn is_opening(run: &Run) -> bool {
    run.starts_with("use ")
}
