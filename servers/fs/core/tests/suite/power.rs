//! Losses of power. A random workload runs on the server's own stack; the device logs
//! each write and flush. Then the device is rebuilt as a loss of power at some point
//! may have left it, mounted, and compared with what was promised:
//!
//! - it mounts, the tree can be walked and every file read;
//! - what was synced and not touched since is there, byte for byte;
//! - what was renamed is there, under one name;
//! - no file has bytes that were never written to it;
//! - it can be written again, and `e2fsck` finds nothing to complain about.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gritos_fs_api::{FileType, FsError, OpenFlags};
use gritos_fs_core::block::{BlockDevice, BlockError, Geometry, MemoryDisk};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::vfs::{Place, Vfs};

use crate::support::{Format, NEW, Paths, Random, e2fsck, ext4_image, now, tree};

#[derive(Clone, Debug)]
enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

type Log = Rc<RefCell<Vec<Event>>>;

/// A device in memory that logs what is done to it.
struct Logged {
    disk: MemoryDisk,
    log: Log,
}

impl BlockDevice for Logged {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        self.disk.read(sector, into)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.log
            .borrow_mut()
            .push(Event::Write(sector, from.to_vec()));
        self.disk.write(sector, from)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.log.borrow_mut().push(Event::Flush);
        Ok(())
    }
}

fn mount(image: Vec<u8>, log: &Log) -> Result<Vfs, FsError> {
    let device = Logged {
        disk: MemoryDisk::from_image(image),
        log: Rc::clone(log),
    };
    let volume = Ext4Volume::mount(Cache::new(device, 256 * 1024), false, now)?;
    Ok(tree(Box::new(volume)))
}

/// What is at a path: a file by its number, with its contents, or a folder. A symbolic link is a file that contains
/// where it leads; a file of two names is there twice.
type Model = BTreeMap<String, Option<(u32, Vec<u8>)>>;

/// The tree after an operation, and how many events there were by then.
struct Moment {
    events: usize,
    model: Model,
    synced: bool,
}

