//! ext4 as others make and read it: `debugfs` looks at what we wrote, and we at what it
//! wrote; journals of others are replayed as `e2fsck` replays them.

use gritos_fs_api::FileType;
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::vfs::Vfs;

use crate::support::{
    Format, NEW, Paths, Random, check, debugfs, e2fsck, ext4_image, now, scratch, tree,
};

fn mounted(image: Vec<u8>, read_only: bool) -> (Vfs, Shared<MemoryDisk>) {
    let disk = Shared::new(MemoryDisk::from_image(image));
    let cache = Cache::new(disk.clone(), 1 << 20);
    let volume = Ext4Volume::mount(cache, read_only, now).expect("mounting");
    (tree(Box::new(volume)), disk)
}

fn image_of(disk: &Shared<MemoryDisk>) -> Vec<u8> {
    disk.with(|disk| disk.image().to_vec()).expect("the image")
}

#[test]
fn others_read_what_we_wrote() {
    for format in [Format::Usual, Format::Small] {
        let Some(image) = ext4_image(format) else {
            return;
        };
        let (mut vfs, disk) = mounted(image.to_vec(), false);
        let mut random = Random::new(4);
        let files: Vec<(String, Vec<u8>)> = [0, 1, 4096, 5000, 300_000, 3_000_000]
            .into_iter()
            .map(|count| (format!("/d/file-{count}"), random.bytes(count)))
            .collect();
        vfs.dir("/m/d").expect("mkdir");
        for (name, bytes) in &files {
            vfs.put(&format!("/m{name}"), bytes).expect("write");
        }
        vfs.unmount_all().expect("unmount");
        let mut image = image_of(&disk);
        for (name, bytes) in &files {
            let out = scratch("dumped");
            let command = format!("dump {name} {}", out.display());
            let Some(_) = debugfs(&mut image, &[&command]) else {
                return;
            };
            let dumped = std::fs::read(&out).expect("what debugfs wrote");
            let _ = std::fs::remove_file(&out);
            assert!(dumped == *bytes, "{name}");
        }
    }
}

#[test]
fn we_read_and_change_what_others_wrote() {
    for format in [Format::Usual, Format::Small] {
        let Some(image) = ext4_image(format) else {
            return;
        };
        let mut image = image.to_vec();
        let bytes = Random::new(5).bytes(2_000_000);
        let source = scratch("source");
        std::fs::write(&source, &bytes).expect("a file");
        let long = format!("/m/{}", "deep/".repeat(20));
        let words = debugfs(
            &mut image,
            &[
                "mkdir d",
                &format!("write {} d/file", source.display()),
                "symlink short d/file",
                &format!("symlink long {long}"),
                "write /dev/null d/reserved",
                "fallocate d/reserved 0 40",
                "set_inode_field d/reserved size 100000",
            ],
        );
        let _ = std::fs::remove_file(&source);
        if words.is_none() {
            return;
        }
        let (mut vfs, disk) = mounted(image, false);
        assert!(vfs.content("/m/d/file").expect("read") == bytes);
        assert!(vfs.content("/m/short").expect("through the link") == bytes);
        let file = vfs.at("/m/d/reserved", NEW).expect("open");
        // Blocks that are there and were never written are zeros, around what is.
        let mut copy = vec![0; 100_000];
        for (at, count) in [(30_000, 5000), (8192, 4096), (99_990, 10), (12_288, 4096)] {
            let bytes = Random::new(at).bytes(count);
            assert_eq!(vfs.write(file, at, &bytes), Ok(count));
            copy[at as usize..at as usize + count].copy_from_slice(&bytes);
        }
        vfs.close(file);
        vfs.sync().expect("sync");
        assert!(vfs.content("/m/d/reserved").expect("read") == copy);
        vfs.put("/m/d/file", b"shorter").expect("write");
        vfs.rm("/m/short").expect("unlink");
        vfs.rm("/m/long").expect("unlink");
        vfs.unmount_all().expect("unmount");
        check(&disk, &format!("{format:?}"));
    }
}

/// Blocks that a test writes through the journal: free ones, with and without the number
/// that begins blocks of the journal.
const LOGGED: [u64; 4] = [9000, 9001, 9005, 12_000];

#[test]
fn journals_of_others_are_replayed() {
    for (format, options) in [
        (Format::Usual, "-c -v 3"),
        (Format::Usual, "-c -v 2"),
        (Format::Usual, ""),
        (Format::Small, ""),
    ] {
        let Some(image) = ext4_image(format) else {
            return;
        };
        let unit = if format == Format::Small { 1024 } else { 4096 };
        let mut image = image.to_vec();
        let mut blocks = Random::new(6).bytes(unit * LOGGED.len());
        blocks[..4].copy_from_slice(&0xc03b_3998_u32.to_be_bytes());
        let source = scratch("blocks");
        std::fs::write(&source, &blocks).expect("a file");
        let numbers: Vec<String> = LOGGED.iter().map(u64::to_string).collect();
        let numbers = numbers.join(",");
        let words = debugfs(
            &mut image,
            &[
                &format!("journal_open {options}"),
                &format!("journal_write -b {numbers} {}", source.display()),
                "journal_write -r 9005",
                "journal_close",
            ],
        );
        let _ = std::fs::remove_file(&source);
        if words.is_none() {
            return;
        }
        let mut theirs = image.clone();
        let (code, words) = e2fsck("-fp", &mut theirs).expect("e2fsck");
        assert!(code <= 1, "{words}");
        let (mut vfs, disk) = mounted(image, false);
        vfs.put("/m/after", b"written").expect("write");
        vfs.unmount_all().expect("unmount");
        let ours = image_of(&disk);
        let mut changed = 0;
        for (number, source) in LOGGED.iter().zip(blocks.chunks(unit)) {
            let at = *number as usize * unit;
            let found = &ours[at..at + unit];
            assert!(found == &theirs[at..at + unit], "{options}: block {number}");
            changed += u32::from(found == source);
        }
        assert_eq!(changed, 3, "{options}: one was revoked");
        check(&disk, options);
    }
}

#[test]
fn a_volume_that_may_not_be_written_is_read_as_its_journal_says() {
    let Some(image) = ext4_image(Format::Usual) else {
        return;
    };
    let (mut vfs, disk) = mounted(image.to_vec(), false);
    vfs.dir("/m/d").expect("mkdir");
    vfs.put("/m/d/f", b"only in the journal").expect("write");
    vfs.sync().expect("sync");
    // As if power were lost: nothing was unmounted.
    let image = image_of(&disk);
    drop(vfs);
    let (mut vfs, disk) = mounted(image.clone(), true);
    assert_eq!(vfs.content("/m/d/f").expect("read"), b"only in the journal");
    let root = vfs.root();
    let (_, found) = vfs.stat(root, b"/m/d").expect("stat");
    assert_eq!(found.kind, FileType::Directory);
    vfs.unmount_all().expect("unmount");
    assert!(image_of(&disk) == image, "nothing was written");
}
