//! What boards have in common, and what one of them alone has.

use anyhow::{Result, ensure};

use super::{Board, Case, Guest};

pub(super) const CASES: &[Case] =
    &[Case::new("board/time_passes", time_passes).on(&[Board::Virt, Board::Rpi4])];

fn time_passes(guest: &mut Guest<'_>) -> Result<()> {
    let before = guest.succeed("uptime")?;
    guest.succeed("sleep 0.1")?;
    let after = guest.succeed("uptime")?;
    ensure!(before != after, "twice `{before}`");
    Ok(())
}
