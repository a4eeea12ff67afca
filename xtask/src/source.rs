//! Source text as figures: lines of code and uses of `unsafe`, comments and tests aside.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Lines with code on them, without what is compiled for tests or with a feature only.
    pub(crate) code_lines: usize,
    /// Occurrences of the keyword `unsafe`, anywhere.
    pub(crate) unsafe_words: usize,
    /// Modules in files of their own that are compiled for tests or with a feature only.
    pub(crate) optional_modules: Vec<String>,
}

/// Reads a file of Rust (`.rs`) or assembly (`.s`).
pub(crate) fn figures(path: &Path) -> Result<Figures> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path.extension().is_some_and(|extension| extension == "s") {
        return Ok(Figures {
            code_lines: assembly_lines(&text),
            ..Figures::default()
        });
    }
    rust(&text).with_context(|| format!("{} is not Rust", path.display()))
}

fn rust(text: &str) -> Result<Figures> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let mut walk = Walk::default();
    walk.tokens(tokens, true);
    Ok(Figures {
        code_lines: walk.lines.len(),
        unsafe_words: walk.unsafe_words,
        optional_modules: walk.optional_modules,
    })
}

/// What was found so far.
#[derive(Default)]
struct Walk {
    lines: BTreeSet<usize>,
    unsafe_words: usize,
    optional_modules: Vec<String>,
}

impl Walk {
    /// Goes through `tokens`, whose lines count if they are `counted`.
    fn tokens(&mut self, tokens: TokenStream, counted: bool) {
        let mut tokens = tokens.into_iter().peekable();
        // Set by an attribute until the end of the item that it is on.
        let mut optional = false;
        let mut after_mod = false;
        while let Some(token) = tokens.next() {
            if let TokenTree::Punct(hash) = &token
                && hash.as_char() == '#'
            {
                let inner = tokens.next_if(|t| is_punct(t, '!')).is_some();
                if let Some(attribute) = tokens.next_if(is_bracketed) {
                    let text = attribute.to_string().replace(' ', "");
                    let conditions = ["[cfg(test)", "[cfg(any(test,", "[cfg(feature="];
                    optional |= !inner && conditions.iter().any(|start| text.starts_with(start));
                    self.unsafe_words += usize::from(text.starts_with("[unsafe("));
                    // Doc comments arrive as attributes.
                    if counted && !optional && !text.starts_with("[doc=") {
                        self.note(&token);
                        self.note(&attribute);
                    }
                    continue;
                }
            }
            let counts = counted && !optional;
            if counts {
                self.note(&token);
            }
            let ends_item = is_punct(&token, ';')
                || matches!(&token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
            if let TokenTree::Ident(word) = &token {
                self.unsafe_words += usize::from(*word == "unsafe");
                if after_mod && optional && tokens.peek().is_some_and(|t| is_punct(t, ';')) {
                    self.optional_modules.push(word.to_string());
                }
                after_mod = *word == "mod";
            }
            if let TokenTree::Group(group) = token {
                self.tokens(group.stream(), counts);
            }
            optional &= !ends_item;
        }
    }

    /// Notes the lines on which `token` begins and ends (of a group, its delimiters), and all lines
    /// of a literal, which may be assembly.
    fn note(&mut self, token: &TokenTree) {
        let (start, end) = (token.span().start().line, token.span().end().line);
        match token {
            TokenTree::Literal(_) => self.lines.extend(start..=end),
            _ => self.lines.extend([start, end]),
        }
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_bracketed(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
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
#[cfg(any(test, feature = "host"))]
pub mod host;
const LAST: u32 = 1;
#[cfg(feature = "tool")]
mod apart;
"##;
        let figures = rust(text).expect("Rust");
        let Figures {
            code_lines,
            unsafe_words,
            optional_modules,
        } = figures;
        assert_eq!((code_lines, unsafe_words), (7, 1));
        assert_eq!(optional_modules, ["host", "apart"]);
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
