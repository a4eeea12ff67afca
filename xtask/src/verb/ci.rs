//! `cargo xtask ci` and `cargo xtask doc`: everything that must hold, in order.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use gritos_system::Board;

use crate::image::{Contents, assemble};
use crate::toolchain::run as must_run;
use crate::workspace::Workspace;
use crate::{compile, report, system, verb};

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
    let image = |build: &dyn Fn(&str) -> Result<PathBuf>| {
        let path = workspace.root.join(system::SYSTEM_FILE);
        let compiled = system::compile(workspace, &path, Board::Virt, None)?;
        let mut contents = Contents::default();
        let (kernel, root) = (build(compile::KERNEL)?, build(compile::ROOT)?);
        contents.add_system(compiled, build)?;
        assemble(&kernel, Some(root.as_path()), &contents)
    };
    let first = image(&|package| compile::build(workspace, package))?;
    let apart = workspace.output("apart")?;
    if apart.exists() {
        std::fs::remove_dir_all(&apart)?;
    }
    let second = image(&|package| compile::build_in(workspace, &apart, package))?;
    ensure!(first == second, "the same source gave two different images");
    Ok(())
}
