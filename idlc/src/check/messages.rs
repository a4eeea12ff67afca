//! Requests and responses: how each parameter travels, and where it lies.

use super::Checker;
use super::types::extent;
use crate::ast::{self, DeclarationKind, Expr, ExprKind, Operator};
use crate::codes;
use crate::diag::Diagnostic;
use crate::ir::{Carried, Direction, MESSAGE_CAPS, MESSAGE_WORDS, Message, Object, Param, Rights};
use crate::layout::{Extent, packed};
use crate::objects::{ENDPOINT_RIGHTS, OBJECTS, RIGHTS, right};
use crate::source::Span;
use crate::suggest::did_you_mean;

impl Checker<'_> {
    /// Lays out a request (of the method named) or a response.
    pub(super) fn message(
        &mut self,
        file: usize,
        fields: &[ast::Field],
        request_of: Option<&str>,
    ) -> Option<Message> {
        let package = self.package_of_file[file]?;
        let mut complete = true;
        let mut params = Vec::new();
        let mut extents = Vec::new();
        let mut caps = 0;
        let mut optional: Option<Span> = None;
        for field in fields {
            let info = self.param_info(package, &field.head, &field.name);
            let Some((carried, size)) = self.carried(file, &field.ty, caps, request_of.is_some())
            else {
                complete = false;
                continue;
            };
            if let Carried::Cap { .. } | Carried::Buffer { .. } = carried {
                caps += 1;
                if let Some(first) = optional {
                    self.error(
                        Diagnostic::error(
                            codes::TYPE_PLACE,
                            first,
                            "only the last capability may be optional",
                        )
                        .label("optional")
                        .related(field.ty.span, "another capability follows")
                        .help("move the optional capability behind the others"),
                    );
                }
                if let Carried::Cap { optional: true, .. } = carried {
                    optional = Some(field.ty.span);
                }
            }
            extents.push(size.unwrap_or(Extent { size: 0, align: 1 }));
            params.push(Param { info, carried });
        }
        let (offsets, used) = packed(&extents);
        for (param, place) in params.iter_mut().zip(offsets) {
            match &mut param.carried {
                Carried::Data { offset, .. } | Carried::Buffer { offset, .. } => *offset = place,
                Carried::Cap { .. } => {}
            }
        }
        let words = used.div_ceil(8);
        if words > MESSAGE_WORDS {
            self.report_too_large(fields, &extents, words, used, request_of.is_some());
        }
        if caps > MESSAGE_CAPS {
            let fifth = fields
                .iter()
                .filter(|f| is_cap(&f.ty))
                .nth(MESSAGE_CAPS as usize);
            let message =
                format!("the message has {caps} capabilities, {MESSAGE_CAPS} are the most");
            let span = fifth.map_or(fields[0].ty.span, |f| f.ty.span);
            self.error(
                Diagnostic::error(codes::TOO_MANY_CAPS, span, message)
                    .label("one too many")
                    .help("a buffer counts as one; several ranges of the same object may share a buffer"),
            );
        }
        complete.then_some(Message {
            words,
            caps,
            params,
        })
    }

    fn report_too_large(
        &mut self,
        fields: &[ast::Field],
        extents: &[Extent],
        words: u32,
        used: u32,
        request: bool,
    ) {
        let Some((largest, extent)) = fields.iter().zip(extents).max_by_key(|(_, e)| e.size) else {
            return;
        };
        let direction = if request { "in" } else { "out" };
        let kind = if request { "request" } else { "response" };
        let message = format!(
            "the {kind} needs {words} words ({used} bytes), a message has {MESSAGE_WORDS} (64 bytes)"
        );
        let place = if request {
            "declare it"
        } else {
            "write it to a parameter declared"
        };
        self.error(
            Diagnostic::error(codes::TOO_MANY_WORDS, largest.ty.span, message)
                .label(format!("`{}` is the largest: {} bytes", largest.name.text, extent.size))
                .help(format!("{place} `buffer<{direction}>`: that takes 2 words and a capability, whatever its length")),
        );
    }

    fn carried(
        &mut self,
        file: usize,
        ty: &ast::Type,
        slot: u32,
        request: bool,
    ) -> Option<(Carried, Option<Extent>)> {
        match &ty.kind {
            ast::TypeKind::Cap {
                moved,
                object,
                rights,
            } => self
                .cap(file, object, rights.as_ref(), *moved, false, slot)
                .map(|c| (c, None)),
            ast::TypeKind::Optional(inner) if is_cap(inner) => match &inner.kind {
                ast::TypeKind::Cap {
                    moved,
                    object,
                    rights,
                } => self
                    .cap(file, object, rights.as_ref(), *moved, true, slot)
                    .map(|c| (c, None)),
                _ => {
                    let message = "a buffer cannot be optional";
                    self.error(
                        Diagnostic::error(codes::TYPE_PLACE, ty.span, message)
                            .label("optional buffer")
                            .help("a buffer of length 0 says that there is none"),
                    );
                    None
                }
            },
            ast::TypeKind::Buffer(direction) => {
                let direction = match direction.text.as_str() {
                    "in" => Direction::In,
                    "out" => Direction::Out,
                    "inout" => Direction::Inout,
                    other => {
                        let message = format!("a buffer cannot be `{other}`");
                        self.error(
                            Diagnostic::error(codes::UNKNOWN_OBJECT, direction.span, message)
                                .label("unknown direction")
                                .help(
                                    "`in`: the server reads it, `out`: it writes it, `inout`: both",
                                ),
                        );
                        return None;
                    }
                };
                if !request {
                    let message = "a result cannot be a buffer";
                    self.error(
                        Diagnostic::error(codes::TYPE_PLACE, ty.span, message)
                            .label("in the results")
                            .help("make it a parameter: the server writes to `buffer<out>` of the request"),
                    );
                    return None;
                }
                Some((
                    Carried::Buffer {
                        direction,
                        slot,
                        offset: 0,
                    },
                    Some(Extent { size: 16, align: 8 }),
                ))
            }
            _ => {
                let ty = self.data_type(file, ty)?;
                let extent = extent(&ty);
                Some((Carried::Data { ty, offset: 0 }, Some(extent)))
            }
        }
    }

    fn cap(
        &mut self,
        file: usize,
        object: &ast::Path,
        rights: Option<&Expr>,
        moved: bool,
        optional: bool,
        slot: u32,
    ) -> Option<Carried> {
        let name = object.name.text.as_str();
        let own = self.package_of_file[file]?;
        let declared = object.qualifier.is_some() || self.packages[own].symbols.contains_key(name);
        let (object, server_rights, endpoint) = if declared {
            let symbol = self.resolve(file, object, "protocol")?;
            let DeclarationKind::Protocol(protocol) = &self.declaration(symbol).kind else {
                self.wrong_kind(object.span(), symbol, "a kernel object or a protocol");
                return None;
            };
            let mut server = Vec::new();
            for right in &protocol.rights {
                let bit = self.integer(symbol.0, &right.value);
                server.push((
                    right.name.text.clone(),
                    1_u32
                        .checked_shl(bit.unwrap_or(16).clamp(0, 31) as u32)
                        .unwrap_or(0),
                ));
            }
            (Object::Protocol(self.reference(symbol)?), server, true)
        } else if OBJECTS.contains(&name) {
            (
                Object::Kernel(name.to_owned()),
                Vec::new(),
                matches!(name, "Endpoint"),
            )
        } else {
            let known = OBJECTS
                .iter()
                .copied()
                .chain(self.packages[own].symbols.keys().map(String::as_str));
            let help = did_you_mean(name, known).unwrap_or_else(|| {
                format!(
                    "kernel objects are {}; protocols are declared",
                    OBJECTS.join(", ")
                )
            });
            let message = format!("`{name}` is neither a kernel object nor a protocol");
            self.error(
                Diagnostic::error(codes::UNKNOWN_OBJECT, object.span(), message)
                    .label("unknown")
                    .help(help),
            );
            return None;
        };
        let mut found = Rights::default();
        for (name, span) in rights
            .map(|expr| self.right_names(expr))
            .unwrap_or_default()
        {
            let server = server_rights
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, mask)| *mask);
            match (server, right(&name)) {
                (Some(mask), _) => found.mask |= mask,
                (None, Some(mask)) if !endpoint || ENDPOINT_RIGHTS.contains(&name.as_str()) => {
                    found.mask |= mask
                }
                (None, Some(_)) => {
                    let message = format!("a capability to an endpoint has no right `{name}`");
                    let help = format!(
                        "it has {}, and what the protocol declares",
                        ENDPOINT_RIGHTS.join(", ")
                    );
                    self.error(
                        Diagnostic::error(codes::RIGHT_PLACE, span, message)
                            .label("not possible")
                            .help(help),
                    );
                }
                (None, None) => {
                    let kernel = RIGHTS.iter().map(|(known, _)| *known);
                    let known: Vec<_> = kernel
                        .chain(server_rights.iter().map(|(known, _)| known.as_str()))
                        .collect();
                    let help = did_you_mean(&name, known.iter().copied())
                        .unwrap_or_else(|| format!("rights are {}", known.join(", ")));
                    let message = format!("no right `{name}`");
                    self.error(
                        Diagnostic::error(codes::UNKNOWN_OBJECT, span, message)
                            .label("unknown")
                            .help(help),
                    );
                }
            }
            found.names.push(name);
        }
        Some(Carried::Cap {
            object,
            rights: found,
            moved,
            optional,
            slot,
        })
    }

    /// `A | B` as names.
    pub(super) fn right_names(&mut self, expr: &Expr) -> Vec<(String, Span)> {
        match &expr.kind {
            ExprKind::Name(path) if path.qualifier.is_none() => {
                vec![(path.name.text.clone(), path.span())]
            }
            ExprKind::Binary(Operator::Or, left, right) => {
                let mut names = self.right_names(left);
                names.extend(self.right_names(right));
                names
            }
            _ => {
                let message = "rights are names joined by `|`";
                self.error(
                    Diagnostic::error(codes::UNKNOWN_OBJECT, expr.span, message)
                        .label("not a right"),
                );
                Vec::new()
            }
        }
    }
}

fn is_cap(ty: &ast::Type) -> bool {
    match &ty.kind {
        ast::TypeKind::Cap { .. } | ast::TypeKind::Buffer(_) => true,
        ast::TypeKind::Optional(inner) => is_cap(inner),
        _ => false,
    }
}
