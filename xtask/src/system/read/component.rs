//! The lines of components, and what they share with the root task's.

use std::collections::BTreeMap;

use gritos_system::{AUTHORITY_POWER, Board, DURATION_LIMIT_NS};
use idlc::suggest::did_you_mean;
use toml::de::DeValue;

use super::find_board;
use super::restart::read_restart;
use crate::system::findings::{At, Finding, Findings};
use crate::system::model::{Allow, Line, Offer, UseLine};
use crate::system::tree::{self, Keys, list};
use crate::system::units::show_time;

/// Time slice of a component that says nothing about its budget.
const DEFAULT_BUDGET_NS: u64 = 5_000_000;
const DEFAULT_STACK_BYTES: u64 = 64 << 10;
const DEFAULT_CNODE_SLOTS: u64 = 64;

/// Priorities by name.
pub(super) type Priorities = BTreeMap<String, u8>;

pub(super) fn read_priorities(keys: Option<Keys<'_>>, findings: &mut Findings) -> Priorities {
    let entries = keys.map(|keys| keys.entries()).unwrap_or_default();
    entries
        .into_iter()
        .filter_map(|(name, value)| {
            let number = tree::number("priority", value, u64::from(u8::MAX), findings)?;
            Some((name.it, byte(number.it)))
        })
        .collect()
}

pub(super) fn read_offers(keys: &mut Keys<'_>, findings: &mut Findings) -> Vec<Offer> {
    let Some(offers) = keys.table("offers", "`offers`", findings) else {
        return Vec::new();
    };
    let read = |(name, value): (At<String>, _)| {
        let protocol = tree::text("the package of a service", value, findings)?;
        Some(Offer { name, protocol })
    };
    offers.entries().into_iter().filter_map(read).collect()
}

pub(super) fn read_component(
    name: At<String>,
    mut keys: Keys<'_>,
    priorities: &Priorities,
    findings: &mut Findings,
) -> Option<Line> {
    let binary = keys.text("binary", findings);
    let binary = binary.unwrap_or_else(|| name.clone());
    let arguments = keys.text("arguments", findings);
    let boards = read_boards(&mut keys, findings);
    let priority = read_priority("priority", &mut keys, priorities, findings);
    let ceiling = read_priority("ceiling", &mut keys, priorities, findings);
    let (budget_ns, period_ns) = read_budget(&mut keys, findings);
    let memory = keys.size("memory", findings);
    let stack = keys.size("stack", findings);
    let slots = keys.number("slots", 1 << 16, findings);
    let restart = read_restart(&mut keys, findings);
    let authorities = read_authorities(&mut keys, findings);
    let mut devices = keys.texts("devices", findings);
    let optional = keys.texts("optional-devices", findings);
    let optional_devices = optional.iter().map(|name| name.it.clone()).collect();
    devices.extend(optional);
    let offers = read_offers(&mut keys, findings);
    let uses = read_uses(&mut keys, findings);
    for (key, example) in [("priority", "100"), ("memory", "\"1 MiB\"")] {
        if keys.any(key).is_none() {
            keys.missing(key, example, findings);
        }
    }
    let place = keys.place.clone();
    keys.finish(findings);
    let priority = priority?;
    Some(Line {
        name,
        binary,
        arguments: arguments.map(|arguments| arguments.it).unwrap_or_default(),
        boards,
        ceiling: ceiling.unwrap_or_else(|| priority.clone()),
        priority,
        budget_ns,
        period_ns,
        memory_bytes: memory?,
        stack_bytes: stack.unwrap_or(At::new(DEFAULT_STACK_BYTES, place)),
        cnode_slots: slots.map_or(DEFAULT_CNODE_SLOTS, |slots| slots.it) as u32,
        restart,
        authorities,
        devices,
        optional_devices,
        offers,
        uses,
    })
}

fn read_boards(keys: &mut Keys<'_>, findings: &mut Findings) -> Option<Vec<At<Board>>> {
    keys.any("boards")?;
    let names = keys.texts("boards", findings);
    let read = |name| find_board(name, findings);
    Some(names.iter().filter_map(read).collect())
}

