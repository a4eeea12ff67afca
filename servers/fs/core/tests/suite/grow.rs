//! Volumes that grow into their partitions. The oracles are `e2fsck`, also from copies of
//! the superblock, and `resize2fs`, which goes on from what was grown here.

use gritos_fs_core::block::Shared;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::ext4::grow::{GrowError, Grown, LABEL, limit};
use gritos_fs_core::vfs::Vfs;
use gritos_fs_core::volume::Volume as _;

use crate::support::{NEW, Paths, Random, now, scratch, tool_path, tree};
use sparse::{Event, Sparse};

mod odd;
mod partition;
mod power;
mod sparse;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

type Device = Shared<Sparse>;

/// As the image of a card has it (`xtask/src/card.rs`).
const CARD: (u64, &[&str], &str) = (
    384 * MIB,
    &["-b", "4096", "-J", "size=16", "-i", "16384"],
    "resize=67108864",
);
/// The same in little: groups of 4 MiB, the last one not whole.
const LITTLE: (u64, &[&str], &str) = (
    21 * MIB,
    &["-b", "4096", "-J", "size=4", "-g", "1024", "-N", "1536"],
    "resize=65536",
);
/// Blocks of 1 KiB, so that there are 16 descriptors in one.
const SMALL: (u64, &[&str], &str) = (
    13 * MIB + MIB / 2,
    &["-b", "1024", "-J", "size=2", "-g", "1024", "-N", "1120"],
    "resize=524288",
);

fn label() -> String {
    String::from_utf8(LABEL.to_vec()).expect("a label is text")
}

/// An empty volume, made by `mke2fs`; nothing without it.
fn made((bytes, options, resize): (u64, &[&str], &str)) -> Option<Sparse> {
    let path = scratch("grow.img");
    let file = std::fs::File::create(&path).expect("a file to format");
    file.set_len(bytes).expect("its size");
    let made = std::process::Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", &label()])
        .args(options)
        .args(["-E", &format!("{resize},nodiscard")])
        .arg(&path)
        .env("PATH", tool_path())
        .status();
    let disk = match made {
        Ok(status) if status.success() => Some(Sparse::read_file(&path)),
        _ => {
            eprintln!("skipped: growing, since `mke2fs` (Debian package e2fsprogs) is missing");
            None
        }
    };
    let _ = std::fs::remove_file(&path);
    disk
}

fn volume(disk: &Device) -> Ext4Volume<Cache<Device>> {
    Ext4Volume::mount(Cache::new(disk.clone(), 1 << 20), false, now).expect("mounting")
}

fn copy(disk: &Device) -> Sparse {
    disk.with(|disk| disk.copy()).expect("nobody uses it")
}

fn check(disk: &Device, context: &str) {
    let (code, words) = copy(disk).judged("e2fsck", &["-fn"]);
    assert_eq!(code, 0, "{context}: {words}");
}

/// Mounts and grows.
fn grown(disk: &Device) -> (Vfs, Option<Grown>) {
    let mut volume = volume(disk);
    let grown = volume.grow().expect("growing");
    (tree(Box::new(volume)), grown)
}

/// What is on a volume before it grows.
fn fill(vfs: &mut Vfs) {
    for i in 0..30 {
        vfs.dir(&format!("/m/d{i}")).expect("mkdir");
        let bytes = Random::new(i).bytes(1000 + 3000 * i as usize);
        vfs.put(&format!("/m/d{i}/file"), &bytes).expect("write");
    }
}

fn assert_filled(vfs: &mut Vfs) {
    for i in 0..30 {
        let bytes = Random::new(i).bytes(1000 + 3000 * i as usize);
        let found = vfs.content(&format!("/m/d{i}/file")).expect("read");
        assert!(found == bytes, "file {i}");
    }
}

/// A volume with something on it, not larger than its device.
fn filled(format: (u64, &[&str], &str)) -> Option<Device> {
    let disk = Shared::new(made(format)?);
    let (mut vfs, grown) = grown(&disk);
    assert_eq!(grown, None);
    fill(&mut vfs);
    vfs.unmount_all().expect("unmounting");
    Some(disk)
}

fn enlarge(disk: &Device, bytes: u64) {
    disk.with(|disk| disk.set_bytes(bytes))
        .expect("nobody uses it");
}

