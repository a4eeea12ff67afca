//! Tokens into runs.

use std::vec::IntoIter;

use proc_macro2::{Delimiter, Spacing, TokenTree};

use super::{Group, Kind, Piece, Run, doc};

/// Reads what is in a group of some kind.
pub(super) fn runs(tokens: Vec<TokenTree>, kind: Kind) -> Vec<Run> {
    let mut reader = Reader {
        tokens: tokens.into_iter(),
        kind,
        done: Vec::new(),
        line: Line::default(),
    };
    reader.read();
    reader.done
}

/// What stands before the next token, as far as spaces depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// Nothing.
    #[default]
    Start,
    /// A name, a literal, a group: something that an operator may follow.
    Operand,
    /// A keyword that something follows.
    Keyword,
    /// What takes no space behind it.
    Tight,
    /// What takes one.
    Spaced,
}

/// The run that is being read.
#[derive(Default)]
struct Line {
    run: Run,
    text: String,
    before: Before,
    /// What the next braces are, if a word before them says so.
    braces: Option<Kind>,
    /// Whether braces end the run: an item, or a statement such as `if`.
    ends: bool,
    /// Whether a word other than those that may open any item was seen.
    worded: bool,
    /// Open angle brackets.
    angles: u32,
    /// Whether parameters of a closure are open.
    closure: bool,
    /// Whether the last token was `=>`.
    arrow: bool,
}

impl Line {
    /// Adds a token behind a space, if what stands before takes one.
    fn word(&mut self, text: &str, after: Before) {
        if !matches!(self.before, Before::Start | Before::Tight) {
            self.text.push(' ');
        }
        self.tight(text, after);
    }

    /// Adds a token without a space before it.
    fn tight(&mut self, text: &str, after: Before) {
        self.text.push_str(text);
        self.before = after;
    }

    /// Ends the text before another kind of piece.
    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.run.width += text.chars().count();
            self.run.pieces.push(Piece::Text(text));
        }
    }

    fn is_operand(&self) -> bool {
        self.before == Before::Operand
    }
}

struct Reader {
    tokens: IntoIter<TokenTree>,
    kind: Kind,
    done: Vec<Run>,
    line: Line,
}

impl Reader {
    fn read(&mut self) {
        while let Some(token) = self.tokens.next() {
            let arrow = std::mem::take(&mut self.line.arrow);
            match token {
                TokenTree::Ident(ident) => self.name(&ident.to_string()),
                TokenTree::Literal(literal) => {
                    self.line.word(&literal.to_string(), Before::Operand);
                }
                TokenTree::Punct(punct) => {
                    let operator = self.operator(punct.as_char(), punct.spacing());
                    self.punctuation(&operator);
                }
                TokenTree::Group(group) => self.group(group.delimiter(), contents(group), arrow),
            }
        }
        self.end();
    }

    fn end(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        line.flush();
        if !line.run.pieces.is_empty() {
            self.done.push(line.run);
        }
    }

    fn name(&mut self, name: &str) {
        let braces = match name {
            "impl" | "trait" | "mod" => Some(Kind::Items),
            "fn" | "if" | "while" | "loop" | "unsafe" => Some(Kind::Statements),
            "else" if self.line.ends => Some(Kind::Statements),
            "else" => Some(Kind::Closure),
            "struct" | "enum" => Some(Kind::Fields),
            "match" => Some(Kind::Arms),
            "use" => Some(Kind::List),
            _ => None,
        };
        let line = &mut self.line;
        if !line.worded && !matches!(name, "pub" | "const" | "default") {
            line.worded = true;
            line.ends = braces.is_some() && name != "use";
        }
        // A branch of an expression may stay on its line.
        let inner = name == "if" && !line.ends;
        match braces {
            // The bound `impl Trait` of a parameter is no item.
            _ if line.braces.is_some() && name != "match" => {}
            Some(_) if inner => line.braces = Some(Kind::Closure),
            Some(kind) => line.braces = Some(kind),
            None => {}
        }
        let keyword = matches!(
            name,
            "as" | "const"
                | "dyn"
                | "else"
                | "for"
                | "if"
                | "impl"
                | "in"
                | "let"
                | "match"
                | "move"
                | "mut"
                | "ref"
                | "return"
                | "use"
                | "where"
                | "while"
        );
        let lifetime = line.text.ends_with('\'');
        line.word(
            name,
            if keyword || lifetime {
                Before::Keyword
            } else {
                Before::Operand
            },
        );
    }

