//! Messages in words, told by name and field: for whoever looks at a trace.
//!
//! What is malformed is shown as it is (`?7`), never refused: a trace has what
//! was sent. Nothing here is needed to send or receive messages.

use std::fmt::Write as _;

use crate::ir::{
    Carried, Interface, MESSAGE_WORDS, Member, Message, Method, Package, Protocol, Reference, Type,
    TypeDef, TypeKind,
};

/// First tag of a reply by which a server's stub refuses a request.
const REFUSALS: u64 = 0xffff_ff00;
/// What the refusals are called, from the first number on: section 8 of
/// `docs/reference/gidl.md`.
pub const REFUSAL_NAMES: [&str; 17] = [
    "UnknownMethod",
    "WrongBadge",
    "MissingRight",
    "WrongShape",
    "BadBool",
    "BadEnum",
    "BadFlags",
    "BadLength",
    "BadText",
    "BadCap",
    "BadCapRights",
    "Busy",
    "CapsRefused",
    "Dropped",
    "BufferGone",
    "UnknownResult",
    "Unavailable",
];

/// The requests that `tag` and `words` can be: one for each protocol of the
/// named files that has a method with this ordinal.
#[must_use]
pub fn request(interface: &Interface, tag: u64, words: &[u64]) -> Vec<String> {
    let found = methods(interface).filter(|(.., method)| u64::from(method.ordinal) == tag);
    found
        .map(|(package, protocol, method)| {
            let name = full_name(package, protocol, method);
            format!("{name}{}", values(interface, &method.request, words))
        })
        .collect()
}

/// The answers that `tag` and `words` can be to the method `name`, given as
/// `read`, `File.read` or `gritos.fs.File.read`.
#[must_use]
pub fn reply(interface: &Interface, name: &str, tag: u64, words: &[u64]) -> Vec<String> {
    let is_meant = |full: &str| full == name || full.ends_with(&format!(".{name}"));
    methods(interface)
        .map(|(package, protocol, method)| (full_name(package, protocol, method), method))
        .filter(|(full, _)| is_meant(full))
        .map(|(full, method)| {
            let answer = match tag {
                0 => values(interface, &method.response, words),
                _ => format!(" {}", failure(interface, method, tag)),
            };
            format!("{full} ->{answer}")
        })
        .collect()
}

fn methods(interface: &Interface) -> impl Iterator<Item = (&Package, &Protocol, &Method)> {
    interface.root_packages().flat_map(|package| {
        let protocols = package.protocols.iter();
        protocols.flat_map(move |protocol| {
            let methods = protocol.methods.iter();
            methods.map(move |method| (package, protocol, method))
        })
    })
}

fn full_name(package: &Package, protocol: &Protocol, method: &Method) -> String {
    let names = [&package.name, &protocol.info.name, &method.info.name];
    names.map(String::as_str).join(".")
}

fn failure(interface: &Interface, method: &Method, tag: u64) -> String {
    if let Some(name) = tag
        .checked_sub(REFUSALS + 1)
        .and_then(|number| REFUSAL_NAMES.get(usize::try_from(number).ok()?))
    {
        return format!("refused: {name}");
    }
    let error = method.error.as_ref();
    match error.and_then(|error| interface.type_def(error)) {
        Some(TypeDef::Enum(e)) => format!("{}.{}", e.info.name, named(&e.members, tag)),
        _ => format!("error ?{tag}"),
    }
}

/// The name of a value, or the value with a question mark.
fn named(members: &[Member], value: u64) -> String {
    let member = members.iter().find(|member| member.value == value);
    member.map_or_else(|| format!("?{value}"), |member| member.info.name.clone())
}

/// Parameters or results, in the order of the declaration.
fn values(interface: &Interface, message: &Message, words: &[u64]) -> String {
    let mut image: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    image.resize(MESSAGE_WORDS as usize * 8, 0);
    let at = |offset: u32| image.get(offset as usize..).unwrap_or(&[]);
    let shown = message.params.iter().map(|param| {
        let value = match &param.carried {
            Carried::Data { ty, offset } => show(interface, ty, at(*offset)),
            Carried::Cap { slot, .. } => format!("capability {slot}"),
            Carried::Buffer { slot, offset, .. } => {
                let (start, length) = (number(at(*offset), 8), number(at(*offset + 8), 8));
                format!("capability {slot}, {length} bytes from {start}")
            }
        };
        format!("{}: {value}", param.info.name)
    });
    let mut text = format!("({})", shown.collect::<Vec<_>>().join(", "));
    if words.len() != message.words as usize {
        let _ = write!(text, " [{} words, not {}]", words.len(), message.words);
    }
    text
}