/// The byte that version `version` of file `id` has at `offset`; never 0.
fn pattern(id: u32, offset: usize, version: u64) -> u8 {
    let mixed =
        (u64::from(id) << 40 ^ (offset as u64) << 3 ^ version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as u8 | 1
}

const VERSIONS: u64 = 3;

/// The byte at `offset` of where symbolic link `id` leads.
fn letter(id: u32, offset: usize) -> u8 {
    b'a' + pattern(id, offset, 0) % 26
}

struct Workload {
    base: Vec<u8>,
    events: Vec<Event>,
    history: Vec<Moment>,
}

fn workload(base: &[u8], seed: u64, operations: u32) -> Workload {
    let log = Log::default();
    let mut vfs = mount(base.to_vec(), &log).expect("mounting");
    let mut random = Random::new(seed);
    let mut model = Model::new();
    let mut next_id = 1;
    let mut history = vec![Moment {
        events: log.borrow().len(),
        model: model.clone(),
        synced: true,
    }];
    for _ in 0..operations {
        let synced = operate(&mut vfs, &mut model, &mut random, &mut next_id);
        history.push(Moment {
            events: log.borrow().len(),
            model: model.clone(),
            synced,
        });
    }
    vfs.unmount_all().expect("unmounting");
    history.push(Moment {
        events: log.borrow().len(),
        model,
        synced: true,
    });
    let events = log.borrow().clone();
    Workload {
        base: base.to_vec(),
        events,
        history,
    }
}

fn some_path(random: &mut Random) -> String {
    let folder = ["", "/d0", "/d1", "/d2", "/d0/sub"][random.below(5) as usize];
    format!("{folder}/n{}", random.below(6))
}

/// One random operation; whether it made everything durable.
fn operate(vfs: &mut Vfs, model: &mut Model, random: &mut Random, next_id: &mut u32) -> bool {
    let path = some_path(random);
    let full = format!("/m{path}");
    match random.below(16) {
        0..=2 => {
            let folder = ["/d0", "/d1", "/d2", "/d0/sub"][random.below(4) as usize];
            if vfs.dir(&format!("/m{folder}")).is_ok() {
                model.insert(folder.into(), None);
            }
        }
        3..=6 => {
            let there = model.get(&path).cloned();
            let Ok(file) = vfs.at(&full, NEW) else {
                return false;
            };
            let (id, mut content) = there.flatten().unwrap_or_else(|| {
                *next_id += 1;
                (*next_id, Vec::new())
            });
            let offset = match random.below(3) {
                0 => 0,
                1 => content.len(),
                _ => random.below(content.len() as u64 + 5000) as usize,
            };
            let most = [100, 5000, 40_000][random.below(3) as usize];
            let length = 1 + random.below(most) as usize;
            let version = random.below(VERSIONS);
            let bytes: Vec<u8> = (offset..offset + length)
                .map(|at| pattern(id, at, version))
                .collect();
            assert_eq!(vfs.write(file, offset as u64, &bytes), Ok(length));
            content.resize(content.len().max(offset + length), 0);
            content[offset..offset + length].copy_from_slice(&bytes);
            rewrite(model, path, id, &content);
            let synced = random.below(4) == 0;
            if synced {
                vfs.fsync(file).expect("fsync");
            }
            vfs.close(file);
            return synced;
        }
        7 => {
            let Ok(file) = vfs.at(&full, OpenFlags::WRITE) else {
                return false;
            };
            let (id, mut content) = model.get(&path).cloned().flatten().expect("a file");
            let size = random.below(content.len() as u64 + 3000);
            vfs.truncate(file, size).expect("truncate");
            content.resize(size as usize, 0);
            rewrite(model, path, id, &content);
            vfs.close(file);
        }
        8 | 9 => {
            let to = some_path(random);
            let id = |path: &str| model.get(path).and_then(|entry| Some(entry.as_ref()?.0));
            // Two names of one file stay.
            let same = id(&path) == id(&to);
            if vfs.mv(&full, &format!("/m{to}")).is_ok() && !same {
                let moved = model.remove(&path).expect("what was moved");
                model.insert(to, moved);
            }
        }
        10 => {
            let (from, to) =
                [("/d1", "/d2"), ("/d2", "/d1"), ("/d0/sub", "/d2")][random.below(3) as usize];
            if vfs.mv(&format!("/m{from}"), &format!("/m{to}")).is_ok() {
                let keys: Vec<String> = model
                    .keys()
                    .filter(|key| *key == from || key.starts_with(&format!("{from}/")))
                    .cloned()
                    .collect();
                for key in keys {
                    let moved = model.remove(&key).expect("what was moved");
                    model.insert(format!("{to}{}", &key[from.len()..]), moved);
                }
            }
        }
        11 => {
            if vfs.rm(&full).is_ok() {
                model.remove(&path);
            }
        }
        12 => {
            let folder = ["/d0", "/d1", "/d2", "/d0/sub"][random.below(4) as usize];
            if vfs.rmd(&format!("/m{folder}")).is_ok() {
                model.remove(folder);
            }
        }
        13 => {
            let to = some_path(random);
            let root = vfs.root();
            let link = vfs.link(root, full.as_bytes(), format!("/m{to}").as_bytes());
            if link.is_ok() {
                let linked = model.get(&path).cloned().expect("what was linked");
                model.insert(to, linked);
            }
        }
        14 => symbolic(vfs, model, random, next_id),
        _ => {
            vfs.sync().expect("sync");
            return true;
        }
    }
    false
}

/// A file of one name or more has other contents now.
fn rewrite(model: &mut Model, path: String, id: u32, content: &[u8]) {
    model.insert(path, Some((id, Vec::new())));
    let names = model.values_mut().flatten().filter(|(file, _)| *file == id);
    names.for_each(|(_, bytes)| *bytes = content.to_vec());
}

/// Something with a symbolic link, which has a name that no file has.
fn symbolic(vfs: &mut Vfs, model: &mut Model, random: &mut Random, next_id: &mut u32) {
    let path = some_path(random).replace("/n", "/l");
    let full = format!("/m{path}");
    let root = vfs.root();
    match random.below(4) {
        0 | 1 => {
            *next_id += 1;
            let length = [5, 59, 60, 400][random.below(4) as usize];
            let target: Vec<u8> = (0..length).map(|at| letter(*next_id, at)).collect();
            if vfs.symlink(root, &target, full.as_bytes()).is_ok() {
                model.insert(path, Some((*next_id, target)));
            }
        }
        2 => {
            if vfs.rm(&full).is_ok() {
                model.remove(&path);
            }
        }
        _ => {
            let to = some_path(random).replace("/n", "/l");
            if vfs.mv(&full, &format!("/m{to}")).is_ok() && to != path {
                let moved = model.remove(&path).expect("what was moved");
                model.insert(to, moved);
            }
        }
    }
}

/// How power was lost.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After so many events.
    Prefix(usize),
    /// In the middle of the last of them.
    Torn(usize),
    /// Of the writes since the last flush any arrived.
    Reordered(usize),
    /// After so many, and once more while the first loss was being repaired.
    Twice(usize),
}

