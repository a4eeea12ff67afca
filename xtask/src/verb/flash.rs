//! `cargo xtask flash`: a card's image onto a card.
//!
//! Refuses what is probably not a card: something in use, not removable, or larger than 256 GiB.
//! What was written is read back from the device itself and compared. The data partition reaches to the end of the card
//! after the board's first boot, whatever wrote the card.

use std::fs::{self, File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report;
use crate::verb::image;
use crate::workspace::Workspace;
use target::{System, Target};

mod copy;
mod target;

#[derive(Args)]
pub(crate) struct Options {
    /// Device of the card, such as /dev/sdX; without it the candidates are listed
    #[arg(long, value_name = "DEV")]
    device: Option<PathBuf>,
    /// Image to write, instead of building one
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    card: image::CardOptions,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Write even to what is not removable or larger than 256 GiB; never to what is in use
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "only Linux tells what is mounted and removable in a way that is known here; write the image \
         that `cargo xtask image --board rpi4` makes with Raspberry Pi Imager"
    );
    let system = System::running()?;
    let Some(device) = &options.device else {
        return list(&system);
    };
    let target = Target::find(&system, device)?;
    target.check(&system, options.force)?;
    ensure!(
        options.yes || std::io::stdin().is_terminal(),
        "there is no terminal to ask on whether everything on {} is to be overwritten; --yes says so beforehand",
        target.describe()
    );
    let image = match &options.image {
        Some(image) => image.clone(),
        None => image::write_card(workspace, &options.card)?,
    };
    ensure!(
        crate::card::is_card_image(&image)?,
        "{} is no image of a card: it does not begin with a partition table. `cargo xtask image --board rpi4` makes one, \
         beside kernel8.img as sdcard.img",
        image.display()
    );
    target.check_room(fs::metadata(&image)?.len())?;
    if !options.yes {
        confirm(&target)?;
    }
    flash(&image, &target)?;
    report::step(
        "Verified",
        format!("{} holds {}", target.path.display(), image.display()),
    );
    Ok(())
}

/// Prints the devices that could be a card.
fn list(system: &System) -> Result<()> {
    let candidates = target::candidates(system)?;
    for target in &candidates {
        println!("{}", target.describe());
    }
    if candidates.is_empty() {
        println!("no removable device that is not in use");
    }
    println!("name one with --device");
    Ok(())
}

fn confirm(target: &Target) -> Result<()> {
    eprint!("Overwrite everything on {}? [y/N] ", target.describe());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(
        ["y", "Y", "yes"].contains(&answer.trim()),
        "nothing was written"
    );
    Ok(())
}

/// Writes the image to the target and reads it back.
fn flash(image: &Path, target: &Target) -> Result<()> {
    let path = target.path.display();
    let mut from = File::open(image)?;
    let bytes = from.metadata()?.len();
    // With O_EXCL the system itself refuses a device that anything uses, in whatever namespace.
    #[cfg(target_os = "linux")]
    let flags = if target.is_file {
        0
    } else {
        rustix::fs::OFlags::EXCL.bits().cast_signed()
    };
    #[cfg(not(target_os = "linux"))]
    let flags = 0;
    let mut to = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(&target.path)
        .with_context(|| {
            format!("cannot write {path}; are you allowed to, and does nothing use it?")
        })?;
    let bar = progress("Writing", bytes);
    copy::write(&mut from, &mut to, bytes, |len| bar.inc(len))
        .and_then(|()| Ok(to.sync_all()?))
        .with_context(|| format!("{path} did not take the image; what it holds now is useless"))?;
    bar.finish();
    drop(to);

    let mut from = File::open(image)?;
    let mut found = File::open(&target.path)?;
    // What was just written is still in memory; the device itself is to be read.
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&found, 0, None, rustix::fs::Advice::DontNeed)?;
    let bar = progress("Verifying", bytes);
    copy::verify(&mut from, &mut found, bytes, |len| bar.inc(len))
        .with_context(|| format!("{path} does not hold what was written: it may be broken"))?;
    bar.finish();
    Ok(())
}

fn progress(verb: &'static str, bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_prefix(verb)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
