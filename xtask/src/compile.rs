//! Builds programs for the target.

use std::collections::BTreeMap;
use std::io::{BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;

use crate::report;
use crate::workspace::Workspace;

pub(crate) mod c;

/// Kernel and components are built without FP and SIMD registers: what interrupts them need not
/// save any.
pub(crate) const TARGET: &str = "aarch64-unknown-none-softfloat";

/// Package of the kernel.
pub(crate) const KERNEL: &str = "gritos-kernel";
/// Package of the first stage that receives a kernel over the serial line.
pub(crate) const LOADER: &str = "gritos-loader";
/// Package of the root task.
pub(crate) const ROOT: &str = "gritos-root";
/// Package of the test task, which takes the root task's place.
pub(crate) const TESTS: &str = "gritos-target-tests";

/// Feature of the target that forbids unaligned loads and stores; processes are built without it.
const STRICT_ALIGN: &str = "strict-align";

/// Builds the binary of `package` and returns its path.
///
/// Each package is built alone, so that cargo does not unify the features of kernel and tasks.
/// Paths of this machine are mapped away, and flags from the environment are ignored: the same
/// source gives the same bytes everywhere. What was built once stays as it is until this process ends, however
/// many images it goes into.
pub(crate) fn build(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(package) {
        return Ok(path.clone());
    }
    let folder = workspace.metadata.target_directory.as_std_path();
    // Cargo gives what is compiled with other flags the same names if they map paths away: in one folder, kernel
    // and processes would each have the crates that they share compiled again after the other.
    let path = match package {
        KERNEL => build_in(workspace, &folder.join("kernel"), package)?,
        _ => build_in(workspace, folder, package)?,
    };
    built.insert(package.to_string(), path.clone());
    Ok(path)
}

/// As [`build`], with another folder for what the compiler makes.
pub(crate) fn build_in(workspace: &Workspace, folder: &Path, package: &str) -> Result<PathBuf> {
    if let Some(source) = c::source(workspace, package) {
        return c::build(workspace, package, &source);
    }
    let known = workspace
        .member(package)
        .with_context(|| format!("the workspace has no package {package}"))?;
    report::step("Building", format!("{package} for {TARGET}"));
    let mut child = workspace
        .target_cargo()?
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            TARGET,
            "--package",
            package,
        ])
        .arg("--target-dir")
        .arg(own_folder(folder, package))
        .arg("--message-format")
        .arg(if std::io::stderr().is_terminal() {
            "json-diagnostic-rendered-ansi"
        } else {
            "json"
        })
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace, package))
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let mut executable = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.context("unreadable cargo message")? {
            Message::CompilerArtifact(artifact)
                if artifact.package_id == known.id && artifact.executable.is_some() =>
            {
                executable = artifact.executable;
            }
            Message::CompilerMessage(message) if !is_about_alignment(&message.message.message) => {
                eprint!("{}", message.message.rendered.unwrap_or_default());
            }
            _ => {}
        }
    }
    ensure!(
        child.wait()?.success(),
        "{package} does not compile (see above)"
    );
    match executable {
        Some(path) => Ok(path.into_std_path_buf()),
        None => bail!("{package} has no binary"),
    }
}

/// Where cargo keeps what it makes for `package`: packages whose [`flags`] differ cannot share a folder. Cargo leaves
/// flags out of the names of files if they map paths, and would compile what both need anew for each in turn.
fn own_folder(folder: &Path, package: &str) -> PathBuf {
    match package {
        KERNEL | LOADER => folder.join(package),
        _ => folder.to_path_buf(),
    }
}

/// Whether all memory that `package` touches through references is Normal memory, where unaligned
/// accesses are allowed (Arm ARM, "Alignment of data accesses"; the kernel leaves `SCTLR_EL1.A`
/// zero). Kernel and loader also run before there are translations, when all memory counts as Device.
fn runs_behind_the_mmu(package: &str) -> bool {
    ![KERNEL, LOADER].contains(&package)
}

/// Whether `message` only says that `strict-align` has no stable name in this compiler, or counts
/// messages. `docs/decisions/0012-unaligned-accesses.md` says why the feature is changed all the same.
fn is_about_alignment(message: &str) -> bool {
    message.starts_with("unknown and unstable feature") && message.contains(STRICT_ALIGN)
        || message == "1 warning emitted"
}

/// Compiler flags, separated as cargo wants them: they hide where source and registry lie, and make
/// the kernel inline little but what says that it must be.
fn flags(workspace: &Workspace, package: &str) -> String {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = vec![format!(
        "--remap-path-prefix={}=gritos",
        workspace.root.display()
    )];
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    if package == KERNEL {
        flags.push("-Cllvm-args=-inline-threshold=5 -unroll-threshold=10 -enable-pre=0".to_owned());
    }
    if runs_behind_the_mmu(package) {
        flags.push(format!("-Ctarget-feature=-{STRICT_ALIGN}"));
    }
    flags.join("\x1f")
}
