//! A Markdown reference per package.

use std::fmt::Write as _;

use super::{Output, banner, duration};
use crate::ir::{
    BadgeClass, Carried, Direction, Info, Message, Method, Object, Package, Param, Protocol,
    Reference, Type, TypeDef, TypeKind,
};

/// The reference of a package.
#[must_use]
pub fn emit(package: &Package) -> Output {
    let mut out = format!(
        "<!-- {} -->\n# {} version {}\n",
        banner(package).replace("idlc build", "idlc doc"),
        package.name,
        package.version
    );
    paragraphs(&mut out, &package.docs);
    for protocol in &package.protocols {
        write_protocol(&mut out, package, protocol);
    }
    for server in &package.servers {
        let list: Vec<_> = server
            .protocols
            .iter()
            .map(|p| format!("`{}`", short(package, p)))
            .collect();
        let _ = write!(out, "\n## server {}\n", server.info.name);
        documentation(&mut out, &server.info);
        let _ = write!(out, "\nServes {} at one endpoint.\n", list.join(", "));
    }
    for def in &package.types {
        type_def(&mut out, package, def);
    }
    if !package.constants.is_empty() {
        out.push_str("\n## Constants\n\n| name | value | |\n|---|---|---|\n");
        for constant in &package.constants {
            let value = match &constant.value {
                crate::ir::Value::Bool(value) => value.to_string(),
                crate::ir::Value::Int(value) => value.to_string(),
                crate::ir::Value::Text(text) => format!("{text:?}"),
            };
            let _ = writeln!(
                out,
                "| `{}` | {value} | {} |",
                constant.info.name,
                cell(&constant.info)
            );
        }
    }
    Output::new(format!("{}.md", package.name), out)
}

fn write_protocol(out: &mut String, package: &Package, protocol: &Protocol) {
    let class = match protocol.class {
        BadgeClass::Any => "Any capability to the endpoint may call it.",
        BadgeClass::Session => "A client's session calls it (badge bit 31 set).",
        BadgeClass::Object => {
            "Capabilities to objects of the server call it (badge bit 31 clear, not zero)."
        }
    };
    let _ = write!(out, "\n## protocol {}\n", protocol.info.name);
    documentation(out, &protocol.info);
    let _ = write!(out, "\n{class}\n");
    bits(out, "Right", &protocol.rights);
    bits(out, "Event", &protocol.events);
    for method in &protocol.methods {
        write_method(out, package, method);
    }
}

fn bits(out: &mut String, what: &str, members: &[crate::ir::Member]) {
    if members.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "\n| {} | bit | |\n|---|---|---|\n",
        what.to_lowercase()
    );
    for member in members {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            member.info.name,
            member.value.trailing_zeros(),
            cell(&member.info)
        );
    }
}

fn write_method(out: &mut String, package: &Package, method: &Method) {
    let list = |message: &Message| {
        let list: Vec<_> = message
            .params
            .iter()
            .map(|p| format!("{}: {}", p.info.name, param_type(package, p)))
            .collect();
        list.join(", ")
    };
    let oneway = if method.oneway { "oneway " } else { "" };
    let results = if method.response.params.is_empty() {
        String::new()
    } else {
        format!(" -> ({})", list(&method.response))
    };
    let _ = write!(
        out,
        "\n### {}\n\n`{oneway}{}({}){results}`\n",
        method.info.name,
        method.info.name,
        list(&method.request)
    );
    documentation(out, &method.info);
    let mut facts = vec![format!(
        "number {:#x}, in C `{}`",
        method.ordinal, method.c_name
    )];
    if let Some(error) = &method.error {
        facts.push(format!("fails with `{}`", short(package, error)));
    }
    if !method.requires.names.is_empty() {
        facts.push(format!(
            "needs right `{}`",
            method.requires.names.join("`, `")
        ));
    }
    if method.idempotent {
        facts.push("sent again once if the server dies on it".to_owned());
    }
    if method.deferrable {
        facts.push("may be answered later".to_owned());
    }
    if let Some(ns) = method.deadline_ns {
        facts.push(format!("clients wait at most {}", duration(ns)));
    }
    facts.push(format!("request {}", carries(&method.request)));
    if !method.oneway {
        facts.push(format!("response {}", carries(&method.response)));
    }
    out.push('\n');
    facts.iter().for_each(|fact| {
        let _ = writeln!(out, "- {fact}");
    });
    for (what, message) in [("parameter", &method.request), ("result", &method.response)] {
        if message.params.is_empty() {
            continue;
        }
        let _ = write!(out, "\n| {what} | type | place | |\n|---|---|---|---|\n");
        for param in &message.params {
            let ty = param_type(package, param).replace('|', "\\|");
            let _ = writeln!(
                out,
                "| `{}` | `{ty}` | {} | {} |",
                param.info.name,
                place(param),
                cell(&param.info)
            );
        }
    }
}

fn carries(message: &Message) -> String {
    let words = format!(
        "{} word{}",
        message.words,
        if message.words == 1 { "" } else { "s" }
    );
    match message.caps {
        0 => words,
        1 => format!("{words}, 1 capability"),
        caps => format!("{words}, {caps} capabilities"),
    }
}

