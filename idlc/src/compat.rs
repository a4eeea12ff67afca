//! What changed between two versions of an interface, and whom it breaks.
//!
//! *On the wire* means: a client built from one version and a server built from
//! the other misunderstand each other. *In source* means: code that uses the
//! generated crate may no longer compile. A new method breaks neither: older
//! servers answer it with `UnknownMethod`, though a server's author has to
//! write it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diag::excerpt;
use crate::ir::{
    Carried, Enum, Flags, Info, Interface, Member, Message, Method, Package, Protocol, Struct,
    TypeDef, Union,
};
use crate::source::{SourceMap, Span};

/// One difference.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it is.
    pub text: String,
    /// Whether it breaks the wire.
    pub wire: bool,
    /// Whether it breaks source.
    pub source: bool,
    /// Where it is in the old files.
    pub old: Option<Span>,
    /// Where it is in the new files.
    pub new: Option<Span>,
}

impl Change {
    /// Whether it breaks anything.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        self.wire || self.source
    }

    fn verdict(&self) -> &'static str {
        match (self.wire, self.source) {
            (true, true) => "breaking on the wire and in source",
            (true, false) => "breaking on the wire",
            (false, true) => "breaking in source",
            (false, false) => "compatible",
        }
    }
}

/// All differences between the packages named in two runs.
#[must_use]
pub fn compare(old: &Interface, new: &Interface) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    for before in old.root_packages() {
        match new
            .root_packages()
            .find(|package| package.name == before.name)
        {
            Some(after) => changes.package(before, after),
            None => changes.add(
                format!("package `{}` is gone", before.name),
                (true, true),
                (before.span, None),
            ),
        }
    }
    for after in new
        .root_packages()
        .filter(|after| old.root_packages().all(|before| before.name != after.name))
    {
        changes.add(
            format!("package `{}` is new", after.name),
            (false, false),
            (None, after.span),
        );
    }
    changes.0
}

/// Changes as text for people.
#[must_use]
pub fn render(changes: &[Change], old: &SourceMap, new: &SourceMap) -> String {
    let mut out = String::new();
    for change in changes {
        let places = [(change.new, new, "new"), (change.old, old, "old")];
        let at = places
            .iter()
            .find_map(|(span, sources, _)| Some((*span.as_ref()?, *sources)));
        if let Some((span, sources)) = at {
            let file = sources.file(span.file);
            let place = file.line_col(span.start);
            let _ = write!(
                out,
                "{}:{}:{}: ",
                file.display_path(),
                place.line,
                place.column
            );
        }
        let _ = writeln!(out, "{}: {}", change.verdict(), change.text);
        for (span, sources, which) in places.iter().rev() {
            if let Some(span) = span {
                excerpt(&mut out, sources, *span, '^', which);
            }
        }
    }
    let breaking = changes.iter().filter(|change| change.is_breaking()).count();
    let plural = if changes.len() == 1 { "" } else { "s" };
    let _ = writeln!(out, "{} change{plural}, {breaking} breaking", changes.len());
    out
}

/// Changes as a JSON array.
#[must_use]
pub fn to_json(changes: &[Change], old: &SourceMap, new: &SourceMap) -> Value {
    let place = |span: Option<Span>, sources: &SourceMap| {
        span.map(|span| {
            let file = sources.file(span.file);
            let at = file.line_col(span.start);
            json!({ "file": file.display_path(), "line": at.line, "column": at.column })
        })
    };
    let one = |change: &Change| {
        json!({
            "text": change.text, "breaks_wire": change.wire, "breaks_source": change.source,
            "old": place(change.old, old), "new": place(change.new, new),
        })
    };
    Value::Array(changes.iter().map(one).collect())
}

struct Changes(Vec<Change>);

/// (on the wire, in source).
type Breaks = (bool, bool);

impl Changes {
    fn add(&mut self, text: String, breaks: Breaks, places: (Option<Span>, Option<Span>)) {
        self.0.push(Change {
            text,
            wire: breaks.0,
            source: breaks.1,
            old: places.0,
            new: places.1,
        });
    }

