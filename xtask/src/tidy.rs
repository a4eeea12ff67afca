//! Rules of the tree that no compiler checks.
//!
//! - Every member inherits the workspace's lints.
//! - Crates depend on each other only in the direction that the architecture allows.
//! - `unsafe` occurs only in the modules whose purpose it is; how often is printed.
//! - No file names a folder of the machine it was written on.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use cargo_metadata::DependencyKind;

use crate::source;
use crate::toolchain::output_of;
use crate::workspace::Workspace;

/// Modules that may contain `unsafe`: a file, or a folder with what belongs to it.
const UNSAFE_MODULES: [&str; 13] = [
    "kernel-aarch64/src/arch",
    "kernel-aarch64/src/entry",
    "kernel-aarch64/src/drivers",
    "kernel-aarch64/src/store",
    "kernel-aarch64/tests/store",
    "board/loader/src/machine",
    "sel4-style-libsys/src/svc",
    "sel4-style-libsys/src/rt",
    "sel4-style-libsys/src/mmio",
    "sel4-style-libsys/src/shared",
    "sel4-style-libsys/src/ring",
    "sel4-style-libsys/src/heap",
    "sel4-style-libsys/src/dma",
];

/// Folders that exist on one machine and not on the next. Put together so that this file passes.
const PRIVATE_FOLDERS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// Checks all rules and reports every violation, not only the first.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut violations = manifests(workspace)?;
    violations.extend(arrows(workspace));
    let files = output_of(
        "git",
        &[
            "-C",
            &workspace.root.to_string_lossy(),
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )?;
    let mut unsafe_words = BTreeMap::new();
    for name in files.lines() {
        let path = workspace.root.join(name);
        let Ok(bytes) = fs::read(&path) else { continue };
        violations.extend(private_folders(name, &String::from_utf8_lossy(&bytes)));
        if name.ends_with(".rs") {
            let count = source::figures(&path)?.unsafe_words;
            match unsafe_module(name) {
                Some(module) => *unsafe_words.entry(module).or_insert(0) += count,
                None if count > 0 => violations.push(format!(
                    "{name}: {count} times `unsafe`; it belongs into one of {}",
                    UNSAFE_MODULES.join(", ")
                )),
                None => {}
            }
        }
    }
    for (module, count) in unsafe_words.iter().filter(|&(_, &count)| count > 0) {
        println!("{count:5} × unsafe in {module}");
    }
    for violation in &violations {
        println!("{violation}");
    }
    ensure!(
        violations.is_empty(),
        "{} rules of the tree are broken (see above)",
        violations.len()
    );
    Ok(())
}

fn manifests(workspace: &Workspace) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for package in workspace.metadata.workspace_packages() {
        let path = package.manifest_path.as_std_path();
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        if !text.contains("[lints]\nworkspace = true") {
            let name = path.strip_prefix(&workspace.root).unwrap_or(path);
            violations.push(format!(
                "{}: add `[lints]` with `workspace = true`",
                name.display()
            ));
        }
    }
    Ok(violations)
}

/// Dependencies between members that the architecture does not know.
fn arrows(workspace: &Workspace) -> Vec<String> {
    let members = workspace.metadata.workspace_packages();
    let is_member = |name: &str| members.iter().any(|package| package.name == name);
    members
        .iter()
        .flat_map(|package| {
            package
                .dependencies
                .iter()
                .filter(|d| d.kind == DependencyKind::Normal && is_member(&d.name))
                .filter(|d| !may_depend(&package.name, &d.name))
                .map(|d| format!("{}: must not depend on {}", package.name, d.name))
        })
        .collect()
}

fn may_depend(from: &str, to: &str) -> bool {
    const KERNEL: [&str; 2] = ["gritos-kernel", "gritos-kernel-core"];
    match (from, to) {
        // What is common to kernel and user space depends on nothing of ours, and the tools on
        // nothing that they build.
        ("gritos-abi" | "gritos-board", _) => false,
        ("gritos-kernel-core", to) => to == "gritos-abi",
        ("gritos-kernel", to) => ["gritos-abi", "gritos-board", "gritos-kernel-core"].contains(&to),
        ("gritos-sys", to) => to == "gritos-abi",
        ("gritos-system", _) => false,
        ("gritos-loader-core", to) => to == "gritos-abi",
        ("gritos-loader", to) => ["gritos-board", "gritos-loader-core"].contains(&to),
        ("xtask", to) => [
            "gritos-abi",
            "gritos-board",
            "gritos-loader-core",
            "gritos-system",
            "idlc",
        ]
        .contains(&to),
        // Tests of user space run on the kernel itself.
        ("gritos-testing", to) => !["gritos-kernel", "xtask", "idlc"].contains(&to),
        // Everything else is user space: it never sees a kernel crate or a tool.
        (_, to) => !KERNEL.contains(&to) && !["xtask", "idlc"].contains(&to),
    }
}

fn unsafe_module(file: &str) -> Option<&'static str> {
    UNSAFE_MODULES.into_iter().find(|module| {
        file.strip_prefix(module)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    })
}

fn private_folders(file: &str, text: &str) -> Vec<String> {
    let is_absolute = |line: &str, at: usize| {
        // `servers/root/` and `$HOME/root/` are no absolute paths.
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}/".contains(c))
    };
    text.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            PRIVATE_FOLDERS
                .iter()
                .filter(move |folder| {
                    line.match_indices(**folder)
                        .any(|(at, _)| is_absolute(line, at))
                })
                .map(move |folder| {
                    format!(
                        "{file}:{}: `{folder}` is a folder of one machine",
                        index + 1
                    )
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{may_depend, private_folders, unsafe_module};

    #[test]
    fn arrows_point_from_user_space_and_kernel_to_the_abi() {
        for (from, to) in [
            ("gritos-kernel", "gritos-kernel-core"),
            ("gritos-kernel-core", "gritos-abi"),
            ("gritos-root", "gritos-sys"),
            ("xtask", "idlc"),
            ("xtask", "gritos-system"),
            ("gritos-root", "gritos-system"),
        ] {
            assert!(may_depend(from, to), "{from} → {to}");
        }
        for (from, to) in [
            ("gritos-abi", "gritos-board"),
            ("gritos-kernel-core", "gritos-board"),
            ("gritos-kernel", "gritos-sys"),
            ("gritos-root", "gritos-kernel-core"),
            ("gritos-fs", "idlc"),
            ("idlc", "xtask"),
        ] {
            assert!(!may_depend(from, to), "{from} → {to}");
        }
    }

    #[test]
    fn a_module_is_its_file_and_its_folder_and_no_namesake() {
        assert!(unsafe_module("kernel-aarch64/src/arch.rs").is_some());
        assert!(unsafe_module("kernel-aarch64/src/arch/mmu.rs").is_some());
        assert!(unsafe_module("kernel-aarch64/src/archive.rs").is_none());
        assert!(unsafe_module("kernel-aarch64/src/main.rs").is_none());
    }

    #[test]
    fn folders_of_one_machine_are_found_and_relative_ones_are_not() {
        let text = concat!(
            "see /ho",
            "me/me/notes\nservers/root/src\n\"/ro",
            "ot/x\"\n"
        );
        assert_eq!(private_folders("a", text).len(), 2);
    }
}
