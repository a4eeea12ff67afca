//! A C header per package: the same numbers and the same layout.
//!
//! The parameters of a message are a structure whose fields stand in the order
//! of their offsets; because they are packed by falling alignment, C lays it out
//! the same way, and `_Static_assert` holds it to that. Clients copy it to
//! `data_words`.

use std::fmt::Write as _;

use super::{Output, banner};
use crate::ir::{
    Carried, ConstantType, Enum, Flags, Info, Interface, Message, Method, Package, Param, Protocol,
    Reference, Type, TypeDef, TypeKind, Value,
};
use crate::layout::count_size;
use crate::names::{C_KEYWORDS, snake};

/// The header of a package.
#[must_use]
pub fn emit(interface: &Interface, package: &Package) -> Output {
    let header = Header { interface, package };
    let mut out = format!("/* {} */\n", banner(package));
    comment(&mut out, "", &package.docs);
    let guard = format!(
        "GRITOS_IDL_{}_H",
        package.name.replace('.', "_").to_uppercase()
    );
    let _ = write!(
        out,
        "#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n#include <stdint.h>\n"
    );
    for import in &package.imports {
        let _ = writeln!(out, "#include \"{import}.h\"");
    }
    out.push_str(
        "\n#ifdef __cplusplus\nextern \"C\" {\n#define GRITOS_IDL_ASSERT static_assert\n#else\n",
    );
    out.push_str("#define GRITOS_IDL_ASSERT _Static_assert\n#endif\n");
    header.constants(&mut out);
    for def in &package.types {
        header.type_def(&mut out, def);
    }
    for protocol in &package.protocols {
        header.protocol(&mut out, protocol);
    }
    out.push_str("\n#undef GRITOS_IDL_ASSERT\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
    Output::new(format!("{}.h", package.name), out)
}

struct Header<'a> {
    interface: &'a Interface,
    package: &'a Package,
}

