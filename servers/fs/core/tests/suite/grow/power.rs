//! Power that is cut while a volume grows: at each write, in the middle of it, and with
//! what was not flushed in any order. Whatever is left mounts, has what was there, and
//! grows to the same size; `e2fsck` has nothing to say, neither before nor after.

use gritos_fs_core::block::Shared;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::volume::Volume as _;

use super::sparse::{Event, Sparse};
use super::{CARD, Device, GIB, LITTLE, MIB, SMALL, assert_filled, copy, enlarge, filled, grown};
use crate::support::{Paths, Random, now, tree};

/// The device after a cut behind so many events: what was flushed before is there, of the
/// rest what `fate` says.
fn cut(
    base: &Sparse,
    events: &[Event],
    flushes: bool,
    fate: &mut dyn FnMut(usize) -> Fate,
) -> Sparse {
    let mut disk = base.copy();
    let flush = |event: &Event| matches!(event, Event::Flush);
    let kept = match events.iter().rposition(flush) {
        Some(last) if flushes => last,
        _ => 0,
    };
    for (index, event) in events.iter().enumerate() {
        let Event::Write(sector, bytes) = event else {
            continue;
        };
        let fate = if index < kept {
            Fate::Whole
        } else {
            fate(index)
        };
        match fate {
            Fate::Whole => disk.put(*sector, bytes),
            Fate::Sectors(count) => disk.put(*sector, &bytes[..bytes.len().min(count * 512)]),
            Fate::Lost => {}
        }
    }
    disk
}

#[derive(Clone, Copy)]
enum Fate {
    Whole,
    Sectors(usize),
    Lost,
}

fn any(random: &mut Random) -> Fate {
    match random.below(4) {
        0 | 1 => Fate::Whole,
        2 => Fate::Sectors(random.below(9) as usize),
        _ => Fate::Lost,
    }
}

/// Growing, from mount to unmount.
struct Growth {
    base: Sparse,
    events: Vec<Event>,
    bytes: u64,
}

fn growth(format: (u64, &[&str], &str), to: u64) -> Option<Growth> {
    let disk = filled(format)?;
    enlarge(&disk, to);
    let base = copy(&disk);
    disk.with(|disk| disk.log.borrow_mut().clear());
    let (mut vfs, grown) = grown(&disk);
    vfs.unmount_all().expect("unmounting");
    let events = disk.with(|disk| disk.log.borrow().clone());
    Some(Growth {
        base,
        events: events.expect("a log"),
        bytes: grown.expect("there is room").to,
    })
}

fn mounted(disk: &Device) -> Result<Ext4Volume<Cache<Device>>, String> {
    let cache = Cache::new(disk.clone(), 1 << 20);
    let mut volume = Ext4Volume::mount(cache, false, now).map_err(|e| format!("mount: {e:?}"))?;
    volume.grow().map_err(|error| error.to_string())?;
    Ok(volume)
}

/// Mounts what a cut left, and goes on.
fn survive(growth: &Growth, disk: Sparse, fsck: bool) -> Result<(), String> {
    if fsck {
        let (code, words) = disk.judged("e2fsck", &["-fp"]);
        // A torn superblock is restored by our mount, from where others do not look.
        if code > 1 && !words.contains("superblock could not be read") {
            return Err(format!("e2fsck -p wants help: {words}"));
        }
    }
    let disk = Shared::new(disk);
    let cache = Cache::new(disk.clone(), 1 << 20);
    let volume = Ext4Volume::mount(cache, true, now).map_err(|e| format!("read-only: {e:?}"))?;
    assert_filled(&mut tree(Box::new(volume)));
    let mut volume = mounted(&disk)?;
    let bytes = volume.space().map_err(|error| format!("{error:?}"))?;
    if bytes.total_bytes != growth.bytes {
        return Err(format!("it has {} bytes", bytes.total_bytes));
    }
    let mut vfs = tree(Box::new(volume));
    assert_filled(&mut vfs);
    vfs.put("/m/afterwards", &[7; 10_000])
        .map_err(|error| format!("writing: {error:?}"))?;
    vfs.unmount_all().map_err(|error| format!("{error:?}"))?;
    drop(vfs);
    if fsck {
        let (code, words) = copy(&disk).judged("e2fsck", &["-fn"]);
        if code != 0 {
            return Err(format!("e2fsck -n complains: {words}"));
        }
    }
    Ok(())
}

/// One point: how power goes behind the last of `events`.
fn point(
    growth: &Growth,
    events: &[Event],
    way: u64,
    flushes: bool,
    random: &mut Random,
) -> Result<Sparse, String> {
    let base = &growth.base;
    let last = events.len() - 1;
    Ok(match way {
        0 => cut(base, events, flushes, &mut |_| Fate::Whole),
        1 => {
            let torn = match &events[last] {
                Event::Write(_, bytes) => random.below(bytes.len() as u64 / 512 + 1),
                Event::Flush => 0,
            };
            cut(base, events, flushes, &mut |index| match index == last {
                true => Fate::Sectors(torn as usize),
                false => Fate::Whole,
            })
        }
        2 => cut(base, events, flushes, &mut |_| any(random)),
        // Once more, while the first is mended.
        _ => {
            let first = cut(base, events, flushes, &mut |_| any(random));
            let disk = Shared::new(first.copy());
            drop(mounted(&disk)?);
            let events = disk.with(|disk| disk.log.borrow().clone());
            let events = events.expect("a log");
            let end = random.below(events.len() as u64 + 1) as usize;
            cut(&first, &events[..end], flushes, &mut |_| any(random))
        }
    })
}

/// Cuts at each event in each way; returns how many points there were.
fn campaign(growth: &Growth, rounds: u64, fsck: u64, flushes: bool) -> (u64, Vec<String>) {
    let mut points = 0;
    let mut failures = Vec::new();
    for count in 1..=growth.events.len() {
        for round in 0..rounds {
            let mut random = Random::new(round << 16 | count as u64);
            // The first way is the same in each round.
            for way in u64::from(round > 0)..4 {
                points += 1;
                let fsck = points % fsck == 0;
                let result = point(growth, &growth.events[..count], way, flushes, &mut random)
                    .and_then(|disk| survive(growth, disk, fsck));
                if let Err(failure) = result {
                    failures.push(format!(
                        "event {count}, way {way}, round {round}: {failure}"
                    ));
                }
            }
        }
    }
    (points, failures)
}

fn rounds() -> u64 {
    std::env::var("GRITOS_GROW_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2)
}

#[test]
fn power_may_go_at_any_moment() {
    for (format, to, fsck) in [
        (LITTLE, 75 * MIB, 5),
        (SMALL, 70 * MIB, 5),
        (CARD, 8 * GIB, 37),
    ] {
        let Some(growth) = growth(format, to) else {
            return;
        };
        let (points, failures) = campaign(&growth, rounds(), fsck, true);
        println!(
            "{points} points at {} writes and flushes",
            growth.events.len()
        );
        let shown: Vec<String> = failures.iter().take(10).cloned().collect();
        assert!(
            failures.is_empty(),
            "{} of {points} points: {}",
            failures.len(),
            shown.join("\n")
        );
    }
}

#[test]
fn with_flushes_dropped_the_same_fails() {
    let Some(growth) = growth(LITTLE, 75 * MIB) else {
        return;
    };
    let (_, failures) = campaign(&growth, 1, 1000, false);
    assert!(!failures.is_empty(), "the harness finds nothing");
}
