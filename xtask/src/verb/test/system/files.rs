//! Files on the disk, from the shell and from the host.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{Case, Guest, Setting};
use crate::workspace::Workspace;

pub(super) const CASES: &[Case] = &[Case::new(
    "files/a_disk_without_a_file_system_harms_nobody",
    empty_disk,
)
.with(EMPTY_DISK)];

const EMPTY_DISK: Setting = Setting {
    disk: Some(make_empty),
    ..Setting::SHIPPED
};

fn make_empty(_workspace: &Workspace, path: &Path) -> Result<()> {
    Ok(File::create(path)?.set_len(64 << 20)?)
}

fn empty_disk(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo")?;
    ensure!(std::fs::read(guest.disk()?)?.iter().all(|byte| *byte == 0));
    Ok(())
}
