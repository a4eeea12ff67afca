//! Power that is cut while a volume grows: at each write, in the middle of it, and with
//! what was not flushed in any order. Whatever is left mounts, has what was there, and
//! grows to the same size; `e2fsck` has nothing to say, neither before nor after.

use gritos_fs_core::block::Shared;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::volume::Volume;

use super::sparse::{Event, Sparse};
use super::{
    CARD, Device, GIB, LITTLE, MIB, SMALL, assert_filled, copy, enlarge, filled, partition,
};
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

/// Mounts what is on a device, and lets it grow.
type Boot = fn(&Device) -> Result<Box<dyn Volume>, String>;

/// Growing, from mount to unmount.
struct Growth {
    base: Sparse,
    boot: Boot,
    /// The page at which the volume begins.
    first: u64,
    events: Vec<Event>,
    bytes: u64,
}

impl Growth {
    fn of(base: &Sparse, boot: Boot, first: u64) -> Self {
        let disk = Shared::new(base.copy());
        let mut volume = boot(&disk).expect("booting");
        let bytes = volume.space().expect("space").total_bytes;
        volume.unmount().expect("unmounting");
        let events = disk.with(|disk| disk.log.borrow().clone());
        Self {
            base: base.copy(),
            boot,
            first,
            events: events.expect("a log"),
            bytes,
        }
    }

    fn judged(&self, disk: &Sparse, mode: &str) -> (i32, String) {
        disk.moved(self.first, 0).judged("e2fsck", &[mode])
    }
}

/// A volume that is a whole device.
fn growth(format: (u64, &[&str], &str), to: u64) -> Option<Growth> {
    let disk = filled(format)?;
    enlarge(&disk, to);
    // What was on the card before, here and there.
    let older = Random::new(5).bytes(1 << 16);
    for at in (format.0.next_multiple_of(MIB)..to.min(200 * MIB)).step_by(MIB as usize) {
        disk.with(|disk| disk.put(at / 512, &older));
    }
    let growth = Growth::of(&copy(&disk), boot_volume, 0);
    assert!(growth.bytes > to - 3 * MIB, "it grew");
    Some(growth)
}

fn boot_volume(disk: &Device) -> Result<Box<dyn Volume>, String> {
    let cache = Cache::new(disk.clone(), 1 << 20);
    let mut volume = Ext4Volume::mount(cache, false, now).map_err(|e| format!("mount: {e:?}"))?;
    volume.grow().map_err(|error| error.to_string())?;
    Ok(Box::new(volume))
}

/// The same in the last partition of a card.
fn boot_card(disk: &Device) -> Result<Box<dyn Volume>, String> {
    let view = partition::found(disk)?;
    let mut volume = Ext4Volume::mount(view, false, now).map_err(|e| format!("mount: {e:?}"))?;
    volume.grow().map_err(|error| error.to_string())?;
    Ok(Box::new(volume))
}

/// Mounts what a cut left, and goes on.
fn survive(growth: &Growth, disk: Sparse, fsck: bool) -> Result<(), String> {
    if fsck {
        let (code, words) = growth.judged(&disk, "-fp");
        // A torn superblock is restored by our mount, from where others do not look.
        if code > 1 && !words.contains("superblock could not be read") {
            return Err(format!("e2fsck -p wants help: {words}"));
        }
    }
    let disk = Shared::new(disk);
    if growth.first == 0 {
        let cache = Cache::new(disk.clone(), 1 << 20);
        let volume =
            Ext4Volume::mount(cache, true, now).map_err(|e| format!("read-only: {e:?}"))?;
        assert_filled(&mut tree(Box::new(volume)));
    }
    let mut volume = (growth.boot)(&disk)?;
    let bytes = volume.space().map_err(|error| format!("{error:?}"))?;
    if bytes.total_bytes != growth.bytes {
        return Err(format!("it has {} bytes", bytes.total_bytes));
    }
    let mut vfs = tree(volume);
    assert_filled(&mut vfs);
    vfs.put("/m/afterwards", &[7; 10_000])
        .map_err(|error| format!("writing: {error:?}"))?;
    vfs.unmount_all().map_err(|error| format!("{error:?}"))?;
    drop(vfs);
    if fsck {
        let (code, words) = growth.judged(&copy(&disk), "-fn");
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
            drop((growth.boot)(&disk)?);
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

fn must_survive(growth: &Growth, fsck: u64) {
    let (points, failures) = campaign(growth, rounds(), fsck, true);
    println!("{points} points at {} events", growth.events.len());
    let shown: Vec<String> = failures.iter().take(10).cloned().collect();
    let (count, shown) = (failures.len(), shown.join("\n"));
    assert!(failures.is_empty(), "{count} of {points} points: {shown}");
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
        must_survive(&growth, fsck);
    }
}

#[test]
fn power_may_go_while_the_partition_is_extended() {
    let Some(base) = partition::card(60 * MIB) else {
        return;
    };
    let growth = Growth::of(&base, boot_card, partition::FIRST / 8);
    assert_eq!(growth.bytes, 59 * MIB);
    must_survive(&growth, 5);
}

#[test]
fn with_flushes_dropped_the_same_fails() {
    let Some(growth) = growth(LITTLE, 75 * MIB) else {
        return;
    };
    let (_, failures) = campaign(&growth, 1, 1000, false);
    assert!(!failures.is_empty(), "the harness finds nothing");
}