fn place(param: &Param) -> String {
    match &param.carried {
        Carried::Data { ty, offset } => format!("bytes {offset}–{}", offset + ty.size - 1),
        Carried::Buffer { slot, offset, .. } => {
            format!("slot {slot}, bytes {offset}–{}", offset + 15)
        }
        Carried::Cap { slot, .. } => format!("slot {slot}"),
    }
}

fn param_type(package: &Package, param: &Param) -> String {
    match &param.carried {
        Carried::Data { ty, .. } => type_text(package, ty),
        Carried::Buffer { direction, .. } => match direction {
            Direction::In => "buffer<in>".to_owned(),
            Direction::Out => "buffer<out>".to_owned(),
            Direction::Inout => "buffer<inout>".to_owned(),
        },
        Carried::Cap {
            object,
            rights,
            moved,
            optional,
            ..
        } => {
            let object = match object {
                Object::Kernel(name) => name.clone(),
                Object::Protocol(reference) => short(package, reference),
            };
            let rights = if rights.names.is_empty() {
                String::new()
            } else {
                format!(", {}", rights.names.join(" | "))
            };
            let (moved, optional) = (
                if *moved { "move " } else { "" },
                if *optional { "?" } else { "" },
            );
            format!("{moved}cap<{object}{rights}>{optional}")
        }
    }
}

/// A type as the file itself would write it.
pub(super) fn type_text(package: &Package, ty: &Type) -> String {
    match &ty.kind {
        TypeKind::Enum { name, .. }
        | TypeKind::Flags { name, .. }
        | TypeKind::Struct { name }
        | TypeKind::Union { name } => short(package, name),
        TypeKind::Array { element, length } => {
            format!("[{}; {length}]", type_text(package, element))
        }
        TypeKind::Optional { value } => format!("{}?", type_text(package, value)),
        _ => super::json::type_name(ty),
    }
}

fn short(package: &Package, reference: &Reference) -> String {
    if reference.package == package.name {
        reference.name.clone()
    } else {
        format!("{}.{}", reference.package, reference.name)
    }
}

fn type_def(out: &mut String, package: &Package, def: &TypeDef) {
    match def {
        TypeDef::Enum(e) => {
            let what = if e.error { "error" } else { "enum" };
            heading(
                out,
                what,
                &e.info,
                &format!(
                    "`{}`{}",
                    e.base.name(),
                    if e.flexible { ", may grow" } else { "" }
                ),
            );
            numbers(out, &e.members, false);
        }
        TypeDef::Flags(f) => {
            heading(
                out,
                "flags",
                &f.info,
                &format!(
                    "`{}`{}",
                    f.base.name(),
                    if f.flexible { ", may grow" } else { "" }
                ),
            );
            numbers(out, &f.members, true);
        }
        TypeDef::Struct(s) => {
            heading(
                out,
                "struct",
                &s.info,
                &format!("{} bytes, aligned to {}", s.size, s.align),
            );
            out.push_str("\n| field | type | offset | |\n|---|---|---|---|\n");
            for field in &s.fields {
                let ty = type_text(package, &field.ty);
                let _ = writeln!(
                    out,
                    "| `{}` | `{ty}` | {} | {} |",
                    field.info.name,
                    field.offset,
                    cell(&field.info)
                );
            }
        }
        TypeDef::Union(u) => {
            let facts = format!(
                "{} bytes, aligned to {}; the number at 0, the value at {}",
                u.size, u.align, u.payload_offset
            );
            heading(out, "union", &u.info, &facts);
            out.push_str("\n| variant | type | number | |\n|---|---|---|---|\n");
            for variant in &u.variants {
                let ty = type_text(package, &variant.ty);
                let _ = writeln!(
                    out,
                    "| `{}` | `{ty}` | {} | {} |",
                    variant.info.name,
                    variant.number,
                    cell(&variant.info)
                );
            }
        }
    }
}

fn heading(out: &mut String, what: &str, info: &Info, facts: &str) {
    let _ = write!(out, "\n## {what} {}\n", info.name);
    documentation(out, info);
    let _ = write!(out, "\n{facts}\n");
}

fn numbers(out: &mut String, members: &[crate::ir::Member], hexadecimal: bool) {
    out.push_str("\n| name | value | |\n|---|---|---|\n");
    for member in members {
        let value = if hexadecimal {
            format!("{:#x}", member.value)
        } else {
            member.value.to_string()
        };
        let _ = writeln!(
            out,
            "| `{}` | {value} | {} |",
            member.info.name,
            cell(&member.info)
        );
    }
}

fn documentation(out: &mut String, info: &Info) {
    paragraphs(out, &info.docs);
    if let Some(since) = info.since {
        let _ = write!(out, "\nSince version {since}.\n");
    }
    if let Some(note) = &info.deprecated {
        let _ = write!(out, "\n**Deprecated**: {note}\n");
    }
}

fn paragraphs(out: &mut String, docs: &[String]) {
    if !docs.is_empty() {
        let _ = write!(out, "\n{}\n", docs.join("\n"));
    }
}

/// Documentation in a table.
fn cell(info: &Info) -> String {
    let mut text = info.docs.join(" ").replace('|', "\\|");
    if let Some(note) = &info.deprecated {
        text += &format!(" **Deprecated**: {note}");
    }
    text.trim().to_owned()
}
