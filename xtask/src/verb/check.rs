//! `cargo xtask check`: format, lints and the rules of the tree.

use anyhow::{Result, ensure};

use crate::compile::TARGET;
use crate::toolchain::run as must_run;
use crate::workspace::Workspace;
use crate::{report, system, tidy};

/// Runs every check that needs no test run; all of them, so that one failure does not hide another.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();
    let mut check = |what: &'static str, check: &dyn Fn() -> Result<()>| {
        report::step("Checking", what);
        if let Err(error) = check() {
            report::error(&error);
            failed.push(what);
        }
    };
    let deny = ["--", "-D", "warnings"];
    check("format", &|| {
        must_run(workspace.cargo().args(["fmt", "--all", "--check"]))
    });
    check("lints for this machine", &|| {
        must_run(
            workspace
                .cargo()
                .args([
                    "clippy",
                    "--quiet",
                    "--keep-going",
                    "--workspace",
                    "--all-targets",
                ])
                .args(deny),
        )
    });
    // The host's run never sees what is compiled for the target only.
    check("lints for the target", &|| {
        // Cargo gives all packages of a run the features that any of them asks for, and examples
        // have no heap.
        let (examples, others): (Vec<_>, Vec<_>) = bare_metal_packages(workspace)
            .into_iter()
            .partition(|name| name.starts_with("example-"));
        for packages in [others, examples] {
            let mut clippy = workspace.target_cargo()?;
            clippy.args(["clippy", "--quiet", "--keep-going", "--target", TARGET]);
            for package in packages {
                clippy.args(["--package", package]);
            }
            must_run(clippy.args(deny))?;
        }
        Ok(())
    });
    check("what runs", &|| {
        let path = workspace.root.join(system::SYSTEM_FILE);
        system::inspect(workspace, &path, None).map(|_| ())
    });
    check("rules of the tree", &|| tidy::check(workspace));
    ensure!(failed.is_empty(), "not in order: {}", failed.join(", "));
    Ok(())
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