#[test]
fn a_cards_volume_grows_to_cards_of_all_sizes() {
    let Some(base) = filled(CARD) else {
        return;
    };
    for (bytes, expected) in [
        (384 * MIB + 5 * MIB, 384 * MIB + 5 * MIB),
        (GIB, GIB),
        (8 * GIB + 7 * MIB, 8 * GIB + 7 * MIB),
        // What is behind the last group is too little for another.
        (32 * GIB + MIB, 32 * GIB),
        (128 * GIB, 128 * GIB),
        // No room was set aside for the descriptors of more.
        (400 * GIB, 256 * GIB),
    ] {
        let context = format!("{} MiB", bytes / MIB);
        let disk = Shared::new(copy(&base));
        enlarge(&disk, bytes);
        assert_eq!(limit(disk.clone()), Some(256 * GIB / 512));
        let mut volume = volume(&disk);
        let before = volume.space().expect("space");
        let mounted = copy_events(&disk);
        let grown = volume.grow().expect("growing");
        let (events, written) = since(&disk, mounted);
        let after = volume.space().expect("space");
        let (from, to) = (384 * MIB, expected);
        assert_eq!(grown, Some(Grown { from, to }), "{context}");
        let added = to - from;
        assert_eq!(after.total_bytes - before.total_bytes, added, "{context}");
        // Tables of inodes take 1/64, and what is the same for a group of any size.
        let free = after.free_bytes - before.free_bytes;
        assert!(free > (added / 100 * 98).saturating_sub(3 * MIB) && free < added);
        // A few dozen, whatever the size.
        println!("{context}: {events} writes and flushes, {written} bytes");
        assert!(events < 100 && written < 5 * MIB, "{context}");
        let mut vfs = tree(Box::new(volume));
        assert_filled(&mut vfs);
        vfs.put("/m/afterwards", b"written").expect("write");
        vfs.unmount_all().expect("unmounting");
        check(&disk, &context);
        let (mut vfs, again) = self::grown(&disk);
        assert_eq!(again, None, "{context}");
        assert_filled(&mut vfs);
    }
}

/// What was done to a device since so many events: how often, and how many bytes.
fn since(disk: &Device, events: usize) -> (usize, u64) {
    let log = disk.with(|disk| disk.log.borrow()[events..].to_vec());
    let log = log.expect("nobody uses it");
    let bytes = log.iter().map(|event| match event {
        Event::Write(_, bytes) => bytes.len() as u64,
        Event::Flush => 0,
    });
    (log.len(), bytes.sum())
}

fn copy_events(disk: &Device) -> usize {
    disk.with(|disk| disk.log.borrow().len()).expect("a log")
}

#[test]
fn what_was_added_can_be_used_to_the_last_block() {
    for (format, to) in [(LITTLE, 75 * MIB), (SMALL, 70 * MIB)] {
        let Some(disk) = filled(format) else {
            return;
        };
        enlarge(&disk, to);
        // A card is not empty: what was on it before is behind the image.
        let older = Random::new(4).bytes((to - format.0) as usize);
        disk.with(|disk| disk.put(format.0 / 512, &older));
        let (mut vfs, grown) = grown(&disk);
        let grown = grown.expect("there is room");
        assert!(grown.to > to - MIB);
        let bytes = Random::new(3).bytes(MIB as usize);
        let large = vfs.at("/m/large", NEW).expect("open");
        let mut size = 0;
        while size < 40 * MIB {
            let taken = vfs.write(large, size, &bytes).expect("write");
            size += taken as u64;
        }
        vfs.fsync(large).expect("fsync");
        vfs.close(large);
        // Inodes of new groups as well.
        let mut files = 0;
        while files < 2000 && vfs.put(&format!("/m/small{files}"), b"small").is_ok() {
            files += 1;
        }
        assert!(files > 1000, "{files}");
        let rest = vfs.at("/m/rest", NEW).expect("open");
        let mut filled = 0;
        while let Ok(taken @ 1..) = vfs.write(rest, filled, &bytes) {
            filled += taken as u64;
        }
        vfs.close(rest);
        assert_filled(&mut vfs);
        assert!(vfs.content("/m/large").expect("read").ends_with(&bytes));
        vfs.unmount_all().expect("unmounting");
        check(&disk, "full");
        let (mut vfs, _) = self::grown(&disk);
        for name in ["large", "rest"] {
            vfs.rm(&format!("/m/{name}")).expect("unlink");
        }
        vfs.unmount_all().expect("unmounting");
        check(&disk, "emptied");
    }
}

