//! Syntax trees to the laid-out [`Interface`]: names, values, types, layout.
//!
//! A function that returns `None` has reported why, or uses something whose
//! own mistake is reported elsewhere; so one mistake makes one diagnostic.

mod attributes;
mod enums;
mod messages;
mod packages;
mod protocols;
mod types;
mod values;

use std::collections::{BTreeMap, HashMap};

use crate::ast::{Declaration, DeclarationKind, Head, Ident, Path};
use crate::codes;
use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Constant, Info, Interface, Package, Server, TypeDef, Value};
use crate::load::Program;
use crate::names::{BUILT_IN, PRELUDE, Style, UNUSABLE, camel, snake};
use crate::source::Span;
use crate::suggest::did_you_mean;

/// Number of the interface format that [`Interface::format`] carries.
pub const FORMAT: u32 = 1;

/// Checks a program and lays it out. The result is complete only if no error
/// was reported.
pub fn check(program: &Program, diagnostics: &mut Diagnostics) -> Interface {
    let mut checker = Checker {
        program,
        diagnostics,
        package_of_file: Vec::new(),
        packages: Vec::new(),
        imports: Vec::new(),
        values: HashMap::new(),
        layouts: HashMap::new(),
        partial: false,
    };
    checker.collect_packages();
    checker.collect_names();
    let mut interface = Interface {
        format: FORMAT,
        ..Interface::default()
    };
    for package in checker.package_order() {
        let package = checker.package(package);
        interface.packages.push(package);
    }
    checker.check_servers(&interface);
    let mut roots: Vec<_> = program
        .roots
        .iter()
        .filter_map(|file| checker.package_of_file[*file])
        .collect();
    roots.sort_unstable();
    roots.dedup();
    interface.roots = roots
        .into_iter()
        .map(|p| checker.packages[p].name.clone())
        .collect();
    interface
}

/// A declaration: its file and its number in it.
type Symbol = (usize, usize);

/// What is known of a package before its declarations are looked at.
struct Scope {
    name: String,
    files: Vec<usize>,
    symbols: BTreeMap<String, Symbol>,
    version: u32,
    c_prefix: String,
}

/// A name in a file's imports: a package, or nothing if it could not be read.
type Imports = BTreeMap<String, Option<usize>>;

/// Something computed on demand that may need itself.
enum Progress<T> {
    Running,
    Done(Option<T>),
}

struct Checker<'a> {
    program: &'a Program,
    diagnostics: &'a mut Diagnostics,
    package_of_file: Vec<Option<usize>>,
    packages: Vec<Scope>,
    imports: Vec<Imports>,
    values: HashMap<Symbol, Progress<Value>>,
    layouts: HashMap<Symbol, Progress<(u32, u32)>>,
    /// Whether parts of the declaration at hand could not be read.
    partial: bool,
}

impl<'a> Checker<'a> {
    fn declaration(&self, symbol: Symbol) -> &'a Declaration {
        &self.program.files[symbol.0].declarations[symbol.1]
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Finds a declaration as seen from `file`.
    fn resolve(&mut self, file: usize, path: &Path, what: &str) -> Option<Symbol> {
        let own = self.package_of_file[file]?;
        let package = match &path.qualifier {
            None => own,
            Some(qualifier) => match self.imports[file].get(&qualifier.text) {
                Some(package) => (*package)?,
                None => {
                    let known = self.imports[file].keys().map(String::as_str);
                    let help = did_you_mean(&qualifier.text, known).unwrap_or_else(|| {
                        "packages are imported with `import \"path.gidl\";`".to_owned()
                    });
                    let message = format!("no package `{}` is imported here", qualifier.text);
                    self.error(
                        Diagnostic::error(codes::UNKNOWN_NAME, qualifier.span, message)
                            .label("not an import of this file")
                            .help(help),
                    );
                    return None;
                }
            },
        };
        let scope = &self.packages[package];
        if let Some(symbol) = scope.symbols.get(&path.name.text) {
            return Some(*symbol);
        }
        let mut help = did_you_mean(&path.name.text, scope.symbols.keys().map(String::as_str));
        if path.qualifier.is_none() {
            let elsewhere = self.imports[file].iter().find(|(_, package)| {
                package.is_some_and(|package| {
                    self.packages[package].symbols.contains_key(&path.name.text)
                })
            });
            if let Some((alias, _)) = elsewhere {
                help = Some(format!(
                    "package `{alias}` has it: write `{alias}.{}`",
                    path.name.text
                ));
            }
        }
        let message = format!(
            "{what} `{}` is not declared in package `{}`",
            path.name.text, scope.name
        );
        self.error(
            Diagnostic::error(codes::UNKNOWN_NAME, path.name.span, message)
                .label("not declared")
                .maybe_help(help),
        );
        None
    }

