//! All generated crates of a source tree: made, or checked for being fresh.
//!
//! Every `.gidl` file under [`FOLDERS`] has its crate beside it: `fs/fs.gidl` in `fs/api/`, `base.gidl`, whose folder has another name,
//! in `base-api/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diag::render_all;
use crate::driver::compile;
use crate::emit::rust::{Extras, Paths, emit};
use crate::load::Disk;

/// Where interfaces are looked for, relative to the root of the workspace.
pub const FOLDERS: [&str; 3] = ["servers", "idlc/examples", CORPUS];

const CORPUS: &str = "idlc/tests/good";

/// A file of the tree that is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its path, relative to the root of the workspace.
    pub path: PathBuf,
    /// What it should contain.
    pub text: String,
}

/// The interfaces in `folders` of the tree at `root`, sorted.
///
/// # Errors
/// A sentence about a folder that cannot be read.
pub fn interfaces(root: &Path, folders: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for folder in folders {
        find(&root.join(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

/// Everything that is generated from interfaces in the tree at `root`, sorted.
///
/// # Errors
/// Rendered diagnostics, or a sentence about a file that cannot be read.
pub fn generated(root: &Path) -> Result<Vec<Generated>, String> {
    let mut files = Vec::new();
    for path in interfaces(root, &FOLDERS)? {
        let compiled = compile(&Disk, std::slice::from_ref(&path))?;
        if compiled.diagnostics.has_errors() {
            return Err(render_all(&compiled.diagnostics, &compiled.program.sources));
        }
        let folder = crate_folder(&path);
        let folder = folder.strip_prefix(root).unwrap_or(&folder);
        // The corpus has everything that can be generated.
        let corpus = folder.starts_with(CORPUS);
        let extras = Extras {
            mock: corpus,
            fuzz: corpus,
            table: corpus,
        };
        for package in compiled.interface.root_packages() {
            for output in emit(&compiled.interface, package, &Paths::new(), extras) {
                files.push(Generated {
                    path: folder.join(output.path),
                    text: output.text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Writes what is not fresh and removes generated files that are generated no
/// more; returns the paths of both.
///
/// # Errors
/// As [`generated`], or a sentence about a file that cannot be written.
pub fn generate_tree(root: &Path) -> Result<Vec<PathBuf>, String> {
    let files = generated(root)?;
    let mut changed = Vec::new();
    for file in files.iter().filter(|file| !is_fresh(root, file)) {
        let path = root.join(&file.path);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, &file.text));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        changed.push(file.path.clone());
    }
    for path in left_over(root, &files) {
        fs::remove_file(root.join(&path))
            .map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        changed.push(path);
    }
    Ok(changed)
}

/// The files that [`generate_tree`] would change.
///
/// # Errors
/// As [`generated`].
pub fn check_tree(root: &Path) -> Result<Vec<PathBuf>, String> {
    let files = generated(root)?;
    let stale = files
        .iter()
        .filter(|file| !is_fresh(root, file))
        .map(|file| file.path.clone());
    Ok(stale.chain(left_over(root, &files)).collect())
}

fn is_fresh(root: &Path, file: &Generated) -> bool {
    fs::read_to_string(root.join(&file.path)).is_ok_and(|text| text == file.text)
}

/// Rust files in generated `src/` folders that belong to nothing any more.
fn left_over(root: &Path, files: &[Generated]) -> Vec<PathBuf> {
    let mut folders: Vec<_> = files.iter().filter_map(|file| file.path.parent()).collect();
    folders.dedup();
    let sources = folders.into_iter().filter(|folder| folder.ends_with("src"));
    let mut left: Vec<PathBuf> = sources
        .filter_map(|folder| Some((folder, fs::read_dir(root.join(folder)).ok()?)))
        .flat_map(|(folder, entries)| {
            entries
                .flatten()
                .map(|entry| folder.join(entry.file_name()))
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| files.iter().all(|file| file.path != *path))
        .collect();
    left.sort();
    left
}

fn crate_folder(interface: &Path) -> PathBuf {
    let stem = interface.file_stem().unwrap_or_default();
    let parent = interface.parent().unwrap_or(Path::new(""));
    if parent.file_name() == Some(stem) {
        parent.join("api")
    } else {
        parent.join(format!("{}-api", stem.to_string_lossy()))
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read {}: {error}", folder.display())),
    };
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_ok_and(|kind| kind.is_dir()) {
            if !["target", "src", "api", "tests"]
                .iter()
                .any(|skipped| entry.file_name() == *skipped)
            {
                find(&path, found)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "gidl")
        {
            found.push(path);
        }
    }
    Ok(())
}
