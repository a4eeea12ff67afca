//! Parts that other tools do: Miri, loom and libFuzzer, each on what it can judge.
//!
//! Miri runs the unsafe modules that a host can run and says whether a reference breaks Rust's rules. loom runs all
//! orders in which the two sides of a ring can meet. libFuzzer looks for bytes that take readers of untrusted bytes where
//! no test has been.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Step;
use crate::toolchain;
use crate::workspace::Workspace;

/// What Miri runs: package, and which of its tests.
const MIRI: [(&str, &[&str]); 4] = [
    ("gritos-kernel", &["--test", "store"]),
    ("gritos-sys", &["--lib", "--all-features"]),
    ("gritos-ring", &["--lib"]),
    ("gritos-ring", &["--test", "lies", "--test", "pair"]),
];

/// What is fuzzed, and where; the `fuzz/README.md` there says what they read.
const FUZZED: [(&str, &str); 4] = [
    ("kernel-aarch64/core", "device_tree"),
    ("kernel-aarch64/core", "boot_image"),
    ("kernel-aarch64/core", "system_calls"),
    ("servers/net/core", "frames"),
];
/// For so long each.
const SECONDS: u32 = 600;

/// Fails with advice if the tool cannot be asked for its version.
fn needs(arguments: &[&str], advice: &str) -> Result<()> {
    let output = Command::new("rustup")
        .args(["run", "nightly", "cargo"])
        .args(arguments)
        .arg("--version")
        .output()
        .context("rustup cannot be started; nightly tools are found through it")?;
    ensure!(output.status.success(), "missing; `{advice}` installs it");
    Ok(())
}

fn nightly(workspace: &Workspace, folder: &str) -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(workspace.root.join(folder));
    command.args(["run", "nightly", "cargo"]);
    command
}

pub(super) fn miri(_: &Workspace) -> Result<Vec<Step>> {
    needs(
        &["miri"],
        "rustup toolchain install nightly --component miri,rust-src",
    )?;
    let step = |(package, tests): (&'static str, &'static [&'static str])| Step {
        label: format!("{package} {}", tests.join(" ")),
        run: Box::new(move |workspace| {
            let mut command = nightly(workspace, ".");
            command.args(["miri", "test", "--package", package]);
            command.args(tests);
            // Handles become addresses: there is no pointer that they came from. Some tests leave memory for good,
            // as what lives as long as the program does on the target.
            let flags = "-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks";
            toolchain::run(command.env("MIRIFLAGS", flags))
        }),
    };
    Ok(MIRI.into_iter().map(step).collect())
}

pub(super) fn loom(_: &Workspace) -> Result<Vec<Step>> {
    Ok(vec![Step {
        label: String::from("gritos-ring"),
        run: Box::new(|workspace| {
            let mut command = workspace.cargo();
            command.args(["test", "--release", "--package", "gritos-ring"]);
            command.args(["--test", "model"]);
            // A folder of its own: other flags would have everything built anew in both.
            command.env("CARGO_TARGET_DIR", workspace.output("loom")?);
            toolchain::run(command.env("RUSTFLAGS", "--cfg loom"))
        }),
    }])
}

pub(super) fn fuzz(_: &Workspace) -> Result<Vec<Step>> {
    needs(&["fuzz"], "cargo install --locked cargo-fuzz")?;
    let step = |(folder, target): (&'static str, &'static str)| Step {
        label: format!("{target}, {SECONDS} s"),
        run: Box::new(move |workspace| {
            let found = format!("fuzz/target/found/{target}");
            std::fs::create_dir_all(workspace.root.join(folder).join(&found))?;
            let mut command = nightly(workspace, folder);
            command.args(["fuzz", "run", "--sanitizer", "none", target, &found]);
            command.arg(format!("fuzz/corpus/{target}"));
            command.args(["--", "-max_len=4096"]);
            command.arg(format!("-max_total_time={SECONDS}"));
            toolchain::run(&mut command)
        }),
    };
    Ok(FUZZED.into_iter().map(step).collect())
}
