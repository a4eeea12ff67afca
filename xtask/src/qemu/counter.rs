//! The plugin of QEMU that counts from outside the guest: built where it is used, with the host's C
//! compiler (`xtask/plugin/counter.c` says what it counts).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::QEMU;
use crate::workspace::Workspace;

const SOURCE: &str = "xtask/plugin/counter.c";
/// The names under which hosts have a C compiler.
const COMPILERS: [&str; 3] = ["cc", "gcc", "clang"];
const OPTIONS: [&str; 8] = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
];

/// The plugin, ready to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    library: PathBuf,
    /// More arguments of the plugin.
    more: Vec<String>,
}

impl Counter {
    /// Compiles the plugin, and tries whether this QEMU takes it.
    ///
    /// # Errors
    /// Says why nothing can be counted: there is no C compiler, or QEMU refuses plugins or this one.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        let compiler = COMPILERS.into_iter().find(runs).with_context(|| {
            format!(
                "none of the C compilers {} is installed",
                COMPILERS.join(", ")
            )
        })?;
        let library = workspace.output("counter.so")?;
        let output = Command::new(compiler)
            .args(OPTIONS)
            .arg("-o")
            .arg(&library)
            .arg(workspace.root.join(SOURCE))
            // The functions of QEMU are there when it loads the plugin.
            .args(cfg!(target_os = "macos").then_some("-Wl,-undefined,dynamic_lookup"))
            .output()
            .with_context(|| format!("cannot run {compiler}"))?;
        ensure!(
            output.status.success(),
            "{SOURCE} does not compile: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let more = Vec::new();
        let counter = Self { library, more };
        counter.try_it(&workspace.output("counter-trial.txt")?)?;
        Ok(counter)
    }

    /// The same with these arguments of the plugin, in every machine.
    pub(crate) fn with(self, more: Vec<String>) -> Self {
        Self { more, ..self }
    }

    /// Arguments of QEMU that make it count and write `results` when it ends; with `marks` also what lies
    /// between marks.
    pub(crate) fn arguments(&self, results: &Path, marks: bool) -> [String; 2] {
        let library = self.library.display();
        let marks = if marks { ",marks=on" } else { "" };
        let mut value = format!("{library},out={}{marks}", results.display());
        for argument in &self.more {
            value.push(',');
            value.push_str(argument);
        }
        ["-plugin".to_string(), value]
    }

    /// Starts a machine without anything that loads the plugin and ends.
    fn try_it(&self, results: &Path) -> Result<()> {
        let mut qemu = Command::new(QEMU)
            .args(["-M", "none", "-display", "none", "-monitor", "stdio"])
            .args(self.arguments(results, false))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {QEMU}"))?;
        if let Some(mut monitor) = qemu.stdin.take() {
            // A QEMU that refused the plugin has ended already.
            let _ = monitor.write_all(b"quit\n");
        }
        let output = qemu.wait_with_output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{QEMU} does not take the plugin (QEMU 9.2 or newer, built with plugins, does): {}",
                reason.trim()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, Path};

    #[test]
    fn marks_are_counted_only_where_wanted() {
        let counter = Counter {
            library: "/l/counter.so".into(),
            more: Vec::new(),
        };
        let value = |marks| counter.arguments(Path::new("/o.txt"), marks)[1].clone();
        assert_eq!(value(false), "/l/counter.so,out=/o.txt");
        assert_eq!(value(true), "/l/counter.so,out=/o.txt,marks=on");
        let more = counter.clone().with(vec!["way=a:0x1".to_string()]);
        let [_, value] = more.arguments(Path::new("/o.txt"), false);
        assert_eq!(value, "/l/counter.so,out=/o.txt,way=a:0x1");
    }
}
