//! Components that fail, are killed and are started again.

use anyhow::{Result, ensure};

use super::{Case, Guest};

pub(super) const CASES: &[Case] =
    &[Case::new("supervision/the_console_is_started_again", console).alone()];

fn console(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo before")?;
    guest.upset("restart console")?;
    ensure!(guest.succeed("echo after")? == "after\n");
    Ok(())
}
