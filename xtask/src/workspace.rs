//! Where things are: the source tree, its packages, and where results go.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::toolchain;

/// The source tree and cargo's view of it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Asks cargo about the workspace that this xtask belongs to.
    ///
    /// Cargo says at run time where that is: what it said while compiling is another place after the tree, with its
    /// target folder, was moved or copied, and then the wrong tree would be built and tested.
    pub(crate) fn find() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR");
        let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package)
            .parent()
            .context("xtask lies in the workspace")?
            .to_path_buf();
        let metadata = MetadataCommand::new()
            .current_dir(&root)
            .exec()
            .context("`cargo metadata` failed")?;
        Ok(Self { root, metadata })
    }

    /// The cargo that runs this xtask, in the workspace's folder.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        command
    }

    /// A cargo that builds for the target, installed if need be, in the workspace's folder.
    pub(crate) fn target_cargo(&self) -> Result<Command> {
        let Some(toolchain) = toolchain::for_target()? else {
            return Ok(self.cargo());
        };
        let mut command = Command::new("rustup");
        command
            .current_dir(&self.root)
            .args(["run", toolchain, "cargo"]);
        Ok(command)
    }

    /// A file under cargo's target folder where xtask keeps what it makes; its folder exists.
    pub(crate) fn output(&self, name: &str) -> Result<PathBuf> {
        let path = self
            .metadata
            .target_directory
            .as_std_path()
            .join("gritos")
            .join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(path)
    }

    /// The member package `name`, if there is one.
    pub(crate) fn member(&self, name: &str) -> Option<&Package> {
        self.metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name == name)
    }
}
