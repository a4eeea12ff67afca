//! Traffic on the network.

use anyhow::Result;

use super::Measurement;
use crate::report;
use crate::workspace::Workspace;

pub(super) fn run(_workspace: &Workspace, _all: &mut Vec<Measurement>) -> Result<()> {
    report::skipped("network: the shell has no measurement of it");
    Ok(())
}
