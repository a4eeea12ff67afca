//! `cargo xtask check`: format, lints and the rules of the tree.

use anyhow::Result;

use crate::compile::TARGET;
use crate::toolchain::{self, run as must_run};
use crate::workspace::Workspace;
use crate::{report, tidy};

/// Runs every check that needs no test run; the first that fails ends it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    toolchain::ensure_rust()?;
    report::step("Checking", "format (cargo fmt)");
    must_run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    report::step("Checking", "lints for this machine (cargo clippy)");
    let deny = ["--", "-D", "warnings"];
    must_run(
        workspace
            .cargo()
            .args(["clippy", "--quiet", "--workspace", "--all-targets"])
            .args(deny),
    )?;
    // The host's run never sees what is compiled for the target only.
    report::step("Checking", format!("lints for {TARGET}"));
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--quiet", "--target", TARGET]);
    for package in bare_metal_packages(workspace) {
        clippy.args(["--package", package]);
    }
    must_run(clippy.args(deny))?;
    report::step("Checking", "the rules of the tree");
    tidy::check(workspace)
}

/// Members that can do without `std`: their crate root says so.
fn bare_metal_packages(workspace: &Workspace) -> Vec<&str> {
    let can = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| text.contains("no_std"));
    workspace
        .metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| {
            package
                .targets
                .iter()
                .any(|t| (t.is_lib() || t.is_bin()) && can(t.src_path.as_str()))
        })
        .map(|package| package.name.as_str())
        .filter(|&name| name != env!("CARGO_PKG_NAME"))
        .collect()
}
