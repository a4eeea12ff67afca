//! When a component is started again.

use gritos_system::{DURATION_LIMIT_NS, Policy, Restart};
use idlc::suggest::did_you_mean;
use toml::de::DeValue;

use crate::system::findings::{At, Finding, Findings, Place};
use crate::system::tree::{self, Keys, list};
use crate::system::units::show_time;

const DEFAULT_RESTART: Restart = Restart {
    policy: Policy::OnFailure,
    attempts: 5,
    window_ns: 60_000_000_000,
    backoff_ns: 50_000_000,
};
const POLICIES: [(&str, Policy); 3] = [
    ("never", Policy::Never),
    ("on-failure", Policy::OnFailure),
    ("always", Policy::Always),
];

/// A policy, or a table with a policy and its limits.
pub(super) fn read_restart(keys: &mut Keys<'_>, findings: &mut Findings) -> Restart {
    let Some(value) = keys.any("restart") else {
        return Restart::default();
    };
    let with = |policy| match policy {
        Policy::Never => Restart::default(),
        policy => Restart {
            policy,
            ..DEFAULT_RESTART
        },
    };
    if let DeValue::String(_) = value.get_ref() {
        let policy = tree::text("restart", value, findings);
        let policy = policy.and_then(|policy| find_policy(&policy, findings));
        return with(policy.unwrap_or_default());
    }
    let Some(mut keys) = Keys::of("`restart`", &value.span(), value, findings) else {
        return Restart::default();
    };
    let policy = keys.text("policy", findings);
    if policy.is_none() {
        keys.missing("policy", "\"on-failure\"", findings);
    }
    let policy = policy.and_then(|policy| find_policy(&policy, findings));
    let attempts = keys.number("attempts", 1000, findings);
    let window = keys.time("window", findings);
    let backoff = keys.time("backoff", findings);
    let place = keys.place.clone();
    keys.finish(findings);
    let Some(policy) = policy else {
        return Restart::default();
    };
    let mut restart = with(policy);
    let given = [&attempts, &window, &backoff].into_iter().flatten();
    if policy == Policy::Never {
        for limit in given {
            findings.push(
                Finding::error(
                    "restart",
                    &limit.place,
                    "what never restarts has no limit on restarting",
                )
                .help("leave it out, or take the policy `on-failure` or `always`"),
            );
        }
        return restart;
    }
    if let Some(attempts) = &attempts {
        restart.attempts = attempts.it as u32;
    }
    if let Some(window) = &window {
        restart.window_ns = window.it;
    }
    if let Some(backoff) = &backoff {
        restart.backoff_ns = backoff.it;
    }
    match unreasonable(&restart) {
        Some(finding) => {
            findings.push(finding(&place));
            DEFAULT_RESTART
        }
        None => restart,
    }
}

/// What is wrong with limits on restarting.
fn unreasonable(restart: &Restart) -> Option<impl Fn(&Place) -> Finding> {
    let limit = show_time(DURATION_LIMIT_NS);
    let (message, help) = if restart.attempts == 0 {
        (
            "0 attempts are no restart".to_string(),
            "at least 1, or the policy `never`".to_string(),
        )
    } else if !(1..=DURATION_LIMIT_NS).contains(&restart.window_ns) {
        (
            "no attempts can be counted in this window".to_string(),
            format!("more than 0 and at most {limit}"),
        )
    } else if restart.backoff_ns > DURATION_LIMIT_NS {
        (
            "the back-off is too long".to_string(),
            format!("at most {limit}"),
        )
    } else {
        let doubled = 1_u64.checked_shl(restart.attempts).unwrap_or(u64::MAX) - 1;
        let waited = doubled.saturating_mul(restart.backoff_ns);
        if waited < restart.window_ns {
            return None;
        }
        (
            format!(
                "{} attempts with a back-off that begins with {} and doubles never fall into a \
                 window of {}, so they are never used up",
                restart.attempts,
                show_time(restart.backoff_ns),
                show_time(restart.window_ns)
            ),
            "a longer window, fewer attempts or a shorter back-off".to_string(),
        )
    };
    Some(move |place: &Place| Finding::error("restart", place, message.clone()).help(help.clone()))
}

fn find_policy(name: &At<String>, findings: &mut Findings) -> Option<Policy> {
    let found = POLICIES.iter().find(|(known, _)| *known == name.it);
    if found.is_none() {
        let known = POLICIES.map(|(name, _)| name);
        findings.push(
            Finding::error(
                "unknown-name",
                &name.place,
                format!("there is no restart policy `{}`", name.it),
            )
            .maybe_help(did_you_mean(&name.it, known))
            .help(format!("policies are {}", list(&known))),
        );
    }
    Some(found?.1)
}