    /// The longest operator that begins here.
    fn operator(&mut self, first: char, mut spacing: Spacing) -> String {
        const KNOWN: [&str; 17] = [
            "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "..", "..=", "<<", ">>", "|=",
            "&=", "+=", "-=",
        ];
        let mut operator = first.to_string();
        while let (Spacing::Joint, Some(TokenTree::Punct(next))) = (spacing, self.next()) {
            let mut longer = operator.clone();
            longer.push(next.as_char());
            // Two brackets that close are no shift, two that open neither.
            let brackets = match longer.as_str() {
                ">>" | ">=" => self.line.angles > 0,
                "<<" => !self.line.is_operand(),
                _ => false,
            };
            if brackets || !KNOWN.contains(&longer.as_str()) {
                break;
            }
            spacing = next.spacing();
            operator = longer;
            self.tokens.next();
        }
        operator
    }

    fn punctuation(&mut self, operator: &str) {
        let line = &mut self.line;
        match operator {
            "#" if line.before == Before::Start => self.attribute(),
            "," if line.angles == 0 && !line.closure && self.kind.has_commas() => self.end(),
            "," => line.tight(",", Before::Spaced),
            ";" if matches!(self.kind, Kind::Items | Kind::Statements | Kind::Closure) => {
                line.tight(";", Before::Start);
                self.end();
            }
            ";" | ":" => line.tight(operator, Before::Spaced),
            "?" => line.tight("?", Before::Operand),
            "." => self.dot(),
            "::" if line.is_operand() => line.tight("::", Before::Tight),
            ".." | "..=" if line.is_operand() => line.tight(operator, Before::Tight),
            "::" | ".." | "'" => line.word(operator, Before::Tight),
            "<" => {
                line.angles += 1;
                if line.is_operand()
                    || line.before == Before::Keyword && line.text.ends_with("impl")
                {
                    line.tight("<", Before::Tight);
                } else {
                    line.word("<", Before::Tight);
                }
            }
            ">" if line.angles > 0 => {
                line.angles -= 1;
                line.tight(">", Before::Operand);
            }
            "!" if line.is_operand() => {
                line.tight("!", Before::Operand);
                line.braces = Some(Kind::Items);
                line.ends = true;
            }
            "|" if line.closure => {
                line.closure = false;
                line.tight("|", Before::Spaced);
            }
            "|" if !line.is_operand() => {
                line.closure = true;
                line.word("|", Before::Tight);
            }
            "|" | "||" | "&&" if line.is_operand() => {
                line.flush();
                line.run.width += 1;
                line.run.pieces.push(Piece::Operator);
                line.tight(operator, Before::Spaced);
            }
            "&" | "&&" | "*" | "-" | "!" if !line.is_operand() => {
                line.word(operator, Before::Tight)
            }
            _ => {
                line.arrow = operator == "=>";
                // What returns a value has a body.
                if operator == "->" && line.braces.is_none() {
                    line.braces = Some(Kind::Closure);
                }
                line.word(operator, Before::Spaced);
            }
        }
    }

    /// A dot, and where a chain of calls may be broken.
    fn dot(&mut self) {
        let call = match self.tokens.as_slice() {
            [TokenTree::Ident(_), TokenTree::Group(group), ..] => {
                group.delimiter() == Delimiter::Parenthesis
            }
            [TokenTree::Ident(_), TokenTree::Punct(punct), ..] => punct.as_char() == ':',
            _ => false,
        };
        let line = &mut self.line;
        if call && self.kind != Kind::Items {
            line.flush();
            line.run.pieces.push(Piece::Link);
            line.run.links += 1;
        }
        line.tight(".", Before::Tight);
    }

