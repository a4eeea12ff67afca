//! A `no_std` Rust crate per package.
//!
//! `types.rs` holds constants and types, each protocol has a file with its
//! client, server trait and dispatch, `servers.rs` holds servers. Names of the
//! runtime are written `rt::Name`, so that they cannot meet those of the
//! interface.

mod client;
mod extras;
mod messages;
mod print;
mod server;
mod types;

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

use super::{Output, banner};
use crate::ir::{
    Carried, Info, Interface, Message, Object, Package, Param, Protocol, Reference, Rights, Type,
    TypeDef, TypeKind,
};
use crate::names::{RUST_KEYWORDS, camel, snake};
use crate::objects::RIGHTS;

/// Where a generated crate finds what it depends on: a path by crate name.
/// Without an entry it is taken from the workspace.
pub type Paths = BTreeMap<String, String>;

/// Name of the crate of a package: `gritos.fs` → `gritos-fs-api`.
#[must_use]
pub fn crate_name(package: &str) -> String {
    format!("{}-api", package.replace(['.', '_'], "-"))
}

/// What is generated besides types, clients and servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `PMock`: a server made of functions.
    pub mock: bool,
    /// `fuzz_p`: dispatches a message made of bytes.
    pub fuzz: bool,
    /// `decoder.json`: what a tool needs to print messages by name and field.
    pub table: bool,
}

/// The crate of a package.
#[must_use]
pub fn emit(
    interface: &Interface,
    package: &Package,
    paths: &Paths,
    extras: Extras,
) -> Vec<Output> {
    let mut files = vec![Output::new("Cargo.toml", manifest(package, paths))];
    let mut modules: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: &str, exports: Vec<String>, code: TokenStream| {
        if !exports.is_empty() {
            files.push(Output::new(format!("src/{name}.rs"), source(package, code)));
            modules.push((name.to_owned(), exports));
        }
    };
    let emitter = Emitter {
        interface,
        package,
        module: Vec::new(),
    };
    let (exports, code) = emitter.types();
    add("types", exports, code);
    for protocol in &package.protocols {
        let names = protocol_names(protocol);
        let emitter = Emitter {
            interface,
            package,
            module: names.clone(),
        };
        add(
            &format!("{}_protocol", snake(&protocol.info.name)),
            names,
            emitter.protocol(protocol),
        );
    }
    let emitter = Emitter {
        interface,
        package,
        module: Vec::new(),
    };
    let servers = package.servers.iter().map(|server| emitter.server(server));
    let exports = package
        .servers
        .iter()
        .map(|server| server.info.name.clone())
        .collect();
    add(
        "servers",
        exports,
        quote! { use gritos_idl_runtime as rt; #(#servers)* },
    );
    let emitter = Emitter {
        interface,
        package,
        module: Vec::new(),
    };
    if extras.mock {
        let (exports, code) = emitter.mocks();
        add("mock", exports, code);
    }
    if extras.fuzz {
        let (exports, code) = emitter.fuzzers();
        add("fuzz", exports, code);
    }
    if extras.table {
        let table = super::json::decoder_table(interface, package);
        files.push(Output::new("decoder.json", table));
    }
    files.push(Output::new("src/lib.rs", library(package, &modules)));
    files
}

/// Everything public that a protocol's module declares, sorted.
fn protocol_names(protocol: &Protocol) -> Vec<String> {
    let name = &protocol.info.name;
    let mut names = vec![name.clone()];
    if !protocol.methods.is_empty() {
        names.extend([format!("{name}Client"), format!("{name}Server")]);
    }
    if !protocol.events.is_empty() {
        names.push(format!("{name}Events"));
    }
    for method in &protocol.methods {
        let camel = camel(&method.info.name);
        if method.response.params.len() > 1 {
            names.push(format!("{name}{camel}Reply"));
            if method.response.caps > 0 {
                names.push(format!("{name}{camel}Answer"));
            }
        }
        if method.deferrable {
            names.push(format!("{name}{camel}Ticket"));
        }
    }
    names.sort();
    names
}

fn manifest(package: &Package, paths: &Paths) -> String {
    let dependency = |name: &str| match paths.get(name) {
        Some(path) => format!("{name} = {{ path = {path:?} }}\n"),
        None => format!("{name}.workspace = true\n"),
    };
    let mut text = format!(
        "# {}\n[package]\nname = \"{}\"\n",
        banner(package),
        crate_name(&package.name)
    );
    text += &format!(
        "description = \"Types, client and server of interface {}.\"\n",
        package.name
    );
    if paths.is_empty() {
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            text += &format!("{key}.workspace = true\n");
        }
    } else {
        text += "version = \"0.1.0\"\nedition = \"2024\"\npublish = false\n";
    }
    text += "\n[dependencies]\n";
    let mut names: Vec<_> = package
        .imports
        .iter()
        .map(|import| crate_name(import))
        .collect();
    names.push("gritos-idl-runtime".to_owned());
    names.sort();
    names.iter().for_each(|name| text += &dependency(name));
    if paths.is_empty() {
        text += "\n[lints]\nworkspace = true\n";
    }
    text
}

