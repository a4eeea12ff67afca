//! Programs that make and check file systems. They lie where Debian does not look for the programs
//! of ordinary users.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::apt;
use crate::report;

/// Makes ext4.
pub(crate) const MKE2FS: Tool = Tool::new("mke2fs", "e2fsprogs");
/// Looks into ext4, and changes it.
pub(crate) const DEBUGFS: Tool = Tool::new("debugfs", "e2fsprogs");
/// Checks ext4.
pub(crate) const E2FSCK: Tool = Tool::new("e2fsck", "e2fsprogs");
/// Changes the size of ext4.
#[cfg(test)]
pub(crate) const RESIZE2FS: Tool = Tool::new("resize2fs", "e2fsprogs");
/// Checks FAT.
pub(crate) const FSCK_FAT: Tool = Tool::new("fsck.fat", "dosfstools");
/// Copies files to and from FAT.
pub(crate) const MCOPY: Tool = Tool::new("mcopy", "mtools");

const FOLDERS: [&str; 4] = [
    "/usr/sbin",
    "/sbin",
    "/opt/homebrew/opt/e2fsprogs/sbin",
    "/opt/homebrew/sbin",
];

/// A program and the package it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    package: &'static str,
}

impl Tool {
    const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package }
    }

    /// Where it is.
    ///
    /// # Errors
    /// When it is not installed; the message says how to get it.
    pub(crate) fn find(self) -> Result<PathBuf> {
        let found = FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(self.name))
            .find(|path| path.exists());
        if let Some(path) = found {
            return Ok(path);
        }
        let Self { name, package } = self;
        ensure!(
            Command::new(name).arg("-V").output().is_ok(),
            "{name} is missing; install it with `apt-get install {package}` or \
             `brew install {package}`"
        );
        Ok(name.into())
    }
}

/// Installs what is missing to make a card, and with `checkers` what its tests need.
pub(crate) fn ensure_tools(checkers: bool) -> Result<()> {
    let wanted = [Some(MKE2FS), checkers.then_some(FSCK_FAT)];
    for tool in wanted.into_iter().flatten() {
        if tool.find().is_ok() {
            continue;
        }
        if apt::is_here() {
            report::step("Installing", format!("{} (apt-get install)", tool.package));
            apt::install(tool.package, None)?;
        }
        tool.find()?;
    }
    Ok(())
}
