//! From paths to a checked interface in one call.

use std::path::PathBuf;

use crate::check::check;
use crate::diag::Diagnostics;
use crate::ir::Interface;
use crate::load::{Files, Program, load};

/// The result of a run.
#[derive(Debug)]
pub struct Compiled {
    /// What was read.
    pub program: Program,
    /// What it means; complete only without errors.
    pub interface: Interface,
    /// What was wrong with it.
    pub diagnostics: Diagnostics,
}

/// Reads, parses and checks.
///
/// # Errors
/// A sentence, when a named file cannot be read.
pub fn compile(files: &dyn Files, roots: &[PathBuf]) -> Result<Compiled, String> {
    let mut diagnostics = Diagnostics::default();
    let program = load(files, roots, &mut diagnostics)?;
    let interface = check(&program, &mut diagnostics);
    Ok(Compiled {
        program,
        interface,
        diagnostics,
    })
}