fn library(package: &Package, modules: &[(String, Vec<String>)]) -> String {
    let mut lines = package.docs.clone();
    if lines.is_empty() {
        lines.push(format!("Interface `{}`.", package.name));
    }
    lines.push(String::new());
    lines.push(format!(
        "Package `{}`, version {}.",
        package.name, package.version
    ));
    let docs = lines.iter().map(|line| {
        if line.is_empty() {
            String::new()
        } else {
            format!(" {line}")
        }
    });
    let declared = modules.iter().map(|(name, _)| format_ident!("{name}"));
    let exported = modules.iter().map(|(name, exports)| {
        let (module, exports) = (
            format_ident!("{name}"),
            exports.iter().map(|name| ident(name)).collect::<Vec<_>>(),
        );
        match exports.as_slice() {
            [one] => quote! { pub use #module::#one; },
            _ => quote! { pub use #module::{#(#exports),*}; },
        }
    });
    let allow = has_deprecated(package).then(|| {
        quote! { #![allow(deprecated, reason = "what is deprecated is still generated")] }
    });
    source(
        package,
        quote! {
            #(#![doc = #docs])*
            #![no_std]
            #![forbid(unsafe_code)]
            #allow
            #(#[rustfmt::skip] mod #declared;)*
            #(#[rustfmt::skip] #exported)*
        },
    )
}

/// Whether anything of a package is deprecated.
fn has_deprecated(package: &Package) -> bool {
    let is_old = |info: &Info| info.deprecated.is_some();
    let members = |members: &[crate::ir::Member]| members.iter().any(|m| is_old(&m.info));
    let in_type = |def: &TypeDef| match def {
        TypeDef::Enum(e) => members(&e.members),
        TypeDef::Flags(f) => members(&f.members),
        TypeDef::Struct(s) => s.fields.iter().any(|f| is_old(&f.info)),
        TypeDef::Union(u) => u.variants.iter().any(|v| is_old(&v.info)),
    };
    let in_protocol = |p: &Protocol| {
        members(&p.rights) || members(&p.events) || p.methods.iter().any(|m| is_old(&m.info))
    };
    package.constants.iter().any(|c| is_old(&c.info))
        || package
            .types
            .iter()
            .any(|def| is_old(def.info()) || in_type(def))
        || package
            .protocols
            .iter()
            .any(|p| is_old(&p.info) || in_protocol(p))
        || package.servers.iter().any(|s| is_old(&s.info))
}

/// A file of a crate.
fn source(package: &Package, code: TokenStream) -> String {
    format!("// {}\n{}", banner(package), print::print(code))
}

/// A name as a Rust identifier.
fn ident(name: &str) -> Ident {
    if RUST_KEYWORDS.contains(&name) {
        Ident::new_raw(name, Span::call_site())
    } else {
        Ident::new(name, Span::call_site())
    }
}

/// A name that none of `taken` is.
fn fresh(name: &str, taken: &[Param]) -> Ident {
    let mut name = name.to_owned();
    while taken.iter().any(|param| param.info.name == name) {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}

/// The number of a method: hashed ones in hexadecimal.
fn ordinal(value: u32) -> TokenStream {
    let text = if value < 0x8000_0000 {
        value.to_string()
    } else {
        format!("0x{:04x}_{:04x}", value >> 16, value & 0xffff)
    };
    text.parse::<proc_macro2::Literal>()
        .map_or_else(|_| quote! { #value }, |number| quote! { #number })
}

/// An integer literal without a suffix.
fn literal(value: impl Into<u64>) -> proc_macro2::Literal {
    proc_macro2::Literal::u64_unsuffixed(value.into())
}

/// Lines of documentation, with a stand-in if there are none.
fn doc_lines(info: &Info, otherwise: &str, more: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = if info.docs.is_empty() {
        vec![otherwise.to_owned()]
    } else {
        info.docs.clone()
    };
    if let Some(since) = info.since {
        lines.extend([String::new(), format!("Since version {since}.")]);
    }
    lines.extend_from_slice(more);
    lines
}

/// Lines of documentation as attributes.
fn docs(info: &Info, otherwise: &str, more: &[String]) -> TokenStream {
    let lines = doc_lines(info, otherwise, more);
    let lines = lines.iter().map(|line| {
        if line.is_empty() {
            String::new()
        } else {
            format!(" {line}")
        }
    });
    let deprecated = info
        .deprecated
        .as_ref()
        .map(|note| quote! { #[deprecated(note = #note)] });
    quote! { #(#[doc = #lines])* #deprecated }
}

/// What one module is made with.
struct Emitter<'a> {
    interface: &'a Interface,
    package: &'a Package,
    /// Names declared in the module itself, besides types.
    module: Vec<String>,
}

impl Emitter<'_> {
    /// The path of a declared name from the current module.
    fn path(&self, reference: &Reference) -> TokenStream {
        let name = ident(&reference.name);
        if reference.package != self.package.name {
            let krate = ident(&crate_name(&reference.package).replace('-', "_"));
            return quote! { #krate::#name };
        }
        if self.module.contains(&reference.name) {
            quote! { #name }
        } else {
            quote! { crate::#name }
        }
    }

    /// A link to a declared name for documentation.
    fn link(&self, reference: &Reference) -> String {
        let path = if reference.package == self.package.name {
            "crate".to_owned()
        } else {
            crate_name(&reference.package).replace('-', "_")
        };
        format!("[`{0}`]({path}::{0})", reference.name)
    }

    /// A type as Rust sees it.
    fn ty(&self, ty: &Type) -> TokenStream {
        match &ty.kind {
            TypeKind::Bool => quote! { bool },
            TypeKind::Int(int) => {
                let name = ident(&int.name());
                quote! { #name }
            }
            TypeKind::Enum { name, .. }
            | TypeKind::Flags { name, .. }
            | TypeKind::Struct { name }
            | TypeKind::Union { name } => self.path(name),
            TypeKind::Array { element, length } => {
                let (element, length) = (self.ty(element), literal(*length));
                quote! { [#element; #length] }
            }
            TypeKind::Text { max } => {
                let max = literal(*max);
                quote! { rt::Text<#max> }
            }
            TypeKind::Bytes { max } => {
                let max = literal(*max);
                quote! { rt::Bytes<#max> }
            }
            TypeKind::Optional { value } => {
                let value = self.ty(value);
                quote! { Option<#value> }
            }
        }
    }

    /// What a capability refers to, as a type.
    fn object(&self, object: &Object) -> TokenStream {
        match object {
            Object::Kernel(name) => {
                let name = ident(name);
                quote! { rt::object::#name }
            }
            Object::Protocol(reference) => self.path(reference),
        }
    }

    /// Rights as a constant expression; those of a server are constants of its
    /// protocol's marker.
    fn rights(&self, rights: &Rights, protocol: Option<&Reference>) -> TokenStream {
        let terms: Vec<_> = rights
            .names
            .iter()
            .map(|name| {
                let right = ident(name);
                match protocol {
                    Some(protocol) if !RIGHTS.iter().any(|(known, _)| known == name) => {
                        let protocol = self.path(protocol);
                        quote! { #protocol::#right }
                    }
                    _ => quote! { rt::Rights::#right },
                }
            })
            .collect();
        match terms.split_first() {
            None => quote! { rt::Rights::empty() },
            Some((first, [])) => quote! { #first },
            Some((first, rest)) => quote! { #first #(.union(#rest))* },
        }
    }

    fn cap_rights(&self, rights: &Rights, object: &Object) -> TokenStream {
        let protocol = match object {
            Object::Protocol(reference) => Some(reference),
            Object::Kernel(_) => None,
        };
        self.rights(rights, protocol)
    }
}

/// Whether every value of a message travels as one integer, so that words are
/// put together by shifts instead of through an image in memory.
fn is_plain(message: &Message) -> bool {
    message.params.iter().all(|param| match &param.carried {
        Carried::Data { ty, .. } => ty.is_scalar(),
        Carried::Cap { .. } | Carried::Buffer { .. } => true,
    })
}