impl Header<'_> {
    fn prefix(&self) -> &str {
        &self.package.c_prefix
    }

    fn constants(&self, out: &mut String) {
        for constant in &self.package.constants {
            out.push('\n');
            info_comment(out, "", &constant.info);
            let value = match (&constant.value, constant.ty) {
                (Value::Bool(value), _) => u8::from(*value).to_string(),
                (Value::Text(text), _) => quoted(text),
                (Value::Int(value), ConstantType::Int(int)) => {
                    integer(*value, int.bits, int.signed)
                }
                (Value::Int(value), _) => value.to_string(),
            };
            let _ = writeln!(
                out,
                "#define {}_{} {value}",
                self.prefix(),
                constant.info.name
            );
        }
    }

    fn type_def(&self, out: &mut String, def: &TypeDef) {
        out.push('\n');
        info_comment(out, "", def.info());
        let name = self.type_name(&Reference {
            package: self.package.name.clone(),
            name: def.info().name.clone(),
        });
        match def {
            TypeDef::Enum(Enum {
                info,
                base,
                members,
                ..
            })
            | TypeDef::Flags(Flags {
                info,
                base,
                members,
                ..
            }) => {
                let _ = writeln!(out, "typedef uint{}_t {name};", base.bits);
                for member in members {
                    info_comment(out, "", &member.info);
                    let value = integer(i128::from(member.value), base.bits, false);
                    let group = snake(&info.name).to_uppercase();
                    // `FsError` in package `fs` is FS_ERROR, not FS_FS_ERROR.
                    let group = group
                        .strip_prefix(&format!("{}_", self.prefix()))
                        .unwrap_or(&group);
                    let _ = writeln!(
                        out,
                        "#define {}_{group}_{} (({name}){value})",
                        self.prefix(),
                        member.info.name
                    );
                }
            }
            TypeDef::Struct(s) => {
                out.push_str("typedef struct {\n");
                for field in &s.fields {
                    info_comment(out, "    ", &field.info);
                    let _ = writeln!(
                        out,
                        "    {};",
                        self.declare(&field.ty, &c_name(&field.info.name))
                    );
                }
                let _ = writeln!(
                    out,
                    "}} {name};\nGRITOS_IDL_ASSERT(sizeof({name}) == {}, \"layout of {name}\");",
                    s.size
                );
            }
            TypeDef::Union(u) => {
                out.push_str("typedef struct {\n    uint8_t which;\n    union {\n");
                for variant in &u.variants {
                    info_comment(out, "        ", &variant.info);
                    let _ = writeln!(
                        out,
                        "        {};",
                        self.declare(&variant.ty, &c_name(&variant.info.name))
                    );
                }
                let _ = writeln!(
                    out,
                    "    }} as;\n}} {name};\nGRITOS_IDL_ASSERT(sizeof({name}) == {}, \"layout of {name}\");",
                    u.size
                );
                for variant in &u.variants {
                    let group = snake(&u.info.name).to_uppercase();
                    let _ = writeln!(
                        out,
                        "#define {}_{group}_{} {}",
                        self.prefix(),
                        variant.info.name.to_uppercase(),
                        variant.number
                    );
                }
            }
        }
    }

    fn protocol(&self, out: &mut String, protocol: &Protocol) {
        out.push('\n');
        info_comment(out, "", &protocol.info);
        let upper = snake(&protocol.info.name).to_uppercase();
        for right in &protocol.rights {
            info_comment(out, "", &right.info);
            let _ = writeln!(
                out,
                "#define {}_{upper}_RIGHT_{} UINT32_C({:#x})",
                self.prefix(),
                right.info.name,
                right.value
            );
        }
        for event in &protocol.events {
            info_comment(out, "", &event.info);
            let _ = writeln!(
                out,
                "#define {}_{upper}_EVENT_{} UINT64_C({:#x})",
                self.prefix(),
                event.info.name,
                event.value
            );
        }
        for method in &protocol.methods {
            self.method(out, protocol, method);
        }
    }

    fn method(&self, out: &mut String, protocol: &Protocol, method: &Method) {
        out.push('\n');
        let mut lines = method.info.docs.clone();
        for (what, message) in [("Request", &method.request), ("Response", &method.response)] {
            let caps: Vec<_> = message
                .params
                .iter()
                .filter_map(|param| match &param.carried {
                    Carried::Cap { slot, .. } | Carried::Buffer { slot, .. } => {
                        Some(format!("{slot} {}", param.info.name))
                    }
                    Carried::Data { .. } => None,
                })
                .collect();
            if message.words > 0 || !caps.is_empty() {
                let caps = if caps.is_empty() {
                    String::new()
                } else {
                    format!("; capability slots: {}", caps.join(", "))
                };
                lines.push(format!("{what}: {} words{caps}.", message.words));
            }
        }
        comment(out, "", &lines);
        let _ = writeln!(
            out,
            "#define {} UINT64_C({:#x})",
            method.c_name, method.ordinal
        );
        let base = format!(
            "{}_{}_{}",
            self.prefix().to_lowercase(),
            snake(&protocol.info.name),
            method.info.name
        );
        self.message(out, &format!("{base}_request_t"), &method.request);
        self.message(out, &format!("{base}_response_t"), &method.response);
    }

    fn message(&self, out: &mut String, name: &str, message: &Message) {
        if message.words == 0 {
            return;
        }
        let mut fields: Vec<(u32, String)> = Vec::new();
        for param in &message.params {
            self.message_field(param, &mut fields);
        }
        fields.sort();
        out.push_str("typedef struct {\n");
        for (_, field) in &fields {
            let _ = writeln!(out, "    {field};");
        }
        let _ = writeln!(out, "}} {name};");
        let _ = writeln!(
            out,
            "GRITOS_IDL_ASSERT(sizeof({name}) <= {}, \"layout of {name}\");",
            message.words * 8
        );
        for param in &message.params {
            let (Carried::Data { offset, .. } | Carried::Buffer { offset, .. }) = &param.carried
            else {
                continue;
            };
            let field = match &param.carried {
                Carried::Buffer { .. } => format!("{}_offset", param.info.name),
                _ => c_name(&param.info.name),
            };
            let _ = writeln!(
                out,
                "GRITOS_IDL_ASSERT(offsetof({name}, {field}) == {offset}, \"layout of {name}\");"
            );
        }
    }

    fn message_field(&self, param: &Param, fields: &mut Vec<(u32, String)>) {
        let name = &param.info.name;
        match &param.carried {
            Carried::Data { ty, offset } => fields.push((*offset, self.declare(ty, &c_name(name)))),
            Carried::Buffer { offset, .. } => {
                fields.push((*offset, format!("uint64_t {name}_offset")));
                fields.push((*offset + 8, format!("uint64_t {name}_length")));
            }
            Carried::Cap { .. } => {}
        }
    }

    /// A declaration of something of a type.
    fn declare(&self, ty: &Type, name: &str) -> String {
        match &ty.kind {
            TypeKind::Bool => format!("uint8_t {name}"),
            TypeKind::Int(int) => format!(
                "{}int{}_t {name}",
                if int.signed { "" } else { "u" },
                int.bits
            ),
            TypeKind::Enum { name: of, .. }
            | TypeKind::Flags { name: of, .. }
            | TypeKind::Struct { name: of }
            | TypeKind::Union { name: of } => format!("{} {name}", self.type_name(of)),
            TypeKind::Array { element, length } => {
                self.declare(element, &format!("{name}[{length}]"))
            }
            TypeKind::Text { max } => {
                format!(
                    "struct {{ uint{}_t length; char bytes[{max}]; }} {name}",
                    count_size(*max) * 8
                )
            }
            TypeKind::Bytes { max } => {
                format!(
                    "struct {{ uint{}_t length; uint8_t bytes[{max}]; }} {name}",
                    count_size(*max) * 8
                )
            }
            TypeKind::Optional { value } => {
                format!(
                    "struct {{ {}; uint8_t present; }} {name}",
                    self.declare(value, "value")
                )
            }
        }
    }

    fn type_name(&self, reference: &Reference) -> String {
        let prefix = self
            .interface
            .package(&reference.package)
            .map_or("", |package| package.c_prefix.as_str());
        let (prefix, name) = (prefix.to_lowercase(), snake(&reference.name));
        let name = name
            .strip_prefix(&format!("{prefix}_"))
            .unwrap_or(&name)
            .to_owned();
        format!("{prefix}_{name}_t")
    }
}

