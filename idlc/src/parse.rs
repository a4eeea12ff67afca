//! Tokens to syntax tree, by recursive descent with recovery.
//!
//! A function that fails has reported why and returns `Reported`; its caller
//! skips to where the next member or declaration starts and goes on, so that a
//! file with several mistakes reports each of them once. Nesting is bounded:
//! no input overflows the stack.

mod declaration;
mod expression;

use crate::ast::{Attribute, File, Head, Ident, Import, Package, Path};
use crate::codes;
use crate::diag::{Diagnostic, Diagnostics};
use crate::lex::{Token, TokenKind, lex};
use crate::source::{FileId, SourceFile, Span};
use crate::suggest::did_you_mean;

/// Words that start a declaration.
pub(crate) const DECLARATION_WORDS: [&str; 13] = [
    "const", "strict", "flexible", "enum", "error", "flags", "struct", "union", "session",
    "object", "protocol", "server", "import",
];

/// How deep types and values may nest.
const MAX_DEPTH: u32 = 32;

/// The mistake has been reported.
struct Reported;

type Parse<T> = Result<T, Reported>;

/// Reads one file.
pub fn parse(id: FileId, source: &SourceFile, diagnostics: &mut Diagnostics) -> File {
    let mut tokens = lex(id, &source.text, diagnostics);
    tokens.retain(|token| token.kind != TokenKind::Comment);
    let mut parser = Parser {
        text: &source.text,
        tokens,
        position: 0,
        depth: 0,
        diagnostics,
    };
    parser.file(id)
}

