//! What POSIX promises of files, tested by components on the target: `servers/fs/suite`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Guest, host};

/// What the components are given as their arguments.
const PARTS: [&str; 6] = [
    "rules /data/rules",
    "rules /tmp/rules",
    "fsx /data/fsx",
    "stress /data/one",
    "stress /data/two",
    "stress /data/three",
];
/// How long they may take.
const LIMIT: Duration = Duration::from_secs(300);

pub(super) fn passes(guest: &mut Guest<'_>) -> Result<()> {
    let end = Instant::now() + LIMIT;
    loop {
        guest.run("sleep 0.2")?;
        let log = guest.succeed("log")?;
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
    host::check(&host::data_of(guest.disk()?)?)
}
