//! `cargo xtask ci` and `cargo xtask doc`: everything that must hold, in order.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::image::{Contents, assemble};
use crate::toolchain::run as must_run;
use crate::workspace::Workspace;
use crate::{compile, report, verb};

/// The documentation of every crate; a broken link is an error.
pub(crate) fn doc(workspace: &Workspace) -> Result<()> {
    report::step("Writing", "documentation (cargo doc)");
    must_run(
        workspace
            .cargo()
            .args([
                "doc",
                "--quiet",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    println!(
        "{}",
        workspace
            .metadata
            .target_directory
            .join("doc/gritos_abi/index.html")
    );
    Ok(())
}

/// Checks, generated files, documentation, sizes, reproducibility, tests. Returns the exit status
/// of the tests; anything else that fails ends the run.
pub(crate) fn run(workspace: &Workspace) -> Result<u8> {
    verb::check::run(workspace)?;
    verb::codegen::run(workspace, &verb::codegen::Options::checking())?;
    doc(workspace)?;
    ensure!(
        verb::size::run(workspace)? == 0,
        "a budget is exceeded (see above)"
    );
    reproducible(workspace)?;
    verb::test::run(workspace, &verb::test::Options::default())
}

/// Builds the image twice, the second time from nothing in another folder, and compares.
fn reproducible(workspace: &Workspace) -> Result<()> {
    report::step("Comparing", "two images, built apart");
    let image = |kernel: PathBuf, root: PathBuf| {
        assemble(&kernel, Some(root.as_path()), &Contents::default())
    };
    let first = image(
        compile::build(workspace, compile::KERNEL)?,
        compile::build(workspace, compile::ROOT)?,
    )?;
    let apart = workspace.output("apart")?;
    if apart.exists() {
        std::fs::remove_dir_all(&apart)?;
    }
    let second = image(
        compile::build_in(workspace, &apart, compile::KERNEL)?,
        compile::build_in(workspace, &apart, compile::ROOT)?,
    )?;
    ensure!(first == second, "the same source gave two different images");
    Ok(())
}
