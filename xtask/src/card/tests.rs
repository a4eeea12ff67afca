use super::{BOOT_START, BootFile, DATA_START, is_card_image, write};
use crate::toolchain::disk::{self, Tool};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files in the temporary folder that go when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("gritos-card-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Copies the partition of `card` that starts at `start` into a file of its own.
    fn extract(&self, card: &Path, start: u64, end: Option<u64>) -> PathBuf {
        let out = self.path(&format!("partition-{start}"));
        let mut file = File::open(card).expect("the card was written");
        file.seek(SeekFrom::Start(start)).expect("it is that long");
        let mut part = file.take(end.map_or(u64::MAX, |end| end - start));
        let mut copy = File::create(&out).expect("the temporary folder can be written");
        std::io::copy(&mut part, &mut copy).expect("there is room");
        out
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn files() -> Vec<BootFile> {
    vec![
        BootFile::new("config.txt", "arm_64bit=1\n"),
        BootFile::new("kernel8.img", vec![0x5a; 300_001]),
        BootFile::new("bcm2711-rpi-4-b.dtb", vec![1; 40_000]),
    ]
}

/// Runs a tool that must succeed; what it printed is shown if it does not.
fn must(tool: Tool, arguments: &[&str], file: &Path) {
    let path = tool.find().expect("`cargo xtask test` installs it");
    let output = Command::new(path).args(arguments).arg(file).output();
    let output = output.expect("it was found");
    assert!(
        output.status.success(),
        "{} says: {}{}",
        tool.name,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("it was written")
}

#[test]
fn a_card_is_clean_and_the_same_every_time() {
    let scratch = Scratch::new("clean");
    let (first, second) = (scratch.path("a"), scratch.path("b"));
    write(&first, &files()).expect("a card");
    write(&second, &files()).expect("a card");
    assert!(bytes(&first) == bytes(&second), "two cards differ");
    assert!(is_card_image(&first).expect("it was written"));
    let boot = scratch.extract(&first, BOOT_START, Some(DATA_START));
    let data = scratch.extract(&first, DATA_START, None);
    must(disk::FSCK_FAT, &["-n"], &boot);
    must(disk::E2FSCK, &["-fn"], &data);
}

#[test]
fn the_checkers_see_damage() {
    let scratch = Scratch::new("damage");
    let card = scratch.path("card");
    write(&card, &files()).expect("a card");
    let data = scratch.extract(&card, DATA_START, None);
    let mut damaged = bytes(&data);
    // Free blocks of the superblock (ext4, "The Super Block", offset 0xc).
    damaged[1024 + 0xc] ^= 0xff;
    std::fs::write(&data, damaged).expect("it can be written");
    let path = disk::E2FSCK.find().expect("`cargo xtask test` installs it");
    let output = Command::new(path).arg("-fn").arg(&data).output();
    assert!(!output.expect("it was found").status.success());
}

#[test]
fn the_data_partition_grows_to_the_size_of_a_large_card() {
    let scratch = Scratch::new("growth");
    let card = scratch.path("card");
    write(&card, &files()).expect("a card");
    let data = scratch.extract(&card, DATA_START, None);
    let file = File::options().write(true).open(&data);
    file.and_then(|file| file.set_len(64 << 30))
        .expect("a file with a hole");
    must(disk::E2FSCK, &["-fp"], &data);
    must(disk::RESIZE2FS, &[], &data);
    must(disk::E2FSCK, &["-fn"], &data);
}
