//! The data partition on a card that is larger than the image.
//!
//! The tools of ext4 do it here, once the image was written and verified: they have done so on many more disks
//! than anything of ours on the target, and a card that is not grown works as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::target::Target;
use crate::card;
use crate::toolchain::disk::{E2FSCK, RESIZE2FS};
use crate::workspace::Workspace;

/// Sizes of partitions are multiples of this.
const STEP: u64 = 1 << 20;
/// For the system to notice a new partition table.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);

/// Lets the data partition of the card reach to its end; the partition's bytes, or `None` if there is nothing to gain.
pub(super) fn grow(workspace: &Workspace, target: &Target, image: u64) -> Result<Option<u64>> {
    let end = target.bytes.min(card::GROWTH_END) / STEP * STEP;
    if end <= image {
        return Ok(None);
    }
    let bytes = end - card::DATA_START;
    // Before anything is changed.
    let tools = (E2FSCK.find()?, RESIZE2FS.find()?);
    let mut device = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&target.path)
        .with_context(|| format!("cannot open {}", target.path.display()))?;
    card::set_data_end(&mut device, end)?;
    device.sync_all()?;
    drop(device);
    if target.is_file {
        in_file(workspace, &tools, &target.path, bytes)?;
    } else {
        let partition = partition_of(target, bytes)?;
        resize(&tools, &partition)?;
    }
    Ok(Some(bytes))
}

/// Checks and grows the file system at `path` to the size of what it lies in.
fn resize((check, resize): &(PathBuf, PathBuf), path: &Path) -> Result<()> {
    // 1: something was corrected, which on a fresh file system is the time of the last check.
    let checked = Command::new(check).args(["-fp"]).arg(path).output()?;
    ensure!(
        checked.status.code().is_some_and(|code| code <= 1),
        "e2fsck finds {} damaged",
        path.display()
    );
    let resized = Command::new(resize).arg(path).output()?;
    ensure!(
        resized.status.success(),
        "resize2fs says: {}",
        String::from_utf8_lossy(&resized.stderr).trim()
    );
    Ok(())
}

/// Grows the partition of a file that stands for a card, by way of a file of its own.
fn in_file(
    workspace: &Workspace,
    tools: &(PathBuf, PathBuf),
    card: &Path,
    bytes: u64,
) -> Result<()> {
    let path = workspace.output("flash-data.img")?;
    let result = (|| {
        let mut from = File::open(card)?;
        from.seek(SeekFrom::Start(card::DATA_START))?;
        let mut copy = File::create(&path)?;
        copy_data(&mut from.take(bytes), &mut copy)?;
        copy.set_len(bytes)?;
        drop(copy);
        resize(tools, &path)?;
        let mut to = OpenOptions::new().write(true).open(card)?;
        to.seek(SeekFrom::Start(card::DATA_START))?;
        // What is zero there was zero before: nothing but the file system lies behind the image's end.
        copy_data(&mut File::open(&path)?.take(bytes), &mut to)?;
        Ok(to.sync_all()?)
    })();
    // A file that stays is overwritten the next time.
    let _ = fs::remove_file(&path);
    result
}

/// Copies what is not zero and leaves holes, or what was there, for the rest.
fn copy_data(from: &mut impl Read, to: &mut (impl Write + Seek)) -> Result<()> {
    let (mut piece, zeros) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = from.read(&mut piece)?;
        let part = piece.get(..count).unwrap_or_default();
        if part.is_empty() {
            return Ok(());
        }
        if Some(part) == zeros.get(..count) {
            to.seek(SeekFrom::Current(i64::try_from(count)?))?;
        } else {
            to.write_all(part)?;
        }
    }
}

/// The device of the data partition, once the system has seen that it has so many bytes.
fn partition_of(target: &Target, bytes: u64) -> Result<PathBuf> {
    let name = target
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    // Names that end in a digit have a letter before the partition's number.
    let infix = if name.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    let partition = format!("{name}{infix}2");
    let read = Command::new("blockdev")
        .arg("--rereadpt")
        .arg(&target.path)
        .output()
        .context("cannot run blockdev")?;
    let end = Instant::now() + NOTICE_LIMIT;
    while Instant::now() < end {
        let size = format!("/sys/class/block/{partition}/size");
        let sectors = fs::read_to_string(size).unwrap_or_default();
        let device = Path::new("/dev").join(&partition);
        if sectors.trim() == (bytes / 512).to_string() && device.exists() {
            return Ok(device);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    bail!(
        "the system does not see the new partition {partition}: {}",
        String::from_utf8_lossy(&read.stderr).trim()
    )
}
