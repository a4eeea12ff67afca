//! Which files make a package, what each imports, and in which order they come.

use std::collections::BTreeMap;

use super::{Checker, Imports, Scope};
use crate::codes;
use crate::diag::Diagnostic;
use crate::names::Style;

impl Checker<'_> {
    pub(super) fn collect_packages(&mut self) {
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        for (file, tree) in self.program.files.iter().enumerate() {
            let Some(declared) = &tree.package else {
                self.package_of_file.push(None);
                continue;
            };
            for part in &declared.name {
                self.check_name(part, Style::Snake, "package");
            }
            let name = declared.dotted();
            let index = *by_name.entry(name.clone()).or_insert_with(|| {
                let last = declared.name[declared.name.len() - 1].text.to_uppercase();
                let scope = Scope {
                    name,
                    files: Vec::new(),
                    symbols: BTreeMap::new(),
                    version: 0,
                    c_prefix: last,
                };
                self.packages.push(scope);
                self.packages.len() - 1
            });
            self.packages[index].files.push(file);
            self.package_of_file.push(Some(index));
        }
        for file in 0..self.program.files.len() {
            self.package_head(file);
            let imports = self.collect_imports(file);
            self.imports.push(imports);
        }
        self.check_crate_names();
    }

    /// Version and prefix; constants are not known yet, so the version is a number.
    fn package_head(&mut self, file: usize) {
        let Some(declared) = &self.program.files[file].package else {
            return;
        };
        let Some(package) = self.package_of_file[file] else {
            return;
        };
        if let Some(version) = &declared.version {
            let value = match version.kind {
                crate::ast::ExprKind::Int(value) => u32::try_from(value).ok().filter(|v| *v > 0),
                _ => None,
            };
            let known = self.packages[package].version;
            match value {
                Some(value) if known == 0 || known == value => {
                    self.packages[package].version = value
                }
                Some(value) => {
                    let message =
                        format!("version {value} here, but {known} in another file of the package");
                    self.error(
                        Diagnostic::error(codes::PACKAGE, version.span, message).label("differs"),
                    );
                }
                None => {
                    let message = "a version is a number from 1 to 4294967295";
                    self.error(
                        Diagnostic::error(codes::OUT_OF_RANGE, version.span, message)
                            .label("not a version"),
                    );
                }
            }
        }
        let attributes = self.attributes(package, &declared.head, &["c_prefix"]);
        if let Some(prefix) = attributes.c_prefix {
            self.packages[package].c_prefix = prefix;
        }
    }

    fn collect_imports(&mut self, file: usize) -> Imports {
        let program = self.program;
        let mut imports = Imports::new();
        for link in &program.links[file] {
            let import = &program.files[file].imports[link.import];
            let mut packages: Vec<_> = link
                .targets
                .iter()
                .filter_map(|t| self.package_of_file[*t])
                .collect();
            packages.sort_unstable();
            packages.dedup();
            if packages.len() > 1 {
                let names: Vec<_> = packages
                    .iter()
                    .map(|p| format!("`{}`", self.packages[*p].name))
                    .collect();
                let message = format!(
                    "the folder has files of several packages: {}",
                    names.join(", ")
                );
                self.error(
                    Diagnostic::error(codes::IMPORT_NAME, import.span, message)
                        .label("imported here")
                        .help("import the files one by one"),
                );
                continue;
            }
            let package = packages.first().copied();
            // Files of one package see each other without a name.
            if package.is_some() && package == self.package_of_file[file] && import.alias.is_none()
            {
                continue;
            }
            let (name, span) = match (&import.alias, package) {
                (Some(alias), _) => (alias.text.clone(), alias.span),
                (None, Some(package)) => {
                    let name = &self.packages[package].name;
                    (
                        name.rsplit('.').next().unwrap_or(name).to_owned(),
                        import.span,
                    )
                }
                // It could not be read: guess its name, to keep quiet about its uses.
                (None, None) => {
                    let stem = import.path.rsplit('/').next().unwrap_or("");
                    (stem.trim_end_matches(".gidl").to_owned(), import.span)
                }
            };
            if imports.get(&name).is_some_and(|known| *known != package) {
                let message = format!("`{name}` already stands for another import of this file");
                self.error(
                    Diagnostic::error(codes::IMPORT_NAME, span, message)
                        .label("taken")
                        .help("choose a name with `import \"…\" as name;`"),
                );
            } else {
                imports.insert(name, package);
            }
        }
        imports
    }

    fn check_crate_names(&mut self) {
        let mut crates: BTreeMap<String, usize> = BTreeMap::new();
        for index in 0..self.packages.len() {
            let name = self.packages[index].name.replace('.', "_");
            let Some(first) = crates.insert(name, index) else {
                continue;
            };
            let span_of = |p: usize| {
                let file = self.packages[p].files[0];
                self.program.files[file]
                    .package
                    .as_ref()
                    .map(crate::ast::Package::span)
            };
            if let (Some(here), Some(there)) = (span_of(index), span_of(first)) {
                let message = format!(
                    "package `{}` would be the same crate as another",
                    self.packages[index].name
                );
                self.error(
                    Diagnostic::error(codes::PACKAGE, here, message)
                        .label("differs in dots only")
                        .related(there, "the other is here"),
                );
            }
        }
    }

    pub(super) fn collect_names(&mut self) {
        let program = self.program;
        for package in 0..self.packages.len() {
            if self.packages[package].version == 0 {
                self.packages[package].version = 1;
            }
            let mut names = Vec::new();
            for file in self.packages[package].files.clone() {
                for (number, declaration) in program.files[file].declarations.iter().enumerate() {
                    names.push(&declaration.name);
                    self.packages[package]
                        .symbols
                        .entry(declaration.name.text.clone())
                        .or_insert((file, number));
                }
            }
            self.check_unique(names, "name");
            self.check_generated(package);
        }
    }

    /// Packages, each behind those it imports; circles are reported.
    pub(super) fn package_order(&mut self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut state = vec![0_u8; self.packages.len()];
        for package in 0..self.packages.len() {
            self.visit_package(package, &mut state, &mut order);
        }
        order
    }

    fn visit_package(&mut self, package: usize, state: &mut [u8], order: &mut Vec<usize>) {
        if state[package] != 0 {
            return;
        }
        state[package] = 1;
        for file in self.packages[package].files.clone() {
            for link in &self.program.links[file] {
                let targets = link.targets.iter().filter_map(|t| self.package_of_file[*t]);
                for target in targets.collect::<Vec<_>>() {
                    if target == package {
                        continue;
                    }
                    if state[target] == 1 {
                        let span = self.program.files[file].imports[link.import].span;
                        let message = format!(
                            "packages `{}` and `{}` need each other",
                            self.packages[package].name, self.packages[target].name
                        );
                        self.error(
                            Diagnostic::error(codes::IMPORT_CYCLE, span, message)
                                .label("closes the circle")
                                .help("move what both need to a third package"),
                        );
                    }
                    self.visit_package(target, state, order);
                }
            }
        }
        state[package] = 2;
        order.push(package);
    }
}
