//! The interface as JSON, for tools. `idlc/schema.json` describes the format.

use serde_json::{Map, Value, json};

use crate::ir::{Carried, Interface, Message, Type, TypeKind};

/// The whole interface.
///
/// # Panics
/// Never: the interface has no keys that are not text and no number that JSON
/// cannot write.
#[must_use]
pub fn interface(interface: &Interface) -> String {
    let value = serde_json::to_value(interface).expect("an interface is plain data");
    format!("{value:#}\n")
}

/// What a tool needs to print a message by name and field: for each ordinal of
/// a package its method, and where each value lies.
#[must_use]
pub fn decoder_table(interface: &Interface, package: &crate::ir::Package) -> String {
    let mut protocols = Vec::new();
    for protocol in &package.protocols {
        let mut methods = Map::new();
        for method in &protocol.methods {
            let entry = json!({
                "name": method.info.name,
                "request": fields(&method.request),
                "response": fields(&method.response),
                "error": method.error.as_ref().map(|e| format!("{}.{}", e.package, e.name)),
            });
            methods.insert(method.ordinal.to_string(), entry);
        }
        protocols.push(json!({ "protocol": format!("{}.{}", package.name, protocol.info.name), "methods": methods }));
    }
    let mut numbers = Map::new();
    for package in &interface.packages {
        for def in &package.types {
            let (members, what) = match def {
                crate::ir::TypeDef::Enum(e) => (&e.members, "enum"),
                crate::ir::TypeDef::Flags(f) => (&f.members, "flags"),
                crate::ir::TypeDef::Struct(_) | crate::ir::TypeDef::Union(_) => continue,
            };
            let members: Map<_, _> = members
                .iter()
                .map(|m| (m.value.to_string(), json!(m.info.name)))
                .collect();
            numbers.insert(
                format!("{}.{}", package.name, def.info().name),
                json!({ "kind": what, "members": members }),
            );
        }
    }
    format!(
        "{:#}\n",
        json!({ "format": interface.format, "protocols": protocols, "names": numbers })
    )
}

fn fields(message: &Message) -> Value {
    let one = |param: &crate::ir::Param| {
        let name = &param.info.name;
        match &param.carried {
            Carried::Data { ty, offset } => {
                json!({ "name": name, "byte": offset, "size": ty.size, "type": type_name(ty) })
            }
            Carried::Buffer { slot, offset, .. } => {
                json!({ "name": name, "slot": slot, "byte": offset, "size": 16, "type": "buffer" })
            }
            Carried::Cap { slot, .. } => json!({ "name": name, "slot": slot, "type": "cap" }),
        }
    };
    json!({ "words": message.words, "caps": message.caps, "fields": message.params.iter().map(one).collect::<Vec<_>>() })
}

/// A type as the language writes it, with full names.
#[must_use]
pub fn type_name(ty: &Type) -> String {
    match &ty.kind {
        TypeKind::Bool => "bool".to_owned(),
        TypeKind::Int(int) => int.name(),
        TypeKind::Enum { name, .. }
        | TypeKind::Flags { name, .. }
        | TypeKind::Struct { name }
        | TypeKind::Union { name } => format!("{}.{}", name.package, name.name),
        TypeKind::Array { element, length } => format!("[{}; {length}]", type_name(element)),
        TypeKind::Text { max } => format!("string<{max}>"),
        TypeKind::Bytes { max } => format!("bytes<{max}>"),
        TypeKind::Optional { value } => format!("{}?", type_name(value)),
    }
}
