//! `servers/system.toml`: what runs, checked against the interfaces and the boards, and compiled into
//! the table that the root task reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use gritos_system::Board;
use idlc::ir::Interface;

use crate::workspace::Workspace;
use crate::{compile, report};

mod calls;
mod check;
mod findings;
mod model;
mod protocol;
mod reach;
mod read;
mod tree;
pub(crate) mod units;
mod view;

use check::Surroundings;
use findings::Findings;
use model::Model;
use protocol::Protocols;
use view::View;

/// The system of this source tree.
pub(crate) const SYSTEM_FILE: &str = "servers/system.toml";
/// Where programs and interfaces of components are.
const FOLDERS: [&str; 2] = ["servers", "idlc/examples"];
/// What the package of a component's binary is called: this, and the binary's name.
const PACKAGE_PREFIX: &str = "gritos-";
/// The packages of examples are called as their binaries are.
const EXAMPLE_PREFIX: &str = "example-";

/// A system for one board, ready to be packed.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The table.
    pub(crate) table: Vec<u8>,
    /// Binaries that its components are made of, each once.
    pub(crate) binaries: Vec<Binary>,
}

/// A program that components are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    /// Its name in the boot image.
    pub(crate) name: String,
    /// The package that it is built from.
    pub(crate) package: String,
    /// Bytes of stack that its components want.
    pub(crate) stack_bytes: u64,
}

/// What descriptions are checked against: the programs and interfaces of the tree.
pub(crate) struct Sources {
    binaries: BTreeSet<String>,
    interface: Interface,
}

impl Sources {
    /// Looks at the packages under servers/ and reads their interfaces.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let interfaces = idlc::codegen::interfaces(&workspace.root, &FOLDERS);
        Ok(Self {
            binaries: binaries(workspace),
            interface: interface(&interfaces.map_err(|text| anyhow!("{text}"))?)?,
        })
    }
}

/// The programs that a component can be: packages under servers/ or among the examples that have a
/// binary and do not take the root task's place.
fn binaries(workspace: &Workspace) -> BTreeSet<String> {
    let folders = FOLDERS.map(|folder| workspace.root.join(folder));
    workspace
        .metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| {
            let path = package.manifest_path.as_std_path();
            folders.iter().any(|folder| path.starts_with(folder))
        })
        .filter(|package| package.targets.iter().any(|target| target.is_bin()))
        .filter(|package| ![compile::ROOT, compile::TESTS].contains(&package.name.as_str()))
        .filter_map(|package| {
            let name = package.name.as_str();
            let example = name.starts_with(EXAMPLE_PREFIX).then_some(name);
            example.or_else(|| name.strip_prefix(PACKAGE_PREFIX))
        })
        .map(str::to_owned)
        .chain(compile::c::programs(workspace))
        .collect()
}

/// The package that a binary is built from.
fn package_of(binary: &str) -> String {
    if binary.starts_with(EXAMPLE_PREFIX) {
        binary.to_owned()
    } else {
        format!("{PACKAGE_PREFIX}{binary}")
    }
}

fn interface(files: &[PathBuf]) -> Result<Interface> {
    let compiled =
        idlc::driver::compile(&idlc::load::Disk, files).map_err(|text| anyhow!("{text}"))?;
    if compiled.diagnostics.has_errors() {
        let sources = &compiled.program.sources;
        bail!("{}", idlc::diag::render_all(&compiled.diagnostics, sources));
    }
    Ok(compiled.interface)
}

/// A description that was read, with what was found in it.
pub(crate) struct Described {
    path: PathBuf,
    text: String,
    model: Model,
    findings: Findings,
}

impl Described {
    /// Reads the description in `path`; messages mention it relative to the workspace.
    pub(crate) fn read(workspace: &Workspace, path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let path = path.strip_prefix(&workspace.root).unwrap_or(path);
        Ok(Self::parse(path, text))
    }

    fn parse(path: &Path, text: String) -> Self {
        let mut findings = Findings::default();
        let model = read::read(&text, &mut findings);
        Self {
            path: path.to_path_buf(),
            text,
            model,
            findings,
        }
    }

    /// Checks everything on every board. Returns the boards' views, and the findings as text.
    fn check<'s>(&'s self, surroundings: &Surroundings<'_>) -> (Vec<View<'s>>, Findings) {
        let mut findings = self.findings.clone();
        check::lines(&self.model, surroundings, &mut findings);
        let protocols = Protocols::new(surroundings.interface);
        let mut needed = calls::Needed::new();
        let views: Vec<_> = self
            .model
            .boards
            .iter()
            .map(|board| View::new(&self.model, board, surroundings, &mut findings))
            .collect();
        for view in &views {
            calls::check(view, protocols, &mut needed, &mut findings);
        }
        let uses = self.model.components.iter().flat_map(|line| &line.uses);
        let reasons = uses.flat_map(|usage| {
            [&usage.allow.cycle, &usage.allow.priority]
                .into_iter()
                .flatten()
        });
        calls::check_reasons(reasons, &needed, &mut findings);
        (views, findings)
    }

    /// Reports findings on stderr; fails if one of them is an error.
    fn report(&self, findings: &Findings) -> Result<()> {
        let text = findings.render(&self.path, &self.text);
        if findings.errors() > 0 {
            bail!("{} is refused\n\n{text}", self.path.display());
        }
        if !text.is_empty() {
            report::warning(format!("in {}\n\n{text}", self.path.display()));
        }
        Ok(())
    }
}

/// Checks the description in `path` for all its boards; returns who may reach whom on each.
pub(crate) fn inspect(
    workspace: &Workspace,
    path: &Path,
    memory_bytes: Option<u64>,
) -> Result<Vec<(Board, String)>> {
    let sources = Sources::of(workspace)?;
    let described = Described::read(workspace, path)?;
    let (views, findings) = described.check(&sources.surroundings(memory_bytes));
    described.report(&findings)?;
    let protocols = Protocols::new(&sources.interface);
    let show = |view: &View<'_>| (view.board, reach::show(view, protocols));
    Ok(views.iter().map(show).collect())
}

/// Compiles the description in `path` for `board`.
pub(crate) fn compile(
    workspace: &Workspace,
    path: &Path,
    board: Board,
    memory_bytes: Option<u64>,
) -> Result<Compiled> {
    let sources = Sources::of(workspace)?;
    let described = Described::read(workspace, path)?;
    let (views, findings) = described.check(&sources.surroundings(memory_bytes));
    described.report(&findings)?;
    let view = views.iter().find(|view| view.board == board);
    let view = view.with_context(|| {
        let (path, board) = (described.path.display(), board.name());
        format!("{path} is not for {board}: it has no `[board.{board}]`")
    })?;
    let table = view
        .describe(Protocols::new(&sources.interface))
        .to_bytes()
        .map_err(|error| anyhow!("{}: {error}", described.path.display()))?;
    let mut binaries: Vec<Binary> = Vec::new();
    for line in view.rows.iter().map(|row| row.line) {
        let stack_bytes = line.stack_bytes.it;
        match binaries
            .iter_mut()
            .find(|known| known.name == line.binary.it)
        {
            Some(known) => known.stack_bytes = known.stack_bytes.max(stack_bytes),
            None => binaries.push(Binary {
                name: line.binary.it.clone(),
                package: package_of(&line.binary.it),
                stack_bytes,
            }),
        }
    }
    Ok(Compiled { table, binaries })
}

impl Sources {
    fn surroundings(&self, memory_bytes: Option<u64>) -> Surroundings<'_> {
        Surroundings {
            binaries: &self.binaries,
            interface: &self.interface,
            memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
