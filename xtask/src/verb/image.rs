//! `cargo xtask image`: the flat image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::compile;
use crate::image::{Contents, assemble};
use crate::qemu::Board;
use crate::report;
use crate::toolchain;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// Board that the image is for
    #[arg(long, value_enum, default_value = "virt")]
    board: Board,
    #[command(flatten)]
    programs: ProgramOptions,
    /// Where to write it [default: target/gritos/kernel8.img]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Name of the entry with what a person asks of the root task: the test task takes the part of a
/// name, or `bench`.
pub(crate) const COMMAND_LINE: &str = "cmdline";

/// What the image holds besides the kernel.
#[derive(Args)]
pub(crate) struct ProgramOptions {
    /// Package to start as the root task; `none` boots the kernel alone
    #[arg(long, value_name = "PACKAGE", default_value = compile::ROOT)]
    root: String,
}

impl ProgramOptions {
    /// Starts `package` as the root task.
    pub(crate) fn starting(package: &str) -> Self {
        Self {
            root: package.to_string(),
        }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let path = match &options.out {
        Some(path) => path.clone(),
        None => workspace.output("kernel8.img")?,
    };
    write(workspace, &options.programs, &Contents::default(), &path)?;
    if options.board == Board::Rpi4 {
        let config = path.with_file_name("config.txt");
        fs::write(&config, gritos_board::rpi4::CONFIG_TXT)
            .with_context(|| format!("cannot write {}", config.display()))?;
        println!("{}", config.display());
    }
    println!("{}", path.display());
    Ok(())
}

/// The programs of an image, with their symbols.
pub(crate) struct Programs {
    pub(crate) kernel: PathBuf,
    pub(crate) root: Option<PathBuf>,
}

/// Builds kernel and programs, and writes the image of them and `contents` to `path`.
pub(crate) fn write(
    workspace: &Workspace,
    programs: &ProgramOptions,
    contents: &Contents,
    path: &Path,
) -> Result<Programs> {
    toolchain::ensure_rust()?;
    let kernel = compile::build(workspace, compile::KERNEL, &[])?;
    let root = match programs.root.as_str() {
        "none" => None,
        package => Some(compile::build(workspace, package, &[])?),
    };
    let image = assemble(&kernel, root.as_deref(), contents)?;
    fs::write(path, &image).with_context(|| format!("cannot write {}", path.display()))?;
    report::step(
        "Wrote",
        format!("{} ({} KiB)", path.display(), image.len() / 1024),
    );
    Ok(Programs { kernel, root })
}
