//! What xtask says about its own work: to stderr, in cargo's manner, coloured if that is a terminal.
//! Results that somebody asked for go to stdout.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

const VERB: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Says what is being done now: a verb and its object.
pub(crate) fn step(verb: &str, what: impl Display) {
    anstream::eprintln!("{VERB}{verb:>12}{VERB:#} {what}");
}

/// Says what the user should know although work goes on.
pub(crate) fn warning(what: impl Display) {
    anstream::eprintln!("{WARNING}{:>12}{WARNING:#} {what}", "warning");
}

/// Says why xtask gives up, cause after cause.
pub(crate) fn error(error: &anyhow::Error) {
    anstream::eprintln!("{ERROR}error{ERROR:#}: {error}");
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  because: {cause}");
    }
}

/// One line of a test run, on stdout.
pub(crate) fn verdict(passed: bool, text: impl Display) {
    let (style, word) = if passed {
        (VERB, "pass")
    } else {
        (ERROR, "FAIL")
    };
    anstream::println!("{style}{word}{style:#} {text}");
}

/// A test that did not run, and why, on stdout.
pub(crate) fn skipped(text: impl Display) {
    anstream::println!("{WARNING}skip{WARNING:#} {text}");
}
