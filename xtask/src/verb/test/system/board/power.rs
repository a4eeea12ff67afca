//! What the kernel writes to the power management of the Pi, as QEMU sees it.
//!
//! No manual describes these registers. The expected sequence is that of raspberrypi/linux, `drivers/watchdog/bcm2835_wdt.c`
//! (functions `bcm2835_restart` and `bcm2835_power_off`): status, ticks, control, each with the password in its upper byte.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::super::Guest;

/// `PM_RSTS`, `PM_WDOG` and `PM_RSTC`, as offsets in their page.
const RSTS: u64 = 0x20;
const WDOG: u64 = 0x24;
const RSTC: u64 = 0x1c;
const PASSWORD: u64 = 0x5a00_0000;
/// Bits 10, 8, 6, 4, 2 and 0 of `PM_RSTS` are the partition to boot from.
const PARTITION: u64 = 0x555;
/// Boot as ever.
pub(super) const FIRST_PARTITION: u64 = 0;
/// Partition 63: stay off until power comes anew.
pub(super) const STAY_OFF: u64 = 0x555;
/// Bits 5:4 of `PM_RSTC`: a full reset when the watchdog has run out.
const ACTION: u64 = 0x30;
const FULL_RESET: u64 = 0x20;

/// Runs a command that ends the machine: its exit status, and offsets and values of what was written on the way.
pub(super) fn writes(guest: &mut Guest<'_>, command: &str) -> Result<(u8, Vec<(u64, u64)>)> {
    let name = std::thread::current().id();
    let path = guest
        .workspace()
        .output(&format!("system-test/power-{name:?}.log"))?;
    let line = format!("logfile {}", path.display());
    let arguments = serde_json::json!({ "command-line": line });
    guest.monitor(
        &serde_json::json!({"execute": "human-monitor-command", "arguments": arguments}),
    )?;
    let arguments = serde_json::json!({ "name": "memory_region_ops_write", "enable": true });
    guest.monitor(
        &serde_json::json!({"execute": "trace-event-set-state", "arguments": arguments}),
    )?;
    let status = guest.end(command)?;
    let text = fs::read_to_string(&path).context("QEMU traces nothing")?;
    // A file that stays is overwritten by the next.
    let _ = fs::remove_file(&path);
    let written = text.lines().filter(|line| line.contains("powermgt"));
    Ok((status, written.filter_map(parse).collect()))
}

/// `memory_region_ops_write cpu 0 mr 0x5581 addr 0x100020 value 0x5a000555 size 4 name 'bcm2835-powermgt'`
fn parse(line: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let word = line.split(name).nth(1)?.split_whitespace().next()?;
        u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
    };
    Some((field("addr ")? & 0xfff, field("value ")?))
}

/// Compares with the documents' sequence; what other bits hold is the firmware's.
pub(super) fn check(written: &[(u64, u64)], partition: u64) -> Result<()> {
    let shown = || {
        let words: Vec<_> = written
            .iter()
            .map(|(offset, value)| format!("{offset:#x} = {value:#x}"))
            .collect();
        words.join(", ")
    };
    let [(RSTS, rsts), (WDOG, wdog), (RSTC, rstc)] = written else {
        anyhow::bail!("status, ticks and control were to be written: {}", shown());
    };
    let protected = [rsts, wdog, rstc]
        .iter()
        .all(|value| **value & 0xff00_0000 == PASSWORD);
    ensure!(protected, "the password is missing: {}", shown());
    ensure!(
        rsts & PARTITION == partition,
        "the partition was to be {partition:#x}: {}",
        shown()
    );
    let ticks = wdog & 0x000f_ffff;
    // 16 us each.
    ensure!((1..=1000).contains(&ticks), "{ticks} ticks: {}", shown());
    ensure!(rstc & ACTION == FULL_RESET, "a full reset: {}", shown());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FIRST_PARTITION, STAY_OFF, check, parse};

    const OFF: [(u64, u64); 3] = [
        (0x20, 0x5a00_1555),
        (0x24, 0x5a00_000a),
        (0x1c, 0x5a00_0122),
    ];

    #[test]
    fn only_the_documents_sequence_passes() {
        check(&OFF, STAY_OFF).expect("the sequence");
        assert!(check(&OFF, FIRST_PARTITION).is_err());
        let mut other = OFF;
        other.swap(1, 2);
        assert!(check(&other, STAY_OFF).is_err(), "control before ticks");
        assert!(check(&OFF[..2], STAY_OFF).is_err(), "no control");
        for (at, value) in [(0, 0x1555), (1, 0x5a00_0000), (2, 0x5a00_0102)] {
            let mut other = OFF;
            other[at].1 = value;
            assert!(check(&other, STAY_OFF).is_err(), "{value:#x}");
        }
    }

    #[test]
    fn a_line_of_the_trace_is_read() {
        let line = "memory_region_ops_write cpu 0 mr 0x5581 addr 0x7e100020 value 0x5a000555 size 4 name 'x'";
        assert_eq!(parse(line), Some((0x20, 0x5a00_0555)));
        assert_eq!(parse("memory_region_ops_write cpu 0"), None);
    }
}
