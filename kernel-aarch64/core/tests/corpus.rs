//! Replays what fuzzing found worth keeping, and changes of it.
//!
//! `core/fuzz/corpus` has a folder for each fuzz target. Every file must pass,
//! and so must some thousand variants of each, which are the same on every run.

use std::fs;
use std::path::{Path, PathBuf};

use gritos_abi::boot_image::{
    ENTRY_BYTES, Entry, EntryKind, HEADER_BYTES, Header, PAGE, Segment, crc32c,
};
use gritos_kernel_core::host::fuzz::{self, Random, Tally};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder in the order of their names.
fn files(path: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder(path)).expect("the folder is part of the source");
    let mut paths: Vec<PathBuf> = entries
        .map(|e| e.expect("a readable folder").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a readable file");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Changes a few places of `bytes`, or its length.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let value = match random.below(4) {
            0 => random.next(),
            1 => u64::MAX,
            2 => random.next() & 0xff,
            _ => 0x1000 * (random.next() & 0xff),
        };
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..bytes.len().min(at + 4))),
            2 => bytes.splice(at..at, value.to_le_bytes()).for_each(drop),
            n => {
                let width = [1, 4, 8][n - 3];
                let mut number = value.to_le_bytes();
                if random.below(2) == 0 {
                    number[..width].reverse();
                }
                let place = bytes.iter_mut().skip(at).take(width);
                place.zip(number).for_each(|(to, from)| *to = from);
            }
        }
    }
}

/// Runs `target` on each of `seeds` and on `variants` changed ones in all.
fn replay(seeds: &[(PathBuf, Vec<u8>)], variants: usize, mut target: impl FnMut(&[u8])) {
    assert!(!seeds.is_empty(), "there is nothing to replay");
    for (path, bytes) in seeds {
        println!("{}", path.display());
        target(bytes);
    }
    for number in 0..variants {
        let (path, bytes) = &seeds[number % seeds.len()];
        let mut bytes = bytes.clone();
        mutate(&mut bytes, &mut Random::new(number as u64));
        println!("variant {number}, of {}", path.display());
        target(&bytes);
    }
}

#[test]
fn device_trees() {
    let mut seeds = files("fuzz/corpus/device_tree");
    let real = files("src/dtb/testdata").into_iter();
    seeds.extend(real.filter(|(path, _)| path.extension().is_some_and(|e| e == "dtb")));
    replay(&seeds, 20_000, fuzz::device_tree);
}

/// An image as `xtask` writes it: a root task of two segments and a file.
fn image() -> Vec<u8> {
    let segment = |address, offset, rights| Segment {
        address,
        offset,
        file_bytes: PAGE,
        memory_bytes: PAGE,
        rights,
    };
    let mut name = [0; 32];
    name[..4].copy_from_slice(b"root");
    let payload = vec![0x5a; 2 * PAGE as usize];
    let root = Entry {
        name,
        kind: EntryKind::Root as u32,
        crc32c: crc32c(0, &payload),
        offset: PAGE,
        bytes: 2 * PAGE,
        sha256: [7; 32],
        entry_point: 0x20_0000,
        stack: 0x40_0000,
        segment_count: 2,
        flags: 0,
        segments: [
            segment(0x20_0000, PAGE, 5),
            segment(0x30_0000, 2 * PAGE, 3),
            Segment::default(),
            Segment::default(),
        ],
    };
    let data = Entry {
        kind: EntryKind::Data as u32,
        crc32c: crc32c(0, &payload[..100]),
        bytes: 100,
        segment_count: 0,
        ..root
    };
    let mut header = Header {
        total_bytes: 3 * PAGE,
        entry_count: 2,
        flags: 0,
        crc32c: 0,
    };
    let table =
        |header: &Header| [&header.to_bytes()[..], &root.to_bytes(), &data.to_bytes()].concat();
    header.crc32c = crc32c(0, &table(&header));
    let mut bytes = table(&header);
    assert_eq!(bytes.len(), HEADER_BYTES + 2 * ENTRY_BYTES);
    bytes.resize(PAGE as usize, 0);
    bytes.extend(payload);
    bytes
}

#[test]
fn boot_images() {
    let mut seeds = files("fuzz/corpus/boot_image");
    seeds.push(("an image".into(), image()));
    replay(&seeds, 3_000, fuzz::boot_image);
}

#[test]
fn system_calls() {
    let mut tally = Tally::default();
    let seeds = files("fuzz/corpus/system_calls");
    replay(&seeds, 500, |bytes| fuzz::system_calls(bytes, &mut tally));
    assert!(
        tally.calls > 1000,
        "the corpus hardly does anything: {tally:?}"
    );
}
