//! `cargo xtask new server NAME`: the files of a service, which compile, pass their test and run:
//! interface, stubs, logic with a test over the real kernel, component, and its line in
//! `servers/system.toml`.
//!
//! Everything is checked before anything is written. What a service needs beyond that is explained in
//! `docs/guide/write-a-server.md`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};

use crate::report;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A service with a server of its own
    Server {
        /// Its name: lower-case letters and digits, the first a letter
        name: String,
    },
}

/// Templates, and where under `servers/NAME` each goes. In them `NAME` and `CAMEL` stand for the name.
const FILES: [(&str, &str); 7] = [
    ("NAME.gidl", include_str!("new/interface.txt")),
    ("core/Cargo.toml", include_str!("new/core.manifest.txt")),
    ("core/src/lib.rs", include_str!("new/core.txt")),
    ("core/tests/kernel.rs", include_str!("new/test.txt")),
    ("Cargo.toml", include_str!("new/manifest.txt")),
    ("build.rs", include_str!("new/build.txt")),
    ("src/main.rs", include_str!("new/main.txt")),
];
const SYSTEM: &str = include_str!("new/system.txt");

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let What::Server { name } = &options.what;
    for path in server(&workspace.root, name)? {
        report::step("Wrote", path.display());
    }
    println!(
        "try:\n  cargo test -p gritos-{name}-core\n  cargo xtask qemu --exec ps\n\
         then change servers/{name}/{name}.gidl and run `cargo xtask codegen`; to let a component call it, give \
         it `uses = {{ {name} = {{}} }}` in servers/system.toml"
    );
    Ok(())
}

/// Makes the service in the source tree at `root`; returns what was written or changed.
fn server(root: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new("servers").join(name);
    check_name(root, name)?;
    let manifest = changed_manifest(root, name)?;
    let system = changed_system(root, name)?;
    check_interface(root, name)?;

    let mut written = Vec::new();
    let mut write = |path: PathBuf, text: &str| -> Result<()> {
        let place = root.join(&path);
        let parent = place.parent().context("a file lies in a folder")?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&place, text))
            .with_context(|| format!("cannot write {}", place.display()))?;
        written.push(path);
        Ok(())
    };
    for (path, template) in FILES {
        write(folder.join(filled(path, name)), &filled(template, name))?;
    }
    write("Cargo.toml".into(), &manifest)?;
    write(crate::system::SYSTEM_FILE.into(), &system)?;
    let stubs = idlc::codegen::generate_tree(root).map_err(|text| anyhow!("{text}"))?;
    written.extend(stubs);
    Ok(written)
}

fn check_name(root: &Path, name: &str) -> Result<()> {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    ensure!(
        begins && name.len() <= 31 && name.chars().all(rest),
        "`{name}` is no name of a service: 1 to 31 lower-case letters and digits, the first a letter"
    );
    let folder = root.join("servers").join(name);
    ensure!(!folder.exists(), "servers/{name} is there already");
    for part in ["", "-api", "-core"] {
        let package = format!("gritos-{name}{part}");
        if let Some(path) = package_at(root, &package)? {
            bail!(
                "a service `{name}` would need a package `{package}`, which is at {} already",
                path.display()
            );
        }
    }
    Ok(())
}

/// The folder of the workspace's package of this name.
fn package_at(root: &Path, package: &str) -> Result<Option<PathBuf>> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let listed = text.split_once("members = [").map_or("", |(_, rest)| rest);
    let listed = listed.split_once(']').map_or("", |(list, _)| list);
    let name = format!("name = \"{package}\"");
    let mut folders = listed.split('"').skip(1).step_by(2).map(PathBuf::from);
    // One that cannot be read is for Cargo to complain about.
    Ok(folders.find(|folder| {
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml"));
        manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == name))
    }))
}

/// Compiles the interface in memory: a name may be a word of the language, or taken.
fn check_interface(root: &Path, name: &str) -> Result<()> {
    let mut files = idlc::load::Memory::default();
    let base = fs::read_to_string(root.join("servers/base.gidl")).context("servers/base.gidl")?;
    let camel = filled("CAMEL", name);
    let mut lines = base.lines();
    ensure!(
        !lines.any(|line| line.contains(&format!("protocol {camel} "))),
        "an interface cannot be called `{name}`: servers/base.gidl has a protocol `{camel}`"
    );
    files.0.insert("servers/base.gidl".into(), base);
    let path = PathBuf::from(format!("servers/{name}/{name}.gidl"));
    let (_, template) = FILES[0];
    files.0.insert(path.clone(), filled(template, name));
    let compiled = idlc::driver::compile(&files, &[path]).map_err(|text| anyhow!("{text}"))?;
    if compiled.diagnostics.has_errors() {
        let sources = &compiled.program.sources;
        let text = idlc::diag::render_all(&compiled.diagnostics, sources);
        bail!("an interface cannot be called `{name}`\n\n{text}");
    }
    Ok(())
}

/// The workspace's manifest with the three packages.
fn changed_manifest(root: &Path, name: &str) -> Result<String> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let packages = ["", "/api", "/core"];
    let members = packages.map(|part| format!("    \"servers/{name}{part}\",\n"));
    ensure!(
        !text.contains(&members[0]) && !text.contains(&format!("\ngritos-{name}-api ")),
        "Cargo.toml has a package for `{name}` already"
    );
    let (list, dependencies) = ("members = [\n", "[workspace.dependencies]\n");
    ensure!(
        text.contains(list) && text.contains(dependencies),
        "Cargo.toml has no `members` or no `[workspace.dependencies]` on lines of their own"
    );
    let paths = ["api", "core"]
        .map(|part| format!("gritos-{name}-{part} = {{ path = \"servers/{name}/{part}\" }}\n"));
    Ok(text
        .replacen(list, &format!("{list}{}", members.concat()), 1)
        .replacen(
            dependencies,
            &format!("{dependencies}{}", paths.concat()),
            1,
        ))
}

/// The description of the system with the component at its end.
fn changed_system(root: &Path, name: &str) -> Result<String> {
    let path = crate::system::SYSTEM_FILE;
    let text = fs::read_to_string(root.join(path)).context(path)?;
    let header = format!("[component.{name}]");
    ensure!(
        !text.lines().any(|line| line.trim() == header),
        "{path} has a component `{name}` already"
    );
    Ok(text + &filled(SYSTEM, name))
}

/// A template with the name in it.
fn filled(template: &str, name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let camel: String = first.into_iter().chain(letters).collect();
    template.replace("NAME", name).replace("CAMEL", &camel)
}

#[cfg(test)]
mod tests;
