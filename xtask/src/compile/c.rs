//! Programs in C: `idlc/examples/NAME/client.c` is the component `example-NAME-c`.
//!
//! They see the kernel's header and those that `idlc` writes for the interfaces of the tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::report;
use crate::workspace::Workspace;

/// Compilers that can build for the target, in the order in which they are tried.
const COMPILERS: [&str; 2] = ["aarch64-linux-gnu-gcc", "aarch64-none-elf-gcc"];
/// What every program is compiled with: no library, no vector registers, laid out by a script.
const OPTIONS: [&str; 14] = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-mgeneral-regs-only",
    "-mno-outline-atomics",
    "-fno-pic",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-nostdlib",
    "-static",
    "-Wl,-z,max-page-size=4096,--build-id=none",
];

/// The C compiler for the target, if this machine has one.
pub(crate) fn compiler() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    COMPILERS.into_iter().find(runs)
}

/// The programs in C, by their binaries' names.
pub(crate) fn programs(workspace: &Workspace) -> Vec<String> {
    let Ok(folders) = fs::read_dir(workspace.root.join("idlc/examples")) else {
        return Vec::new();
    };
    folders
        .filter_map(|folder| {
            let folder = folder.ok()?;
            let name = folder.file_name().into_string().ok()?;
            let has_source = folder.path().join("client.c").exists();
            has_source.then(|| format!("example-{name}-c"))
        })
        .collect()
}

/// The source of the program of this name, if it is in C.
pub(super) fn source(workspace: &Workspace, binary: &str) -> Option<PathBuf> {
    let name = binary.strip_prefix("example-")?.strip_suffix("-c")?;
    let path = workspace.root.join("idlc/examples").join(name);
    Some(path.join("client.c")).filter(|path| path.exists())
}

/// Compiles a program and returns its path.
pub(super) fn build(workspace: &Workspace, binary: &str, source: &Path) -> Result<PathBuf> {
    let Some(compiler) = compiler() else {
        bail!(
            "{binary} needs a C compiler for AArch64, one of {}; Debian has the package \
             gcc-aarch64-linux-gnu",
            COMPILERS.join(", ")
        );
    };
    report::step("Building", format!("{binary} with {compiler}"));
    let include = headers(workspace)?;
    let program = workspace.output(&format!("c/{binary}"))?;
    let script = workspace.root.join("sel4-style-libsys/task.ld");
    let status = Command::new(compiler)
        .args(OPTIONS)
        .arg("-I")
        .arg(&include)
        .arg("-I")
        .arg(workspace.root.join("gritos-abi/include"))
        .arg("-T")
        .arg(script)
        .arg(source)
        .arg("-o")
        .arg(&program)
        .status()
        .with_context(|| format!("cannot run {compiler}"))?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(program)
}

/// Writes the headers of all interfaces; returns their folder.
fn headers(workspace: &Workspace) -> Result<PathBuf> {
    let folders = ["servers", "idlc/examples"];
    let files = idlc::codegen::interfaces(&workspace.root, &folders);
    let files = files.map_err(|text| anyhow!("{text}"))?;
    let compiled =
        idlc::driver::compile(&idlc::load::Disk, &files).map_err(|text| anyhow!("{text}"))?;
    ensure!(
        !compiled.diagnostics.has_errors(),
        "the interfaces have mistakes: `cargo xtask codegen` shows them"
    );
    let folder = workspace.output("c/include")?;
    fs::create_dir_all(&folder)?;
    for package in compiled.interface.root_packages() {
        let header = idlc::emit::c::emit(&compiled.interface, package);
        fs::write(folder.join(&header.path), header.text)
            .with_context(|| format!("cannot write {}", header.path.display()))?;
    }
    Ok(folder)
}
