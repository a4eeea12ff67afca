//! Who may reach whom: a description as a report for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use gritos_system::{AUTHORITY_POWER, Policy, RIGHT_GRANT, Restart};

use super::findings::counted;
use super::model::{DeviceLine, Line};
use super::protocol::Protocols;
use super::tree::list;
use super::units::{show_size, show_time};
use super::view::{Call, View};

/// What each component has, offers, calls and can reach by calls of calls.
pub(crate) fn show(view: &View<'_>, protocols: Protocols<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}, {}, {}; quotas of {} out of {}",
        view.board.name(),
        counted(view.rows.len(), "component"),
        counted(view.services.len(), "service"),
        counted(view.devices.len(), "device"),
        show_size(view.promised_bytes()),
        show_size(view.memory_bytes)
    );
    for (index, row) in view.rows.iter().enumerate() {
        let line = row.line;
        let _ = writeln!(out, "\n{}: {}", line.name.it, nature(line));
        for (device, _) in view
            .devices
            .iter()
            .filter(|(_, owner)| *owner == Some(index))
        {
            let _ = writeln!(out, "  has      {}", registers(device));
        }
        if line.authorities & AUTHORITY_POWER != 0 {
            let _ = writeln!(out, "  has      authority to reset and power off");
        }
        for (service, (offer, _)) in view.services.iter().enumerate() {
            if view.services[service].1 == Some(index) {
                let callers = list(&callers(view, service));
                let (name, protocol) = (&offer.name.it, protocols.package(&offer.protocol.it));
                let _ = writeln!(out, "  offers   {name} ({protocol}) to {callers}");
            }
        }
        for call in &row.uses {
            let _ = writeln!(out, "  calls    {}", called(view, call));
        }
        let reached = reached(view, index);
        if !reached.is_empty() {
            let _ = writeln!(out, "  reaches  {}", list(&reached));
        }
    }
    let unused: Vec<_> = view
        .devices
        .iter()
        .filter(|(_, owner)| owner.is_none())
        .map(|(device, _)| device.name.it.as_str())
        .collect();
    if !unused.is_empty() {
        let _ = writeln!(out, "\nnobody has {}", list(&unused));
    }
    out
}

fn nature(line: &Line) -> String {
    let mut nature = format!(
        "priority {}, {} in {}, {} of memory, {}",
        line.priority.it,
        show_time(line.budget_ns),
        show_time(line.period_ns),
        show_size(line.memory_bytes.it),
        restarts(&line.restart)
    );
    if line.binary.it != line.name.it {
        let _ = write!(nature, ", program `{}`", line.binary.it);
    }
    nature
}

fn restarts(restart: &Restart) -> String {
    let when = match restart.policy {
        Policy::Never => return "never restarted".to_string(),
        Policy::OnFailure => "after a failure",
        Policy::Always => "always",
    };
    format!(
        "restarted {when} up to {} times in {}, first after {}",
        restart.attempts,
        show_time(restart.window_ns),
        show_time(restart.backoff_ns)
    )
}

fn registers(device: &DeviceLine) -> String {
    let mut text = format!(
        "{} at {:#x} ({})",
        device.name.it,
        device.base.it,
        show_size(device.size.it)
    );
    for interrupt in &device.interrupts {
        let edge = if interrupt.it.edge { ", edge" } else { "" };
        let _ = write!(text, ", interrupt {}{edge}", interrupt.it.number);
    }
    if device.dma {
        text += ", accesses memory past all protection";
    }
    text
}

fn called(view: &View<'_>, call: &Call<'_>) -> String {
    let (offer, provider) = &view.services[call.service];
    let provider = provider.map_or("root", |index| &view.rows[index].line.name.it);
    let mut text = format!("{} of {provider}", offer.name.it);
    if call.line.alias.it != offer.name.it {
        let _ = write!(text, " as {}", call.line.alias.it);
    }
    let mut rights: Vec<_> = call.line.rights.iter().map(|r| r.it.as_str()).collect();
    rights.retain(|right| !["SEND", "GRANT"].contains(right));
    if !rights.is_empty() {
        let _ = write!(text, ", with {}", list(&rights));
    }
    if call.rights & RIGHT_GRANT != 0 {
        text += ", may pass capabilities along";
    }
    text
}

fn callers<'v>(view: &'v View<'_>, service: usize) -> Vec<&'v str> {
    view.rows
        .iter()
        .filter(|row| row.uses.iter().any(|call| call.service == service))
        .map(|row| row.line.name.it.as_str())
        .collect()
}

/// Components that one reaches only through others: by calls of whom it calls, and so on.
fn reached<'v>(view: &'v View<'_>, from: usize) -> Vec<&'v str> {
    let next = |at: usize| {
        let calls = view.rows[at].uses.iter();
        calls.filter_map(|call| view.services[call.service].1)
    };
    let direct: BTreeSet<usize> = next(from).collect();
    let mut seen = direct.clone();
    let mut open: Vec<usize> = direct.iter().copied().collect();
    while let Some(at) = open.pop() {
        open.extend(next(at).filter(|&to| seen.insert(to)));
    }
    seen.into_iter()
        .filter(|at| !direct.contains(at) && *at != from)
        .map(|at| view.rows[at].line.name.it.as_str())
        .collect()
}
