//! Named numbers and bits: enums, errors, flags, and what else has members.

use std::collections::HashMap;

use super::Checker;
use super::types::U32;
use crate::ast::{self, Ident};
use crate::codes;
use crate::diag::Diagnostic;
use crate::ir::{Enum, Flags, Info, Int, Member};
use crate::names::Style;

impl Checker<'_> {
    pub(super) fn enumeration(
        &mut self,
        file: usize,
        info: Info,
        base: Option<&Ident>,
        members: &[ast::Member],
        flexible: bool,
    ) -> Option<Enum> {
        let int = self.base(base);
        self.not_empty(members.is_empty(), &info, "enum");
        let members = self.members(file, members, int?);
        self.check_same_value(&members);
        Some(Enum {
            info,
            error: false,
            base: int?,
            flexible,
            members,
        })
    }

    pub(super) fn error_type(&mut self, file: usize, info: Info, members: &[ast::Member]) -> Enum {
        self.not_empty(members.is_empty(), &info, "error");
        let laid_out = self.members(file, members, U32);
        self.check_same_value(&laid_out);
        for (member, written) in laid_out
            .iter()
            .filter_map(|m| Some((m, members.iter().find(|w| w.name.text == m.info.name)?)))
        {
            if member.value == 0 {
                let message = "an error number must not be zero, which means success";
                self.error(
                    Diagnostic::error(codes::ZERO, written.value.span, message).label("zero"),
                );
            } else if member.value > 0x7fff_ffff {
                let message = "error numbers are below 0x8000_0000";
                self.error(
                    Diagnostic::error(codes::TYPE_PLACE, written.value.span, message)
                        .label("too large")
                        .help("numbers above say that the message itself was wrong"),
                );
            }
        }
        Enum {
            info,
            error: true,
            base: U32,
            flexible: true,
            members: laid_out,
        }
    }

    pub(super) fn flags(
        &mut self,
        file: usize,
        info: Info,
        base: Option<&Ident>,
        members: &[ast::Member],
        flexible: bool,
    ) -> Option<Flags> {
        let int = self.base(base);
        self.not_empty(members.is_empty(), &info, "flags");
        let laid_out = self.members(file, members, int?);
        for (member, written) in laid_out
            .iter()
            .filter_map(|m| Some((m, members.iter().find(|w| w.name.text == m.info.name)?)))
        {
            if member.value == 0 {
                let message = "a flag has at least one bit";
                self.error(
                    Diagnostic::error(codes::ZERO, written.value.span, message)
                        .label("zero")
                        .help("no flags at all is `empty()` in generated code"),
                );
            }
        }
        Some(Flags {
            info,
            base: int?,
            flexible,
            members: laid_out,
        })
    }

    fn base(&mut self, base: Option<&Ident>) -> Option<Int> {
        let Some(base) = base else { return Some(U32) };
        match Int::from_name(&base.text) {
            Some(int) if !int.signed => Some(int),
            _ => {
                let message = format!("`{}` cannot hold an enum or flags", base.text);
                self.error(
                    Diagnostic::error(codes::TYPE_PLACE, base.span, message)
                        .label("not an unsigned integer")
                        .help("`u8`, `u16`, `u32` or `u64` can"),
                );
                None
            }
        }
    }

    /// Names and values of members, in order.
    pub(super) fn members(
        &mut self,
        file: usize,
        members: &[ast::Member],
        int: Int,
    ) -> Vec<Member> {
        let Some(package) = self.package_of_file[file] else {
            return Vec::new();
        };
        self.check_unique(members.iter().map(|m| &m.name), "member");
        let mut made = Vec::new();
        for member in members {
            self.check_name(&member.name, Style::Upper, "member");
            let info = self.info(
                package,
                &member.head,
                &member.name,
                &["since", "deprecated"],
            );
            let value = self.integer(file, &member.value);
            if let Some(value) = value.and_then(|v| self.check_range(v, int, member.value.span)) {
                made.push(Member {
                    info,
                    value: value as u64,
                });
            }
        }
        made
    }

    pub(super) fn check_same_value(&mut self, members: &[Member]) {
        let mut seen: HashMap<u64, &Member> = HashMap::new();
        for member in members {
            if let Some(first) = seen.get(&member.value) {
                let message = format!(
                    "`{}` has the number of `{}`",
                    member.info.name, first.info.name
                );
                self.error(
                    Diagnostic::error(codes::SAME_VALUE, member.info.span, message)
                        .label(format!("{} again", member.value))
                        .related(first.info.span, "first used here"),
                );
            } else {
                seen.insert(member.value, member);
            }
        }
    }
}
