//! Documentation, which in tokens is an attribute.

use proc_macro2::TokenTree;

/// The text of `doc = "…"`, if it can be a comment.
pub(super) fn comment(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(_),
            TokenTree::Literal(text),
        ] if name == "doc" => {
            unescaped(&text.to_string()).filter(|text| !text.contains(['\n', '\r']))
        }
        _ => None,
    }
}

/// The value of a literal text.
fn unescaped(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut text = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let escaped = match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'x' => {
                let (digits, behind) = rest.as_str().split_at_checked(2)?;
                rest = behind.chars();
                char::from(u8::from_str_radix(digits, 16).ok()?)
            }
            'u' => {
                let (digits, behind) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                rest = behind.chars();
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            plain => plain,
        };
        text.push(escaped);
    }
    Some(text)
}
