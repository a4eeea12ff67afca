//! What building and booting need beyond cargo: is it here, and if not, can it be put here?
//!
//! Whatever gets installed is announced first. What cannot be installed without asking for a
//! password is printed as a command instead.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use crate::compile::TARGET;
use crate::report;

pub(crate) mod apt;
pub(crate) mod disk;

/// The emulator.
pub(crate) const QEMU: &str = "qemu-system-aarch64";

/// Oldest compiler that builds gRiTOS, as `rust-version` in `Cargo.toml`.
const RUST_MINIMUM: &str = "1.95.0";

/// Runs a command and returns what it printed; its stderr is dropped.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{program}`"))?;
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}",
        arguments.join(" "),
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", command.get_program().to_string_lossy()))?;
    ensure!(
        status.success(),
        "`{}` failed: {status}",
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|part| part.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    );
    Ok(())
}

/// The toolchain that builds for the target, installed if need be: `None` is the one in use.
///
/// Not every release of Rust comes with the standard library of every bare-metal target; where the
/// one in use does not, the oldest that builds gRiTOS is taken.
pub(crate) fn for_target() -> Result<Option<&'static str>> {
    static CHOSEN: OnceLock<Option<&'static str>> = OnceLock::new();
    if let Some(chosen) = CHOSEN.get() {
        return Ok(*chosen);
    }
    let chosen = choose_for_target()?;
    Ok(*CHOSEN.get_or_init(|| chosen))
}

fn choose_for_target() -> Result<Option<&'static str>> {
    let verbose = output_of("rustc", &["-vV"])?;
    let release = verbose
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .context("`rustc -vV` names no release")?;
    ensure!(
        version_of(release) >= version_of(RUST_MINIMUM),
        "rustc {release} is too old: gRiTOS needs {RUST_MINIMUM}; run `rustup update stable`"
    );
    let has_target = |program, before: &[&str]| {
        let arguments = [before, &["--print", "target-libdir", "--target", TARGET]].concat();
        output_of(program, &arguments).is_ok_and(|libdir| Path::new(libdir.trim()).is_dir())
    };
    if has_target("rustc", &[]) {
        return Ok(None);
    }
    if has_target("rustup", &["run", RUST_MINIMUM, "rustc"]) {
        return Ok(Some(RUST_MINIMUM));
    }
    ensure!(
        output_of("rustup", &["--version"]).is_ok(),
        "the standard library for {TARGET} is missing; install your distribution's package for that \
         target, or Rust from https://rustup.rs"
    );
    report::step(
        "Installing",
        format!("Rust target {TARGET} (rustup target add {TARGET})"),
    );
    if run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() {
        return Ok(None);
    }
    report::warning(format!("Rust {release} cannot be had for {TARGET}"));
    let install = ["toolchain", "install", RUST_MINIMUM, "--profile", "minimal"];
    let parts = ["--component", "clippy", "--target", TARGET];
    report::step(
        "Installing",
        format!(
            "Rust {RUST_MINIMUM} beside it (rustup {})",
            install.join(" ")
        ),
    );
    run(Command::new("rustup").args(install).args(parts))
        .with_context(|| format!("there is no Rust for {TARGET} to be had here"))?;
    Ok(Some(RUST_MINIMUM))
}

/// The numbers of a version like `1.95.0-nightly` or `10.0.2`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What the installed QEMU can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Qemu {
    pub(crate) version: (u32, u32),
    /// Whether it emulates the Raspberry Pi 4.
    pub(crate) raspi4b: bool,
}

impl Qemu {
    /// The QEMU on this machine, if there is one.
    fn installed() -> Option<Self> {
        let version = output_of(QEMU, &["--version"]).ok()?;
        let machines = output_of(QEMU, &["-machine", "help"]).ok()?;
        Some(Self {
            version: version.split("version ").nth(1).and_then(version_of)?,
            raspi4b: machines.lines().any(|line| line.starts_with("raspi4b ")),
        })
    }
}

/// Finds QEMU and installs it where that is possible. One without `raspi4b` is good enough if
/// nothing better can be had, unless `raspi4b` is asked for.
pub(crate) fn ensure_qemu(raspi4b: bool) -> Result<Qemu> {
    let before = Qemu::installed();
    match before {
        Some(qemu) if qemu.raspi4b || !raspi4b => return Ok(qemu),
        Some(Qemu {
            version: (major, minor),
            ..
        }) => report::warning(format!(
            "QEMU {major}.{minor} has no machine raspi4b (it came with 9.0); looking for a newer one"
        )),
        None => report::step("Looking", format!("for a package with {QEMU}")),
    }
    install_qemu()?;
    match Qemu::installed() {
        Some(qemu) if qemu.raspi4b || !raspi4b => Ok(qemu),
        Some(Qemu {
            version: (major, minor),
            ..
        }) => bail!(
            "the newest QEMU that this machine's package sources have is {major}.{minor}, and \
             raspi4b needs 9.0; build one from https://www.qemu.org/download, or use `--board virt`"
        ),
        None => bail!("{QEMU} is still not found in PATH after its installation"),
    }
}

fn install_qemu() -> Result<()> {
    if cfg!(target_os = "macos") {
        report::step("Installing", "QEMU (brew install qemu)");
        return run(Command::new("brew").args(["install", "qemu"]))
            .context("install QEMU 9.0 or newer: `brew install qemu` (see https://brew.sh)");
    }
    if apt::is_here() {
        return apt::install_qemu();
    }
    let command = if Path::new("/usr/bin/dnf").exists() {
        "sudo dnf install qemu-system-aarch64"
    } else if Path::new("/usr/bin/pacman").exists() {
        "sudo pacman -S qemu-system-aarch64"
    } else {
        bail!("{QEMU} is missing: install QEMU 9.0 or newer (https://www.qemu.org/download)");
    };
    bail!("{QEMU} is missing; install it with `{command}` and try again")
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn versions_compare_as_numbers_and_not_as_text() {
        assert_eq!(version_of("1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(version_of("1.100.0-nightly"), Some((1, 100)));
        assert!(version_of("10.0.2") > version_of("9.2.0"));
        assert_eq!(version_of("unknown"), None);
    }
}
