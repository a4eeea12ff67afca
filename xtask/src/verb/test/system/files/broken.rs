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

/// Flushes that succeed before all fail: mounting takes some, and each commit two, of which once the first and
/// once the second is to fail.
const GOOD_FLUSHES: [u32; 2] = [16, 17];

pub(super) fn flushes(guest: &mut Guest<'_>) -> Result<()> {
    for (round, good) in GOOD_FLUSHES.into_iter().enumerate() {
        guest.break_disk(Some(&failing_flushes(good)))?;
        guest.boot()?;
        guest.expect("cat /data/www/index.html", "gRiTOS")?;
        let mut durable = 0;
        let told = loop {
            ensure!(durable < 40, "no error was told");
            let made = guest.run(&format!("write /data/round{round}-{durable} x"))?;
            let synced = guest.run("sync")?;
            if made.status != 0 || synced.status != 0 {
                break synced.stdout;
            }
            durable += 1;
        };
        ensure!(
            told.contains("the device failed") && durable > 0,
            "after {durable} that were durable: {told}"
        );
        // It goes on failing, and says so each time there is something to lose.
        let made = guest.run(&format!("write /data/round{round}-more x"))?;
        let synced = guest.run("sync")?;
        ensure!(
            made.status != 0 || synced.status != 0,
            "a device that cannot flush made something durable"
        );
        guest.expect("cat /data/www/index.html", "gRiTOS")?;
        guest.kill();
        guest.break_disk(None)?;
        guest.boot()?;
        for number in 0..durable {
            let found = guest.succeed(&format!("cat /data/round{round}-{number}"))?;
            ensure!(found == "x\n", "{found}");
        }
    }
    guest.end("poweroff")?;
    host::check(&host::data_of(guest.disk()?)?)
}

/// Rules by which so many flushes succeed and no later one does.
fn failing_flushes(good: u32) -> String {
    let count = |state: u32| {
        format!(
            "[set-state]\nevent = \"flush_to_disk\"\nstate = \"{state}\"\nnew_state = \"{}\"\n\n",
            state + 1
        )
    };
    let counted: String = (1..=good).map(count).collect();
    counted
        + &format!(
            "[inject-error]\nevent = \"flush_to_disk\"\niotype = \"flush\"\nstate = \"{}\"\nerrno = \"5\"\n\n",
            good + 1
        )
}