    /// `#[…]` or `#![…]`, on a line of its own.
    fn attribute(&mut self) {
        let inner = matches!(self.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
        if inner {
            self.tokens.next();
        }
        let Some(TokenTree::Group(group)) = self.tokens.next() else {
            return;
        };
        let tokens = contents(group);
        match doc::comment(&tokens) {
            Some(text) => {
                self.line.text.push_str(if inner { "//!" } else { "///" });
                self.line.text.push_str(text.trim_end());
            }
            None => {
                self.line.text.push_str(if inner { "#!" } else { "#" });
                self.group(Delimiter::Bracket, tokens, false);
            }
        }
        self.line.run.attribute = true;
        self.end();
    }

    fn next(&self) -> Option<&TokenTree> {
        self.tokens.as_slice().first()
    }

    fn group(&mut self, delimiter: Delimiter, tokens: Vec<TokenTree>, arrow: bool) {
        let line = &mut self.line;
        let called = line.is_operand();
        let close_by = called || line.before == Before::Tight;
        let (open, close, kind) = match delimiter {
            Delimiter::Parenthesis => ("(", ")", Kind::List),
            Delimiter::Bracket => ("[", "]", Kind::List),
            Delimiter::None => ("", "", Kind::List),
            Delimiter::Brace => {
                // Behind a name braces hold fields, behind anything else a body.
                let otherwise = if close_by { Kind::List } else { Kind::Closure };
                let kind = line.braces.take().unwrap_or(otherwise);
                let constants = kind == Kind::Fields && tokens.iter().any(is_semicolon);
                ("{", "}", if constants { Kind::Statements } else { kind })
            }
        };
        let braces = open == "{";
        let padded = braces && line.before != Before::Tight;
        if padded || !close_by {
            line.word("", Before::Start);
        }
        line.flush();
        let group = Group::new([open, close], kind, runs(tokens, kind), called, padded);
        line.run.width += group.width;
        line.run.broken |= group.broken;
        line.run.pieces.push(Piece::Group(group));
        line.before = Before::Operand;
        let followed = match self.next() {
            Some(TokenTree::Ident(ident)) => ident == "else",
            Some(TokenTree::Punct(punct)) => matches!(punct.as_char(), '.' | '?' | ',' | ';'),
            _ => false,
        };
        let arm = arrow && self.kind == Kind::Arms;
        let item =
            self.line.ends && matches!(self.kind, Kind::Items | Kind::Statements | Kind::Closure);
        if braces && (arm || item) && !followed {
            self.end();
        }
    }
}

/// The tokens in a group, which is given up so that they need not be copied.
fn contents(group: proc_macro2::Group) -> Vec<TokenTree> {
    let stream = group.stream();
    drop(group);
    stream.into_iter().collect()
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

impl Group {
    fn new(
        [open, close]: [&'static str; 2],
        kind: Kind,
        runs: Vec<Run>,
        called: bool,
        padded: bool,
    ) -> Self {
        let statements =
            kind == Kind::Closure && (runs.len() > 1 || runs.iter().any(Run::is_statement));
        let inside = runs.iter().any(|run| run.broken || run.attribute);
        let broken = !runs.is_empty() && (kind.is_always_broken() || inside || statements);
        let padded = padded && !runs.is_empty();
        let inner: usize = runs.iter().map(|run| run.width + 2).sum();
        let base = runs.last().is_some_and(Run::is_base);
        let commas = kind.has_commas() && !open.is_empty() && !base;
        Self {
            // Between runs there is one separator less than there are runs.
            width: 2 * open.len() + inner.saturating_sub(2) + 2 * usize::from(padded),
            open,
            close,
            kind,
            trailing: commas && (open == "{" || runs.len() > 1 || open == "(" && called),
            runs,
            broken,
            padded,
        }
    }
}

impl Run {
    fn is_statement(&self) -> bool {
        matches!(self.pieces.last(), Some(Piece::Text(text)) if text.ends_with(';'))
    }

    /// Whether it is the `..base` of a structure.
    fn is_base(&self) -> bool {
        matches!(self.pieces.first(), Some(Piece::Text(text)) if text.starts_with(".."))
    }
}
