//! Source text as figures: lines of code and uses of `unsafe`, comments and tests aside.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Lines with code on them, outside `#[cfg(test)]`.
    pub(crate) code_lines: usize,
    /// Occurrences of the keyword `unsafe`, anywhere.
    pub(crate) unsafe_words: usize,
}

/// Reads a file of Rust (`.rs`) or assembly (`.s`).
pub(crate) fn figures(path: &Path) -> Result<Figures> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path.extension().is_some_and(|extension| extension == "s") {
        return Ok(Figures {
            code_lines: assembly_lines(&text),
            unsafe_words: 0,
        });
    }
    rust(&text).with_context(|| format!("{} is not Rust", path.display()))
}

fn rust(text: &str) -> Result<Figures> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let (mut lines, mut unsafe_words) = (BTreeSet::new(), 0);
    walk(tokens, true, &mut lines, &mut unsafe_words);
    Ok(Figures {
        code_lines: lines.len(),
        unsafe_words,
    })
}

/// Notes the lines of `tokens` if they are `counted`, and every `unsafe`.
fn walk(tokens: TokenStream, counted: bool, lines: &mut BTreeSet<usize>, unsafe_words: &mut usize) {
    let mut tokens = tokens.into_iter().peekable();
    // Set by `#[cfg(test)]` until the end of the item that it is on.
    let mut test_item = false;
    while let Some(token) = tokens.next() {
        if let TokenTree::Punct(hash) = &token
            && hash.as_char() == '#'
        {
            let inner = tokens.next_if(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == '!'));
            if let Some(attribute) = tokens.next_if(is_bracketed) {
                let text = attribute.to_string().replace(' ', "");
                // Doc comments arrive as attributes.
                let comment = text.starts_with("[doc=");
                test_item |= inner.is_none() && text.starts_with("[cfg(test)");
                if counted && !test_item && !comment {
                    note(&token, lines);
                    note(&attribute, lines);
                }
                *unsafe_words += usize::from(text.starts_with("[unsafe("));
                continue;
            }
        }
        let ends_item = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Ident(word) => {
                *unsafe_words += usize::from(*word == "unsafe");
                false
            }
            TokenTree::Literal(_) => false,
        };
        let counts = counted && !test_item;
        if counts {
            note(&token, lines);
        }
        if let TokenTree::Group(group) = token {
            walk(group.stream(), counts, lines, unsafe_words);
        }
        test_item &= !ends_item;
    }
}

fn is_bracketed(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

/// Notes the lines on which `token` begins and ends (of a group, its delimiters), and all lines of
/// a literal, which may be assembly.
fn note(token: &TokenTree, lines: &mut BTreeSet<usize>) {
    let (start, end) = (token.span().start().line, token.span().end().line);
    match token {
        TokenTree::Literal(_) => lines.extend(start..=end),
        _ => lines.extend([start, end]),
    }
}

/// Lines of GNU assembly that hold more than comments.
fn assembly_lines(text: &str) -> usize {
    let mut in_comment = false;
    let has_code = |line: &str| {
        let mut rest = line;
        let mut code = false;
        loop {
            if in_comment {
                match rest.split_once("*/") {
                    Some((_, after)) => (in_comment, rest) = (false, after),
                    None => return code,
                }
            } else {
                let line_end = rest.find("//").unwrap_or(rest.len());
                match rest.get(..line_end).and_then(|part| part.split_once("/*")) {
                    Some((before, _)) => {
                        code |= !before.trim().is_empty();
                        in_comment = true;
                        rest = rest.get(before.len() + 2..).unwrap_or("");
                    }
                    None => {
                        return code || rest.get(..line_end).is_some_and(|p| !p.trim().is_empty());
                    }
                }
            }
        }
    };
    text.lines().map(has_code).filter(|&code| code).count()
}

#[cfg(test)]
mod tests {
    use super::{Figures, assembly_lines, rust};

    #[test]
    fn comments_tests_and_blank_lines_are_no_code() {
        let text = r##"
//! About the module.

/// About the function.
#[must_use] // counts
pub fn f() -> u32 {
    // a comment
    /* another
       one */
    let text = "// no comment
        second line";
    text.len() as u32 // three lines so far, and this
}

#[cfg(test)]
use std::vec::Vec;

#[cfg(test)]
mod tests {
    #[test]
    fn t() { let _ = unsafe { 1 }; }
}
const LAST: u32 = 1;
"##;
        let figures = rust(text).expect("Rust");
        assert_eq!(
            figures,
            Figures {
                code_lines: 7,
                unsafe_words: 1
            }
        );
    }

    #[test]
    fn unsafe_is_the_keyword_and_not_a_part_of_a_word() {
        let text =
            "#![forbid(unsafe_code)]\n#[unsafe(no_mangle)] fn f() {}\nunsafe fn g() {}\n// unsafe";
        assert_eq!(rust(text).expect("Rust").unsafe_words, 2);
    }

    #[test]
    fn assembly_comments_are_no_code() {
        let text = "// head\n\n  mov x0, x1 // move\n/* a\n b */ ret\n/* c */\n.balign 4\n";
        assert_eq!(assembly_lines(text), 3);
    }
}
