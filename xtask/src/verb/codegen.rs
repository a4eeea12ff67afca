//! `cargo xtask codegen`: files that are made from others and committed beside them.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::report;
use crate::workspace::Workspace;

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
    let mut header = String::new();
    gritos_abi::c_header::write(&mut header).context("a string takes everything")?;
    let generated = [("gritos-abi/include/gritos.h", header)];
    let mut stale = Vec::new();
    for (name, text) in generated {
        let path = workspace.root.join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if options.check {
            stale.push(name);
            continue;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        report::step("Wrote", name);
    }
    if !stale.is_empty() {
        bail!(
            "stale: {}; run `cargo xtask codegen` and commit",
            stale.join(", ")
        );
    }
    Ok(())
}
