//! `cargo xtask flash`: a card's image onto a card.
//!
//! Refuses what is probably not a card: something mounted, not removable, or larger than 256 GiB.
//! What was written is read back from the device itself and compared.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Seek, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report;
use crate::verb::image;
use crate::workspace::Workspace;

/// Largest card that is written without `--force`.
const SIZE_LIMIT: u64 = 256 << 30;
const BLOCK: usize = 1 << 20;

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
    /// Write even to what is not removable or larger than 256 GiB; never to what is mounted
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "only Linux tells what is mounted and removable in a way that is known here; write the image \
         that `cargo xtask image --board rpi4` makes with Raspberry Pi Imager"
    );
    let Some(device) = &options.device else {
        return list();
    };
    let target = Target::find(device)?;
    target.check(&mounted_devices()?, options.force)?;
    let image = match &options.image {
        Some(image) => image.clone(),
        None => image::write_card(workspace, &options.card)?,
    };
    ensure!(
        crate::card::is_card_image(&image)?,
        "{} is no image of a card",
        image.display()
    );
    let bytes = fs::metadata(&image)?.len();
    ensure!(
        target.bytes >= bytes || target.is_file,
        "{} holds {} bytes, and the image has {bytes}",
        device.display(),
        target.bytes
    );
    if !options.yes {
        confirm(&target)?;
    }
    write(&image, device)?;
    verify(&image, device)?;
    report::step(
        "Verified",
        format!("{} holds {}", device.display(), image.display()),
    );
    Ok(())
}

/// Where to write.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    /// Name of the kernel's, such as `sdb`; of a file, nothing.
    name: String,
    model: String,
    bytes: u64,
    removable: bool,
    is_file: bool,
}

impl Target {
    fn find(path: &Path) -> Result<Self> {
        let path = fs::canonicalize(path)
            .with_context(|| format!("there is no device {}", path.display()))?;
        let kind = fs::metadata(&path)?;
        if kind.is_file() {
            let bytes = kind.len();
            let (name, model) = (String::new(), "a file".to_string());
            return Ok(Self {
                path,
                name,
                model,
                bytes,
                removable: true,
                is_file: true,
            });
        }
        ensure!(
            kind.file_type().is_block_device(),
            "{} is no block device",
            path.display()
        );
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::of_system(&name).with_context(|| {
            format!(
                "{} is no whole device; a partition such as sdb1 is none",
                path.display()
            )
        })
    }

    /// What the system knows of the block device `name`; nothing if it is a partition.
    fn of_system(name: &str) -> Option<Self> {
        let folder = Path::new("/sys/block").join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let sectors: u64 = read("size").trim().parse().ok()?;
        Some(Self {
            path: Path::new("/dev").join(name),
            name: name.to_string(),
            model: format!(
                "{} {}",
                read("device/vendor").trim(),
                read("device/model").trim()
            )
            .trim()
            .to_string(),
            bytes: sectors * 512,
            // Card readers built into laptops call their cards fixed, but name them mmcblk.
            removable: read("removable").trim() == "1" || name.starts_with("mmcblk"),
            is_file: false,
        })
    }

    fn check(&self, mounted: &[String], force: bool) -> Result<()> {
        let own = |device: &&String| {
            let device = device.trim_start_matches("/dev/");
            !self.name.is_empty() && device.starts_with(&self.name)
        };
        if let Some(device) = mounted.iter().find(own) {
            bail!("{device} is mounted; unmount it first (`umount {device}`)");
        }
        ensure!(
            self.removable || force,
            "{} is not removable; use --force if it is the card nevertheless",
            self.path.display()
        );
        ensure!(
            self.bytes <= SIZE_LIMIT || force,
            "{} has {} GiB, more than a card; use --force if it is the card nevertheless",
            self.path.display(),
            self.bytes >> 30
        );
        Ok(())
    }

    fn describe(&self) -> String {
        format!(
            "{} ({} MiB, {})",
            self.path.display(),
            self.bytes >> 20,
            self.model
        )
    }
}

/// Prints the devices that could be a card.
fn list() -> Result<()> {
    let mounted = mounted_devices()?;
    let mut found = 0;
    for entry in fs::read_dir("/sys/block").context("this system does not list its devices")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(target) = Target::of_system(&name)
            && target.bytes > 0
            && target.check(&mounted, false).is_ok()
        {
            println!("{}", target.describe());
            found += 1;
        }
    }
    if found == 0 {
        println!("no removable device that is not mounted");
    }
    println!("name one with --device");
    Ok(())
}