#[test]
fn it_grows_again_and_again_and_others_go_on_from_there() {
    for (format, sizes) in [
        (LITTLE, [22, 27, 60, 61, 250]),
        (SMALL, [15, 16, 17, 40, 200]),
    ] {
        let Some(disk) = filled(format) else {
            return;
        };
        for (step, size) in sizes.iter().enumerate() {
            enlarge(&disk, size * MIB + 3 * 512);
            let (mut vfs, _) = grown(&disk);
            assert_filled(&mut vfs);
            let bytes = Random::new(step as u64).bytes(700_000);
            vfs.put(&format!("/m/step{step}"), &bytes).expect("write");
            vfs.unmount_all().expect("unmounting");
            check(&disk, &format!("{size} MiB"));
        }
        let mut theirs = copy(&disk);
        theirs.set_bytes(400 * MIB);
        let (code, words) = theirs.changed("resize2fs", &["-f"]);
        assert_eq!(code, 0, "{words}");
        let (code, words) = theirs.judged("e2fsck", &["-fn"]);
        assert_eq!(code, 0, "{words}");
    }
}

#[test]
fn copies_of_the_superblock_can_take_its_place() {
    for (format, to, copies) in [
        (LITTLE, 75 * MIB, vec![1024_u64, 1024 * 3, 1024 * 9]),
        (SMALL, 70 * MIB, vec![1025, 1 + 1024 * 49]),
    ] {
        let Some(disk) = filled(format) else {
            return;
        };
        enlarge(&disk, to);
        let (mut vfs, _) = grown(&disk);
        vfs.unmount_all().expect("unmounting");
        let unit = format.1[1].to_string();
        for block in copies {
            let mut spoiled = copy(&disk);
            // Superblock and descriptors.
            spoiled.put(2, &vec![0xa5; 16_384 - 1024]);
            let from = block.to_string();
            let (code, words) = spoiled.changed("e2fsck", &["-fy", "-b", &from, "-B", &unit]);
            assert!(code <= 1, "{block}: {words}");
            let (mut vfs, again) = grown(&Shared::new(spoiled));
            assert_eq!(again, None);
            assert_filled(&mut vfs);
        }
    }
}

#[test]
fn old_groups_with_copies_have_maps_afterwards() {
    // Of a group without one Linux counts wrongly when it has replayed a growth.
    let Some(disk) = filled(SMALL) else {
        return;
    };
    let without_maps = |disk: &Device| -> Vec<String> {
        let (code, words) = copy(disk).judged("dumpe2fs", &[]);
        assert_eq!(code, 0, "{words}");
        let groups = words.lines().filter(|line| line.contains("BLOCK_UNINIT"));
        groups
            .filter_map(|line| line.strip_prefix("Group ")?.split_once(':'))
            .map(|(number, _)| number.to_string())
            .collect()
    };
    assert!(without_maps(&disk).contains(&String::from("9")));
    enlarge(&disk, 70 * MIB);
    let (mut vfs, _) = grown(&disk);
    vfs.unmount_all().expect("unmounting");
    let without = without_maps(&disk);
    let old = ["1", "3", "5", "7", "9"];
    assert!(
        old.iter()
            .all(|group| !without.contains(&String::from(*group)))
    );
    assert!(without.contains(&String::from("25")), "{without:?}");
}

#[test]
fn only_volumes_that_want_to_grow_do() {
    let Some(disk) = filled(LITTLE) else {
        return;
    };
    let mut other = copy(&disk);
    let (code, words) = other.changed("tune2fs", &["-L", "somebody's"]);
    assert_eq!(code, 0, "{words}");
    let disk = Shared::new(other);
    enlarge(&disk, 80 * MIB);
    assert_eq!(limit(disk.clone()), None);
    let mut volume = volume(&disk);
    assert_eq!(volume.grow(), Ok(None));
    volume.unmount().expect("unmounting");
    assert_eq!(volume.space().expect("space").total_bytes, 21 * MIB);

    let without = (
        LITTLE.0,
        &["-b", "4096", "-J", "size=4", "-O", "^metadata_csum"][..],
        LITTLE.2,
    );
    let disk = Shared::new(made(without).expect("it was there before"));
    enlarge(&disk, 80 * MIB);
    let before = copy_events(&disk);
    let mut volume = self::volume(&disk);
    let mounted = copy_events(&disk);
    assert!(matches!(volume.grow(), Err(GrowError::Odd(_))));
    assert!(mounted > before && copy_events(&disk) == mounted);
    volume.unmount().expect("unmounting");
    check(&disk, "no checksums");
}
