//! `cargo xtask codegen`: files that are made from others and committed beside them.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::report;
use crate::workspace::Workspace;

/// The C view of the ABI.
const C_HEADER: &str = "gritos-abi/include/gritos.h";

#[derive(Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

impl Options {
    pub(crate) fn checking() -> Self {
        Self { check: true }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut changed = c_header(workspace, options.check)?;
    let tree = if options.check {
        idlc::codegen::check_tree
    } else {
        idlc::codegen::generate_tree
    };
    let stubs = tree(&workspace.root).map_err(|text| anyhow!("{text}"))?;
    changed.extend(stubs.iter().map(|path| path.display().to_string()));
    if options.check && !changed.is_empty() {
        bail!(
            "stale: {}; run `cargo xtask codegen` and commit",
            changed.join(", ")
        );
    }
    for name in changed {
        report::step("Wrote", name);
    }
    Ok(())
}

/// Compares the C header with a fresh one; returns its name if it was stale, having written it
/// unless this is a `check`.
fn c_header(workspace: &Workspace, check: bool) -> Result<Vec<String>> {
    let mut fresh = String::new();
    gritos_abi::c_header::write(&mut fresh).context("a string takes everything")?;
    let path = workspace.root.join(C_HEADER);
    if fs::read_to_string(&path).is_ok_and(|old| old == fresh) {
        return Ok(Vec::new());
    }
    if !check {
        fs::write(&path, fresh).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(vec![C_HEADER.to_string()])
}
