//! Who waits for whom: cycles that can deadlock, and callers that are more urgent than their server.
//!
//! A component waits for a service if some method that a session can call has an answer and no
//! deadline. Who is part of a cycle of such waits can wait for itself.

use std::collections::BTreeSet;

use super::findings::{At, Finding, Findings};
use super::protocol::Protocols;
use super::view::{Call, View};

/// Reasons that were needed on some board, by place.
pub(crate) type Needed = BTreeSet<usize>;

/// A wait: who, for whom, and the use that says so.
struct Wait<'v> {
    from: usize,
    to: usize,
    call: &'v Call<'v>,
}

/// Checks one board; notes which reasons of `allow` were needed.
pub(crate) fn check(
    view: &View<'_>,
    protocols: Protocols<'_>,
    needed: &mut Needed,
    findings: &mut Findings,
) {
    let waits = waits(view, protocols);
    for wait in &waits {
        check_priority(view, wait, needed, findings);
    }
    // A reason is needed if its edge is part of a cycle when nothing is allowed.
    for wait in &waits {
        if let Some(reason) = &wait.call.line.allow.cycle
            && path(&waits.iter().collect::<Vec<_>>(), wait.to, wait.from).is_some()
        {
            needed.insert(reason.place.start);
        }
    }
    let mut left: Vec<_> = waits
        .iter()
        .filter(|wait| wait.call.line.allow.cycle.is_none())
        .collect();
    // Each wait is reported as part of one cycle at most.
    while let Some(cycle) = find_cycle(&left) {
        findings.push(describe(view, &cycle));
        let reported = |wait: &&Wait<'_>| !cycle.iter().any(|other| std::ptr::eq(*other, *wait));
        left.retain(reported);
    }
}

/// Notes reasons that no board needed.
pub(crate) fn check_reasons<'m>(
    reasons: impl Iterator<Item = &'m At<String>>,
    needed: &Needed,
    findings: &mut Findings,
) {
    for reason in reasons.filter(|reason| !needed.contains(&reason.place.start)) {
        findings.push(
            Finding::error(
                "needless-allow",
                &reason.place,
                "nothing has to be allowed here",
            )
            .help("remove it: what once needed it is gone"),
        );
    }
}

fn waits<'v>(view: &'v View<'v>, protocols: Protocols<'_>) -> Vec<Wait<'v>> {
    let mut waits = Vec::new();
    for (from, row) in view.rows.iter().enumerate() {
        for call in &row.uses {
            let (offer, provider) = view.services[call.service];
            // The root task never waits for a component without a deadline.
            if let Some(to) = provider
                && protocols.can_wait(&offer.protocol)
            {
                waits.push(Wait { from, to, call });
            }
        }
    }
    waits
}

fn check_priority(view: &View<'_>, wait: &Wait<'_>, needed: &mut Needed, findings: &mut Findings) {
    let (client, server) = (view.rows[wait.from].line, view.rows[wait.to].line);
    if client.priority.it >= server.priority.it {
        return;
    }
    if let Some(reason) = &wait.call.line.allow.priority {
        needed.insert(reason.place.start);
        return;
    }
    findings.push(
        Finding::warning(
            "priority",
            &wait.call.line.alias.place,
            format!(
                "`{}` (priority {}) waits for `{}` (priority {}), which everything in between holds \
                 up",
                client.name.it, client.priority.it, server.name.it, server.priority.it
            ),
        )
        .help("give the server the higher priority, or say why not: `allow.priority = \"...\"`"),
    );
}

/// Some shortest cycle among the waits, the one that begins with the first component.
fn find_cycle<'w, 'v>(waits: &[&'w Wait<'v>]) -> Option<Vec<&'w Wait<'v>>> {
    waits.iter().find_map(|&wait| {
        let mut cycle = vec![wait];
        cycle.extend(path(waits, wait.to, wait.from)?);
        Some(cycle)
    })
}

/// A shortest way along waits; empty if `from` is `to`.
fn path<'w, 'v>(waits: &[&'w Wait<'v>], from: usize, to: usize) -> Option<Vec<&'w Wait<'v>>> {
    let mut ways: Vec<(usize, Vec<&Wait<'_>>)> = vec![(from, Vec::new())];
    let mut seen = BTreeSet::from([from]);
    let mut next = 0;
    while let Some((at, way)) = ways.get(next).cloned() {
        if at == to {
            return Some(way);
        }
        for &wait in waits.iter().filter(|wait| wait.from == at) {
            if seen.insert(wait.to) {
                let mut way = way.clone();
                way.push(wait);
                ways.push((wait.to, way));
            }
        }
        next += 1;
    }
    None
}

fn describe(view: &View<'_>, cycle: &[&Wait<'_>]) -> Finding {
    let name = |index: usize| format!("`{}`", view.rows[index].line.name.it);
    let first = cycle[0];
    let mut way = name(first.from);
    for wait in cycle {
        way = format!("{way} → {}", name(wait.to));
    }
    let finding = Finding::error(
        "cycle",
        &first.call.line.alias.place,
        format!("calls can wait for each other in a circle: {way}"),
    );
    cycle[1..]
        .iter()
        .fold(finding, |finding, wait| {
            let waits = format!("{} waits for {}", name(wait.from), name(wait.to));
            finding.related(&wait.call.line.alias.place, waits)
        })
        .help(
            "let one of them send only (one-way methods), give its methods a `@deadline`, or say \
             why it cannot block: `allow.cycle = \"...\"`",
        )
}
