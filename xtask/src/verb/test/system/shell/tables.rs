//! What `ps`, `top`, `mem`, `caps` and `log` print is what `servers/system.toml` says.

use anyhow::{Context, Result, ensure};

use super::Guest;

/// Components of the shipped system on virt that have an endpoint or a device to be looked at.
const NAMES: [&str; 11] = [
    "root",
    "log",
    "time",
    "console",
    "virtio-rng",
    "virtio-net",
    "net",
    "virtio-blk",
    "fs",
    "http",
    "shell",
];
/// Those of them whose device reaches memory by itself.
const DMA_DRIVERS: [&str; 3] = ["virtio-rng", "virtio-net", "virtio-blk"];
/// Largest sum of what rounding down takes from so many shares, in thousandths.
const ROUNDED: u64 = NAMES.len() as u64;
/// Looks, a second apart, for what takes a moment on a machine that is not busy.
const LOOKS: u32 = 30;

/// A share such as `12.3%`, in thousandths.
fn share(text: &str) -> Result<u64> {
    let digits = text
        .strip_suffix('%')
        .with_context(|| format!("`{text}` is no share"))?;
    let (whole, tenth) = digits
        .split_once('.')
        .with_context(|| format!("`{text}` is no share"))?;
    Ok(whole.parse::<u64>()? * 10 + tenth.parse::<u64>()?)
}

fn columns(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The columns of the line that has `name` in this one.
fn row<'a>(table: &'a str, column: usize, name: &str) -> Result<Vec<&'a str>> {
    let mut lines = table.lines().map(columns);
    lines
        .find(|columns| columns.get(column) == Some(&name))
        .with_context(|| format!("no line about {name} in:\n{table}"))
}

pub(super) fn what_runs(guest: &mut Guest<'_>) -> Result<()> {
    let table = guest.succeed("ps")?;
    let mut sum = 0;
    for (number, name) in NAMES.iter().enumerate() {
        let columns = row(&table, 1, name)?;
        let [at, _, state, threads, _, restarts, time, part] = columns.as_slice() else {
            anyhow::bail!("{columns:?} in:\n{table}");
        };
        ensure!(at.parse() == Ok(number), "{name} is number {at}");
        ensure!(
            ["running", "receiving", "waiting", "ready"].contains(state),
            "{name} is {state}"
        );
        let wanted = if *name == "root" { "-" } else { "1" };
        ensure!(*threads == wanted, "{name} has {threads} threads");
        ensure!(*restarts == "0", "{name} was started again");
        let used: f64 = time
            .parse()
            .with_context(|| format!("time of {name}: {time}"))?;
        ensure!(used > 0.0, "{name} used no time, says:\n{table}");
        sum += share(part)?;
    }
    ensure!(
        row(&table, 1, "fs")?[4] == "96",
        "priority of fs in:\n{table}"
    );
    sum += share(row(&table, 0, "nobody")?[1])?;
    ensure!(
        (1000 - ROUNDED..=1000).contains(&sum),
        "shares add up to {sum}:\n{table}"
    );

    let twice = guest.succeed("top 2")?;
    let tables: Vec<&str> = twice.split(" SHARE").skip(1).collect();
    ensure!(tables.len() == 2, "two looks were asked for:\n{twice}");
    for table in tables {
        let shares = table.lines().skip(1).map(columns);
        let all: Vec<u64> = shares.map(|line| share(line[0])).collect::<Result<_>>()?;
        let sum: u64 = all.iter().sum();
        ensure!(all.len() == NAMES.len() + 1, "{table}");
        ensure!(
            (1000 - ROUNDED..=1000).contains(&sum),
            "shares add up to {sum}:\n{table}"
        );
        let (_, ranked) = all.split_last().context("a line")?;
        ensure!(ranked.is_sorted_by(|a, b| a >= b), "not ranked:\n{table}");
    }

    let table = guest.succeed("mem")?;
    let number = |columns: &[&str], at: usize| -> Result<u64> { Ok(columns[at].parse()?) };
    let (mut used, mut quota) = (0, 0);
    for name in NAMES.iter().skip(1) {
        let columns = row(&table, 2, name)?;
        ensure!(
            number(&columns, 0)? <= number(&columns, 1)?,
            "{name} in:\n{table}"
        );
        used += number(&columns, 0)?;
        quota += number(&columns, 1)?;
    }
    let all = row(&table, 2, "all")?;
    ensure!(
        number(&all, 0)?.abs_diff(used) < ROUNDED,
        "{used} in:\n{table}"
    );
    ensure!(number(&all, 1)? == quota, "{quota} in:\n{table}");
    Ok(())
}