    fn both(&mut self, text: String, breaks: Breaks, old: &Info, new: &Info) {
        self.add(text, breaks, (Some(old.span), Some(new.span)));
    }

    /// Pairs things by name, reports those without a partner.
    fn pair<'i, T>(
        &mut self,
        what: &str,
        sides: (&'i [T], &'i [T]),
        info: impl Fn(&T) -> &Info,
        breaks: (Breaks, Breaks),
    ) -> Vec<(&'i T, &'i T)> {
        let (gone, made) = breaks;
        let mut pairs = Vec::new();
        for before in sides.0 {
            let name = &info(before).name;
            match sides.1.iter().find(|after| info(after).name == *name) {
                Some(after) => {
                    self.deprecation(what, info(before), info(after));
                    pairs.push((before, after));
                }
                None => self.add(
                    format!("{what} `{name}` is gone"),
                    gone,
                    (Some(info(before).span), None),
                ),
            }
        }
        for after in sides.1 {
            let name = &info(after).name;
            if sides.0.iter().all(|before| info(before).name != *name) {
                self.add(
                    format!("{what} `{name}` is new"),
                    made,
                    (None, Some(info(after).span)),
                );
            }
        }
        pairs
    }

    fn deprecation(&mut self, what: &str, old: &Info, new: &Info) {
        if old.deprecated.is_none() && new.deprecated.is_some() {
            self.both(
                format!("{what} `{}` is deprecated now", new.name),
                (false, false),
                old,
                new,
            );
        }
    }

    fn package(&mut self, old: &Package, new: &Package) {
        let constants = (old.constants.as_slice(), new.constants.as_slice());
        for (a, b) in self.pair(
            "constant",
            constants,
            |c| &c.info,
            ((false, true), (false, false)),
        ) {
            if a.value != b.value || a.ty != b.ty {
                self.both(
                    format!("constant `{}` has another value or type", a.info.name),
                    (true, a.ty != b.ty),
                    &a.info,
                    &b.info,
                );
            }
        }
        let types = (old.types.as_slice(), new.types.as_slice());
        for (a, b) in self.pair(
            "type",
            types,
            TypeDef::info,
            ((false, true), (false, false)),
        ) {
            match (a, b) {
                (TypeDef::Enum(a), TypeDef::Enum(b)) => self.enumeration(a, b),
                (TypeDef::Flags(a), TypeDef::Flags(b)) => self.flags(a, b),
                (TypeDef::Struct(a), TypeDef::Struct(b)) => self.structure(a, b),
                (TypeDef::Union(a), TypeDef::Union(b)) => self.union(a, b),
                _ => self.both(
                    format!("type `{}` is of another kind", a.info().name),
                    (true, true),
                    a.info(),
                    b.info(),
                ),
            }
        }
        let protocols = (old.protocols.as_slice(), new.protocols.as_slice());
        for (a, b) in self.pair(
            "protocol",
            protocols,
            |p| &p.info,
            ((true, true), (false, false)),
        ) {
            self.protocol(a, b);
        }
        let servers = (old.servers.as_slice(), new.servers.as_slice());
        for (a, b) in self.pair(
            "server",
            servers,
            |s| &s.info,
            ((false, true), (false, false)),
        ) {
            for gone in a.protocols.iter().filter(|p| !b.protocols.contains(p)) {
                let text = format!("server `{}` no longer serves `{}`", a.info.name, gone.name);
                self.both(text, (true, false), &a.info, &b.info);
            }
            for made in b.protocols.iter().filter(|p| !a.protocols.contains(p)) {
                let text = format!("server `{}` serves `{}` as well", a.info.name, made.name);
                self.both(text, (false, false), &a.info, &b.info);
            }
        }
    }

    fn enumeration(&mut self, old: &Enum, new: &Enum) {
        let name = &old.info.name;
        if old.base != new.base {
            self.both(
                format!("enum `{name}` is held by another integer"),
                (true, true),
                &old.info,
                &new.info,
            );
        }
        if old.flexible != new.flexible || old.error != new.error {
            let text = format!(
                "enum `{name}` is {} now",
                if new.flexible { "flexible" } else { "strict" }
            );
            self.both(text, (!new.flexible, true), &old.info, &new.info);
        }
        // Whoever is strict refuses a number it does not know; so do exhaustive matches.
        let strict = !(old.flexible && new.flexible);
        self.members(
            "member",
            (&old.members, &new.members),
            ((strict, true), (strict, strict)),
        );
    }

    fn flags(&mut self, old: &Flags, new: &Flags) {
        let name = &old.info.name;
        if old.base != new.base {
            self.both(
                format!("flags `{name}` are held by another integer"),
                (true, true),
                &old.info,
                &new.info,
            );
        }
        if old.flexible != new.flexible {
            let text = format!(
                "flags `{name}` are {} now",
                if new.flexible { "flexible" } else { "strict" }
            );
            self.both(text, (!new.flexible, false), &old.info, &new.info);
        }
        let strict = !(old.flexible && new.flexible);
        self.members(
            "flag",
            (&old.members, &new.members),
            ((strict, true), (strict, false)),
        );
    }

    fn members(&mut self, what: &str, sides: (&[Member], &[Member]), breaks: (Breaks, Breaks)) {
        for (a, b) in self.pair(what, sides, |m| &m.info, breaks) {
            if a.value != b.value {
                self.both(
                    format!("{what} `{}` has another value", a.info.name),
                    (true, false),
                    &a.info,
                    &b.info,
                );
            }
        }
    }

    fn structure(&mut self, old: &Struct, new: &Struct) {
        if (old.size, old.align) != (new.size, new.align) {
            let text = format!(
                "struct `{}` has {} bytes, had {}",
                old.info.name, new.size, old.size
            );
            self.both(text, (true, false), &old.info, &new.info);
        }
        let fields = (old.fields.as_slice(), new.fields.as_slice());
        for (a, b) in self.pair("field", fields, |f| &f.info, ((true, true), (true, true))) {
            if a.ty != b.ty {
                self.both(
                    format!("field `{}` has another type", a.info.name),
                    (true, true),
                    &a.info,
                    &b.info,
                );
            } else if a.offset != b.offset {
                self.both(
                    format!("field `{}` lies elsewhere", a.info.name),
                    (true, false),
                    &a.info,
                    &b.info,
                );
            }
        }
    }

    fn union(&mut self, old: &Union, new: &Union) {
        if (old.size, old.align) != (new.size, new.align) {
            let text = format!(
                "union `{}` has {} bytes, had {}",
                old.info.name, new.size, old.size
            );
            self.both(text, (true, false), &old.info, &new.info);
        }
        let variants = (old.variants.as_slice(), new.variants.as_slice());
        for (a, b) in self.pair(
            "variant",
            variants,
            |v| &v.info,
            ((true, true), (true, true)),
        ) {
            if a.ty != b.ty {
                self.both(
                    format!("variant `{}` has another type", a.info.name),
                    (true, true),
                    &a.info,
                    &b.info,
                );
            }
            if a.number != b.number {
                self.both(
                    format!("variant `{}` has another number", a.info.name),
                    (true, false),
                    &a.info,
                    &b.info,
                );
            }
        }
    }

    fn protocol(&mut self, old: &Protocol, new: &Protocol) {
        if old.class != new.class {
            self.both(
                format!("protocol `{}` takes other badges", old.info.name),
                (true, false),
                &old.info,
                &new.info,
            );
        }
        self.members(
            "right",
            (&old.rights, &new.rights),
            ((false, true), (false, false)),
        );
        self.members(
            "event",
            (&old.events, &new.events),
            ((true, true), (false, false)),
        );
        let methods = (old.methods.as_slice(), new.methods.as_slice());
        for (a, b) in self.pair(
            "method",
            methods,
            |m| &m.info,
            ((true, true), (false, false)),
        ) {
            self.method(a, b);
        }
    }

    fn method(&mut self, old: &Method, new: &Method) {
        let name = &old.info.name;
        let mut say = |text: String, breaks: Breaks| self.both(text, breaks, &old.info, &new.info);
        if old.ordinal != new.ordinal {
            say(
                format!(
                    "method `{name}` has number {:#x}, had {:#x}",
                    new.ordinal, old.ordinal
                ),
                (true, false),
            );
        }
        if old.oneway != new.oneway {
            say(
                format!(
                    "method `{name}` is {} now",
                    if new.oneway { "one-way" } else { "answered" }
                ),
                (true, true),
            );
        }
        if old.error != new.error {
            say(
                format!("method `{name}` fails with another error"),
                (true, true),
            );
        }
        if new.requires.mask & !old.requires.mask != 0 {
            say(format!("method `{name}` needs more rights"), (true, false));
        } else if new.requires.mask != old.requires.mask {
            say(
                format!("method `{name}` needs fewer rights"),
                (false, false),
            );
        }
        if old.deferrable != new.deferrable {
            say(
                format!(
                    "method `{name}` may{} be answered later",
                    if new.deferrable { "" } else { " not" }
                ),
                (false, true),
            );
        }
        if old.idempotent != new.idempotent {
            say(
                format!(
                    "method `{name}` is {}idempotent now",
                    if new.idempotent { "" } else { "not " }
                ),
                (false, false),
            );
        }
        if old.deadline_ns != new.deadline_ns {
            say(
                format!("clients of method `{name}` wait for another time"),
                (false, false),
            );
        }
        if old.c_name != new.c_name {
            say(
                format!(
                    "method `{name}` is `{}` in C, was `{}`",
                    new.c_name, old.c_name
                ),
                (false, true),
            );
        }
        self.message("request", name, &old.request, &new.request);
        self.message("response", name, &old.response, &new.response);
    }

    fn message(&mut self, what: &str, method: &str, old: &Message, new: &Message) {
        // The fields of a response are named in source; the parameters of a request are not.
        let named = what == "response" && old.params.len() > 1;
        if old.params.len() == new.params.len() && !same_names(old, new) {
            let same_wire = old
                .params
                .iter()
                .zip(&new.params)
                .all(|(a, b)| a.carried == b.carried);
            if same_wire {
                for (a, b) in old
                    .params
                    .iter()
                    .zip(&new.params)
                    .filter(|(a, b)| a.info.name != b.info.name)
                {
                    let text = format!(
                        "`{}` in the {what} of `{method}` is called `{}`",
                        a.info.name, b.info.name
                    );
                    self.both(text, (false, named), &a.info, &b.info);
                }
                return;
            }
        }
        let params = (old.params.as_slice(), new.params.as_slice());
        let label = format!("parameter of the {what} of `{method}`,");
        for (a, b) in self.pair(&label, params, |p| &p.info, ((true, true), (true, true))) {
            if a.carried == b.carried {
                continue;
            }
            let moved = match (&a.carried, &b.carried) {
                (Carried::Data { ty: x, .. }, Carried::Data { ty: y, .. }) => x == y,
                _ => false,
            };
            let text = format!(
                "`{}` in the {what} of `{method}` {}",
                a.info.name,
                if moved {
                    "lies elsewhere"
                } else {
                    "has another type"
                }
            );
            self.both(text, (true, !moved), &a.info, &b.info);
        }
        let order = |message: &Message| {
            message
                .params
                .iter()
                .map(|p| p.info.name.clone())
                .collect::<Vec<_>>()
        };
        if what == "request"
            && same_names(old, new)
            && order(old) != order(new)
            && let (Some(a), Some(b)) = (old.params.first(), new.params.first())
        {
            self.both(
                format!("parameters of `{method}` have another order"),
                (false, true),
                &a.info,
                &b.info,
            );
        }
    }
}

fn same_names(old: &Message, new: &Message) -> bool {
    old.params.len() == new.params.len()
        && old
            .params
            .iter()
            .all(|a| new.params.iter().any(|b| a.info.name == b.info.name))
}