fn apply(image: &mut [u8], event: &Event, sectors: usize) {
    if let Event::Write(sector, bytes) = event {
        let at = *sector as usize * 512;
        let count = bytes.len().min(sectors.saturating_mul(512));
        image[at..at + count].copy_from_slice(&bytes[..count]);
    }
}

fn tear(event: &Event, random: &mut Random) -> usize {
    match event {
        Event::Write(_, bytes) => random.below(bytes.len() as u64 / 512 + 1) as usize,
        Event::Flush => 0,
    }
}

/// The device after a loss of power, if flushes count or if they were dropped.
fn rebuild(base: &[u8], events: &[Event], cut: Cut, flushes: bool, random: &mut Random) -> Vec<u8> {
    let mut image = base.to_vec();
    match cut {
        Cut::Prefix(count) | Cut::Twice(count) => {
            events[..count]
                .iter()
                .for_each(|event| apply(&mut image, event, usize::MAX));
        }
        Cut::Torn(count) => {
            events[..count - 1]
                .iter()
                .for_each(|event| apply(&mut image, event, usize::MAX));
            let sectors = tear(&events[count - 1], random);
            apply(&mut image, &events[count - 1], sectors);
        }
        Cut::Reordered(count) => {
            let flush = |event: &Event| matches!(event, Event::Flush);
            let kept = match events[..count].iter().rposition(flush) {
                Some(last) if flushes => last,
                _ => 0,
            };
            events[..kept]
                .iter()
                .for_each(|event| apply(&mut image, event, usize::MAX));
            for event in &events[kept..count] {
                match random.below(4) {
                    0 | 1 => apply(&mut image, event, usize::MAX),
                    2 => {
                        let sectors = tear(event, random);
                        apply(&mut image, event, sectors);
                    }
                    _ => {}
                }
            }
        }
    }
    image
}

fn count_of(cut: Cut) -> usize {
    match cut {
        Cut::Prefix(n) | Cut::Torn(n) | Cut::Reordered(n) | Cut::Twice(n) => n,
    }
}

/// A tree that is found: inodes, and the contents of files.
type Found = BTreeMap<String, (Place, Option<Vec<u8>>)>;

