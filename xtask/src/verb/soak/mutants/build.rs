//! A copy of the crate under the target folder, with every mutant in it, and its test programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;

use super::instrument::{self, Instrumented, mutant_at};
use super::list::Mutant;
use crate::report;

/// A copy of the crate.
pub(super) struct Copy {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The crate that it is a copy of.
    origin: PathBuf,
}

/// A program with tests, and its name.
pub(super) type Program = (String, PathBuf);

/// Joined to the crate's root. The question is "no" for the compiler, so that constant functions can ask it. Set
/// `GRITOS_MUTANT` to the number of the chosen mutant, or `GRITOS_REACHED` to the path of a file to which the numbers of
/// those that are reached are added.
const SWITCH: &str = r#"
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

const UNSET: u32 = u32::MAX;
const REACHED: u32 = u32::MAX - 1;
static CHOSEN: AtomicU32 = AtomicU32::new(UNSET);
static SEEN: [AtomicBool; 65_536] = [const { AtomicBool::new(false) }; 65_536];

#[doc(hidden)]
#[inline(always)]
pub const fn chosen(id: u32) -> bool {
    core::intrinsics::const_eval_select((id,), never, ask)
}
const fn never(_: u32) -> bool {
    false
}
#[inline(always)]
fn ask(id: u32) -> bool {
    let chosen = CHOSEN.load(Relaxed);
    if chosen < REACHED { chosen == id } else { special(id) }
}
#[cold]
#[inline(never)]
fn special(id: u32) -> bool {
    let file = || std::env::var_os("GRITOS_REACHED");
    if CHOSEN.load(Relaxed) == UNSET {
        let number = std::env::var("GRITOS_MUTANT").ok().and_then(|n| n.parse().ok());
        CHOSEN.store(if file().is_some() { REACHED } else { number.unwrap_or(0) }, Relaxed);
        return ask(id);
    }
    if !SEEN[id as usize].load(Relaxed) && !SEEN[id as usize].swap(true, Relaxed) {
        use std::io::Write;
        let mut file = std::fs::File::options().append(true).open(file().unwrap()).unwrap();
        file.write_all(std::format!("{id}\n").as_bytes()).unwrap();
    }
    false
}
"#;

/// The sources of a crate in one of its folders, by name relative to it.
pub(super) fn sources(crate_folder: &Path, folder: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    gather(&crate_folder.join(folder), "", &mut files)?;
    Ok(files)
}

