//! Block devices as Linux describes them, and which of them must not be written.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Largest card that is written without `--force`.
const SIZE_LIMIT: u64 = 256 << 30;
/// How deep devices are looked for on top of each other: encryption on volumes on partitions.
const STACK_LIMIT: usize = 6;

/// What the system says of its devices.
#[derive(Debug)]
pub(super) struct System {
    /// Where sysfs is mounted.
    pub(super) sys: PathBuf,
    /// Device numbers in use, such as `8:1`, and for what.
    pub(super) in_use: Vec<(String, String)>,
}

impl System {
    /// The system that this runs on.
    pub(super) fn running() -> Result<Self> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").context("cannot tell what is mounted")?;
        let sys = PathBuf::from("/sys");
        let mut in_use = mounts_in(&mounts);
        // A system without swap need not have the file.
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        for device in swaps
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
        {
            if let Some(name) = Path::new(device).file_name()
                && let Ok(number) =
                    fs::read_to_string(sys.join("class/block").join(name).join("dev"))
            {
                in_use.push((number.trim().to_string(), "swap".to_string()));
            }
        }
        Ok(Self { sys, in_use })
    }

    /// What of the device whose folder in sysfs this is is in use: itself, its partitions, and what
    /// is made of them.
    fn use_of(&self, folder: &Path, depth: usize) -> Option<(String, String)> {
        let number = fs::read_to_string(folder.join("dev")).ok()?;
        let own = self.in_use.iter().find(|(used, _)| used == number.trim());
        if let Some((_, purpose)) = own {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            return Some((name.into_owned(), purpose.clone()));
        }
        if depth == STACK_LIMIT {
            return None;
        }
        let partitions = folders(folder)
            .into_iter()
            .filter(|path| path.join("partition").exists());
        let holders = folders(&folder.join("holders"));
        partitions
            .chain(holders)
            .find_map(|inner| self.use_of(&inner, depth + 1))
    }
}

/// Device numbers and mount points in the text of `/proc/self/mountinfo` (`proc(5)`: third and
/// fifth field).
pub(super) fn mounts_in(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            Some((fields.next()?.to_string(), fields.nth(1)?.to_string()))
        })
        .collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect()
}

/// Where to write.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// Its folder in sysfs; a file has none.
    folder: Option<PathBuf>,
    model: String,
    pub(super) bytes: u64,
    removable: bool,
    pub(super) is_file: bool,
}

impl Target {
    /// The device or file at `path`.
    ///
    /// # Errors
    /// When there is none, or only a part of a device.
    pub(super) fn find(system: &System, path: &Path) -> Result<Self> {
        let path = fs::canonicalize(path)
            .with_context(|| format!("there is no device {}", path.display()))?;
        let kind = fs::metadata(&path)?;
        if kind.is_file() {
            return Ok(Self {
                bytes: kind.len(),
                path,
                folder: None,
                model: "a file".to_string(),
                removable: true,
                is_file: true,
            });
        }
        ensure!(
            kind.file_type().is_block_device(),
            "{} is no block device; name a whole one, such as /dev/sdb or /dev/mmcblk0 (`cargo xtask flash` lists those \
             that may be a card), or a file that is there",
            path.display()
        );
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::of_system(system, &name).with_context(|| {
            format!(
                "{} is a part of a device, and the card's image is for a whole one, such as /dev/sdb instead of /dev/sdb1",
                path.display()
            )
        })
    }

    /// What the system knows of the block device `name`; nothing if it is a partition.
    pub(super) fn of_system(system: &System, name: &str) -> Option<Self> {
        let folder = system.sys.join("block").join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let sectors: u64 = read("size").trim().parse().ok()?;
        let (vendor, model) = (read("device/vendor"), read("device/model"));
        // A card in a reader of its own has a name instead.
        let model = if model.is_empty() {
            read("device/name")
        } else {
            model
        };
        Some(Self {
            path: Path::new("/dev").join(name),
            model: format!("{} {}", vendor.trim(), model.trim())
                .trim()
                .to_string(),
            bytes: sectors.saturating_mul(512),
            // Card readers built into laptops call their cards fixed, but name them mmcblk.
            removable: read("removable").trim() == "1" || name.starts_with("mmcblk"),
            is_file: false,
            folder: Some(folder),
        })
    }

    /// Refuses what must not be written, and without `force` what is probably no card.
    pub(super) fn check(&self, system: &System, force: bool) -> Result<()> {
        let path = self.path.display();
        let used = self
            .folder
            .as_ref()
            .and_then(|folder| system.use_of(folder, 0));
        match used {
            Some((_, purpose)) if ["/", "/usr", "/boot", "swap"].contains(&purpose.as_str()) => {
                bail!("{path} is the disk that this system runs from ({purpose})")
            }
            Some((device, place)) => bail!(
                "/dev/{device} is mounted at {place}; unmount it first (`umount /dev/{device}`)"
            ),
            None => {}
        }
        ensure!(self.bytes > 0, "{path} holds nothing: is a card in it?");
        ensure!(
            self.removable || force,
            "{path} is not removable; use --force if it is the card nevertheless"
        );
        ensure!(
            self.bytes <= SIZE_LIMIT || force,
            "{path} has {} GiB, more than a card; use --force if it is the card nevertheless",
            self.bytes >> 30
        );
        Ok(())
    }

    /// Refuses an image of `bytes` bytes that does not fit.
    pub(super) fn check_room(&self, bytes: u64) -> Result<()> {
        ensure!(
            self.bytes >= bytes,
            "{} is too small: it holds {}, and the image needs {}; take a card of at least that",
            self.path.display(),
            size(self.bytes),
            size(bytes.next_multiple_of(100_000_000)),
        );
        Ok(())
    }

    pub(super) fn describe(&self) -> String {
        let model = if self.model.is_empty() {
            "unnamed"
        } else {
            &self.model
        };
        format!("{} ({}, {model})", self.path.display(), size(self.bytes))
    }
}

/// A size as it is printed on cards: a thousand is a thousand.
fn size(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
    } else {
        format!("{} MB", bytes / 1_000_000)
    }
}

/// The devices that could be a card, by name.
pub(super) fn candidates(system: &System) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(system.sys.join("block")).context("this system does not list its devices")?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(Target::of_system(system, &name).filter(|t| t.check(system, false).is_ok()));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
