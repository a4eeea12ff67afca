//! Declarations and their members.

use super::{DECLARATION_WORDS, Parse, Parser, Reported};
use crate::ast::{
    BadgeClass, Declaration, DeclarationKind, Field, Head, Ident, Member, Method, Protocol,
};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lex::TokenKind;
use crate::source::Span;

impl Parser<'_> {
    /// Reads one declaration into `list`. If its body is broken, its name is
    /// kept, so that uses of it are not reported as well.
    pub(super) fn declaration(&mut self, head: Head, list: &mut Vec<Declaration>) -> Parse<()> {
        let modifier = self.modifier();
        let word = if self.kind() == TokenKind::Word {
            self.slice(self.span())
        } else {
            ""
        };
        if !DECLARATION_WORDS.contains(&word)
            || matches!(word, "strict" | "flexible" | "session" | "object")
        {
            return Err(self.unknown_word("a declaration", &DECLARATION_WORDS));
        }
        if let Some((text, span)) = modifier {
            self.check_modifier(text, span, word);
        }
        self.bump();
        let name = self.ident(&format!("the name of the {word}"))?;
        let modifier = modifier.map(|(text, _)| text);
        let reported = self.diagnostics.count();
        let kind = self.body(word, modifier);
        let failed = kind.is_err();
        list.push(Declaration {
            head,
            name,
            partial: self.diagnostics.count() != reported,
            kind: kind.unwrap_or(DeclarationKind::Broken),
        });
        if failed { Err(Reported) } else { Ok(()) }
    }

    fn modifier(&mut self) -> Option<(&'static str, Span)> {
        let word = ["strict", "flexible", "session", "object"]
            .into_iter()
            .find(|w| self.at_word(w))?;
        Some((word, self.bump().span))
    }

    fn check_modifier(&mut self, modifier: &str, span: Span, word: &str) {
        let fitting: &[&str] = match modifier {
            "strict" | "flexible" => &["enum", "flags"],
            _ => &["protocol"],
        };
        if !fitting.contains(&word) {
            let places = fitting
                .iter()
                .map(|w| format!("`{w}`"))
                .collect::<Vec<_>>()
                .join(" or ");
            self.diagnostics.push(
                Diagnostic::error(
                    codes::UNEXPECTED,
                    span,
                    format!("`{modifier}` says nothing about `{word}`"),
                )
                .label("found here")
                .help(format!("`{modifier}` stands before {places}")),
            );
        }
    }

    fn body(&mut self, word: &str, modifier: Option<&str>) -> Parse<DeclarationKind> {
        let flexible = modifier == Some("flexible");
        Ok(match word {
            "const" => {
                self.expect(
                    TokenKind::Colon,
                    "and a type after the name of the constant",
                )?;
                let ty = self.ty()?;
                self.expect(
                    TokenKind::Equals,
                    "and a value after the type of the constant",
                )?;
                let value = self.expression()?;
                self.expect(TokenKind::Semicolon, "after the constant")?;
                DeclarationKind::Const { ty, value }
            }
            "enum" => {
                let base = self.base()?;
                DeclarationKind::Enum {
                    flexible,
                    base,
                    members: self.members()?,
                }
            }
            "flags" => {
                let base = self.base()?;
                DeclarationKind::Flags {
                    flexible,
                    base,
                    members: self.members()?,
                }
            }
            "error" => DeclarationKind::Error {
                members: self.members()?,
            },
            "struct" => DeclarationKind::Struct {
                fields: self.fields(false)?,
            },
            "union" => DeclarationKind::Union {
                variants: self.fields(true)?,
            },
            "server" => {
                self.expect(
                    TokenKind::Equals,
                    "and protocols after the name of the server",
                )?;
                let mut protocols = vec![self.path("a protocol")?];
                while self.eat(TokenKind::Plus) {
                    protocols.push(self.path("a protocol")?);
                }
                self.expect(TokenKind::Semicolon, "after the server")?;
                DeclarationKind::Server { protocols }
            }
            _ => DeclarationKind::Protocol(self.protocol(match modifier {
                Some("session") => BadgeClass::Session,
                Some("object") => BadgeClass::Object,
                _ => BadgeClass::Any,
            })?),
        })
    }

    fn base(&mut self) -> Parse<Option<Ident>> {
        if self.eat(TokenKind::Colon) {
            self.ident("an integer type").map(Some)
        } else {
            Ok(None)
        }
    }

    /// `{ item end item end … }`, going on behind broken items.
    fn list<T>(
        &mut self,
        end: TokenKind,
        mut item: impl FnMut(&mut Self, Head) -> Parse<T>,
    ) -> Parse<Vec<T>> {
        let open = self.expect(TokenKind::OpenBrace, "and a body")?;
        let mut items = Vec::new();
        loop {
            let start = self.position;
            let head = self.head();
            if self.kind() == TokenKind::CloseBrace {
                self.bump();
                return Ok(items);
            }
            if self.kind() == TokenKind::End || self.starts_declaration() {
                self.close(TokenKind::CloseBrace, open)?;
            }
            let read = head.and_then(|head| item(self, head));
            let closed = match end {
                _ if read.is_err() => false,
                // The last item needs no comma.
                TokenKind::Comma => {
                    self.kind() == TokenKind::CloseBrace || self.eat(TokenKind::Comma)
                }
                other => self.eat(other),
            };
            match read {
                Ok(read) if closed => items.push(read),
                Ok(read) => {
                    items.push(read);
                    self.unexpected(&format!("expected {}", end.describe()));
                    if !self.first_on_line() {
                        self.skip_member(end);
                    }
                }
                Err(Reported) => self.skip_member(end),
            }
            if self.position == start {
                self.bump();
            }
        }
    }

    fn members(&mut self) -> Parse<Vec<Member>> {
        self.list(TokenKind::Comma, |p, head| p.member(head, "a member"))
    }

    fn member(&mut self, head: Head, what: &str) -> Parse<Member> {
        let name = self.ident(&format!("the name of {what}"))?;
        self.expect(
            TokenKind::Equals,
            &format!("and a number after the name of {what}"),
        )?;
        Ok(Member {
            head,
            name,
            value: self.expression()?,
        })
    }

    fn fields(&mut self, numbered: bool) -> Parse<Vec<Field>> {
        self.list(TokenKind::Comma, |p, head| {
            let mut field = p.field(head, if numbered { "a variant" } else { "a field" })?;
            if numbered {
                p.expect(
                    TokenKind::Equals,
                    "and a number after the type of a variant",
                )?;
                field.value = Some(p.expression()?);
            }
            Ok(field)
        })
    }

    fn field(&mut self, head: Head, what: &str) -> Parse<Field> {
        let name = self.ident(&format!("the name of {what}"))?;
        self.expect(
            TokenKind::Colon,
            &format!("and a type after the name of {what}"),
        )?;
        Ok(Field {
            head,
            name,
            ty: self.ty()?,
            value: None,
        })
    }

    fn protocol(&mut self, class: BadgeClass) -> Parse<Protocol> {
        enum Item {
            Right(Member),
            Event(Member),
            Method(Method),
        }
        let fails = if self.eat_word("fails") {
            Some(self.path("an error type")?)
        } else {
            None
        };
        let items = self.list(TokenKind::Semicolon, |p, head| {
            // `right` and `event` may also name methods.
            let named = p
                .tokens
                .get(p.position + 1)
                .is_some_and(|t| t.kind == TokenKind::Word);
            if named && p.eat_word("right") {
                p.member(head, "a right").map(Item::Right)
            } else if named && p.eat_word("event") {
                p.member(head, "an event").map(Item::Event)
            } else {
                p.method(head).map(Item::Method)
            }
        })?;
        let mut protocol = Protocol {
            class,
            fails,
            rights: Vec::new(),
            events: Vec::new(),
            methods: Vec::new(),
        };
        for item in items {
            match item {
                Item::Right(right) => protocol.rights.push(right),
                Item::Event(event) => protocol.events.push(event),
                Item::Method(method) => protocol.methods.push(method),
            }
        }
        Ok(protocol)
    }

    fn method(&mut self, head: Head) -> Parse<Method> {
        let named = self
            .tokens
            .get(self.position + 1)
            .is_some_and(|t| t.kind == TokenKind::Word);
        let oneway = if named && self.at_word("oneway") {
            Some(self.bump().span)
        } else {
            None
        };
        let name = self.ident("the name of a method")?;
        let parameters = self.parameters("parameters")?;
        let results = if self.eat(TokenKind::Arrow) {
            Some(self.parameters("results in parentheses")?)
        } else {
            None
        };
        let fails = if self.eat_word("fails") {
            Some(self.path("an error type")?)
        } else {
            None
        };
        Ok(Method {
            head,
            name,
            oneway,
            parameters,
            results,
            fails,
        })
    }

    fn parameters(&mut self, what: &str) -> Parse<Vec<Field>> {
        let open = self.expect(TokenKind::OpenParen, &format!("and {what}"))?;
        let mut list = Vec::new();
        loop {
            let head = self.head()?;
            if self.eat(TokenKind::CloseParen) {
                return Ok(list);
            }
            list.push(self.field(head, "a parameter")?);
            if !self.eat(TokenKind::Comma) {
                self.close(TokenKind::CloseParen, open)?;
                return Ok(list);
            }
        }
    }
}
