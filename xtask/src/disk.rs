//! The disk of an emulated machine: made at the first boot, kept from then on.
//!
//! Its parts are those of a card: a FAT32 partition to boot from and an ext4 partition for data, in an MBR. A
//! Linux PC mounts it as it is (`losetup --partscan`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::card::{self, BootFile};
use crate::report;
use crate::toolchain::disk;
use crate::workspace::Workspace;

/// Name of the image that is made.
const FILE: &str = "disk.img";
/// Folder with what a new disk's data partition contains.
const DATA: &str = "servers/fs/data";

const NOTE: &str = "This is the boot partition of a gRiTOS disk. QEMU boots the kernel without it;\r\n\
     gRiTOS mounts it on /boot, and the other partition on /data.\r\n";

/// The image of the default disk, made if there is none.
pub(crate) fn default(workspace: &Workspace) -> Result<PathBuf> {
    let path = workspace.output(FILE)?;
    if path.exists() {
        return Ok(path);
    }
    make(workspace, &path)?;
    Ok(path)
}

/// Makes a new disk at `path`.
pub(crate) fn make(workspace: &Workspace, path: &Path) -> Result<()> {
    disk::ensure_tools(false)?;
    report::step("Making", format!("a disk, {} (512 MiB)", path.display()));
    // Under another name until it is complete, so that an interrupted run leaves no half of a disk.
    let unfinished = path.with_extension("unfinished");
    let files = [BootFile::new("README.TXT", NOTE)];
    card::write_with(&unfinished, &files, Some(&workspace.root.join(DATA)))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Checks that `path`, which the user named, can be a disk.
pub(crate) fn check(path: &Path) -> Result<()> {
    let about = fs::metadata(path).with_context(|| {
        format!(
            "cannot read {}; leave --disk away, and a disk is made under target/",
            path.display()
        )
    })?;
    ensure!(
        about.len() > 0 && about.len().is_multiple_of(512),
        "{} has {} bytes, and a disk has a multiple of 512",
        path.display(),
        about.len()
    );
    Ok(())
}
