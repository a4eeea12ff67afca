//! Types and values.

use super::{Parse, Parser, Reported};
use crate::ast::{Expr, ExprKind, Operator, Type, TypeKind};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lex::{Token, TokenKind};

impl Parser<'_> {
    pub(super) fn ty(&mut self) -> Parse<Type> {
        self.nested(|p| {
            let mut ty = p.plain_type()?;
            if p.kind() == TokenKind::Question {
                let span = ty.span.to(p.bump().span);
                ty = Type {
                    span,
                    kind: TypeKind::Optional(Box::new(ty)),
                };
            }
            if p.kind() == TokenKind::Question {
                let span = p.span();
                while p.eat(TokenKind::Question) {}
                let message = "an optional value cannot be optional again";
                p.diagnostics.push(
                    Diagnostic::error(codes::TYPE_PLACE, span, message).label("one `?` is enough"),
                );
            }
            Ok(ty)
        })
    }

    fn plain_type(&mut self) -> Parse<Type> {
        let start = self.span();
        if self.kind() == TokenKind::OpenBracket {
            let open = self.bump();
            let element = self.ty()?;
            self.expect(
                TokenKind::Semicolon,
                "between the type and the length of an array",
            )?;
            let length = self.expression()?;
            let end = self.close(TokenKind::CloseBracket, open)?.span;
            return Ok(Type {
                span: start.to(end),
                kind: TypeKind::Array(Box::new(element), length),
            });
        }
        let moved = self.at_word("move") && self.next_is_word("cap");
        if moved {
            self.bump();
        }
        let path = self.path("a type")?;
        let name = if path.qualifier.is_none() {
            path.name.text.as_str()
        } else {
            ""
        };
        if self.kind() != TokenKind::Less || !matches!(name, "string" | "bytes" | "cap" | "buffer")
        {
            if matches!(name, "string" | "bytes" | "cap" | "buffer") {
                return Err(self.unexpected(&format!("expected `<` after `{name}`")));
            }
            return Ok(Type {
                span: start.to(path.span()),
                kind: TypeKind::Named(path),
            });
        }
        let open = self.bump();
        let kind = match name {
            "string" => TypeKind::Text(self.expression()?),
            "bytes" => TypeKind::Bytes(self.expression()?),
            "buffer" => TypeKind::Buffer(self.ident("`in`, `out` or `inout`")?),
            _ => {
                let object = self.path("a kernel object or a protocol")?;
                let rights = if self.eat(TokenKind::Comma) {
                    Some(self.expression()?)
                } else {
                    None
                };
                TypeKind::Cap {
                    moved,
                    object,
                    rights,
                }
            }
        };
        let end = self.close(TokenKind::Greater, open)?.span;
        Ok(Type {
            span: start.to(end),
            kind,
        })
    }

    fn next_is_word(&self, word: &str) -> bool {
        let next = self.tokens.get(self.position + 1);
        next.is_some_and(|t| t.kind == TokenKind::Word && self.slice(t.span) == word)
    }

    /// A value: `|` binds loosest, then `<<`, then `+` and `-`, then `*`.
    pub(super) fn expression(&mut self) -> Parse<Expr> {
        self.nested(|p| p.binary(0))
    }

    fn binary(&mut self, level: usize) -> Parse<Expr> {
        const LEVELS: [&[(TokenKind, Operator)]; 4] = [
            &[(TokenKind::Bar, Operator::Or)],
            &[(TokenKind::Shift, Operator::Shift)],
            &[
                (TokenKind::Plus, Operator::Add),
                (TokenKind::Minus, Operator::Subtract),
            ],
            &[(TokenKind::Star, Operator::Multiply)],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.operand();
        };
        let mut left = self.binary(level + 1)?;
        let mut length = 0;
        while let Some((_, operator)) = operators.iter().find(|(kind, _)| *kind == self.kind()) {
            self.bump();
            let right = self.binary(level + 1)?;
            let span = left.span.to(right.span);
            left = Expr {
                span,
                kind: ExprKind::Binary(*operator, Box::new(left), Box::new(right)),
            };
            // A chain is a tree leaning left: its length is depth for later passes.
            length += 1;
            if length > 32 {
                let message = "more than 32 operators in one value";
                self.diagnostics
                    .push(Diagnostic::error(codes::TOO_DEEP, span, message).label("this value"));
                return Err(Reported);
            }
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parse<Expr> {
        let token = self.token();
        match token.kind {
            TokenKind::Number => {
                self.bump();
                self.number(token)
            }
            TokenKind::Text | TokenKind::OpenText => {
                self.bump();
                Ok(Expr {
                    span: token.span,
                    kind: ExprKind::Text(self.unquote(token)),
                })
            }
            TokenKind::Word => {
                let path = self.path("a value")?;
                Ok(Expr {
                    span: path.span(),
                    kind: ExprKind::Name(path),
                })
            }
            TokenKind::Minus => {
                self.bump();
                let inner = self.nested(Self::operand)?;
                let span = token.span.to(inner.span);
                Ok(Expr {
                    span,
                    kind: ExprKind::Negate(Box::new(inner)),
                })
            }
            TokenKind::OpenParen => {
                self.bump();
                let inner = self.expression()?;
                let close = self.close(TokenKind::CloseParen, token)?;
                Ok(Expr {
                    span: token.span.to(close.span),
                    ..inner
                })
            }
            _ => Err(self.unexpected("expected a value")),
        }
    }

    fn number(&mut self, token: Token) -> Parse<Expr> {
        let text: String = self
            .slice(token.span)
            .chars()
            .filter(|c| *c != '_')
            .collect();
        let (radix, digits) = match text.get(..2) {
            Some("0x") => (16, &text[2..]),
            Some("0b") => (2, &text[2..]),
            Some("0o") => (8, &text[2..]),
            _ => (10, text.as_str()),
        };
        if let Ok(value) = i128::from_str_radix(digits, radix)
            && value <= i128::from(u64::MAX)
        {
            return Ok(Expr {
                span: token.span,
                kind: ExprKind::Int(value),
            });
        }
        let split = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let scale = match (radix, &digits[split..]) {
            (10, "ns") => Some(1_u64),
            (10, "us") => Some(1_000),
            (10, "ms") => Some(1_000_000),
            (10, "s") => Some(1_000_000_000),
            _ => None,
        };
        if let Some(duration) =
            scale.and_then(|scale| digits[..split].parse::<u64>().ok()?.checked_mul(scale))
        {
            return Ok(Expr {
                span: token.span,
                kind: ExprKind::Duration(duration),
            });
        }
        let too_large = digits.chars().all(|c| c.is_digit(radix)) && !digits.is_empty();
        let message = if too_large || scale.is_some() {
            format!("`{}` does not fit in 64 bits", self.slice(token.span))
        } else {
            format!("`{}` is not a number", self.slice(token.span))
        };
        self.diagnostics.push(
            Diagnostic::error(codes::NUMBER, token.span, message)
                .label("found here")
                .help("numbers are `42`, `1_000`, `0x2a`, `0o52` or `0b10_1010`; durations end in `ns`, `us`, `ms` or `s`"),
        );
        Err(Reported)
    }
}