/// Devices of all mounted file systems.
fn mounted_devices() -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/mounts").context("cannot tell what is mounted")?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|device| device.starts_with("/dev/"))
        .map(ToString::to_string)
        .collect())
}

fn confirm(target: &Target) -> Result<()> {
    ensure!(
        std::io::stdin().is_terminal(),
        "nobody to ask whether to overwrite {}; say --yes",
        target.describe()
    );
    eprint!("Overwrite everything on {}? [y/N] ", target.describe());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(
        ["y", "Y", "yes"].contains(&answer.trim()),
        "nothing was written"
    );
    Ok(())
}

fn progress(verb: &'static str, bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_prefix(verb)
}

fn write(image: &Path, device: &Path) -> Result<()> {
    let mut from = File::open(image)?;
    let mut to = OpenOptions::new()
        .write(true)
        .open(device)
        .with_context(|| format!("cannot write {}; are you allowed to?", device.display()))?;
    let bar = progress("Writing", from.metadata()?.len());
    let mut block = vec![0; BLOCK];
    loop {
        let len = read_full(&mut from, &mut block)?;
        if len == 0 {
            break;
        }
        to.write_all(block.get(..len).unwrap_or(&[]))
            .with_context(|| format!("writing {} failed", device.display()))?;
        bar.inc(len as u64);
    }
    to.sync_all()
        .with_context(|| format!("writing {} failed", device.display()))?;
    bar.finish();
    Ok(())
}

fn verify(image: &Path, device: &Path) -> Result<()> {
    let (mut expected, mut found) = (File::open(image)?, File::open(device)?);
    // What was just written is still in memory; the device itself is to be read.
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&found, 0, None, rustix::fs::Advice::DontNeed)?;
    let bar = progress("Verifying", expected.metadata()?.len());
    let (mut a, mut b) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let len = read_full(&mut expected, &mut a)?;
        if len == 0 {
            bar.finish();
            return Ok(());
        }
        found
            .read_exact(b.get_mut(..len).unwrap_or_default())
            .context("the device is too short")?;
        if a.get(..len) != b.get(..len) {
            bail!(
                "{} differs from the image near byte {}: the card may be broken",
                device.display(),
                expected.stream_position()? - len as u64
            );
        }
        bar.inc(len as u64);
    }
}

/// Reads until `block` is full or the file ends.
fn read_full(file: &mut File, block: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    while let Some(rest) = block.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::{SIZE_LIMIT, Target, verify, write};
    use std::path::PathBuf;

    fn card() -> Target {
        Target {
            path: "/dev/sdx".into(),
            name: "sdx".into(),
            model: "a card".into(),
            bytes: 8 << 30,
            removable: true,
            is_file: false,
        }
    }

    #[test]
    fn what_is_mounted_is_refused_even_by_force() {
        let mounted = ["/dev/sda1".to_string(), "/dev/sdx2".to_string()];
        let error = card().check(&mounted, true).expect_err("a refusal");
        assert!(
            error.to_string().contains("/dev/sdx2 is mounted"),
            "{error}"
        );
        assert!(card().check(&mounted[..1], false).is_ok());
    }

    #[test]
    fn what_is_probably_no_card_needs_force() {
        for target in [
            Target {
                removable: false,
                ..card()
            },
            Target {
                bytes: SIZE_LIMIT + 1,
                ..card()
            },
        ] {
            assert!(target.check(&[], false).is_err());
            assert!(target.check(&[], true).is_ok());
        }
    }

    #[test]
    fn a_device_that_keeps_something_else_is_noticed() {
        let path = |name: &str| -> PathBuf {
            std::env::temp_dir().join(format!("gritos-flash-{}-{name}", std::process::id()))
        };
        let (image, device) = (path("image"), path("device"));
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&image, &bytes).expect("the temporary folder can be written");
        std::fs::write(&device, vec![0; 4_000_000]).expect("the temporary folder can be written");
        write(&image, &device).expect("a file takes it");
        verify(&image, &device).expect("it was written");
        let mut changed = std::fs::read(&device).expect("it was written");
        assert_eq!(&changed[..bytes.len()], &bytes);
        changed[2_500_000] ^= 1;
        std::fs::write(&device, changed).expect("it can be written");
        let error = verify(&image, &device).expect_err("a difference");
        assert!(error.to_string().contains("2097152"), "{error}");
        for file in [image, device] {
            std::fs::remove_file(file).expect("it was written");
        }
    }
}
