//! What POSIX promises of files, tested by components on the target: `servers/fs/suite`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Board, Guest, host};

/// What the components are given as their arguments.
const PARTS: [&str; 8] = [
    "rules /data/rules",
    "rules /tmp/rules",
    "fsx /data/fsx",
    "stress /data/one",
    "stress /data/two",
    "stress /data/three",
    "many /data/many",
    "hostile /data/hostile",
];
/// Files that `many` makes; every second stays.
const MANY: u32 = 10_000;
/// How long they may take. On the Pi the driver moves each word, since QEMU's controller does not, and is more urgent
/// than the shell: a command waits until all that was asked of the disk is done.
const fn limit(board: Board) -> Duration {
    match board {
        Board::Virt => Duration::from_secs(300),
        Board::Rpi4 => Duration::from_secs(3000),
    }
}

pub(super) fn passes(guest: &mut Guest<'_>) -> Result<()> {
    let limit = limit(guest.board());
    let end = Instant::now() + limit;
    loop {
        guest.run_within("sleep 0.2", limit)?;
        let log = guest.run_within("log", limit)?.stdout;
        if let Some(line) = log.lines().find(|line| line.contains("FAILED")) {
            bail!("{line}");
        }
        let missing = PARTS
            .iter()
            .find(|part| !log.contains(&format!("{part}: passed")));
        let Some(part) = missing else { break };
        ensure!(Instant::now() < end, "`{part}` has not passed:\n{log}");
    }
    guest.end("poweroff")?;
    let partition = host::data_of(guest.disk()?)?;
    host::check(&partition)?;
    let names = host::names(&partition, "/many")?;
    let expected: Vec<String> = (0..MANY)
        .step_by(2)
        .map(|number| format!("file-{number:05}-of-many"))
        .collect();
    ensure!(
        names == expected,
        "debugfs lists {} names of {}",
        names.len(),
        expected.len()
    );
    Ok(())
}
