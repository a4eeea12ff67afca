//! Protocols: rights, events, methods and their numbers; servers.

use std::collections::HashMap;

use super::Checker;
use crate::ast::{self, DeclarationKind, Expr};
use crate::codes;
use crate::diag::Diagnostic;
use crate::ir::{
    BadgeClass, Info, Int, Interface, Member, Method, Package, Protocol, Reference, Rights,
};
use crate::names::Style;
use crate::objects::{RIGHTS, right};
use crate::source::Span;
use crate::suggest::did_you_mean;

/// Functions that every client has besides its methods.
const CLIENT_FUNCTIONS: [&str; 2] = ["new", "target"];
const U64: Int = Int {
    signed: false,
    bits: 64,
};

impl Checker<'_> {
    pub(super) fn protocol(
        &mut self,
        file: usize,
        info: Info,
        protocol: &ast::Protocol,
    ) -> Protocol {
        if !self.partial
            && protocol.methods.is_empty()
            && protocol.events.is_empty()
            && protocol.class != BadgeClass::Object
        {
            let message = format!("protocol `{}` has nothing in it", info.name);
            self.error(
                Diagnostic::error(codes::EMPTY, info.span, message)
                    .label("empty")
                    .help("only an `object protocol` may be empty: its capabilities are handed over, not called"),
            );
        }
        let rights = self.bits(file, &protocol.rights, 16..=31, "right");
        for right in &protocol.rights {
            if RIGHTS.iter().any(|(name, _)| *name == right.name.text) {
                let message = format!("`{}` is a right of the kernel", right.name.text);
                self.error(
                    Diagnostic::error(codes::KERNEL_RIGHT, right.name.span, message)
                        .label("choose another name")
                        .help(format!("for example `{}_DATA`", right.name.text)),
                );
            }
        }
        let events = self.bits(file, &protocol.events, 0..=63, "event");
        self.check_unique(protocol.methods.iter().map(|m| &m.name), "method");
        let mut methods = Vec::new();
        for method in &protocol.methods {
            let made = self.method(file, &info.name, protocol, &rights, method);
            methods.extend(made);
        }
        let all = methods
            .iter()
            .map(|m| (m.ordinal, m.info.span, m.info.name.clone()))
            .collect();
        self.check_ordinals(all);
        Protocol {
            info,
            class: protocol.class,
            rights,
            events,
            methods,
        }
    }

    /// Rights or events: bit numbers become masks.
    fn bits(
        &mut self,
        file: usize,
        members: &[ast::Member],
        range: std::ops::RangeInclusive<u64>,
        what: &str,
    ) -> Vec<Member> {
        let mut made = self.members(file, members, U64);
        self.check_same_value(&made);
        for (member, written) in made.iter_mut().filter_map(|m| {
            let written = members.iter().find(|w| w.name.text == m.info.name)?;
            Some((m, written))
        }) {
            if !range.contains(&member.value) {
                let message = format!(
                    "{what} `{}` cannot be bit {}",
                    member.info.name, member.value
                );
                self.diagnostics.push(
                    Diagnostic::error(codes::BIT, written.value.span, message)
                        .label("out of range")
                        .help(format!("accepted are {} to {}", range.start(), range.end())),
                );
            }
            member.value = 1_u64.checked_shl(member.value.min(63) as u32).unwrap_or(0);
        }
        made
    }

    fn method(
        &mut self,
        file: usize,
        protocol_name: &str,
        protocol: &ast::Protocol,
        rights: &[Member],
        method: &ast::Method,
    ) -> Option<Method> {
        let package = self.package_of_file[file]?;
        self.check_name(&method.name, Style::Snake, "method");
        if CLIENT_FUNCTIONS.contains(&method.name.text.as_str()) {
            let message = format!("method cannot be called `{}`", method.name.text);
            self.error(
                Diagnostic::error(codes::RESERVED, method.name.span, message)
                    .label("each client has a function of this name"),
            );
        }
        let allowed = [
            "since",
            "deprecated",
            "ordinal",
            "requires",
            "idempotent",
            "deferrable",
            "deadline",
            "c_name",
        ];
        let attributes = self.attributes(package, &method.head, &allowed);
        let request = self.message(file, &method.parameters, Some(&method.name.text));
        let response = self.message(file, method.results.as_deref().unwrap_or(&[]), None);
        let both = method.parameters.iter().map(|p| &p.name);
        self.check_unique(both, "parameter");
        self.check_unique(method.results.iter().flatten().map(|p| &p.name), "result");
        let fails = method.fails.as_ref();
        let error = match fails.or(protocol.fails.as_ref()) {
            Some(path) if method.oneway.is_none() || fails.is_some() => {
                self.error_reference(file, path)
            }
            _ => None,
        };
        let timing = attributes
            .idempotent
            .or(attributes.deferrable)
            .or(attributes.deadline_ns.map(|(_, span)| span));
        if let Some(keyword) = method.oneway {
            let first = |results: &Vec<ast::Field>| {
                results.first().map_or(method.name.span, |f| f.name.span)
            };
            let results = method.results.as_ref().map(first);
            let answer = results
                .or(method.fails.as_ref().map(ast::Path::span))
                .or(timing);
            if let Some(span) = answer {
                let message = format!(
                    "nobody waits for an answer of one-way method `{}`",
                    method.name.text
                );
                self.error(
                    Diagnostic::error(codes::ONEWAY, span, message)
                        .label("means nothing without an answer")
                        .related(keyword, "declared one-way here")
                        .help("remove it, or remove `oneway`"),
                );
            }
        }
        if let (Some(span), Some(moved)) = (
            attributes.idempotent,
            method.parameters.iter().find(|p| is_moved(p)),
        ) {
            self.error(
                Diagnostic::error(
                    codes::MOVED_RETRY,
                    moved.ty.span,
                    "a moved capability cannot be sent a second time",
                )
                .label("moved")
                .related(span, "the method is idempotent")
                .help("remove `move`, or remove `@idempotent`"),
            );
        }
        let requires = attributes.requires.map(|expr| self.required(expr, rights));
        let scope = &self.packages[package];
        let ordinal = attributes.ordinal.map_or_else(
            || hashed(&scope.name, protocol_name, &method.name.text),
            |(ordinal, _)| ordinal,
        );
        let upper = method.name.text.to_uppercase();
        let c_name = attributes
            .c_name
            .unwrap_or_else(|| format!("{}_METHOD_{upper}", scope.c_prefix));
        Some(Method {
            info: Info {
                name: method.name.text.clone(),
                docs: method.head.docs.clone(),
                since: attributes.since,
                deprecated: attributes.deprecated,
                span: method.name.span,
            },
            ordinal,
            c_name,
            oneway: method.oneway.is_some(),
            idempotent: attributes.idempotent.is_some(),
            deferrable: attributes.deferrable.is_some(),
            deadline_ns: attributes.deadline_ns.map(|(ns, _)| ns),
            requires: requires.unwrap_or_default(),
            request: request?,
            response: response?,
            error,
        })
    }

    fn error_reference(&mut self, file: usize, path: &ast::Path) -> Option<Reference> {
        let symbol = self.resolve(file, path, "error")?;
        if !matches!(self.declaration(symbol).kind, DeclarationKind::Error { .. }) {
            self.wrong_kind(path.span(), symbol, "an error");
            return None;
        }
        self.reference(symbol)
    }

    pub(super) fn reference(&self, symbol: super::Symbol) -> Option<Reference> {
        let package = self.package_of_file[symbol.0]?;
        Some(Reference {
            package: self.packages[package].name.clone(),
            name: self.declaration(symbol).name.text.clone(),
        })
    }

    fn required(&mut self, expr: &Expr, known: &[Member]) -> Rights {
        let mut rights = Rights::default();
        for (name, span) in self.right_names(expr) {
            match known.iter().find(|member| member.info.name == name) {
                Some(member) => rights.mask |= member.value as u32,
                None => {
                    let message = format!("the protocol has no right `{name}`");
                    let code = if right(&name).is_some() {
                        codes::RIGHT_PLACE
                    } else {
                        codes::UNKNOWN_OBJECT
                    };
                    let list = known.iter().map(|m| m.info.name.as_str());
                    self.error(
                        Diagnostic::error(code, span, message)
                            .label("not a right of this protocol")
                            .maybe_help(did_you_mean(&name, list).or_else(|| {
                                Some(
                                    "rights are declared in the protocol: `right NAME = 16;`"
                                        .to_owned(),
                                )
                            })),
                    );
                }
            }
            rights.names.push(name);
        }
        rights
    }

    fn check_ordinals(&mut self, methods: Vec<(u32, Span, String)>) {
        let mut seen: HashMap<u32, (Span, String)> = HashMap::new();
        for (ordinal, span, name) in methods {
            if let Some((first, other)) = seen.get(&ordinal) {
                // Within a protocol the same name twice has been reported as such.
                if *other == name {
                    continue;
                }
                let message = format!("`{name}` has the number of `{other}`, {ordinal:#x}");
                let first = *first;
                self.error(
                    Diagnostic::error(codes::ORDINAL, span, message)
                        .label("same number")
                        .related(first, "first used here")
                        .help("give one of them another `@ordinal(…)`"),
                );
            } else {
                seen.insert(ordinal, (span, name));
            }
        }
    }

    pub(super) fn check_c_names(&mut self, package: &Package) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for method in package.protocols.iter().flat_map(distinct_methods) {
            if let Some(first) = seen.get(method.c_name.as_str()) {
                let message = format!("two methods are called `{}` in C", method.c_name);
                self.error(
                    Diagnostic::error(codes::C_NAME, method.info.span, message)
                        .label("second method")
                        .related(*first, "the first is here")
                        .help(format!(
                            "name one of them: `@c_name(\"{}_2\")`",
                            method.c_name
                        )),
                );
            } else {
                seen.insert(&method.c_name, method.info.span);
            }
        }
    }

    pub(super) fn server_protocols(&mut self, file: usize, paths: &[ast::Path]) -> Vec<Reference> {
        let mut references: Vec<Reference> = Vec::new();
        for path in paths {
            let Some(symbol) = self.resolve(file, path, "protocol") else {
                continue;
            };
            if !matches!(self.declaration(symbol).kind, DeclarationKind::Protocol(_)) {
                self.wrong_kind(path.span(), symbol, "a protocol");
                continue;
            }
            let Some(reference) = self.reference(symbol) else {
                continue;
            };
            if references.contains(&reference) {
                let message = format!("`{}` is listed twice", path.text());
                self.error(
                    Diagnostic::error(codes::SERVER_TWICE, path.span(), message)
                        .label("second time"),
                );
            } else {
                references.push(reference);
            }
        }
        references
    }

    /// Ordinals must differ among all protocols of a server.
    pub(super) fn check_servers(&mut self, interface: &Interface) {
        for server in interface
            .packages
            .iter()
            .flat_map(|package| &package.servers)
        {
            let mut methods = Vec::new();
            for protocol in server
                .protocols
                .iter()
                .filter_map(|reference| interface.protocol(reference))
            {
                methods.extend(protocol.methods.iter().map(|m| {
                    (
                        m.ordinal,
                        m.info.span,
                        format!("{}.{}", protocol.info.name, m.info.name),
                    )
                }));
            }
            self.check_ordinals(methods);
        }
    }
}

/// Methods of a protocol without those whose name was there before.
fn distinct_methods(protocol: &Protocol) -> impl Iterator<Item = &Method> {
    let methods = protocol.methods.iter().enumerate();
    methods
        .filter(|(i, method)| {
            protocol.methods[..*i]
                .iter()
                .all(|m| m.info.name != method.info.name)
        })
        .map(|(_, method)| method)
}

fn is_moved(field: &ast::Field) -> bool {
    match &field.ty.kind {
        ast::TypeKind::Cap { moved, .. } => *moved,
        ast::TypeKind::Optional(inner) => {
            matches!(inner.kind, ast::TypeKind::Cap { moved: true, .. })
        }
        _ => false,
    }
}

/// FNV-1a of the full name, folded to 31 bits under a set top bit.
fn hashed(package: &str, protocol: &str, method: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("{package}.{protocol}.{method}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    (hash ^ hash >> 32) as u32 | 0x8000_0000
}