fn walk(vfs: &mut Vfs) -> Result<Found, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![String::new()];
    let root = vfs.root();
    while let Some(folder) = folders.pop() {
        let names = vfs
            .list(&format!("/m{folder}"))
            .map_err(|e| format!("listing {folder}: {e:?}"))?;
        for name in names {
            let path = format!("{folder}/{name}");
            let full = format!("/m{path}");
            let (inode, known) = vfs
                .stat_link(root, full.as_bytes())
                .map_err(|e| format!("stat {path}: {e:?}"))?;
            if known.kind == FileType::Symlink {
                let target = vfs
                    .read_link(root, full.as_bytes())
                    .map_err(|e| format!("where {path} leads: {e:?}"))?;
                found.insert(path, (inode, Some(target)));
                continue;
            }
            match vfs.content(&full) {
                Ok(bytes) => {
                    found.insert(path, (inode, Some(bytes)));
                }
                Err(FsError::IsDirectory) => {
                    folders.push(path.clone());
                    found.insert(path, (inode, None));
                }
                Err(error) => return Err(format!("reading {path}: {error:?}")),
            }
        }
    }
    Ok(found)
}

/// Compares what is found with what was promised.
fn judge(vfs: &mut Vfs, history: &[Moment], events: usize) -> Result<(), String> {
    let found = walk(vfs)?;
    let last = history
        .iter()
        .rposition(|moment| moment.synced && moment.events <= events)
        .unwrap_or(0);
    let after = history[last..]
        .iter()
        .position(|moment| moment.events >= events);
    let end = after.map_or(history.len(), |count| last + count + 1);
    let window = &history[last..end];
    let durable = &window[0].model;
    let mut inodes: BTreeMap<&Place, &String> = BTreeMap::new();
    for (path, (inode, content)) in &found {
        if let Some(other) = inodes.insert(inode, path) {
            let one_file = |moment: &Moment| {
                let id = |path: &String| Some(moment.model.get(path)?.as_ref()?.0);
                id(path).is_some() && id(path) == id(other)
            };
            if !window.iter().any(one_file) {
                return Err(format!("{path} is there as {other} too"));
            }
        }
        let mut ids = BTreeSet::new();
        let mut as_folder = false;
        for moment in window {
            match moment.model.get(path) {
                Some(Some((id, _))) => drop(ids.insert(*id)),
                Some(None) => as_folder = true,
                None => {}
            }
        }
        let Some(bytes) = content else {
            if !as_folder {
                return Err(format!("{path} was never a folder"));
            }
            continue;
        };
        if ids.is_empty() {
            return Err(format!("{path} was never a file"));
        }
        let fits = |id: &u32| {
            bytes.iter().enumerate().all(|(at, byte)| {
                *byte == 0
                    || *byte == letter(*id, at)
                    || (0..VERSIONS).any(|version| *byte == pattern(*id, at, version))
            })
        };
        if !ids.iter().any(fits) {
            return Err(format!("{path} has foreign bytes"));
        }
    }
    for (path, entry) in durable {
        if window
            .iter()
            .any(|moment| moment.model.get(path) != Some(entry))
        {
            continue;
        }
        match (entry, found.get(path)) {
            (_, None) => return Err(format!("{path} is lost")),
            (Some((_, expected)), Some((_, Some(bytes)))) if bytes == expected => {}
            (None, Some((_, None))) => {}
            _ => return Err(format!("{path} changed")),
        }
    }
    for id in durable.values().flatten().map(|(id, _)| *id) {
        let names = |moment: &Moment| -> Vec<String> {
            let mine = moment
                .model
                .iter()
                .filter(|(_, entry)| entry.as_ref().is_some_and(|(i, _)| *i == id));
            mine.map(|(path, _)| path.clone()).collect()
        };
        let all: Vec<Vec<String>> = window.iter().map(names).collect();
        if all.iter().all(|names| !names.is_empty())
            && !all.iter().flatten().any(|name| found.contains_key(name))
        {
            return Err(format!("file {id}, last {:?}, is lost", all.last()));
        }
    }
    Ok(())
}

