//! Tokens as laid-out text.
//!
//! Emitters make tokens, which carry neither spaces nor lines. Here they are
//! read into [`Run`]s, lines of which those that are too long can be broken at
//! their groups, and written by [`write`](mod@write). It knows the part of Rust that the emitters
//! use; that what it writes is those tokens again is tested on all that is generated.

mod doc;
mod read;
mod write;

use proc_macro2::TokenStream;

/// The text of a file.
pub(super) fn print(code: TokenStream) -> String {
    #[cfg(test)]
    let expected = tests::words(code.clone());
    let text = write::file(&read::runs(code.into_iter().collect(), Kind::Items));
    #[cfg(test)]
    tests::assert_same(&expected, &text);
    text
}

/// Longest line, unless it cannot be broken.
const WIDTH: usize = 100;

/// One more level.
const INDENT: usize = 4;

/// What is in a group, and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Items, with blank lines between them.
    Items,
    /// Statements.
    Statements,
    /// A body that is one expression may stay on its line.
    Closure,
    /// Fields or variants, each on a line.
    Fields,
    /// Arms of a `match`.
    Arms,
    /// Arguments, elements, names: on one line if they fit.
    List,
}

impl Kind {
    /// Whether commas separate its runs.
    const fn has_commas(self) -> bool {
        matches!(self, Self::Fields | Self::Arms | Self::List)
    }

    /// Whether it is never written on one line.
    const fn is_always_broken(self) -> bool {
        matches!(
            self,
            Self::Items | Self::Statements | Self::Fields | Self::Arms
        )
    }
}

/// What is written on one line if it fits: an item, a statement, an argument.
#[derive(Debug, Default)]
struct Run {
    pieces: Vec<Piece>,
    /// Characters on one line.
    width: usize,
    /// Whether something in it is never written on one line.
    broken: bool,
    /// A doc comment or an attribute, which belongs to the run behind it.
    attribute: bool,
    /// How many calls of methods are chained in it.
    links: usize,
}

/// A part of a run.
#[derive(Debug)]
enum Piece {
    /// Text that stays together, spaces included.
    Text(String),
    /// A space, or a new line, before an operator.
    Operator,
    /// Nothing, or a new line, before a call of a method.
    Link,
    /// Something in brackets.
    Group(Group),
}

/// Something in brackets.
#[derive(Debug)]
struct Group {
    open: &'static str,
    close: &'static str,
    kind: Kind,
    runs: Vec<Run>,
    /// Characters on one line, brackets included.
    width: usize,
    /// Whether it is never written on one line.
    broken: bool,
    /// Whether a comma behind the last element is no change.
    trailing: bool,
    /// Whether there are spaces inside of the brackets.
    padded: bool,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proc_macro2::{Delimiter, TokenStream, TokenTree};
    use quote::quote;

    use super::print;
    use crate::codegen::generated;

    /// Tokens one by one, without commas that may stand behind the last element.
    pub(super) fn words(stream: TokenStream) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut braces = false;
        for token in stream {
            let closes =
                matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            match token {
                TokenTree::Group(group) => {
                    words.push(format!("{:?}", group.delimiter()));
                    words.extend(words_inside(group.stream()));
                    words.push("end".to_owned());
                }
                // Behind the body of an arm a comma may stand or not.
                TokenTree::Punct(punct) if punct.as_char() == ',' && braces => {}
                TokenTree::Punct(punct) => words.push(punct.as_char().to_string()),
                other => words.push(other.to_string()),
            }
            braces = closes;
        }
        words
    }

    fn words_inside(stream: TokenStream) -> Vec<String> {
        let mut inside = words(stream);
        if inside.last().is_some_and(|last| last == ",") {
            inside.pop();
        }
        inside
    }

    pub(super) fn assert_same(expected: &[String], text: &str) {
        let found = words(text.parse().expect("what is printed has tokens"));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_printed_for_the_tree_is_what_was_made() {
        let files = generated(Path::new("..")).expect("the interfaces are correct");
        assert!(files.len() > 30);
    }

    #[test]
    fn what_is_long_is_broken_and_what_fits_is_not() {
        let code = quote! {
            fn f(a: u8) -> &'static [u8] { if a > 1 { return &[]; } g(a).map(|x| -x) }
            #[doc = " Says \"it\"."]
            pub(crate) fn long_name(first_parameter: u64, second_parameter: Option<&mut u64>, third: [u8; 4]) -> Result<(), E> {
                let x = first_parameter.method_with_long_name(1 << 2).and_then(|value| other_function(value)).map_err(Error::Call)?;
                match x { 1 | 2 => {} 3..=4 => { a(); b() } _ => return Err(Error::Unknown { number: x, ..base }), }
            }
        };
        let expected = "\
fn f(a: u8) -> &'static [u8] {
    if a > 1 {
        return &[];
    }
    g(a).map(|x| -x)
}

/// Says \"it\".
pub(crate) fn long_name(
    first_parameter: u64,
    second_parameter: Option<&mut u64>,
    third: [u8; 4],
) -> Result<(), E> {
    let x = first_parameter
        .method_with_long_name(1 << 2)
        .and_then(|value| other_function(value))
        .map_err(Error::Call)?;
    match x {
        1 | 2 => {}
        3..=4 => {
            a();
            b()
        }
        _ => return Err(Error::Unknown { number: x, ..base }),
    }
}
";
        assert_eq!(print(code), expected);
    }
}
