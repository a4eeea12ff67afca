//! What is wrong with a system description: where, why, and what would be accepted.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use idlc::diag::excerpt;
use idlc::source::{FileId, SourceMap, Span};

/// A range of bytes of the description.
pub(crate) type Place = Range<usize>;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) it: T,
    pub(crate) place: Place,
}

impl<T> At<T> {
    pub(crate) fn new(it: T, place: Place) -> Self {
        Self { it, place }
    }
}

/// Whether a description with this finding is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What kind of mistake, in a word: one of [`KINDS`].
    kind: &'static str,
    severity: Severity,
    message: String,
    place: Place,
    label: String,
    related: Vec<(Place, String)>,
    help: Vec<String>,
}

/// Every kind of finding. Each has a bad description in `xtask/tests/system`.
pub(crate) const KINDS: [&str; 25] = [
    "syntax",
    "unknown-key",
    "missing-key",
    "wrong-type",
    "bad-value",
    "bad-name",
    "duplicate",
    "limit",
    "unknown-name",
    "unknown-binary",
    "unknown-board",
    "unknown-device",
    "unknown-service",
    "unknown-protocol",
    "unknown-right",
    "right-not-grantable",
    "device-shared",
    "device-overlap",
    "interrupt-shared",
    "not-on-board",
    "restart",
    "priority",
    "cycle",
    "needless-allow",
    "quota",
];

impl Finding {
    pub(crate) fn error(kind: &'static str, place: &Place, message: impl Into<String>) -> Self {
        debug_assert!(KINDS.contains(&kind), "{kind} is in the list");
        Self {
            kind,
            severity: Severity::Error,
            message: message.into(),
            place: place.clone(),
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn warning(kind: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(kind, place, message)
        }
    }

    /// Sets the text under the underlined place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place that matters, with a word on why.
    pub(crate) fn related(mut self, place: &Place, text: impl Into<String>) -> Self {
        self.related.push((place.clone(), text.into()));
        self
    }

    /// Adds a line that says what would be accepted.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    pub(crate) fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }
}

/// The findings of one run. What is found on several boards is kept once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) {
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    pub(crate) fn errors(&self) -> usize {
        self.of(Severity::Error)
    }

    pub(crate) fn warnings(&self) -> usize {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> usize {
        let same = |finding: &&Finding| finding.severity == severity;
        self.list.iter().filter(same).count()
    }

    /// Kinds that occur.
    #[cfg(test)]
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.list.iter().map(|finding| finding.kind)
    }

    /// All of them as text, in the order of their places in `text`, which was read from `path`.
    pub(crate) fn render(&self, path: &Path, text: &str) -> String {
        let mut sources = SourceMap::default();
        let file = sources.add(path.to_path_buf(), text.to_string());
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|finding| (finding.place.start, finding.kind));
        let mut out = String::new();
        for finding in list {
            finding.render(&mut out, &sources, file);
            out.push('\n');
        }
        match (self.errors(), self.warnings()) {
            (0, 0) => {}
            (0, warnings) => out += &counted(warnings, "warning"),
            (errors, 0) => out += &counted(errors, "error"),
            (errors, warnings) => {
                let _ = write!(
                    out,
                    "{}, {}",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                );
            }
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out
    }
}

impl Finding {
    fn render(&self, out: &mut String, sources: &SourceMap, file: FileId) {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let title = format!("{severity}[{}]: {}", self.kind, self.message);
        locate(out, sources, span(file, &self.place), "", &title);
        excerpt(out, sources, span(file, &self.place), '^', &self.label);
        for (place, text) in &self.related {
            locate(out, sources, span(file, place), "  ", text);
            excerpt(out, sources, span(file, place), '-', "");
        }
        for help in &self.help {
            let _ = writeln!(out, "  = help: {help}");
        }
    }
}

/// A number and what is counted.
pub(crate) fn counted(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

/// A line that begins with the place as editors understand it.
fn locate(out: &mut String, sources: &SourceMap, span: Span, indent: &str, text: &str) {
    let file = sources.file(span.file);
    let at = file.line_col(span.start);
    let _ = writeln!(
        out,
        "{indent}{}:{}:{}: {text}",
        file.display_path(),
        at.line,
        at.column
    );
}

fn span(file: FileId, place: &Place) -> Span {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file,
        start: offset(place.start),
        end: offset(place.end),
    }
}
