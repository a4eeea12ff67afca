//! The Raspberry Pi's firmware and device trees. They are not part of gRiTOS: a folder of the user's
//! or Debian's packages provide them.
//!
//! From Debian they come by its own client, with package sources and lists of their own below the
//! target folder, so that nothing of the machine's is touched and no root is needed. apt checks
//! signatures and checksums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::BootFile;
use crate::report;
use crate::toolchain::run;
use crate::workspace::Workspace;

/// A file of the firmware's, and how to tell that it is one.
struct Part {
    name: &'static str,
    /// First bytes.
    magic: &'static [u8],
    /// Whether no Pi 4 boots without it.
    needed: bool,
}

const ELF: &[u8] = b"\x7fELF";
const DEVICE_TREE: &[u8] = &[0xd0, 0x0d, 0xfe, 0xed];

/// What is taken: the firmware, and the device trees of the Pi 4 B and its relatives.
const PARTS: [Part; 6] = [
    Part::new("start4.elf", ELF, true),
    Part::new("fixup4.dat", &[], true),
    Part::new("bcm2711-rpi-4-b.dtb", DEVICE_TREE, true),
    Part::new("bcm2711-rpi-400.dtb", DEVICE_TREE, false),
    Part::new("bcm2711-rpi-cm4-io.dtb", DEVICE_TREE, false),
    Part::new(LICENCE, &[], false),
];

/// Name of the firmware's licence on the card.
const LICENCE: &str = "LICENCE.txt";
/// List of SHA-256 digests in a folder of firmware, as `sha256sum` writes and checks it.
const DIGESTS: &str = "SHA256SUMS";

/// What whoever makes a card with the firmware is told.
pub(crate) const NOTE: &str = "the firmware is Broadcom's and Raspberry Pi's: it may be handed on unmodified, for use \
     with a Raspberry Pi, with its notice (on the card as LICENCE.txt, where there was one)";

/// What to do without Debian's packages.
pub(crate) const BY_HAND: &str = "take start4.elf, fixup4.dat and LICENCE.broadcom, named LICENCE.txt, from \
     https://github.com/raspberrypi/firmware, folder boot, and bcm2711-rpi-4-b.dtb from there; put them into a folder \
     and name it with --firmware";

impl Part {
    const fn new(name: &'static str, magic: &'static [u8], needed: bool) -> Self {
        Self {
            name,
            magic,
            needed,
        }
    }
}

/// Takes the files from `folder`. Where it has a list of digests, they are compared.
///
/// # Errors
/// When one that is needed is missing, or one is not what its name says.
pub(crate) fn from_folder(folder: &Path) -> Result<Vec<BootFile>> {
    ensure!(
        folder.is_dir(),
        "{} is no folder; --firmware names one with {}",
        folder.display(),
        names(&needed().collect::<Vec<_>>())
    );
    let missing: Vec<_> = needed()
        .filter(|name| !folder.join(name).exists())
        .collect();
    ensure!(
        missing.is_empty(),
        "{} has no {}: {BY_HAND}",
        folder.display(),
        names(&missing)
    );
    let digests = fs::read_to_string(folder.join(DIGESTS)).unwrap_or_default();
    let mut files = Vec::new();
    for part in PARTS {
        let path = folder.join(part.name);
        match fs::read(&path) {
            Ok(bytes) => {
                ensure!(
                    !bytes.is_empty() && bytes.starts_with(part.magic),
                    "{} is {} bytes of something else: download it again, as a raw file",
                    path.display(),
                    bytes.len()
                );
                if let Some(listed) = listed_digest(&digests, part.name) {
                    let found = digest(&bytes);
                    ensure!(
                        listed == found,
                        "{} has the SHA-256 digest {found}, and {DIGESTS} beside it says {listed}: download it again, \
                         or delete {DIGESTS} if the file is meant to be another",
                        path.display()
                    );
                }
                files.push(BootFile::new(part.name, bytes));
            }
            Err(error) if part.needed => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
            Err(_) => {}
        }
    }
    Ok(files)
}

/// Files without which no Pi 4 boots.
fn needed() -> impl Iterator<Item = &'static str> {
    PARTS
        .iter()
        .filter(|part| part.needed)
        .map(|part| part.name)
}

/// A list as people write it.
fn names(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.join(", "),
    }
}

/// Whether the files of Debian's packages are kept already.
pub(crate) fn is_kept(workspace: &Workspace) -> Result<bool> {
    Ok(workspace
        .output("firmware/licence")?
        .with_file_name(DIGESTS)
        .exists())
}