/// A number, or the name of one.
fn read_priority(
    key: &'static str,
    keys: &mut Keys<'_>,
    priorities: &Priorities,
    findings: &mut Findings,
) -> Option<At<u8>> {
    let value = keys.any(key)?;
    let Some(name) = value.get_ref().as_str() else {
        let number = tree::number(key, value, u64::from(u8::MAX), findings)?;
        return Some(At::new(byte(number.it), number.place));
    };
    if let Some(&number) = priorities.get(name) {
        return Some(At::new(number, value.span()));
    }
    let known: Vec<_> = priorities.keys().map(String::as_str).collect();
    findings.push(
        Finding::error(
            "unknown-name",
            &value.span(),
            format!("no priority is called `{name}`"),
        )
        .maybe_help(did_you_mean(name, known.iter().copied()))
        .help(format!(
            "a number from 0, the highest, to 255, or a name from `[priority]`: {}",
            list(&known)
        )),
    );
    None
}

/// Budget and period; without a period the budget is a mere time slice.
fn read_budget(keys: &mut Keys<'_>, findings: &mut Findings) -> (u64, u64) {
    let budget = keys.time("budget", findings);
    let period = keys.time("period", findings);
    let budget_ns = budget.as_ref().map_or(DEFAULT_BUDGET_NS, |time| time.it);
    let period_ns = period.as_ref().map_or(budget_ns, |time| time.it);
    let place = budget.or(period).map_or(keys.place.clone(), |at| at.place);
    let mut refuse = |message: String| findings.push(Finding::error("bad-value", &place, message));
    if budget_ns == 0 {
        refuse("with a budget of 0 it never runs".to_string());
    } else if budget_ns > period_ns {
        refuse(format!(
            "the budget of {} is longer than the period of {}",
            show_time(budget_ns),
            show_time(period_ns)
        ));
    } else if period_ns > DURATION_LIMIT_NS {
        refuse(format!(
            "a period lasts {} at most",
            show_time(DURATION_LIMIT_NS)
        ));
    } else {
        return (budget_ns, period_ns);
    }
    (DEFAULT_BUDGET_NS, DEFAULT_BUDGET_NS)
}

fn read_authorities(keys: &mut Keys<'_>, findings: &mut Findings) -> u32 {
    const REST: &str = "budgets, interrupts and memory come with the line itself";
    let mut authorities = 0;
    for name in keys.texts("authorities", findings) {
        if name.it == "power" {
            authorities |= AUTHORITY_POWER;
        } else {
            findings.push(
                Finding::error(
                    "unknown-name",
                    &name.place,
                    format!("there is no authority `{}` to be given", name.it),
                )
                .maybe_help(did_you_mean(&name.it, ["power"]))
                .help(format!("only `power` (reset, power off, entropy); {REST}")),
            );
        }
    }
    authorities
}

fn read_uses(keys: &mut Keys<'_>, findings: &mut Findings) -> Vec<UseLine> {
    let Some(uses) = keys.table("uses", "`uses`", findings) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (alias, value) in uses.entries() {
        let short = matches!(value.get_ref(), DeValue::Array(_));
        let line = if short {
            Some(UseLine {
                service: alias.clone(),
                rights: tree::texts("rights", value, findings),
                optional: false,
                allow: Allow::default(),
                alias,
            })
        } else {
            Keys::of("a use", &alias.place, value, findings)
                .map(|keys| read_use(alias, keys, findings))
        };
        lines.extend(line);
    }
    lines
}

fn read_use(alias: At<String>, mut keys: Keys<'_>, findings: &mut Findings) -> UseLine {
    let service = keys.text("service", findings);
    let rights = keys.texts("rights", findings);
    let optional = keys.flag("optional", findings);
    let allow = match keys.table("allow", "`allow`", findings) {
        Some(mut keys) => {
            let allow = Allow {
                cycle: read_reason("cycle", &mut keys, findings),
                priority: read_reason("priority", &mut keys, findings),
            };
            keys.finish(findings);
            allow
        }
        None => Allow::default(),
    };
    keys.finish(findings);
    UseLine {
        service: service.unwrap_or_else(|| alias.clone()),
        alias,
        rights,
        optional: optional.unwrap_or(false),
        allow,
    }
}

fn read_reason(
    key: &'static str,
    keys: &mut Keys<'_>,
    findings: &mut Findings,
) -> Option<At<String>> {
    let reason = keys.text(key, findings)?;
    if reason.it.trim().is_empty() {
        findings.push(Finding::error(
            "bad-value",
            &reason.place,
            "here belongs the reason why this is right",
        ));
    }
    Some(reason)
}

/// What was checked to be at most 255.
fn byte(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
