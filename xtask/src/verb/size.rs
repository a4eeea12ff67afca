//! `cargo xtask size`: the kernel against its budgets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::compile;
use crate::source::{self, Figures};
use crate::workspace::Workspace;

mod panics;
mod stack;

/// The budgets in `ci/budgets.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    kernel_constant_bytes: u64,
    kernel_static_ram_bytes: u64,
    kernel_code_lines: u64,
    system_calls: u64,
    kernel_panic_sites: u64,
    kernel_fast_path_calls: u64,
    kernel_recursions: u64,
    /// For `cargo xtask bench`.
    pub(crate) outside: Outside,
}

/// Budgets of what a counter outside the guest finds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outside {
    pub(crate) round_trip_register_writes: u64,
    /// Of ISB and of DSB.
    pub(crate) round_trip_barriers: u64,
    pub(crate) round_trip_code_lines: u64,
    pub(crate) round_trip_data_lines: u64,
    pub(crate) masked_instructions: u64,
    pub(crate) boot_instructions: u64,
    /// Of each way into the kernel, by its name in `verb/bench/paths.rs`.
    pub(crate) paths: BTreeMap<String, u64>,
}

impl Budgets {
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root.join("ci/budgets.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
    }
}

/// Room in a TCB for the frames of the fast path: x0-x7, see the kernel's `fastpath.rs`.
const FAST_STACK: u64 = 64;

/// Sizes of the kernel's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Text and read-only data.
    pub(crate) constant_bytes: u64,
    /// Variables, translation tables and stacks.
    pub(crate) static_ram_bytes: u64,
}

/// Measures, prints, and returns 1 if a budget is exceeded.
pub(crate) fn run(workspace: &Workspace) -> Result<u8> {
    let budgets = Budgets::read(workspace)?;
    let kernel = compile::build(workspace, compile::KERNEL)?;
    let sizes = Sizes::of(&kernel)?;
    let panics = panics::sites(&kernel)?;
    let stacks = stack::measure(&kernel)?;
    let system_calls = u64::from(gritos_abi::Syscall::COUNT);
    let mut within = true;
    println!("{:<40} {:>8} {:>8}", "kernel, release", "found", "budget");
    for (what, found, budget) in [
        (
            "bytes of text and read-only data",
            sizes.constant_bytes,
            budgets.kernel_constant_bytes,
        ),
        (
            "bytes of static RAM",
            sizes.static_ram_bytes,
            budgets.kernel_static_ram_bytes,
        ),
        (
            "lines of code",
            code_lines(workspace)?,
            budgets.kernel_code_lines,
        ),
        ("system calls", system_calls, budgets.system_calls),
        (
            "calls that panic",
            panics.len() as u64,
            budgets.kernel_panic_sites,
        ),
        (
            "bytes of the kernel's stack in use",
            stacks.kernel.deepest,
            stacks.kernel.bytes,
        ),
        (
            "bytes of the emergency stack in use",
            stacks.emergency.deepest,
            stacks.emergency.bytes,
        ),
        (
            "bytes of the fast path's stack in use",
            stacks.fast_frame,
            FAST_STACK,
        ),
        (
            "calls on the fast path",
            stacks.fast_calls,
            budgets.kernel_fast_path_calls,
        ),
        (
            "recursions",
            stacks.recursions.len() as u64,
            budgets.kernel_recursions,
        ),
    ] {
        let verdict = if found > budget { "  EXCEEDED" } else { "" };
        within &= found <= budget;
        println!("{what:<40} {found:>8} {budget:>8}{verdict}");
    }
    if panics.len() as u64 > budgets.kernel_panic_sites {
        println!("\nFunctions that panic:");
        for site in &panics {
            println!("  {} calls {}", site.function, site.panics_in);
        }
    }
    for cycle in &stacks.recursions {
        println!(
            "\nFunctions that call each other, beside which the stack has no bound:\n  {cycle}"
        );
    }
    for stack in [&stacks.kernel, &stacks.emergency] {
        if stack.deepest > stack.bytes {
            println!("\nThe deepest way, with bytes of stack:");
            for function in &stack.path {
                println!("  {function}");
            }
        }
    }
    Ok(u8::from(!within))
}

impl Sizes {
    /// Reads the kernel's program headers.
    pub(crate) fn of(kernel: &Path) -> Result<Self> {
        let program = crate::elf::read(kernel)?;
        let writable = |l: &&crate::elf::Load| l.rights.contains(gritos_abi::Rights::WRITE);
        let all: u64 = program.loads.iter().map(|l| l.memory_bytes).sum();
        let static_ram_bytes = program
            .loads
            .iter()
            .filter(writable)
            .map(|l| l.memory_bytes)
            .sum();
        Ok(Self {
            constant_bytes: all - static_ram_bytes,
            static_ram_bytes,
        })
    }
}

/// Lines of Rust and assembly in the kernel and in every member that it links.
fn code_lines(workspace: &Workspace) -> Result<u64> {
    let mut total = 0;
    for package in linked_members(workspace, compile::KERNEL) {
        let member = workspace
            .member(package)
            .context("a member was just found")?;
        let folder = member
            .manifest_path
            .parent()
            .context("a manifest lies in a folder")?;
        total += lines_below(&folder.join("src").into_std_path_buf())?;
    }
    Ok(total)
}

/// The member `name` and the members it links, each once.
fn linked_members<'a>(workspace: &'a Workspace, name: &'a str) -> Vec<&'a str> {
    let mut found = vec![name];
    let mut next = 0;
    while let Some(&name) = found.get(next) {
        next += 1;
        let Some(package) = workspace.member(name) else {
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.kind == cargo_metadata::DependencyKind::Normal
                && workspace.member(&dependency.name).is_some()
                && !found.contains(&dependency.name.as_str())
            {
                found.push(&dependency.name);
            }
        }
    }
    found
}

/// Lines of code in the files below `folder`, without modules that the kernel is not built with:
/// it enables no features.
fn lines_below(folder: &Path) -> Result<u64> {
    let mut files = BTreeMap::new();
    read_below(folder, &mut files)?;
    let mut optional = Vec::new();
    for (path, figures) in &files {
        let stem = path.file_stem().unwrap_or_default();
        let root = stem == "lib" || stem == "main";
        let children = if root {
            path.with_file_name("")
        } else {
            path.with_extension("")
        };
        optional.extend(
            figures
                .optional_modules
                .iter()
                .map(|name| children.join(name)),
        );
    }
    let counts = |path: &Path| {
        !optional
            .iter()
            .any(|module| path == module.with_extension("rs") || path.starts_with(module))
    };
    Ok(files
        .iter()
        .filter(|(path, _)| counts(path))
        .map(|(_, f)| f.code_lines as u64)
        .sum())
}

fn read_below(folder: &Path, files: &mut BTreeMap<PathBuf, Figures>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_below(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "s") {
            let figures = source::figures(&path)?;
            files.insert(path, figures);
        }
    }
    Ok(())
}
