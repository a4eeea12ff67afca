//! Spelling: which style a name must have, and how it turns into another.

/// The style of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `LikeThis`: types, protocols, servers.
    Camel,
    /// `like_this`: fields, parameters, methods, packages.
    Snake,
    /// `LIKE_THIS`: constants, members, rights, events.
    Upper,
}

impl Style {
    /// An example of itself.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Camel => "LikeThis",
            Self::Snake => "like_this",
            Self::Upper => "LIKE_THIS",
        }
    }

    /// Whether `name` is written in this style.
    #[must_use]
    pub fn fits(self, name: &str) -> bool {
        let tidy = !name.ends_with('_') && !name.contains("__");
        let first = name.chars().next().unwrap_or('_');
        match self {
            Self::Camel => {
                // `A` and `S0` are both styles; `IPV4` is not this one.
                let capitals = name.chars().filter(char::is_ascii_uppercase).count();
                first.is_ascii_uppercase()
                    && !name.contains('_')
                    && (capitals == 1 || has_lower(name))
            }
            Self::Snake => tidy && first.is_ascii_lowercase() && !has_upper(name),
            Self::Upper => tidy && first.is_ascii_uppercase() && !has_lower(name),
        }
    }

    /// `name` in this style.
    #[must_use]
    pub fn convert(self, name: &str) -> String {
        match self {
            Self::Camel => camel(name),
            Self::Snake => snake(name),
            Self::Upper => snake(name).to_uppercase(),
        }
    }
}

fn has_lower(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_lowercase())
}

fn has_upper(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_uppercase())
}

/// `NOT_FOUND`, `not_found` → `NotFound`.
#[must_use]
pub fn camel(name: &str) -> String {
    if !name.contains('_') && has_lower(name) && has_upper(name) {
        return name[..1].to_uppercase() + &name[1..];
    }
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(|part| part[..1].to_uppercase() + &part[1..].to_lowercase())
        .collect()
}

/// `NotFound`, `NOT_FOUND` → `not_found`.
#[must_use]
pub fn snake(name: &str) -> String {
    if !has_lower(name) || !has_upper(name) {
        let lower = name.to_lowercase();
        return lower
            .split('_')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("_");
    }
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower =
            i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
        let before_lower = i > 0
            && chars[i - 1].is_ascii_uppercase()
            && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (after_lower || before_lower) && !out.ends_with('_') {
            out.push('_');
        }
        if *c != '_' || !out.is_empty() && !out.ends_with('_') {
            out.push(c.to_ascii_lowercase());
        }
    }
    out.trim_end_matches('_').to_owned()
}

/// Words that no Rust identifier can be, not even as `r#word`.
pub const UNUSABLE: [&str; 4] = ["self", "super", "crate", "Self"];

/// Names that generated code takes from Rust's prelude.
pub const PRELUDE: [&str; 16] = [
    "Option",
    "Some",
    "None",
    "Result",
    "Ok",
    "Err",
    "Default",
    "Clone",
    "Copy",
    "Debug",
    "PartialEq",
    "Eq",
    "From",
    "Into",
    "Sized",
    "FnOnce",
];

/// Names of built-in types.
pub const BUILT_IN: [&str; 13] = [
    "bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "string", "bytes", "cap",
    "buffer",
];

/// Keywords of Rust that need `r#` as an identifier.
pub const RUST_KEYWORDS: [&str; 49] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield", "union",
];

/// Keywords of C (and C++) that need a trailing `_` as an identifier.
pub const C_KEYWORDS: [&str; 66] = [
    "auto",
    "break",
    "case",
    "char",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "float",
    "for",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "void",
    "volatile",
    "while",
    "bool",
    "true",
    "false",
    "class",
    "delete",
    "new",
    "this",
    "template",
    "private",
    "public",
    "protected",
    "virtual",
    "operator",
    "namespace",
    "using",
    "friend",
    "try",
    "catch",
    "throw",
    "typename",
    "and",
    "or",
    "not",
    "xor",
    "bitand",
    "bitor",
    "compl",
    "asm",
    "export",
    "explicit",
    "mutable",
    "constexpr",
];

#[cfg(test)]
mod tests {
    use super::{Style, camel, snake};

    #[test]
    fn names_turn_into_each_other() {
        for (camel_form, snake_form) in [
            ("NotFound", "not_found"),
            ("Ipv4Addr", "ipv4_addr"),
            ("A", "a"),
        ] {
            assert_eq!(camel(snake_form), camel_form);
            assert_eq!(snake(camel_form), snake_form);
            assert_eq!(camel(&snake_form.to_uppercase()), camel_form);
            assert_eq!(snake(&snake_form.to_uppercase()), snake_form);
        }
        assert_eq!(snake("HTTPServer"), "http_server");
        assert_eq!(camel("fooBar"), "FooBar");
    }

    #[test]
    fn styles_are_told_apart() {
        assert!(
            Style::Camel.fits("Ipv4Addr")
                && !Style::Camel.fits("ipv4")
                && !Style::Camel.fits("IPV4")
        );
        assert!(Style::Snake.fits("path_length") && !Style::Snake.fits("pathLength"));
        assert!(Style::Upper.fits("NOT_FOUND") && !Style::Upper.fits("NotFound"));
        for style in [Style::Camel, Style::Snake, Style::Upper] {
            for name in ["some_name", "SomeName", "SOME_NAME", "some__Name_", "ab1C2"] {
                assert!(
                    style.fits(&style.convert(name)),
                    "{style:?} {name} {}",
                    style.convert(name)
                );
            }
        }
    }
}
