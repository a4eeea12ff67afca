//! Reads the files of a run: those named, and what they import.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::ast;
use crate::codes;
use crate::diag::{Diagnostic, Diagnostics};
use crate::parse::parse;
use crate::source::{FileId, SourceMap, Span, display_path};

/// Where files come from: the disk, or memory under test.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The `.gidl` files of a folder, sorted; `None` if it is not a folder.
    fn folder(&self, path: &Path) -> Option<Vec<PathBuf>>;
}

/// Files on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn folder(&self, path: &Path) -> Option<Vec<PathBuf>> {
        if !path.is_dir() {
            return None;
        }
        let entries = std::fs::read_dir(path).ok()?;
        let mut files: Vec<_> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "gidl")
            })
            .collect();
        files.sort();
        Some(files)
    }
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0
            .get(path)
            .map(|text| text.clone().into_bytes())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn folder(&self, path: &Path) -> Option<Vec<PathBuf>> {
        let files: Vec<_> = self
            .0
            .keys()
            .filter(|file| file.parent() == Some(path))
            .cloned()
            .collect();
        (!files.is_empty() && !self.0.contains_key(path)).then_some(files)
    }
}

/// An import with the files it leads to.
#[derive(Clone, Debug)]
pub struct Link {
    /// Number of the import in its file.
    pub import: usize,
    /// Indices into [`Program::files`]; empty if nothing could be read.
    pub targets: Vec<usize>,
}

/// All files of a run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Texts.
    pub sources: SourceMap,
    /// Trees; what a file imports comes before it.
    pub files: Vec<ast::File>,
    /// Imports of each file.
    pub links: Vec<Vec<Link>>,
    /// Indices of the files that were named, not just imported.
    pub roots: Vec<usize>,
}

/// Reads `roots` and everything they import.
///
/// # Errors
/// A sentence that names the file, when one of `roots` cannot be read. What is
/// wrong inside of files becomes a diagnostic instead.
pub fn load(
    files: &dyn Files,
    roots: &[PathBuf],
    diagnostics: &mut Diagnostics,
) -> Result<Program, String> {
    let mut loader = Loader {
        files,
        diagnostics,
        program: Program::default(),
        known: BTreeMap::new(),
        stack: Vec::new(),
    };
    for root in roots {
        let paths = files.folder(root).unwrap_or_else(|| vec![root.clone()]);
        if paths.is_empty() {
            return Err(format!(
                "{}: the folder has no .gidl files",
                display_path(root)
            ));
        }
        for path in paths {
            let path = normalise(&path);
            let index = match loader.known.get(&path) {
                Some(index) => *index,
                None => {
                    let text = loader
                        .read(&path)
                        .map_err(|e| format!("{}: {e}", display_path(&path)))?;
                    loader.visit(path, text)
                }
            };
            if let Some(index) = index
                && !loader.program.roots.contains(&index)
            {
                loader.program.roots.push(index);
            }
        }
    }
    Ok(loader.program)
}

struct Loader<'a> {
    files: &'a dyn Files,
    diagnostics: &'a mut Diagnostics,
    program: Program,
    /// Index of each file; `None` while its imports are being read.
    known: BTreeMap<PathBuf, Option<usize>>,
    /// Files whose imports are being read, with the import that led to the next.
    stack: Vec<(PathBuf, Option<Span>)>,
}

impl Loader<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        let bytes = self.files.read(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            _ => e.to_string(),
        })?;
        if bytes.len() > 16 << 20 {
            return Err("the file is larger than 16 MiB".to_owned());
        }
        String::from_utf8(bytes).map_err(|e| {
            format!(
                "not UTF-8: the byte at offset {} is wrong",
                e.utf8_error().valid_up_to()
            )
        })
    }

    fn visit(&mut self, path: PathBuf, text: String) -> Option<usize> {
        self.known.insert(path.clone(), None);
        let id: FileId = self.program.sources.add(path.clone(), text);
        let tree = parse(id, self.program.sources.file(id), self.diagnostics);
        self.stack.push((path.clone(), None));
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut links = Vec::new();
        for (number, import) in tree.imports.iter().enumerate() {
            if let Some(top) = self.stack.last_mut() {
                top.1 = Some(import.span);
            }
            let targets = self.follow(&folder, import);
            links.push(Link {
                import: number,
                targets,
            });
        }
        self.stack.pop();
        let index = self.program.files.len();
        self.program.files.push(tree);
        self.program.links.push(links);
        self.known.insert(path, Some(index));
        Some(index)
    }

    fn follow(&mut self, folder: &Path, import: &ast::Import) -> Vec<usize> {
        let target = normalise(&folder.join(&import.path));
        let paths = match self.files.folder(&target) {
            Some(list) if list.is_empty() => {
                self.refuse(import, "the folder has no .gidl files");
                return Vec::new();
            }
            Some(list) => list,
            None => vec![target],
        };
        let mut targets = Vec::new();
        for path in paths {
            match self.known.get(&path) {
                Some(Some(index)) => targets.push(*index),
                Some(None) => self.report_cycle(&path, import.span),
                None if self.stack.len() >= 64 => {
                    self.refuse(import, "imports more than 64 files deep")
                }
                None => match self.read(&path) {
                    Ok(text) => targets.extend(self.visit(path, text)),
                    Err(why) => self.refuse(import, &format!("{}: {why}", display_path(&path))),
                },
            }
        }
        targets
    }

    fn refuse(&mut self, import: &ast::Import, why: &str) {
        self.diagnostics.push(
            Diagnostic::error(
                codes::IMPORT,
                import.span,
                format!("cannot import \"{}\": {why}", import.path),
            )
            .label("imported here")
            .help("the path is relative to this file and names a .gidl file or a folder of them"),
        );
    }

    fn report_cycle(&mut self, back_to: &Path, span: Span) {
        let start = self
            .stack
            .iter()
            .position(|(path, _)| path == back_to)
            .unwrap_or(0);
        let mut diagnostic = Diagnostic::error(
            codes::IMPORT_CYCLE,
            span,
            "these files import each other in a circle",
        )
        .label(format!("leads back to {}", display_path(back_to)));
        for (path, through) in &self.stack[start..self.stack.len() - 1] {
            if let Some(through) = through {
                diagnostic =
                    diagnostic.related(*through, format!("imported from {}", display_path(path)));
            }
        }
        self.diagnostics
            .push(diagnostic.help("move what both need to a file that imports neither"));
    }
}

/// Resolves `.` and `..` without asking the disk.
fn normalise(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
