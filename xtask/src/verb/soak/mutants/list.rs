//! Which mutants there are: what `cargo mutants --list` says.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One change of the source that some test should notice.
#[derive(Clone, Debug)]
pub(super) struct Mutant {
    /// Its number, from 1 on.
    pub(super) id: u32,
    /// The file, relative to the crate's `src`.
    pub(super) file: String,
    /// Where and what, as cargo-mutants words it, without the folder.
    pub(super) name: String,
    pub(super) genre: Genre,
    /// What comes in place of the source at `start..end`; nothing for what is deleted.
    pub(super) replacement: String,
    pub(super) start: Place,
    pub(super) end: Place,
    /// Return type of the function around it, as it is written; empty if there is none.
    pub(super) returns: String,
}

impl Mutant {
    /// What it is, without the place: the same after lines have been added before it.
    pub(super) fn what(&self) -> String {
        what(&self.name)
    }
}

/// What a mutant of this name is, without the place.
pub(super) fn what(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    let file = parts.next().unwrap_or_default();
    format!("{file}:{}", parts.nth(2).unwrap_or_default())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// The offset in bytes in `text`.
    pub(super) fn offset(self, text: &str) -> usize {
        let before: usize = text
            .split_inclusive('\n')
            .take(self.line - 1)
            .map(str::len)
            .sum();
        let line = text.get(before..).unwrap_or_default();
        before
            + line
                .char_indices()
                .nth(self.column - 1)
                .map_or(line.len(), |(at, _)| at)
    }
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    name: String,
    genre: Genre,
    replacement: String,
    span: Span,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

#[derive(Deserialize)]
struct Function {
    return_type: String,
}

/// The mutants of the crate whose folder is `folder`, relative to the workspace, without its test support.
pub(super) fn list(root: &Path, package: &str, folder: &str) -> Result<Vec<Mutant>> {
    const ADVICE: &str =
        "mutants are listed by cargo-mutants: `cargo install --locked cargo-mutants` installs it";
    let source = format!("{folder}/src/");
    let output = Command::new("cargo")
        .current_dir(root)
        .args(["mutants", "--list", "--json", "--package", package])
        .args(["--exclude", &format!("{source}host/**")])
        .output()
        .context(ADVICE)?;
    ensure!(
        output.status.success(),
        "{}\n{ADVICE}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout)
        .context("cargo-mutants lists in a form that is not known here; 27.1 is")?;
    let mutants = (1..).zip(listed).map(|(id, listed)| Mutant {
        id,
        file: listed.file.replacen(&source, "", 1),
        name: listed.name.replacen(&source, "", 1),
        genre: listed.genre,
        replacement: listed.replacement,
        start: listed.span.start,
        end: listed.span.end,
        returns: listed.function.map(|f| f.return_type).unwrap_or_default(),
    });
    Ok(mutants.collect())
}
