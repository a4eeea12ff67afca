//! Attributes: which exist, where, and what they say.

use super::Checker;
use crate::ast::{Attribute, Expr, ExprKind, Head};
use crate::codes;
use crate::diag::Diagnostic;
use crate::names::Style;
use crate::source::Span;
use crate::suggest::did_you_mean;

const KNOWN: [&str; 9] = [
    "since",
    "deprecated",
    "c_prefix",
    "c_name",
    "ordinal",
    "requires",
    "idempotent",
    "deferrable",
    "deadline",
];

/// What the attributes of one item say, with places where they matter later.
#[derive(Default)]
pub(super) struct Attributes<'h> {
    pub(super) since: Option<u32>,
    pub(super) deprecated: Option<String>,
    pub(super) c_prefix: Option<String>,
    pub(super) c_name: Option<String>,
    pub(super) ordinal: Option<(u32, Span)>,
    pub(super) requires: Option<&'h Expr>,
    pub(super) idempotent: Option<Span>,
    pub(super) deferrable: Option<Span>,
    pub(super) deadline_ns: Option<(u64, Span)>,
}

impl Checker<'_> {
    pub(super) fn attributes<'h>(
        &mut self,
        package: usize,
        head: &'h Head,
        allowed: &[&str],
    ) -> Attributes<'h> {
        let mut found = Attributes::default();
        for (i, attribute) in head.attributes.iter().enumerate() {
            let name = attribute.name.text.as_str();
            if !KNOWN.contains(&name) {
                self.error(
                    Diagnostic::error(
                        codes::UNKNOWN_ATTRIBUTE,
                        attribute.name.span,
                        format!("no attribute `@{name}`"),
                    )
                    .label("unknown")
                    .maybe_help(did_you_mean(name, KNOWN)),
                );
            } else if !allowed.contains(&name) {
                let message = format!("`@{name}` means nothing here");
                let list: Vec<_> = allowed.iter().map(|a| format!("`@{a}`")).collect();
                let help = if list.is_empty() {
                    "no attributes are possible here".to_owned()
                } else {
                    format!("possible here: {}", list.join(", "))
                };
                self.error(
                    Diagnostic::error(codes::ATTRIBUTE_PLACE, attribute.span, message)
                        .label("not possible here")
                        .help(help),
                );
            } else if let Some(first) = head.attributes[..i].iter().find(|a| a.name.text == name) {
                self.error(
                    Diagnostic::error(
                        codes::ATTRIBUTE_ARGUMENT,
                        attribute.span,
                        format!("`@{name}` is given twice"),
                    )
                    .label("second time")
                    .related(first.span, "the first is here"),
                );
            } else if self.attribute(package, attribute, &mut found).is_none() {
                let example = match name {
                    "since" => {
                        format!(
                            "a version of this package, 1 to {}: `@since(1)`",
                            self.packages[package].version
                        )
                    }
                    "deprecated" => "why, in quotes: `@deprecated(\"use `X`\")`".to_owned(),
                    "c_prefix" => "a name in quotes: `@c_prefix(\"FS\")`".to_owned(),
                    "c_name" => "a name in quotes: `@c_name(\"FS_METHOD_OPEN\")`".to_owned(),
                    "ordinal" => "a number: `@ordinal(3)`".to_owned(),
                    "requires" => "rights of this protocol: `@requires(READ_DATA)`".to_owned(),
                    "deadline" => "a duration: `@deadline(500ms)`".to_owned(),
                    _ => format!("nothing: `@{name}`"),
                };
                self.error(
                    Diagnostic::error(
                        codes::ATTRIBUTE_ARGUMENT,
                        attribute.span,
                        format!("`@{name}` does not take this"),
                    )
                    .label("wrong arguments")
                    .help(format!("`@{name}` takes {example}")),
                );
            }
        }
        found
    }

    fn attribute<'h>(
        &mut self,
        package: usize,
        attribute: &'h Attribute,
        found: &mut Attributes<'h>,
    ) -> Option<()> {
        let name = attribute.name.text.as_str();
        let span = attribute.span;
        if let "idempotent" | "deferrable" = name {
            let slot = if name == "idempotent" {
                &mut found.idempotent
            } else {
                &mut found.deferrable
            };
            *slot = Some(span);
            return attribute.arguments.is_empty().then_some(());
        }
        let [argument] = attribute.arguments.as_slice() else {
            return None;
        };
        match (name, &argument.kind) {
            ("since", ExprKind::Int(value)) => {
                let version = u32::try_from(*value).ok()?;
                found.since = Some(version);
                return (1..=self.packages[package].version)
                    .contains(&version)
                    .then_some(());
            }
            ("deprecated", ExprKind::Text(text)) => found.deprecated = Some(text.clone()),
            ("c_prefix", ExprKind::Text(text)) if Style::Upper.fits(text) => {
                found.c_prefix = Some(text.clone())
            }
            ("c_name", ExprKind::Text(text)) if Style::Upper.fits(text) => {
                found.c_name = Some(text.clone())
            }
            ("ordinal", ExprKind::Int(value)) => {
                let range = "`@ordinal` takes 1 to 0x7fff_ffff";
                match u32::try_from(*value)
                    .ok()
                    .filter(|v| (1..=0x7fff_ffff).contains(v))
                {
                    Some(value) => found.ordinal = Some((value, argument.span)),
                    None => self.error(
                        Diagnostic::error(
                            codes::ORDINAL,
                            argument.span,
                            format!("{range}, not {value}"),
                        )
                        .label("out of range"),
                    ),
                }
            }
            ("requires", _) => found.requires = Some(argument),
            ("deadline", ExprKind::Duration(ns)) if *ns > 0 => {
                found.deadline_ns = Some((*ns, span))
            }
            _ => return None,
        }
        Some(())
    }
}