/// An unsigned number in the first `size` bytes.
fn number(bytes: &[u8], size: u32) -> u64 {
    let first = bytes.iter().take(size as usize).rev();
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn show(interface: &Interface, ty: &Type, bytes: &[u8]) -> String {
    let value = number(bytes, ty.size.min(8));
    match &ty.kind {
        TypeKind::Bool => match value {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            other => format!("?{other}"),
        },
        TypeKind::Int(int) if int.signed => {
            let unused = 64 - int.bits;
            (((value << unused) as i64) >> unused).to_string()
        }
        TypeKind::Int(_) => value.to_string(),
        TypeKind::Enum { name, .. } => match interface.type_def(name) {
            Some(TypeDef::Enum(e)) => named(&e.members, value),
            _ => format!("?{value}"),
        },
        TypeKind::Flags { name, .. } => flags(interface, name, value),
        TypeKind::Struct { name } => match interface.type_def(name) {
            Some(TypeDef::Struct(s)) => {
                let fields = s.fields.iter().map(|field| {
                    let place = bytes.get(field.offset as usize..).unwrap_or(&[]);
                    let value = show(interface, &field.ty, place);
                    format!("{}: {value}", field.info.name)
                });
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            _ => "?".to_owned(),
        },
        TypeKind::Union { name } => match interface.type_def(name) {
            Some(TypeDef::Union(u)) => {
                let which = number(bytes, 1);
                let place = bytes.get(u.payload_offset as usize..).unwrap_or(&[]);
                let chosen = u.variants.iter().find(|v| u64::from(v.number) == which);
                chosen.map_or_else(
                    || format!("?{which}"),
                    |v| format!("{}: {}", v.info.name, show(interface, &v.ty, place)),
                )
            }
            _ => "?".to_owned(),
        },
        TypeKind::Array { element, length } => {
            let places = bytes.chunks(element.size.max(1) as usize);
            let shown = places.take(*length as usize);
            let shown = shown.map(|place| show(interface, element, place));
            format!("[{}]", shown.collect::<Vec<_>>().join(", "))
        }
        TypeKind::Text { max } => match counted(bytes, *max) {
            Ok(text) => format!("{:?}", String::from_utf8_lossy(text)),
            Err(length) => format!("?{length} bytes"),
        },
        TypeKind::Bytes { max } => match counted(bytes, *max) {
            Ok(bytes) => format!("{bytes:02x?}"),
            Err(length) => format!("?{length} bytes"),
        },
        TypeKind::Optional { value } => {
            let there = bytes.get(value.size as usize).copied().unwrap_or(0);
            match there {
                0 => "none".to_owned(),
                1 => show(interface, value, bytes),
                other => format!("?{other}"),
            }
        }
    }
}

/// The bytes behind a length; the length if it is above its limit.
fn counted(bytes: &[u8], max: u32) -> Result<&[u8], u64> {
    let size = match max {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    let length = number(bytes, size);
    let fits = length <= u64::from(max);
    let rest = bytes.get(size as usize..).unwrap_or(&[]);
    let found = rest.get(..usize::try_from(length).unwrap_or(usize::MAX));
    found.filter(|_| fits).ok_or(length)
}

fn flags(interface: &Interface, name: &Reference, value: u64) -> String {
    let Some(TypeDef::Flags(flags)) = interface.type_def(name) else {
        return format!("?{value:#x}");
    };
    let mut rest = value;
    let mut names = Vec::new();
    for member in &flags.members {
        // Names of several bits say nothing that those of one do not.
        if member.value.count_ones() == 1 && value & member.value != 0 {
            names.push(member.info.name.clone());
            rest &= !member.value;
        }
    }
    if rest != 0 || names.is_empty() {
        names.push(if rest == 0 {
            "0".to_owned()
        } else {
            format!("?{rest:#x}")
        });
    }
    names.join(" | ")
}