fn c_name(name: &str) -> String {
    if C_KEYWORDS.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}

fn integer(value: i128, bits: u32, signed: bool) -> String {
    let macro_name = format!("{}INT{bits}_C", if signed { "" } else { "U" });
    if value < 0 {
        format!("(-{macro_name}({}) - 1)", -(value + 1))
    } else {
        format!("{macro_name}({value})")
    }
}

/// A text as a C literal; whatever is not plain ASCII as octal escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out += &format!("\\{byte:03o}"),
        }
    }
    out + "\""
}

fn info_comment(out: &mut String, margin: &str, info: &Info) {
    let mut lines = info.docs.clone();
    lines.extend(
        info.deprecated
            .as_ref()
            .map(|note| format!("Deprecated: {note}")),
    );
    comment(out, margin, &lines);
}

fn comment(out: &mut String, margin: &str, lines: &[String]) {
    let lines: Vec<_> = lines.iter().map(|line| line.replace("*/", "* /")).collect();
    match lines.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(out, "{margin}/* {one} */");
        }
        [first, rest @ ..] => {
            let _ = writeln!(out, "{margin}/* {first}");
            for line in rest {
                let _ = writeln!(out, "{}", format!("{margin} * {line}").trim_end());
            }
            let _ = writeln!(out, "{margin} */");
        }
    }
}
