//! The Raspberry Pi's firmware and device trees. They are not part of gRiTOS: a folder of the user's
//! or Debian's packages provide them.
//!
//! From Debian they come by its own client, with package sources and lists of their own below the
//! target folder, so that nothing of the machine's is touched and no root is needed. apt checks
//! signatures and checksums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::BootFile;
use crate::report;
use crate::toolchain::run;
use crate::workspace::Workspace;

/// Files without which no Pi 4 boots.
const FIRMWARE: [&str; 2] = ["start4.elf", "fixup4.dat"];
/// Device trees: of the Pi 4 B, and of its relatives where there are such.
const DEVICE_TREES: [&str; 3] = [
    "bcm2711-rpi-4-b.dtb",
    "bcm2711-rpi-400.dtb",
    "bcm2711-rpi-cm4-io.dtb",
];
/// Name of the firmware's licence on the card.
const LICENCE: &str = "LICENCE.txt";

const NOTE: &str = "the firmware is Broadcom's and Raspberry Pi's: it may be handed on unmodified, for \
     use with a Raspberry Pi, with its notice, which is on the card as LICENCE.txt";

/// Takes the files from `folder`.
pub(crate) fn from_folder(folder: &Path) -> Result<Vec<BootFile>> {
    let mut files = Vec::new();
    for name in FIRMWARE.into_iter().chain(DEVICE_TREES).chain([LICENCE]) {
        match fs::read(folder.join(name)) {
            Ok(bytes) => files.push(BootFile::new(name, bytes)),
            Err(error) if FIRMWARE.contains(&name) || name == DEVICE_TREES[0] => {
                return Err(error).with_context(|| format!("{} has no {name}", folder.display()));
            }
            Err(_) => {}
        }
    }
    Ok(files)
}

/// Takes the files from Debian's packages, once: they are kept below the target folder.
pub(crate) fn from_debian(workspace: &Workspace) -> Result<Vec<BootFile>> {
    let folder = workspace.output("firmware/licence")?.with_file_name("");
    if let Ok(files) = from_folder(&folder) {
        return Ok(files);
    }
    let apt = Apt::new(workspace)?;
    report::step(
        "Fetching",
        "Raspberry Pi firmware and device trees from Debian",
    );
    apt.update()?;
    let firmware = apt.unpack("raspi-firmware")?;
    for name in FIRMWARE {
        copy(&firmware, name, &folder.join(name))?;
    }
    copy(
        &firmware.join("usr/share/doc/raspi-firmware"),
        "copyright",
        &folder.join(LICENCE),
    )?;
    let kernel = apt.unpack(&apt.dependency("linux-image-arm64")?)?;
    for name in DEVICE_TREES {
        copy(&kernel, name, &folder.join(name))?;
    }
    report::warning(NOTE);
    from_folder(&folder)
}

/// apt with folders of its own.
struct Apt {
    folder: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(workspace: &Workspace) -> Result<Self> {
        let sources = workspace.output("apt/sources.list")?;
        let folder = sources.with_file_name("");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let server = crate::toolchain::apt::debian_server()
            .unwrap_or_else(|| "http://deb.debian.org/debian".to_string());
        let keyring = crate::toolchain::apt::KEYRING;
        let line = format!("deb [signed-by={keyring}] {server} bookworm main non-free-firmware\n");
        fs::write(&sources, line)?;
        let set = |key: &str, value: &Path| format!("{key}={}", value.display());
        let options = vec![
            set("Dir::Etc::sourcelist", &sources),
            "Dir::Etc::sourceparts=-".into(),
            set("Dir::State::lists", &folder.join("lists")),
            set("Dir::Cache", &folder.join("cache")),
            "APT::Architecture=arm64".into(),
            // Root's apt would warn that its unprivileged helper cannot write here.
            "APT::Sandbox::User=root".into(),
            // What a program with a window would show of a package.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Acquire::Languages=none".into(),
        ];
        Ok(Self { folder, options })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).arg("-q");
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command
    }

    fn update(&self) -> Result<()> {
        run(self
            .command("apt-get")
            .arg("update")
            .stdout(std::io::stderr()))
    }

    /// The one package that `package` stands for.
    fn dependency(&self, package: &str) -> Result<String> {
        let output = self
            .command("apt-cache")
            .args(["depends", package])
            .output()?;
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .map(ToString::to_string)
            .with_context(|| format!("{package} depends on nothing"))
    }

    /// Fetches a package and unpacks it; returns the folder.
    fn unpack(&self, package: &str) -> Result<PathBuf> {
        run(self
            .command("apt-get")
            .args(["download", package])
            .stdout(std::io::stderr()))?;
        let archive = fs::read_dir(&self.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
            })
            .with_context(|| format!("apt-get fetched no {package}"))?;
        let folder = self.folder.join(package);
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(&archive)
            .arg(&folder))?;
        fs::remove_file(archive)?;
        Ok(folder)
    }
}

/// Copies the file `name`, wherever below `folder` it is, to `to`.
fn copy(folder: &Path, name: &str, to: &Path) -> Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.file_name().is_some_and(|found| found == name) {
                fs::copy(path, to).with_context(|| format!("cannot write {}", to.display()))?;
                return Ok(());
            }
        }
    }
    bail!("there is no {name} in {}", folder.display())
}
