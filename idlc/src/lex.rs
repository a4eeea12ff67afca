//! Text to tokens. Every byte of the input belongs to a token or is space, so
//! the formatter works on the same tokens as the parser.

use logos::Logos;

use crate::codes;
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::{FileId, Span};

/// What a token is. Words are all [`Word`](Self::Word): keywords matter only
/// where the grammar expects them, so any of them may name a field.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[logos(skip r"[ \t\r\n\f]+")]
pub enum TokenKind {
    /// Name or keyword.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Word,
    /// Number, with a unit if it is a duration.
    #[regex("[0-9][0-9A-Za-z_]*")]
    Number,
    /// Text in double quotes.
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Text,
    /// Text whose closing quote is missing on its line.
    #[regex(r#""([^"\\\n]|\\[^\n])*"#)]
    OpenText,
    /// Comment; [`Doc`](Self::Doc) if it starts with exactly three slashes.
    #[regex(r"//[^\n]*", allow_greedy = true)]
    Comment,
    /// A comment of another language, which is reported and left out.
    #[regex(r"/\*([^*]|\*[^/])*\*/")]
    BlockComment,
    /// Documentation of what follows.
    Doc,
    /// `{`
    #[token("{")]
    OpenBrace,
    /// `}`
    #[token("}")]
    CloseBrace,
    /// `(`
    #[token("(")]
    OpenParen,
    /// `)`
    #[token(")")]
    CloseParen,
    /// `[`
    #[token("[")]
    OpenBracket,
    /// `]`
    #[token("]")]
    CloseBracket,
    /// `<`
    #[token("<")]
    Less,
    /// `>`
    #[token(">")]
    Greater,
    /// `<<`
    #[token("<<")]
    Shift,
    /// `->`
    #[token("->")]
    Arrow,
    /// `;`
    #[token(";")]
    Semicolon,
    /// `:`
    #[token(":")]
    Colon,
    /// `,`
    #[token(",")]
    Comma,
    /// `.`
    #[token(".")]
    Dot,
    /// `=`
    #[token("=")]
    Equals,
    /// `|`
    #[token("|")]
    Bar,
    /// `+`
    #[token("+")]
    Plus,
    /// `-`
    #[token("-")]
    Minus,
    /// `*`
    #[token("*")]
    Star,
    /// `?`
    #[token("?")]
    Question,
    /// `@`
    #[token("@")]
    At,
    /// End of the file.
    End,
}

impl TokenKind {
    /// How diagnostics name it.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Word => "a name",
            Self::Number => "a number",
            Self::Text | Self::OpenText => "a text in quotes",
            Self::Comment | Self::BlockComment => "a comment",
            Self::Doc => "a doc comment",
            Self::OpenBrace => "`{`",
            Self::CloseBrace => "`}`",
            Self::OpenParen => "`(`",
            Self::CloseParen => "`)`",
            Self::OpenBracket => "`[`",
            Self::CloseBracket => "`]`",
            Self::Less => "`<`",
            Self::Greater => "`>`",
            Self::Shift => "`<<`",
            Self::Arrow => "`->`",
            Self::Semicolon => "`;`",
            Self::Colon => "`:`",
            Self::Comma => "`,`",
            Self::Dot => "`.`",
            Self::Equals => "`=`",
            Self::Bar => "`|`",
            Self::Plus => "`+`",
            Self::Minus => "`-`",
            Self::Star => "`*`",
            Self::Question => "`?`",
            Self::At => "`@`",
            Self::End => "the end of the file",
        }
    }
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is.
    pub span: Span,
}

/// Splits a text into tokens, comments included, closed by one
/// [`TokenKind::End`]. What is no token is reported and left out; neighbouring
/// strange characters make one report.
pub fn lex(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut strange: Option<Span> = None;
    for (kind, range) in TokenKind::lexer(text).spanned() {
        let span = Span {
            file,
            start: range.start as u32,
            end: range.end as u32,
        };
        let Ok(kind) = kind else {
            strange = match strange {
                Some(before) if before.end == span.start => Some(before.to(span)),
                Some(before) => {
                    report_strange(before, text, diagnostics);
                    Some(span)
                }
                None => Some(span),
            };
            continue;
        };
        if kind == TokenKind::BlockComment {
            diagnostics.push(
                Diagnostic::error(
                    codes::STRANGE_CHARACTER,
                    span,
                    "`/*` is not part of the language",
                )
                .label("comment of another language")
                .help("comments are `// …` to the end of the line; doc comments are `/// …`"),
            );
            continue;
        }
        tokens.push(Token {
            kind: classify(kind, &text[range], span, diagnostics),
            span,
        });
    }
    if let Some(span) = strange {
        report_strange(span, text, diagnostics);
    }
    let end = text.len() as u32;
    tokens.push(Token {
        kind: TokenKind::End,
        span: Span {
            file,
            start: end,
            end,
        },
    });
    tokens
}

fn classify(kind: TokenKind, text: &str, span: Span, diagnostics: &mut Diagnostics) -> TokenKind {
    match kind {
        TokenKind::Comment if text.starts_with("///") && !text.starts_with("////") => {
            TokenKind::Doc
        }
        TokenKind::OpenText => {
            diagnostics.push(
                Diagnostic::error(codes::OPEN_TEXT, span, "the closing `\"` is missing")
                    .label("text starts here")
                    .help("a text ends on the line on which it starts; write `\\\"` for a quote in it"),
            );
            kind
        }
        other => other,
    }
}

fn report_strange(span: Span, text: &str, diagnostics: &mut Diagnostics) {
    let found: String = text[span.start as usize..span.end as usize]
        .chars()
        .take(12)
        .collect();
    let found = found.escape_debug();
    diagnostics.push(
        Diagnostic::error(
            codes::STRANGE_CHARACTER,
            span,
            format!("`{found}` is not part of the language"),
        )
        .label("found here"),
    );
}
