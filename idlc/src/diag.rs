//! Diagnostics: what is wrong, where, and what would be accepted.
//!
//! A [`Diagnostic`] is data; [`render`] prints it for people and [`to_json`]
//! for tools. [`Diagnostics`] collects those of one run and sorts them by
//! place, so that the output does not depend on the order of the passes.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::codes::Code;
use crate::source::{SourceMap, Span};

/// Whether a run with this diagnostic fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It fails.
    Error,
    /// It succeeds.
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Its number.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What was found, in one line.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is said under the underlined text.
    pub label: String,
    /// Other places that matter, each with a word on why.
    pub related: Vec<(Span, String)>,
    /// What would be accepted.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Sets the text under the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }

    /// Adds a line that says what would be accepted.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds the help line if there is one.
    #[must_use]
    pub fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }
}

/// Most findings of one run that are kept. What has more mistakes is no
/// interface, and its report would only be long.
const MAX_KEPT: usize = 1000;

/// The findings of one run.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    known: HashSet<(Code, Span)>,
    dropped: usize,
}

impl Diagnostics {
    /// Adds one, unless the same code was already reported at the same place.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() == MAX_KEPT {
            self.dropped += 1;
        } else if self.known.insert((diagnostic.code, diagnostic.span)) {
            self.list.push(diagnostic);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// Whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Sorted by file and place.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|d| (d.span, d.code));
        list
    }
}

/// All diagnostics as text for people, with a closing count.
#[must_use]
pub fn render_all(diagnostics: &Diagnostics, sources: &SourceMap) -> String {
    let list = diagnostics.sorted();
    let mut out = String::new();
    for diagnostic in &list {
        out.push_str(&render(diagnostic, sources));
        out.push('\n');
    }
    let errors = list
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count();
    if diagnostics.dropped > 0 {
        let _ = writeln!(out, "{} more are not shown", diagnostics.dropped);
    }
    if errors > 0 {
        let plural = if errors == 1 { "" } else { "s" };
        let _ = writeln!(
            out,
            "{errors} error{plural}; `idlc explain CODE` says more about a code"
        );
    }
    out
}

/// One diagnostic as text for people.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut out = String::new();
    let at = sources
        .file(diagnostic.span.file)
        .line_col(diagnostic.span.start);
    let path = sources.file(diagnostic.span.file).display_path();
    let (severity, code) = (diagnostic.severity.name(), diagnostic.code);
    let _ = writeln!(
        out,
        "{path}:{}:{}: {severity}[{code}]: {}",
        at.line, at.column, diagnostic.message
    );
    excerpt(&mut out, sources, diagnostic.span, '^', &diagnostic.label);
    for (span, text) in &diagnostic.related {
        let file = sources.file(span.file);
        let at = file.line_col(span.start);
        let _ = writeln!(
            out,
            "  {}:{}:{}: {text}",
            file.display_path(),
            at.line,
            at.column
        );
        excerpt(&mut out, sources, *span, '-', "");
    }
    for help in &diagnostic.help {
        let _ = writeln!(out, "  = help: {help}");
    }
    out
}

/// Most characters of a source line that are shown.
const MAX_SHOWN: usize = 240;

/// Prints the line of `span` and underlines the part of it that `span` covers.
pub fn excerpt(out: &mut String, sources: &SourceMap, span: Span, mark: char, label: &str) {
    let file = sources.file(span.file);
    let at = file.line_col(span.start);
    let line = file.line(at.line);
    let number = at.line.to_string();
    let gap = " ".repeat(number.len());
    // Of a very long line only what is around the place.
    let skipped = (at.column - 1).saturating_sub(MAX_SHOWN / 2);
    let skipped = if line.chars().nth(MAX_SHOWN).is_some() {
        skipped
    } else {
        0
    };
    let shown: String = line.chars().skip(skipped).take(MAX_SHOWN).collect();
    let before = at.column - 1 - skipped;
    let covered = sources.text(span).lines().next().unwrap_or("").trim_end();
    let covered = covered
        .chars()
        .take(MAX_SHOWN - before.min(MAX_SHOWN - 1))
        .count()
        .max(1);
    // A tab stays a tab, so that the mark stands under what it means.
    let lead: String = shown
        .chars()
        .take(before)
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    let marks: String = std::iter::repeat_n(mark, covered).collect();
    let _ = writeln!(out, "  {number} | {}", shown.trim_end());
    let _ = writeln!(
        out,
        "  {gap} | {}",
        format!("{lead}{marks} {label}").trim_end()
    );
}

/// All diagnostics as a JSON array.
#[must_use]
pub fn to_json(diagnostics: &Diagnostics, sources: &SourceMap) -> Value {
    let place = |span: Span| {
        let file = sources.file(span.file);
        let (start, end) = (file.line_col(span.start), file.line_col(span.end));
        json!({
            "file": file.display_path(),
            "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
        })
    };
    let one = |d: &&Diagnostic| {
        let related: Vec<_> = d
            .related
            .iter()
            .map(|(span, text)| json!({"at": place(*span), "text": text}))
            .collect();
        json!({
            "code": d.code.to_string(), "severity": d.severity.name(), "message": d.message,
            "at": place(d.span), "label": d.label, "related": related, "help": d.help,
        })
    };
    Value::Array(diagnostics.sorted().iter().map(one).collect())
}
