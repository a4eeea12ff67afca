//! The longest path of each way into the kernel: from an exception to the return from it, or to the wait for
//! interrupts, in instructions.
//!
//! Calls are told apart by the functions of the kernel that they come to: of what a `Call` is cannot be seen from
//! outside. An interrupt that comes meanwhile ends a stretch but not a path, so paths of what is done in steps
//! (`Revoke`, `Delete`, `Retype`, `Map`) are as long as what there is to do; their stretches are not.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Measurement;
use super::whole::grouped;
use crate::symbols;

/// A way into the kernel, as the plugin names it, what it is, and the function that tells it apart from other
/// Calls; none if it is empty.
struct Way {
    name: &'static str,
    what: &'static str,
    function: &'static str,
}

macro_rules! ways {
    ($($name:literal $what:literal $($function:literal)?;)*) => {
        &[$(Way { name: $name, what: $what, function: concat!($($function)?) },)*]
    };
}

/// The first one with a function is that of all Calls which leave the fast path; the plugin wants it first.
const WAYS: &[Way] = ways! {
    "call" "Call, fast path";
    "call_other" "Call: methods of a CNode and of Platform, and what is refused" "arch::trap::system_call";
    "call_message" "Call: a message on the general path" "check_call";
    "call_untyped" "Call: methods of an Untyped" "invoke_untyped";
    "call_tcb" "Call: methods of a TCB" "invoke_tcb";
    "call_space" "Call: methods of an AddressSpace" "invoke_space";
    "call_memory" "Call: methods of a MemoryObject" "invoke_memory";
    "call_handler" "Call: methods of an IrqHandler" "invoke_irq";
    "call_irq_control" "Call: IrqControl" "make_handler";
    "call_sched_control" "Call: SchedControl" "set_budget";
    "call_context" "Call: a SchedulingContext" "context_info";
    "call_asid_control" "Call: AsidControl" "assign_asid";
    "call_signal" "Call: a Notification" "signal_through";
    "reply_recv" "ReplyRecv";
    "send_async" "SendAsync";
    "recv" "Recv";
    "poll" "Poll";
    "reply" "Reply";
    "yield" "Yield";
    "debug_putchar" "DebugPutchar";
    "invalid" "a number that is no system call";
    "abort" "data abort or instruction abort";
    "fp" "access to FP registers that is trapped";
    "exception" "any other synchronous exception";
    "interrupt" "interrupt of a running thread";
    "idle" "interrupt of the idle machine";
};

/// What the plugin calls a way in its results.
const PREFIX: &str = "path_";

/// Arguments of the plugin that name the functions by their address in this kernel.
///
/// # Errors
/// If the kernel has no such function, because it was renamed or is inlined.
pub(super) fn arguments(kernel: &Path) -> Result<Vec<String>> {
    let told_apart = WAYS.iter().filter(|way| !way.function.is_empty());
    told_apart
        .map(|way| {
            let address = symbols::address_of(kernel, way.function)?;
            Ok(format!("way={}:{address:#x}", way.name))
        })
        .collect()
}

/// Prints the table, and gives what was found, all machines together.
///
/// # Errors
/// If a way was not taken, has no budget, or is longer than that.
pub(super) fn evaluate(
    found: &[Measurement],
    budgets: &BTreeMap<String, u64>,
) -> Result<Vec<Measurement>> {
    let mut kept = Vec::new();
    let mut wrong = Vec::new();
    println!();
    println!(
        "{:<64} {:>8} {:>10} {:>8}",
        "longest path, instructions of the kernel", "budget", "gRiTOS", "masked"
    );
    for way in WAYS {
        let name = format!("{PREFIX}{}", way.name);
        let budget = *budgets
            .get(way.name)
            .with_context(|| format!("ci/budgets.toml has no `{}` in [outside.paths]", way.name))?;
        let runs = || found.iter().filter(|m| m.name == name);
        let most = |key| runs().filter_map(|m| m.value(key)).max().unwrap_or(0);
        let times: u64 = runs().filter_map(|m| m.value("n")).sum();
        let (path, masked) = (most("instructions"), most("masked"));
        let verdict = match (times, path > budget) {
            (0, _) => "  never taken",
            (_, true) => "  over",
            _ => "",
        };
        if !verdict.is_empty() {
            wrong.push(way.name);
        }
        println!(
            "{:<64} {:>8} {:>10} {:>8}{verdict}",
            way.what,
            grouped(budget),
            grouped(path),
            grouped(masked)
        );
        let values = [("n", times), ("instructions", path), ("masked", masked)];
        kept.push(Measurement {
            name,
            values: values.map(|(key, value)| (key.to_string(), value)).into(),
        });
    }
    let unknown = budgets
        .keys()
        .find(|key| WAYS.iter().all(|way| way.name != *key));
    ensure!(
        unknown.is_none(),
        "ci/budgets.toml: no way into the kernel is called {unknown:?}"
    );
    ensure!(wrong.is_empty(), "over budget or never taken: {wrong:?}");
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Measurement, WAYS, evaluate};

    fn found(name: &str, instructions: u64) -> Measurement {
        let line = format!("path_{name} n=2 instructions={instructions} masked=40");
        Measurement::parse(&line).expect("a result")
    }

    fn budgets() -> BTreeMap<String, u64> {
        WAYS.iter().map(|way| (way.name.to_string(), 100)).collect()
    }

    #[test]
    fn the_longest_of_all_machines_counts() {
        let mut all: Vec<_> = WAYS.iter().map(|way| found(way.name, 70)).collect();
        all.push(found("recv", 90));
        let kept = evaluate(&all, &budgets()).expect("within");
        let recv = kept.iter().find(|m| m.name == "path_recv").expect("there");
        assert_eq!(
            (recv.value("instructions"), recv.value("n")),
            (Some(90), Some(4))
        );
        all.push(found("recv", 101));
        assert!(evaluate(&all, &budgets()).is_err());
    }

    #[test]
    fn ways_without_budget_or_run_and_budgets_without_way_are_told() {
        let all: Vec<_> = WAYS.iter().map(|way| found(way.name, 70)).collect();
        assert!(evaluate(&all, &budgets()).is_ok());
        assert!(evaluate(&all[1..], &budgets()).is_err());
        let mut fewer = budgets();
        fewer.remove("fp");
        assert!(evaluate(&all, &fewer).is_err());
        let mut more = budgets();
        more.insert("else".to_string(), 1);
        assert!(evaluate(&all, &more).is_err());
    }
}