fn gather(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), &format!("{name}/"), into)?;
        } else if let Some("rs") = entry.path().extension().and_then(|e| e.to_str()) {
            into.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

impl Copy {
    /// One that was made and instrumented before.
    pub(super) fn found(origin: &Path, folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            origin: origin.to_path_buf(),
        }
    }

    /// Puts the tests and their support in the crate in place of those of the copy.
    pub(super) fn renew_tests(&self) -> Result<()> {
        for part in ["src/host", "tests"] {
            copy_changed(&self.origin.join(part), &self.folder.join(part))?;
        }
        let name = "src/host.rs";
        copy_if_changed(&self.origin.join(name), &self.folder.join(name))
    }

    /// Copies the crate in `origin` to `folder`, with the manifest of a workspace of its own.
    pub(super) fn make(origin: &Path, folder: &Path, root: &Path) -> Result<Self> {
        // What cargo built there before stays.
        for part in ["src", "tests", "fuzz"] {
            let place = folder.join(part);
            if place.exists() {
                fs::remove_dir_all(&place)?;
            }
            copy_all(&origin.join(part), &place)?;
        }
        let manifest = fs::read_to_string(origin.join("Cargo.toml"))?;
        let mut manifest: toml::Table = manifest.parse()?;
        let table = |manifest: &mut toml::Table, name: &str| -> Result<toml::Table> {
            let entry = manifest
                .entry(name)
                .or_insert_with(|| toml::Table::new().into());
            Ok(entry.as_table().context("a table")?.clone())
        };
        let mut package = table(&mut manifest, "package")?;
        package.retain(|_, value| !value.is_table());
        package.insert("version".into(), "0.0.0".into());
        package.insert("edition".into(), "2024".into());
        manifest.insert("package".into(), package.into());
        let mut dependencies = table(&mut manifest, "dependencies")?;
        for (name, value) in &mut dependencies {
            ensure!(name == "gritos-abi", "no path is known for {name}");
            let path = root.join("gritos-abi").to_string_lossy().into_owned();
            *value = toml::Table::from_iter([(String::from("path"), path.into())]).into();
        }
        manifest.insert("dependencies".into(), dependencies.into());
        manifest.remove("lints");
        manifest.insert("workspace".into(), toml::Table::new().into());
        let profile: toml::Table =
            "[dev]\nopt-level = 2\ndebug = false\nincremental = false".parse()?;
        manifest.insert("profile".into(), profile.into());
        fs::write(folder.join("Cargo.toml"), toml::to_string(&manifest)?)?;
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            origin: origin.to_path_buf(),
        })
    }

    fn write(&self, files: &BTreeMap<String, String>) -> Result<()> {
        for (name, text) in files {
            fs::write(self.folder.join("src").join(name), text)?;
        }
        Ok(())
    }

    /// Writes all of `mutants` into the copy; those that the compiler refuses are left out again. Returns the ones
    /// refused, and the ones that could not be written into it.
    pub(super) fn instrument(&self, mutants: &[Mutant]) -> Result<(BTreeSet<u32>, BTreeSet<u32>)> {
        let files = sources(&self.origin, "src")?;
        let mut refused = BTreeSet::new();
        loop {
            let Instrumented { mut files, absent } =
                instrument::instrument(&files, mutants, &refused)?;
            let root = files.get_mut("lib.rs").context("lib.rs")?;
            let features = "#![feature(core_intrinsics, const_eval_select)]\n#![allow(warnings)]\n";
            let end = root.rfind("#![").unwrap_or(0);
            root.insert_str(end, features);
            *root += SWITCH;
            self.write(&files)?;
            let errors = self.errors(&files)?;
            if errors.is_empty() {
                let absent = absent.difference(&refused).copied().collect();
                return Ok((refused, absent));
            }
            report::step(
                "Leaving out",
                format!("{} mutants that do not compile", errors.len()),
            );
            refused.extend(errors);
        }
    }

    /// The mutants in which the compiler finds errors.
    fn errors(&self, files: &BTreeMap<String, String>) -> Result<BTreeSet<u32>> {
        let output = self
            .cargo()
            .args([
                "check",
                "--features",
                "host",
                "--lib",
                "--message-format=json",
            ])
            .output()?;
        let mut found = BTreeSet::new();
        let mut strange = None;
        for message in Message::parse_stream(output.stdout.as_slice()) {
            let Message::CompilerMessage(message) = message? else {
                continue;
            };
            if message.message.level != DiagnosticLevel::Error {
                continue;
            }
            let spans = message.message.spans.iter().filter(|span| span.is_primary);
            let at = spans.filter_map(|span| {
                let text = files.get(span.file_name.strip_prefix("src/")?)?;
                mutant_at(text, span.byte_start as usize)
            });
            let before = found.len();
            found.extend(at);
            if found.len() == before && !message.message.spans.is_empty() {
                strange = Some(message.to_string());
            }
        }
        if let Some(strange) = strange.filter(|_| found.is_empty()) {
            bail!("the instrumented copy does not compile:\n{strange}");
        }
        ensure!(
            output.status.success() || !found.is_empty(),
            "the instrumented copy does not compile:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(found)
    }

    /// A source with one mutant in place of what it replaces; all others as they are in the crate.
    pub(super) fn write_one(&self, mutant: &Mutant) -> Result<()> {
        let mut files = sources(&self.origin, "src")?;
        let text = files.get_mut(&mutant.file).context("a listed file")?;
        let range = mutant.start.offset(text)..mutant.end.offset(text);
        text.replace_range(range, &mutant.replacement);
        self.write(&files)
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.folder);
        // For the two features that the question needs.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", "target");
        command
    }

    /// Builds the test programs; `None` if the copy does not compile.
    pub(super) fn programs(&self) -> Result<Option<Vec<Program>>> {
        let output = self
            .cargo()
            .args([
                "test",
                "--no-run",
                "--all-features",
                "--message-format=json",
            ])
            .output()?;
        if !output.status.success() {
            return Ok(None);
        }
        let mut programs = Vec::new();
        for message in Message::parse_stream(output.stdout.as_slice()) {
            if let Message::CompilerArtifact(artifact) = message?
                && let Some(path) = artifact.executable
            {
                programs.push((artifact.target.name, path.into()));
            }
        }
        Ok(Some(programs))
    }
}

/// Makes `to` what `from` is, and leaves alone what is so already: cargo builds anew what was written.
fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_changed(&entry.path(), &target)?;
        } else {
            copy_if_changed(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    if fs::read(to).ok() != Some(fs::read(from)?) {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                copy_all(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
