//! Programs from Debian's and Ubuntu's packages, QEMU above all.
//!
//! Debian 12 has QEMU 7.2, which lacks `raspi4b`; its backports have one that has it. Where that
//! suite is not among the machine's sources it is added, from the server that the machine uses
//! anyway, so that mirrors and proxies keep working.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{output_of, run};
use crate::report;

/// Package that contains `qemu-system-aarch64`.
const PACKAGE: &str = "qemu-system-arm";
/// Debian's key ring, as its own sources name it.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where the added source goes.
const SOURCE_FILE: &str = "/etc/apt/sources.list.d/gritos-backports.sources";

pub(super) fn install_qemu() -> Result<()> {
    let backports = backports_suite(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    if let Some(suite) = &backports
        && !is_known(suite)
        && let Some(privilege) = privilege()
    {
        let server = debian_server().context("no Debian server among this machine's sources")?;
        report::step("Adding", format!("{SOURCE_FILE}: {suite} from {server}"));
        add_source(privilege, &source(suite, &server))?;
    }
    report::step("Installing", format!("{PACKAGE} (apt-get install)"));
    install(PACKAGE, backports.as_deref())
}

/// Whether this machine has apt.
pub(crate) fn is_here() -> bool {
    Command::new("apt-get").arg("--version").output().is_ok()
}

/// Installs `package`, from `suite` if one is named.
///
/// # Errors
/// When nobody is root here; the message has the command for who is.
pub(crate) fn install(package: &str, suite: Option<&str>) -> Result<()> {
    let Some(privilege) = privilege() else {
        let suite = suite.map_or(String::new(), |suite| format!("-t {suite} "));
        bail!(
            "installing {package} needs root and `sudo` asks for a password; run `sudo apt-get \
             install {suite}{package}` and try again"
        );
    };
    run(privileged(privilege, "apt-get")
        .args(["update", "-q"])
        .stdout(std::io::stderr()))?;
    let mut command = privileged(privilege, "apt-get");
    command.args(["install", "-q", "-y", "--no-install-recommends"]);
    if let Some(suite) = suite {
        command.args(["-t", suite]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    run(command.arg(package).stdout(std::io::stderr()))
}

/// Command prefix that gives root's rights without a question, if there is one.
fn privilege() -> Option<&'static [&'static str]> {
    if output_of("id", &["-u"]).is_ok_and(|id| id.trim() == "0") {
        return Some(&[]);
    }
    output_of("sudo", &["-n", "true"])
        .is_ok()
        .then_some(&["sudo", "-n"])
}

fn privileged(prefix: &[&str], program: &str) -> Command {
    match prefix {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        [] => Command::new(program),
    }
}

/// The suite to take QEMU from where the release itself has one that is too old.
fn backports_suite(os_release: &str) -> Option<String> {
    let value = |key: &str| {
        os_release.lines().find_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix('=')
                .map(|v| v.trim_matches('"'))
        })
    };
    (value("ID") == Some("debian") && value("VERSION_CODENAME") == Some("bookworm"))
        .then(|| "bookworm-backports".to_string())
}

/// Texts of the machine's package sources.
fn source_texts() -> Vec<String> {
    let mut paths = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        paths.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    paths.sort();
    paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect()
}

fn is_known(suite: &str) -> bool {
    source_texts()
        .iter()
        .flat_map(|text| text.lines())
        .any(|line| {
            !line.trim_start().starts_with('#') && line.split_whitespace().any(|word| word == suite)
        })
}

/// The server from which this machine takes Debian's packages.
pub(crate) fn debian_server() -> Option<String> {
    source_texts().iter().find_map(|text| server_in(text))
}

/// The first server in `text` that carries Debian itself: a one-line entry (`deb URI suite …`)
/// or a field of a deb822 stanza (`URIs: URI`).
fn server_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(|line| line.split_whitespace())
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(ToString::to_string)
}

fn source(suite: &str, server: &str) -> String {
    format!(
        "# Added by `cargo xtask`: QEMU with the Raspberry Pi 4.\n\
         Types: deb\nURIs: {server}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
    )
}

fn add_source(privilege: &[&str], text: &str) -> Result<()> {
    let copy = std::env::temp_dir().join(format!("gritos-backports.{}", std::process::id()));
    fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))?;
    let copied = run(privileged(privilege, "install")
        .args(["-m", "644"])
        .arg(&copy)
        .arg(SOURCE_FILE));
    // The copy served its purpose; a leftover in the temporary folder does no harm.
    let _ = fs::remove_file(&copy);
    copied
}

#[cfg(test)]
mod tests {
    use super::{backports_suite, server_in};

    #[test]
    fn only_debian_12_needs_backports() {
        let bookworm = "ID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(
            backports_suite(bookworm).as_deref(),
            Some("bookworm-backports")
        );
        assert_eq!(
            backports_suite("ID=debian\nVERSION_CODENAME=trixie\n"),
            None
        );
        assert_eq!(backports_suite("ID=ubuntu\nVERSION_CODENAME=noble\n"), None);
    }

    #[test]
    fn the_machine_s_own_debian_server_is_found_in_both_formats() {
        let stanza = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(
            server_in(stanza).as_deref(),
            Some("http://mirror.example/debian")
        );
        let line =
            "deb https://other.example/apt x main\ndeb http://deb.example/debian/ bookworm main\n";
        assert_eq!(
            server_in(line).as_deref(),
            Some("http://deb.example/debian/")
        );
        assert_eq!(
            server_in("# deb http://old.example/debian bookworm main\n"),
            None
        );
    }
}