pub(super) fn capabilities(guest: &mut Guest<'_>) -> Result<()> {
    // What a driver gets, and that it can reach memory by itself.
    let table = guest.succeed("caps virtio-blk")?;
    for wanted in ["(device)", "IrqHandler", "[DMA]", "own thread", "own space"] {
        ensure!(table.contains(wanted), "no {wanted} in:\n{table}");
    }
    ensure!(row(&table, 1, "CNode")?[4] == "128", "slots in:\n{table}");
    // Nobody else has memory whose physical address it could tell a device.
    for name in NAMES.iter().skip(1) {
        let table = guest.succeed(&format!("caps {name}"))?;
        ensure!(row(&table, 5, "memory").is_ok(), "no memory in:\n{table}");
        ensure!(
            table.contains("[DMA]") == DMA_DRIVERS.contains(name),
            "{name} has:\n{table}"
        );
    }
    // The web server sees three services and the log, and no device.
    let table = guest.succeed("caps http")?;
    ensure!(
        !table.contains("(device)") && !table.contains("IrqHandler"),
        "{table}"
    );
    for service in ["net", "fs", "system", "log"] {
        let line = table
            .lines()
            .find(|line| line.ends_with(&format!("  {service}")));
        let line = line.with_context(|| format!("no {service} in:\n{table}"))?;
        // Who asks is in the badge: component 9, as `ps` numbers them.
        ensure!(line.contains("client 9 ") && line.contains('s'), "{line}");
    }
    ensure!(
        !table.contains("entropy") && !table.contains("console"),
        "{table}"
    );
    guest.refuse("caps nobody", 1, "there is no component `nobody`")?;
    Ok(())
}

/// What a command prints once there is `text` in it: components start one after the other.
fn appears(guest: &mut Guest<'_>, command: &str, text: &str) -> Result<String> {
    for _ in 0..LOOKS {
        let found = guest.succeed(command)?;
        if found.contains(text) {
            return Ok(found);
        }
        guest.succeed("sleep 1")?;
    }
    guest.expect(command, text)
}

pub(super) fn log(guest: &mut Guest<'_>) -> Result<()> {
    for (component, text) in [
        ("console", "INFO  console: the serial line is served"),
        (
            "virtio-blk",
            "INFO  virtio-blk: a disk of 512 MiB, in blocks of 512 bytes",
        ),
        ("virtio-net", "is up"),
        ("fs", "INFO  fs: ext4 of 384 MiB on /data"),
        ("http", "INFO  http: listens at port 80"),
    ] {
        let records = appears(guest, &format!("log {component}"), text)?;
        let of_others = records
            .lines()
            .find(|line| !line.contains(&format!("{component}: ")));
        ensure!(of_others.is_none(), "`log {component}` shows {of_others:?}");
    }
    let last = guest.succeed("log -1")?;
    ensure!(last.lines().count() == 1, "`log -1` shows:\n{last}");
    let errors = guest.succeed("log error")?;
    ensure!(
        errors.lines().all(|line| line.contains("] ERROR ")),
        "`log error` shows:\n{errors}"
    );
    guest.refuse("log nonsense", 2, "nonsense")?;
    Ok(())
}