/// Takes the files from Debian's packages, once: they are kept below the target folder, with their
/// digests.
pub(crate) fn from_debian(workspace: &Workspace) -> Result<Vec<BootFile>> {
    let folder = workspace.output("firmware/licence")?.with_file_name("");
    if folder.join(DIGESTS).exists() {
        match from_folder(&folder) {
            Ok(files) => return Ok(files),
            Err(error) => {
                report::warning(format!(
                    "what was kept of the firmware is damaged, and fetched anew: {error:#}"
                ));
            }
        }
    }
    let apt = Apt::new(workspace)?;
    report::step(
        "Fetching",
        "Raspberry Pi firmware and device trees from Debian",
    );
    apt.update()?;
    let firmware = apt.unpack("raspi-firmware")?;
    let kernel = apt.unpack(&apt.dependency("linux-image-arm64")?)?;
    for part in PARTS {
        let from = match part.name {
            name if name == LICENCE => (firmware.join("usr/share/doc/raspi-firmware"), "copyright"),
            name if part.magic == DEVICE_TREE => (kernel.clone(), name),
            name => (firmware.clone(), name),
        };
        copy(&from.0, from.1, &folder.join(part.name))?;
    }
    for unpacked in [firmware, kernel] {
        fs::remove_dir_all(unpacked)?;
    }
    write_digests(&folder)?;
    from_folder(&folder)
}

/// Lists what is in `folder`, for the next time.
fn write_digests(folder: &Path) -> Result<()> {
    let mut list = String::new();
    for part in PARTS {
        if let Ok(bytes) = fs::read(folder.join(part.name)) {
            list += &format!("{}  {}\n", digest(&bytes), part.name);
        }
    }
    fs::write(folder.join(DIGESTS), list)
        .with_context(|| format!("cannot write {}", folder.display()))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of `name` in the output of `sha256sum`; binary files may have a star.
fn listed_digest<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.lines().find_map(|line| {
        let (digest, file) = line.split_once(char::is_whitespace)?;
        (file.trim_start().trim_start_matches('*') == name).then_some(digest)
    })
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
        quietly(self.command("apt-get").arg("update"))
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
        quietly(self.command("apt-get").args(["download", package]))
            .with_context(|| format!("Debian's package {package} cannot be had"))?;
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

/// Runs one of apt's programs, and shows nothing of what it says but why it failed.
fn quietly(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().with_context(|| {
        format!("cannot run {program}, which only Debian and its relatives have")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let why = said.lines().find(|line| line.starts_with("E: "));
    bail!("{program} says: {}", why.unwrap_or(said.trim()))
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

#[cfg(test)]
mod tests {
    use super::{DIGESTS, from_folder, write_digests};
    use std::fs;
    use std::path::PathBuf;

    /// A folder with what a Pi needs, or looks as if.
    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("gritos-firmware-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        for (name, bytes) in [
            ("start4.elf", b"\x7fELF firmware".as_slice()),
            ("fixup4.dat", b"fixup"),
            ("bcm2711-rpi-4-b.dtb", &[0xd0, 0x0d, 0xfe, 0xed, 0]),
            ("README.md", b"not for the card"),
        ] {
            fs::write(folder.join(name), bytes).expect("the folder can be written");
        }
        folder
    }

    fn refusal(folder: &PathBuf) -> String {
        let error = from_folder(folder).expect_err("a refusal");
        fs::remove_dir_all(folder).expect("it was written");
        format!("{error:#}")
    }

    #[test]
    fn what_is_needed_is_taken_and_nothing_else() {
        let folder = folder("good");
        write_digests(&folder).expect("it can be written");
        let files = from_folder(&folder).expect("all is there");
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb"]);
        fs::remove_dir_all(folder).expect("it was written");
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = folder("missing");
        fs::remove_file(folder.join("fixup4.dat")).expect("it was written");
        fs::remove_file(folder.join("start4.elf")).expect("it was written");
        let text = refusal(&folder);
        assert!(
            text.contains("has no start4.elf and fixup4.dat: take"),
            "{text}"
        );
        let text = from_folder(&folder).expect_err("it is gone").to_string();
        assert!(text.contains("is no folder"), "{text}");
    }

    #[test]
    fn a_web_page_in_a_file_s_place_is_refused() {
        let folder = folder("page");
        fs::write(folder.join("start4.elf"), "<!DOCTYPE html>").expect("it can be written");
        assert!(refusal(&folder).contains("start4.elf is 15 bytes of something else"));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let folder = folder("changed");
        write_digests(&folder).expect("it can be written");
        fs::write(folder.join("fixup4.dat"), "fixuP").expect("it can be written");
        let text = refusal(&folder);
        assert!(
            text.contains("fixup4.dat has the SHA-256") && text.contains(DIGESTS),
            "{text}"
        );
    }
}