struct Parser<'a> {
    text: &'a str,
    /// Closed by one [`TokenKind::End`], which is never consumed.
    tokens: Vec<Token>,
    position: usize,
    depth: u32,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Parser<'a> {
    fn file(&mut self, id: FileId) -> File {
        let mut file = File {
            id,
            package: None,
            imports: Vec::new(),
            declarations: Vec::new(),
        };
        let mut missing_package_reported = false;
        while self.kind() != TokenKind::End {
            let start = self.position;
            let Ok(head) = self.head() else {
                self.skip_declaration();
                continue;
            };
            if file.package.is_none() && !missing_package_reported && !self.at_word("package") {
                missing_package_reported = true;
                self.report_missing_package();
            }
            if self.item(head, &mut file).is_err() {
                self.skip_declaration();
            }
            // Whatever happened, the loop makes progress.
            if self.position == start {
                self.bump();
            }
        }
        if file.package.is_none() && !missing_package_reported {
            self.report_missing_package();
        }
        file
    }

    fn item(&mut self, head: Head, file: &mut File) -> Parse<()> {
        if self.at_word("package") {
            let package = self.package(head)?;
            match &file.package {
                None => file.package = Some(package),
                Some(first) => {
                    let message = "a file has one `package` line";
                    self.diagnostics.push(
                        Diagnostic::error(codes::PACKAGE, package.span(), message)
                            .label("second package")
                            .related(first.span(), "the first is here"),
                    );
                }
            }
        } else if self.at_word("import") {
            self.refuse_head(&head, "an import");
            let import = self.import()?;
            file.imports.push(import);
        } else {
            self.declaration(head, &mut file.declarations)?;
        }
        Ok(())
    }

    fn report_missing_package(&mut self) {
        self.diagnostics.push(
            Diagnostic::error(
                codes::PACKAGE,
                self.span(),
                "the file does not start with its package",
            )
            .label("expected `package` before this")
            .help("write `package some.name;` as the first line"),
        );
    }

    fn package(&mut self, head: Head) -> Parse<Package> {
        self.bump();
        let mut name = vec![self.ident("the name of the package")?];
        while self.eat(TokenKind::Dot) {
            name.push(self.ident("the next part of the package's name")?);
        }
        let version = if self.eat_word("version") {
            Some(self.expression()?)
        } else {
            None
        };
        self.expect(TokenKind::Semicolon, "after the package")?;
        Ok(Package {
            head,
            name,
            version,
        })
    }

    fn import(&mut self) -> Parse<Import> {
        self.bump();
        let token = match self.kind() {
            TokenKind::OpenText => self.bump(),
            _ => self.expect(TokenKind::Text, "that names a file or folder")?,
        };
        let path = self.unquote(token);
        let alias = if self.eat_word("as") {
            Some(self.ident("a name for the import")?)
        } else {
            None
        };
        self.expect(TokenKind::Semicolon, "after the import")?;
        Ok(Import {
            path,
            span: token.span,
            alias,
        })
    }

    /// Doc comments and attributes.
    fn head(&mut self) -> Parse<Head> {
        let mut head = Head::default();
        let mut last_doc = None;
        loop {
            match self.kind() {
                TokenKind::Doc => {
                    let token = self.bump();
                    let line = self.slice(token.span).trim_start_matches('/').trim_end();
                    head.docs
                        .push(line.strip_prefix(' ').unwrap_or(line).to_owned());
                    last_doc = Some(token.span);
                }
                TokenKind::At => head.attributes.push(self.attribute()?),
                TokenKind::CloseBrace | TokenKind::CloseParen | TokenKind::End => {
                    if let Some(span) = last_doc {
                        self.diagnostics.push(
                            Diagnostic::error(
                                codes::LOOSE_DOC,
                                span,
                                "nothing follows this doc comment",
                            )
                            .label("documents nothing")
                            .help("write `// …` for a comment that documents nothing"),
                        );
                        if self.kind() == TokenKind::End {
                            return Err(Reported);
                        }
                    }
                    return Ok(head);
                }
                _ => return Ok(head),
            }
        }
    }

    fn attribute(&mut self) -> Parse<Attribute> {
        let at = self.bump();
        let name = self.ident("the name of an attribute")?;
        let mut arguments = Vec::new();
        let mut span = at.span.to(name.span);
        if self.kind() == TokenKind::OpenParen {
            let open = self.bump();
            while self.kind() != TokenKind::CloseParen {
                arguments.push(self.expression()?);
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
            span = span.to(self.close(TokenKind::CloseParen, open)?.span);
        }
        Ok(Attribute {
            name,
            arguments,
            span,
        })
    }

    fn refuse_head(&mut self, head: &Head, what: &str) {
        if let Some(attribute) = head.attributes.first() {
            let message = format!("{what} takes no attributes");
            self.diagnostics.push(
                Diagnostic::error(codes::ATTRIBUTE_PLACE, attribute.span, message)
                    .label("found here"),
            );
        }
    }

    fn path(&mut self, what: &str) -> Parse<Path> {
        let first = self.ident(what)?;
        if self.eat(TokenKind::Dot) {
            let name = self.ident("the name in that package")?;
            return Ok(Path {
                qualifier: Some(first),
                name,
            });
        }
        Ok(Path {
            qualifier: None,
            name: first,
        })
    }

    fn ident(&mut self, what: &str) -> Parse<Ident> {
        if self.kind() != TokenKind::Word {
            return Err(self.unexpected(&format!("expected {what}")));
        }
        let token = self.bump();
        Ok(Ident {
            text: self.slice(token.span).to_owned(),
            span: token.span,
        })
    }

    // Tokens.

    fn token(&self) -> Token {
        self.tokens[self.position]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn span(&self) -> Span {
        self.token().span
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.position += 1;
        }
        token
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.bump();
        }
        found
    }

    fn at_word(&self, word: &str) -> bool {
        self.kind() == TokenKind::Word && self.slice(self.span()) == word
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, kind: TokenKind, purpose: &str) -> Parse<Token> {
        if self.kind() == kind {
            return Ok(self.bump());
        }
        Err(self.unexpected(&format!("expected {} {purpose}", kind.describe())))
    }

    fn close(&mut self, kind: TokenKind, open: Token) -> Parse<Token> {
        if self.kind() == kind {
            return Ok(self.bump());
        }
        if self.kind() == TokenKind::End || self.starts_declaration() {
            let message = format!("{} is never closed", open.kind.describe());
            self.diagnostics.push(
                Diagnostic::error(codes::UNCLOSED, open.span, message)
                    .label("opened here")
                    .related(
                        self.span(),
                        format!("{} was expected before this", kind.describe()),
                    ),
            );
            return Err(Reported);
        }
        Err(self.unexpected(&format!("expected {} or `,`", kind.describe())))
    }

    fn unexpected(&mut self, expected: &str) -> Reported {
        let token = self.token();
        // A text that swallowed the rest of its line has been reported.
        let before = self.position.checked_sub(1).map(|i| self.tokens[i].kind);
        if before == Some(TokenKind::OpenText) {
            return Reported;
        }
        // A missing mark belongs behind what precedes it, not before what follows on another line.
        let previous = self.position.checked_sub(1).map(|i| self.tokens[i].span);
        let span = match previous {
            Some(before) if self.first_on_line() || token.kind == TokenKind::End => before.after(),
            _ => token.span,
        };
        let found = match token.kind {
            TokenKind::Word | TokenKind::Number | TokenKind::Text => {
                format!("`{}`", self.slice(token.span))
            }
            other => other.describe().to_owned(),
        };
        self.diagnostics.push(
            Diagnostic::error(
                codes::UNEXPECTED,
                span,
                format!("{expected}, found {found}"),
            )
            .label(expected),
        );
        Reported
    }

    /// The text of a quoted token; only `\"` and `\\` are escapes.
    fn unquote(&mut self, token: Token) -> String {
        let slice = self.slice(token.span);
        let inner = slice.strip_prefix('"').unwrap_or(slice);
        let inner = inner.strip_suffix('"').unwrap_or(inner);
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some(escaped @ ('"' | '\\')) => out.push(escaped),
                    other => {
                        let escape: String = std::iter::once('\\').chain(other).collect();
                        self.diagnostics.push(
                            Diagnostic::error(
                                codes::OPEN_TEXT,
                                token.span,
                                format!("unknown escape `{escape}`"),
                            )
                            .label("in this text")
                            .help("`\\\"` and `\\\\` are the escapes there are"),
                        );
                    }
                },
                (c, false) => out.push(c),
            }
        }
        out
    }

    // Recovery.

    fn first_on_line(&self) -> bool {
        let Some(before) = self.position.checked_sub(1) else {
            return true;
        };
        let gap = self.tokens[before].span.end as usize..self.span().start as usize;
        self.text[gap].contains('\n')
    }

    /// Whether a declaration seems to start here: its word is the first thing on
    /// a line without indentation, and a name or text follows. No member looks
    /// like that, so layout never decides what correct text means.
    fn starts_declaration(&self) -> bool {
        let start = self.span().start as usize;
        let next = self.tokens.get(self.position + 1).map(|token| token.kind);
        self.kind() == TokenKind::Word
            && matches!(next, Some(TokenKind::Word | TokenKind::Text))
            && (start == 0 || self.text.as_bytes()[start - 1] == b'\n')
            && (self.at_word("package") || DECLARATION_WORDS.iter().any(|word| self.at_word(word)))
    }

    /// Skips behind the end of the declaration, or to the start of the next.
    fn skip_declaration(&mut self) {
        let mut depth = 0_u32;
        while self.kind() != TokenKind::End {
            if self.starts_declaration() {
                return;
            }
            match self.bump().kind {
                TokenKind::OpenBrace => depth += 1,
                TokenKind::CloseBrace if depth <= 1 => return,
                TokenKind::CloseBrace => depth -= 1,
                TokenKind::Semicolon if depth == 0 => return,
                _ => {}
            }
        }
    }

    /// Skips behind the end of a member, or to the brace that ends the body.
    fn skip_member(&mut self, end: TokenKind) {
        let mut depth = 0_u32;
        while self.kind() != TokenKind::End && !self.starts_declaration() {
            match self.kind() {
                TokenKind::CloseBrace if depth == 0 => return,
                kind if kind == end && depth == 0 => {
                    self.bump();
                    return;
                }
                TokenKind::OpenBrace | TokenKind::OpenParen => depth += 1,
                TokenKind::CloseBrace | TokenKind::CloseParen => depth = depth.saturating_sub(1),
                // A line that starts a member of its own ends the broken one.
                TokenKind::Doc | TokenKind::At if depth == 0 && self.first_on_line() => return,
                _ => {}
            }
            self.bump();
        }
    }

    fn unknown_word(&mut self, what: &str, accepted: &[&str]) -> Reported {
        let span = self.span();
        let word = self.slice(span).to_owned();
        let found = match self.kind() {
            TokenKind::Word | TokenKind::Number | TokenKind::Text => format!("`{word}`"),
            other => other.describe().to_owned(),
        };
        let list = accepted
            .iter()
            .map(|w| format!("`{w}`"))
            .collect::<Vec<_>>()
            .join(", ");
        self.diagnostics.push(
            Diagnostic::error(
                codes::UNEXPECTED,
                span,
                format!("expected {what}, found {found}"),
            )
            .label(format!("expected {what}"))
            .help(
                did_you_mean(&word, accepted.iter().copied())
                    .unwrap_or_else(|| format!("{what} starts with one of {list}")),
            ),
        );
        Reported
    }

    /// Runs `inside` one level deeper, or reports that the nesting is too deep.
    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            self.diagnostics.push(
                Diagnostic::error(codes::TOO_DEEP, self.span(), message)
                    .label("the limit is reached here"),
            );
            return Err(Reported);
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }
}
