//! A disk that fails, as QEMU's `blkdebug` makes it.

use anyhow::{Context, Result, ensure};

use super::{Guest, host};
use crate::card;

/// Bytes of a block of the data partition.
const BLOCK: u64 = 4096;
/// Blocks of the journal that cannot be written: some way behind its beginning.
const JOURNAL: std::ops::Range<usize> = 40..44;

pub(super) fn reads_and_writes(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("write /data/good 'is safe'")?;
    guest.succeed("sync")?;
    guest.end("poweroff")?;
    let partition = host::data_of(guest.disk()?)?;
    let page = host::blocks(&partition, "/www/index.html")?;
    let journal = host::blocks(&partition, "<8>")?;
    let bad = page.first().context("the page has a block")?;
    let mut rules = rule("read", *bad);
    for block in journal.get(JOURNAL).context("the journal is as long")? {
        rules += &rule("write", *block);
    }
    guest.break_disk(Some(&rules))?;
    guest.boot()?;
    guest.refuse("cat /data/www/index.html", 1, "the device failed")?;
    ensure!(guest.succeed("cat /data/good")? == "is safe\n");

    // Commits go on until one comes to the blocks that cannot be written, and that one is told.
    let mut durable = 0;
    let told = (0..40).find_map(|number| {
        let command = format!("write /data/n{number} x");
        let tried = guest
            .run(&command)
            .and_then(|ran| Ok((ran.status, guest.run("sync")?)));
        match tried {
            Ok((0, sync)) if sync.status == 0 => {
                durable = number + 1;
                None
            }
            Ok((_, sync)) => Some(Ok(sync.stdout)),
            Err(error) => Some(Err(error)),
        }
    });
    let told = told.context("no error was told")??;
    ensure!(
        told.contains("the device failed") || told.contains("read-only"),
        "{told}"
    );
    ensure!(guest.succeed("cat /data/good")? == "is safe\n");

    // On a disk that works again, all that was told to be durable is there.
    guest.kill();
    guest.break_disk(None)?;
    guest.boot()?;
    ensure!(guest.succeed("cat /data/good")? == "is safe\n");
    for number in 0..durable {
        ensure!(guest.succeed(&format!("cat /data/n{number}"))? == "x\n");
    }
    guest.expect("cat /data/www/index.html", "gRiTOS")?;
    guest.end("poweroff")?;
    host::check(&partition)
}

/// A rule that has requests of a kind fail that touch a block.
fn rule(kind: &str, block: u64) -> String {
    let first = (card::DATA_START + block * BLOCK) / 512;
    let sectors = first..first + BLOCK / 512;
    sectors
        .map(|sector| {
            format!(
                "[inject-error]\nevent = \"none\"\niotype = \"{kind}\"\nsector = \"{sector}\"\n\
                 errno = \"5\"\n\n"
            )
        })
        .collect()
}
