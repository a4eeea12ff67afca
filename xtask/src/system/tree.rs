//! Reading a TOML table key by key: what is wrong is noted and reading goes on.

use idlc::suggest::did_you_mean;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::{At, Finding, Findings, Place};
use super::units;

/// A value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// A table of which each key is asked for by name.
pub(crate) struct Keys<'a> {
    /// What the table describes, for messages: "a component".
    what: &'static str,
    /// Where it begins.
    pub(crate) place: Place,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(what: &'static str, place: Place, table: &'a DeTable<'a>) -> Self {
        Self {
            what,
            place,
            table,
            known: Vec::new(),
        }
    }

    /// The table that `value` is; noted if it is none.
    pub(crate) fn of(
        what: &'static str,
        place: &Place,
        value: &'a Value<'a>,
        findings: &mut Findings,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(what, place.clone(), table)),
            other => {
                findings.push(wrong_type(&value.span(), what, "a table", other));
                None
            }
        }
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.know(key);
        self.table.get(key)
    }

    /// A table below this one, with the place of its name.
    pub(crate) fn table(
        &mut self,
        key: &'static str,
        what: &'static str,
        findings: &mut Findings,
    ) -> Option<Keys<'a>> {
        self.know(key);
        let (name, value) = self.table.get_key_value(key)?;
        Keys::of(what, &name.span(), value, findings)
    }

    /// The value of `key` as it is, with what it is called in messages.
    pub(crate) fn any(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.get(key)
    }

    pub(crate) fn text(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<At<String>> {
        text(key, self.get(key)?, findings)
    }

    pub(crate) fn flag(&mut self, key: &'static str, findings: &mut Findings) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            findings.push(wrong_type(
                &value.span(),
                key,
                "`true` or `false`",
                value.get_ref(),
            ));
        }
        flag
    }

    /// A whole number from 0 to `max`.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        max: u64,
        findings: &mut Findings,
    ) -> Option<At<u64>> {
        number(key, self.get(key)?, max, findings)
    }

    /// A size with its unit, or a number of bytes.
    pub(crate) fn size(&mut self, key: &'static str, findings: &mut Findings) -> Option<At<u64>> {
        const ACCEPTED: &str = "a size such as \"64 KiB\" or \"1 MiB\"";
        let value = self.get(key)?;
        let size = match value.get_ref() {
            DeValue::String(text) => units::size(text),
            DeValue::Integer(number) => integer(number.as_str(), number.radix()),
            other => {
                findings.push(wrong_type(&value.span(), key, ACCEPTED, other));
                return None;
            }
        };
        if size.is_none() {
            findings.push(
                Finding::error("bad-value", &value.span(), format!("`{key}` is no size"))
                    .help(format!("{ACCEPTED}; units are B, KiB, MiB and GiB")),
            );
        }
        Some(At::new(size?, value.span()))
    }

    /// A time with its unit, in nanoseconds.
    pub(crate) fn time(&mut self, key: &'static str, findings: &mut Findings) -> Option<At<u64>> {
        const ACCEPTED: &str = "a time such as \"5 ms\" or \"10 s\"";
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            findings.push(wrong_type(&value.span(), key, ACCEPTED, value.get_ref()));
            return None;
        };
        let time = units::time(text);
        if time.is_none() {
            findings.push(
                Finding::error("bad-value", &value.span(), format!("`{key}` is no time"))
                    .help(format!("{ACCEPTED}; units are ns, us, ms, s, min and h")),
            );
        }
        Some(At::new(time?, value.span()))
    }

    /// A list of texts; empty if it is not there.
    pub(crate) fn texts(&mut self, key: &'static str, findings: &mut Findings) -> Vec<At<String>> {
        let value = self.get(key);
        value.map_or(Vec::new(), |value| texts(key, value, findings))
    }

    /// What is there whatever its name, in the order of the text.
    pub(crate) fn entries(&self) -> Vec<(At<String>, &'a Value<'a>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| (At::new(key.get_ref().to_string(), key.span()), value))
            .collect();
        entries.sort_by_key(|(key, _)| key.place.start);
        entries
    }

    /// Notes that a key is missing.
    pub(crate) fn missing(&self, key: &str, accepted: &str, findings: &mut Findings) {
        findings.push(
            Finding::error(
                "missing-key",
                &self.place,
                format!("{} needs `{key}`", self.what),
            )
            .help(format!("`{key} = {accepted}`")),
        );
    }

    /// Notes every key that nobody asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for (key, _) in self.entries() {
            if !self.known.contains(&key.it.as_str()) {
                findings.push(
                    Finding::error(
                        "unknown-key",
                        &key.place,
                        format!("{} has no `{}`", self.what, key.it),
                    )
                    .maybe_help(did_you_mean(&key.it, self.known.iter().copied()))
                    .help(format!("it can have {}", list(&self.known))),
                );
            }
        }
    }
}

/// A text.
pub(crate) fn text(what: &str, value: &Value<'_>, findings: &mut Findings) -> Option<At<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(At::new(text.to_string(), value.span())),
        other => {
            findings.push(wrong_type(&value.span(), what, "a string", other));
            None
        }
    }
}

/// A list of texts.
pub(crate) fn texts(what: &str, value: &Value<'_>, findings: &mut Findings) -> Vec<At<String>> {
    match value.get_ref() {
        DeValue::Array(list) => list
            .iter()
            .filter_map(|value| text(what, value, findings))
            .collect(),
        other => {
            findings.push(wrong_type(&value.span(), what, "a list of strings", other));
            Vec::new()
        }
    }
}

/// A whole number from 0 to `max`.
pub(crate) fn number(
    what: &str,
    value: &Value<'_>,
    max: u64,
    findings: &mut Findings,
) -> Option<At<u64>> {
    let found = match value.get_ref() {
        DeValue::Integer(number) => integer(number.as_str(), number.radix()),
        other => {
            findings.push(wrong_type(&value.span(), what, "a whole number", other));
            return None;
        }
    };
    match found {
        Some(number) if number <= max => Some(At::new(number, value.span())),
        _ => {
            findings.push(Finding::error(
                "bad-value",
                &value.span(),
                format!("`{what}` must be a whole number from 0 to {max}"),
            ));
            None
        }
    }
}

fn integer(digits: &str, radix: u32) -> Option<u64> {
    u64::from_str_radix(digits.trim_start_matches('+'), radix).ok()
}

pub(crate) fn wrong_type(
    place: &Place,
    what: &str,
    accepted: &str,
    found: &DeValue<'_>,
) -> Finding {
    let article = match found {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        _ => "a",
    };
    let what = if what.contains([' ', '`']) {
        what.to_string()
    } else {
        format!("`{what}`")
    };
    Finding::error(
        "wrong-type",
        place,
        format!(
            "{what} must be {accepted}, and this is {article} {}",
            found.type_str()
        ),
    )
}

/// Names in code quotes, joined as a sentence does: `a`, `b` and `c`.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match quoted.split_last() {
        None => "none".to_string(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