/// Mounts, judges, writes something new, mounts again.
fn survive(image: Vec<u8>, history: &[Moment], events: usize, fsck: bool) -> Result<(), String> {
    let log = Log::default();
    if fsck {
        // Another system repairs it by its journal alone.
        let mut raw = image.clone();
        if let Some((code, words)) = e2fsck("-fp", &mut raw)
            && code > 1
            // A torn superblock is restored by our mount, from where others do not look.
            && !words.contains("superblock could not be read")
        {
            return Err(format!("e2fsck -p wants help: {words}"));
        }
    }
    let mut vfs = mount(image.clone(), &log).map_err(|e| format!("mount: {e:?}"))?;
    judge(&mut vfs, history, events)?;
    let before = walk(&mut vfs)?;
    vfs.put("/m/afterwards", b"written after the cut")
        .map_err(|e| format!("write: {e:?}"))?;
    vfs.unmount_all().map_err(|e| format!("unmount: {e:?}"))?;
    drop(vfs);
    let mut now = image;
    log.borrow()
        .iter()
        .for_each(|event| apply(&mut now, event, usize::MAX));
    if fsck
        && let Some((code, words)) = e2fsck("-fn", &mut now)
        && code != 0
    {
        return Err(format!("e2fsck -n complains: {words}"));
    }
    let mut vfs = mount(now, &Log::default()).map_err(|e| format!("second mount: {e:?}"))?;
    let mut after = walk(&mut vfs)?;
    match after.remove("/afterwards") {
        Some((_, Some(bytes))) if bytes == b"written after the cut" => {}
        _ => return Err("what was written after the cut is lost".into()),
    }
    if before != after {
        return Err("the tree changed with the second mount".into());
    }
    Ok(())
}

fn one_point(
    work: &Workload,
    cut: Cut,
    flushes: bool,
    fsck: bool,
    random: &mut Random,
) -> Result<(), String> {
    let mut image = rebuild(&work.base, &work.events, cut, flushes, random);
    if let Cut::Twice(_) = cut {
        let log = Log::default();
        drop(mount(image.clone(), &log).map_err(|e| format!("mount: {e:?}"))?);
        let events = log.borrow().clone();
        let count = random.below(events.len() as u64 + 1) as usize;
        image = rebuild(&image, &events, Cut::Reordered(count), flushes, random);
    }
    survive(image, &work.history, count_of(cut), fsck)
}

fn campaign(points: u64, seed: u64, flushes: bool) -> Option<Vec<String>> {
    let base = ext4_image(Format::Little)?;
    let mut failures = Vec::new();
    let per_workload = 200;
    for round in 0..points.div_ceil(per_workload) {
        let work = workload(base, seed + round, 200);
        let mut random = Random::new(seed ^ (0x5eed + round));
        for point in 0..per_workload.min(points - round * per_workload) {
            let count = 1 + random.below(work.events.len() as u64) as usize;
            let cut = match point % 5 {
                0 | 1 => Cut::Prefix(count),
                2 => Cut::Torn(count),
                3 => Cut::Reordered(count),
                _ => Cut::Twice(count),
            };
            if let Err(failure) = one_point(&work, cut, flushes, point % 7 == 0, &mut random) {
                failures.push(format!(
                    "seed {}, {cut:?} of {}: {failure}",
                    seed + round,
                    work.events.len()
                ));
            }
        }
    }
    Some(failures)
}

#[test]
fn nothing_that_was_synced_is_lost_with_the_power() {
    let number = |name: &str, default| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let points = number("GRITOS_POWER_POINTS", 200);
    let seed = number("GRITOS_POWER_SEED", 1);
    if let Some(failures) = campaign(points, seed, true) {
        let shown = failures
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            failures.is_empty(),
            "{} of {points} points:\n{shown}",
            failures.len()
        );
    }
}

#[test]
fn with_flushes_dropped_the_same_test_fails() {
    if let Some(failures) = campaign(100, 1, false) {
        assert!(!failures.is_empty(), "the harness finds nothing");
    }
}
