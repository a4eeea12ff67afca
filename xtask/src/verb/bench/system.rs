//! Boot, idling, memory and simple calls of the shipped system.

use anyhow::Result;

use super::Measurement;
use super::whole::{COUNTED, Row, measure, measure_often, print, with_guest};
use crate::verb::test::system::Setting;
use crate::workspace::Workspace;

const ROWS: &[Row] = &[
    Row::new(
        "boot",
        "reset to shell prompt, network included",
        "911 M +",
        20_000_000,
    ),
    Row::new("idle", "idle, per second, without network", "–", 20_000),
    Row::new(
        "idle_network",
        "idle, per second, network up",
        "71,475",
        40_000,
    ),
    Row::open("machine", "a call of the root task (Machine)"),
];

/// What Linux with busybox uses on the same machine.
const LINUX_RAM: &str = "Linux 6.1 with busybox: 28 MB";

/// Machines with a network that are booted: when its packets come is for the host to say.
const BOOTS: usize = 3;
/// Seconds for which the machine idles.
const IDLE_SECONDS: u64 = 10;
/// Seconds in which the network gets its address and falls silent.
const SETTLING_SECONDS: u64 = 20;

const WITH_NETWORK: Setting = Setting {
    network: true,
    entropy: true,
    ..COUNTED
};

pub(super) fn run(workspace: &Workspace, all: &mut Vec<Measurement>) -> Result<()> {
    let settle = format!("sleep {SETTLING_SECONDS}");
    let idle = format!("bench idle {IDLE_SECONDS}");
    let mut found = measure(workspace, &COUNTED, &[&settle, &idle, "bench system"])?;
    let with_network = ["bench boot", &settle, &idle];
    for mut measurement in measure_often(workspace, &WITH_NETWORK, &with_network, BOOTS)? {
        if measurement.name == "idle" {
            measurement.name += "_network";
        }
        found.push(measurement);
    }
    for measurement in &mut found {
        per_second(measurement);
        // One tick of the machine's clock is one instruction, or a nanosecond that nobody needed.
        if measurement.name == "boot"
            && let Some(ns) = measurement.value("ns")
        {
            measurement.values.insert("instructions".into(), ns);
        }
    }
    let verdict = print("instructions of the whole system", ROWS, &found);
    all.append(&mut found);
    memory(workspace)?;
    verdict
}

/// Makes the figure of an idle time one of a second.
fn per_second(measurement: &mut Measurement) {
    const SECOND: u64 = 1_000_000_000;
    if !measurement.name.starts_with("idle") {
        return;
    }
    if let (Some(instructions), Some(ns)) =
        (measurement.value("instructions"), measurement.value("ns"))
    {
        let seconds = (ns / SECOND).max(1);
        measurement
            .values
            .insert("instructions".into(), instructions / seconds);
    }
}

/// Prints the memory of each component, as the system tells it.
fn memory(workspace: &Workspace) -> Result<()> {
    let printed = with_guest(workspace, &WITH_NETWORK, |guest| guest.succeed("mem"))?;
    println!(
        "\nmemory at the prompt ({LINUX_RAM})\n{}",
        printed.trim_end()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Measurement, per_second};

    #[test]
    fn idle_figures_are_per_second() {
        let mut m = Measurement::parse("idle instructions=100 ns=10000000000").expect("one");
        per_second(&mut m);
        assert_eq!(m.value("instructions"), Some(10));
    }
}
