//! `cargo xtask system`: what runs, and who may reach whom.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::qemu::Board;
use crate::system::{self, SYSTEM_FILE, units};
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// Board of interest [default: all that the description is for]
    #[arg(long, value_enum)]
    board: Option<Board>,
    /// Memory of the machine, such as 512M or 2G [default: what the description expects]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// The description
    #[arg(value_name = "FILE", default_value = SYSTEM_FILE)]
    file: PathBuf,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let memory_bytes = match &options.memory {
        Some(text) => Some(
            units::machine_memory(text)
                .with_context(|| format!("--memory {text} is no size; try 512M or 2G"))?,
        ),
        None => None,
    };
    let path = match options.file.is_relative() && !options.file.exists() {
        true => workspace.root.join(&options.file),
        false => options.file.clone(),
    };
    let wanted = options.board.map(Board::of_table);
    let views = system::inspect(workspace, &path, memory_bytes)?;
    let views = views
        .into_iter()
        .filter(|(board, _)| wanted.is_none_or(|wanted| wanted == *board));
    let texts: Vec<_> = views.map(|(_, text)| text).collect();
    print!("{}", texts.join("\n"));
    Ok(())
}