    /// Whether the package of `file` declares a name.
    fn knows(&self, file: usize, name: &str) -> bool {
        self.package_of_file[file].is_some_and(|own| self.packages[own].symbols.contains_key(name))
    }

    fn wrong_kind(&mut self, span: Span, symbol: Symbol, expected: &str) {
        let found = self.declaration(symbol);
        if matches!(found.kind, DeclarationKind::Broken) {
            return;
        }
        let message = format!(
            "expected {expected}, found {} `{}`",
            describe(&found.kind),
            found.name.text
        );
        self.error(
            Diagnostic::error(codes::WRONG_KIND, span, message)
                .label(format!("expected {expected}"))
                .related(found.name.span, "declared here"),
        );
    }

    /// The style of a name, and that generated code can have it.
    fn check_name(&mut self, name: &Ident, style: Style, what: &str) {
        if UNUSABLE.contains(&name.text.as_str())
            || (style == Style::Camel
                && (BUILT_IN.contains(&name.text.as_str())
                    || PRELUDE.contains(&name.text.as_str())))
        {
            let message = format!("{what} cannot be called `{}`", name.text);
            self.error(
                Diagnostic::error(codes::RESERVED, name.span, message).label("reserved name"),
            );
        } else if !style.fits(&name.text) {
            let wanted = style.convert(&name.text);
            let message = format!(
                "{what} `{}` is not written `{}`",
                name.text,
                style.example()
            );
            let help = if style.fits(&wanted) {
                format!("write `{wanted}`")
            } else {
                format!("write it like `{}`", style.example())
            };
            self.error(
                Diagnostic::error(codes::NAMING, name.span, message)
                    .label("this name")
                    .help(help),
            );
        }
    }

    /// Reports names that are equal, or become equal in generated code.
    fn check_unique<'n>(&mut self, names: impl IntoIterator<Item = &'n Ident>, what: &str) {
        let mut seen: HashMap<String, &Ident> = HashMap::new();
        for name in names {
            let key = snake(&name.text);
            if let Some(first) = seen.get(&key) {
                let message = format!("{what} `{}` is declared twice", name.text);
                self.error(
                    Diagnostic::error(codes::DUPLICATE, name.span, message)
                        .label("second declaration")
                        .related(first.span, "the first is here"),
                );
            } else {
                seen.insert(key, name);
            }
        }
    }

    fn info(&mut self, package: usize, head: &Head, name: &Ident, allowed: &[&str]) -> Info {
        let attributes = self.attributes(package, head, allowed);
        Info {
            name: name.text.clone(),
            docs: head.docs.clone(),
            since: attributes.since,
            deprecated: attributes.deprecated,
            span: name.span,
        }
    }

    fn package(&mut self, index: usize) -> Package {
        let scope = &self.packages[index];
        let files = scope.files.clone();
        let mut package = Package {
            name: scope.name.clone(),
            version: scope.version,
            docs: Vec::new(),
            c_prefix: scope.c_prefix.clone(),
            files: Vec::new(),
            imports: Vec::new(),
            constants: Vec::new(),
            types: Vec::new(),
            protocols: Vec::new(),
            servers: Vec::new(),
            span: None,
        };
        for &file in &files {
            let tree = &self.program.files[file];
            let path = &self.program.sources.file(tree.id).path;
            package.files.push(
                path.file_name()
                    .map(|n| n.to_string_lossy().into_owned())
                    .unwrap_or_default(),
            );
            if let Some(declared) = &tree.package {
                package.docs.extend(declared.head.docs.iter().cloned());
                package.span.get_or_insert(declared.span());
            }
            let imported = self.imports[file]
                .values()
                .flatten()
                .filter(|p| **p != index);
            package
                .imports
                .extend(imported.map(|p| self.packages[*p].name.clone()));
            for number in 0..tree.declarations.len() {
                self.one((file, number), index, &mut package);
            }
        }
        package.imports.sort();
        package.imports.dedup();
        package.types = types::contained_first(package.types, &package.name);
        self.check_c_names(&package);
        package
    }

    fn one(&mut self, symbol: Symbol, index: usize, package: &mut Package) {
        let declaration = self.declaration(symbol);
        self.partial = declaration.partial;
        let head = &declaration.head;
        let style = if matches!(declaration.kind, DeclarationKind::Const { .. }) {
            Style::Upper
        } else {
            Style::Camel
        };
        self.check_name(&declaration.name, style, describe(&declaration.kind));
        if matches!(declaration.kind, DeclarationKind::Broken) {
            return;
        }
        let info = self.info(index, head, &declaration.name, &["since", "deprecated"]);
        match &declaration.kind {
            DeclarationKind::Const { ty, .. } => {
                let (ty, value) = (self.constant_type(ty), self.constant(symbol));
                if let (Some(ty), Some(value)) = (ty, value) {
                    package.constants.push(Constant { info, ty, value });
                }
            }
            DeclarationKind::Enum {
                flexible,
                base,
                members,
            } => {
                let made = self.enumeration(symbol.0, info, base.as_ref(), members, *flexible);
                package.types.extend(made.map(TypeDef::Enum));
            }
            DeclarationKind::Error { members } => {
                let made = self.error_type(symbol.0, info, members);
                package.types.push(TypeDef::Enum(made));
            }
            DeclarationKind::Flags {
                flexible,
                base,
                members,
            } => {
                let made = self.flags(symbol.0, info, base.as_ref(), members, *flexible);
                package.types.extend(made.map(TypeDef::Flags));
            }
            DeclarationKind::Struct { fields } => {
                package
                    .types
                    .extend(self.structure(symbol, info, fields).map(TypeDef::Struct));
            }
            DeclarationKind::Union { variants } => {
                package
                    .types
                    .extend(self.union(symbol, info, variants).map(TypeDef::Union));
            }
            DeclarationKind::Protocol(protocol) => {
                let made = self.protocol(symbol.0, info, protocol);
                package.protocols.push(made);
            }
            DeclarationKind::Server { protocols } => {
                let made = self.server_protocols(symbol.0, protocols);
                package.servers.push(Server {
                    info,
                    protocols: made,
                });
            }
            DeclarationKind::Broken => {}
        }
    }

    /// Reports names that the generated code of a package needs for itself.
    fn check_generated(&mut self, package: usize) {
        let mut made: Vec<(String, &Ident, &str)> = Vec::new();
        let mut names: Vec<&Ident> = Vec::new();
        for &file in &self.packages[package].files {
            for declaration in &self.program.files[file].declarations {
                let name = &declaration.name;
                names.push(name);
                if let DeclarationKind::Protocol(protocol) = &declaration.kind {
                    for suffix in ["Client", "Server", "Events", "Mock"] {
                        made.push((format!("{}{suffix}", name.text), name, "protocol"));
                    }
                    for method in &protocol.methods {
                        for suffix in ["Reply", "Answer"] {
                            made.push((
                                format!("{}{}{suffix}", name.text, camel(&method.name.text)),
                                name,
                                "protocol",
                            ));
                        }
                    }
                }
            }
        }
        let made: HashMap<_, _> = made
            .into_iter()
            .map(|(text, owner, kind)| (text, (owner, kind)))
            .collect();
        for name in names {
            if let Some((owner, kind)) = made.get(&name.text) {
                let message = format!("`{}` is generated for {kind} `{}`", name.text, owner.text);
                let diagnostic = Diagnostic::error(codes::GENERATED_CLASH, name.span, message)
                    .label("choose another name")
                    .related(owner.span, format!("this {kind} needs it"));
                self.error(diagnostic);
            }
        }
    }
}

/// How messages name a kind of declaration.
fn describe(kind: &DeclarationKind) -> &'static str {
    match kind {
        DeclarationKind::Const { .. } => "constant",
        DeclarationKind::Enum { .. } => "enum",
        DeclarationKind::Error { .. } => "error",
        DeclarationKind::Flags { .. } => "flags",
        DeclarationKind::Struct { .. } => "struct",
        DeclarationKind::Union { .. } => "union",
        DeclarationKind::Protocol(_) => "protocol",
        DeclarationKind::Server { .. } => "server",
        DeclarationKind::Broken => "declaration",
    }
}
