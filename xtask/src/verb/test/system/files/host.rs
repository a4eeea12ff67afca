//! The same disk in the guest and on the host.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::Guest;
use crate::card;
use crate::toolchain::disk::{DEBUGFS, E2FSCK, FSCK_FAT, MCOPY, MKE2FS, Tool};
use crate::workspace::Workspace;

/// Bytes of the small disk: QEMU wants a power of two of a card.
const SMALL_BYTES: u64 = 16 << 20;

/// Makes a disk that is one ext4.
pub(super) fn make_small(_workspace: &Workspace, path: &Path) -> Result<()> {
    File::create(path)?.set_len(SMALL_BYTES)?;
    let arguments = ["-q", "-F", "-t", "ext4", "-b", "1024", "-m", "0"];
    run(
        MKE2FS,
        &arguments,
        path.as_os_str().to_str().context("a path in UTF-8")?,
    )?;
    Ok(())
}

/// Runs a tool that must succeed on `what`; returns what it printed.
fn run(tool: Tool, arguments: &[&str], what: &str) -> Result<Vec<u8>> {
    let output = Command::new(tool.find()?)
        .args(arguments)
        .arg(what)
        // Names of files are UTF-8.
        .env("LC_ALL", "C.UTF-8")
        .output()?;
    ensure!(
        output.status.success(),
        "{} {what} says:\n{}{}",
        tool.name,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// The data partition of a disk, as the tools of ext4 name it.
pub(super) fn data_of(disk: &Path) -> Result<String> {
    let path = disk.to_str().context("a path in UTF-8")?;
    Ok(format!("{path}?offset={}", card::DATA_START))
}

/// Checks the data partition of a disk that was left in order.
pub(super) fn check(partition: &str) -> Result<()> {
    run(E2FSCK, &["-fn"], partition).map(drop)
}

/// Checks the data partition of a disk whose power went: its journal is replayed first, on a copy, because
/// `e2fsck` forgets about the offset when it has done so.
pub(super) fn check_after_cut(disk: &Path) -> Result<()> {
    let copy = disk.with_extension("copy");
    let end = fs::metadata(disk)?.len();
    copy_part(disk, &copy, card::DATA_START..end)?;
    let partition = copy.to_str().context("a path in UTF-8")?;
    // 1: the journal was replayed, which is no damage.
    let replayed = Command::new(E2FSCK.find()?)
        .args(["-E", "journal_only", "-p", partition])
        .output()?;
    ensure!(
        replayed.status.code().is_some_and(|code| code <= 1),
        "e2fsck cannot replay the journal: {}{}",
        String::from_utf8_lossy(&replayed.stdout),
        String::from_utf8_lossy(&replayed.stderr)
    );
    let result = check(partition);
    fs::remove_file(&copy)?;
    result
}

/// Copies a part of a disk into a file of its own, in which zeros take no room.
fn copy_part(disk: &Path, to: &Path, part: Range<u64>) -> Result<()> {
    let mut from = File::open(disk)?;
    from.seek(SeekFrom::Start(part.start))?;
    let mut from = from.take(part.end - part.start);
    let mut copy = File::create(to)?;
    let mut piece = vec![0; 1 << 16];
    let mut at = part.start;
    while at < part.end {
        let count = from.read(&mut piece)?;
        ensure!(count > 0, "{} ended while it was read", disk.display());
        if piece[..count].iter().all(|byte| *byte == 0) {
            copy.seek(SeekFrom::Current(i64::try_from(count)?))?;
        } else {
            copy.write_all(&piece[..count])?;
        }
        at += u64::try_from(count)?;
    }
    Ok(copy.set_len(part.end - part.start)?)
}

/// A digest as `sha256` writes it.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that tell one file from another.
fn bytes_of(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(in super::super) fn both_ways(guest: &mut Guest<'_>) -> Result<()> {
    // From the guest to the host.
    guest.succeed("mkdir -p /data/out/deep")?;
    guest.succeed("write /data/out/deep/größe 'some text'")?;
    guest.succeed("cp /data/www/index.html /data/out/page")?;
    // Doubled until it has many blocks.
    for _ in 0..8 {
        guest.succeed("cat /data/out/page /data/out/page > /data/out/larger")?;
        guest.succeed("mv /data/out/larger /data/out/page")?;
    }
    guest.end("poweroff")?;
    let disk = guest.disk()?.to_path_buf();
    let partition = data_of(&disk)?;
    check(&partition)?;
    let text = run(DEBUGFS, &["-R", "cat /out/deep/größe"], &partition)?;
    ensure!(text == "some text\n".as_bytes(), "{text:?}");
    let page = run(DEBUGFS, &["-R", "cat /www/index.html"], &partition)?;
    let larger = run(DEBUGFS, &["-R", "cat /out/page"], &partition)?;
    ensure!(
        !page.is_empty() && larger == page.repeat(256),
        "the copy differs"
    );

    // From the host to the guest.
    let source = disk.with_extension("source");
    for (number, length) in (1..).zip([1, 4096, 100_000, 3 << 20]) {
        let bytes = bytes_of(number, length);
        fs::write(&source, &bytes)?;
        let request = format!("write {} from-host-{number}", source.display());
        run(DEBUGFS, &["-w", "-R", &request], &partition)?;
    }
    fs::remove_file(&source)?;
    guest.boot()?;
    for (number, length) in (1..).zip([1, 4096, 100_000, 3 << 20]) {
        let digest = sha256(&bytes_of(number, length));
        guest.expect(&format!("sha256 /data/from-host-{number}"), &digest)?;
    }
    guest.end("poweroff")?;
    check(&partition)
}

pub(super) fn fat_both_ways(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("mount rw /boot")?;
    guest.succeed("mkdir /boot/gritos")?;
    guest.succeed("write /boot/gritos/Größe.txt 'some text'")?;
    guest.succeed("cp /data/www/index.html /boot/gritos/page.html")?;
    guest.end("poweroff")?;
    let disk = guest.disk()?.to_path_buf();
    let volume = format!("{}@@{}", disk.display(), card::BOOT_START);
    let file = disk.with_extension("file");
    let path = file.to_str().context("a path in UTF-8")?;
    let copied = |name: &str| -> Result<Vec<u8>> {
        run(MCOPY, &["-n", "-o", "-i", &volume, name], path)?;
        Ok(fs::read(&file)?)
    };
    ensure!(copied("::/gritos/Größe.txt")? == "some text\n".as_bytes());
    let page = run(DEBUGFS, &["-R", "cat /www/index.html"], &data_of(&disk)?)?;
    ensure!(!page.is_empty() && copied("::/gritos/page.html")? == page);
    for (number, length) in (1..).zip([1, 511, 100_000]) {
        fs::write(&file, bytes_of(number, length))?;
        let name = format!("::/gritos/from-host-{number}.bin");
        run(MCOPY, &["-o", "-i", &volume, path], &name)?;
    }
    fs::remove_file(&file)?;
    guest.boot()?;
    for (number, length) in (1..).zip([1, 511, 100_000]) {
        let digest = sha256(&bytes_of(number, length));
        guest.expect(
            &format!("sha256 /boot/gritos/from-host-{number}.bin"),
            &digest,
        )?;
    }
    guest.end("poweroff")?;
    let copy = disk.with_extension("copy");
    copy_part(&disk, &copy, card::BOOT_START..card::DATA_START)?;
    let result = run(FSCK_FAT, &["-n"], copy.to_str().context("a path in UTF-8")?);
    fs::remove_file(&copy)?;
    result.map(drop)
}

pub(super) fn full(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("write /data/first 'is safe'")?;
    // More than there is room for, doubled until it does not fit.
    guest.succeed("cat /data/first /data/first /data/first /data/first > /data/fill")?;
    let mut full = false;
    for _ in 0..24 {
        guest.succeed("mv /data/fill /data/half")?;
        let ran = guest.run("cat /data/half /data/half > /data/fill")?;
        if ran.status != 0 {
            ensure!(ran.stdout.contains("no space left"), "{}", ran.stdout);
            full = true;
            break;
        }
    }
    ensure!(full, "the disk never was full");
    ensure!(guest.succeed("cat /data/first")? == "is safe\n");
    guest.succeed("rm /data/half /data/fill")?;
    guest.succeed("sync")?;
    guest.succeed("write /data/second 'there is room again'")?;
    ensure!(guest.succeed("cat /data/second")? == "there is room again\n");
    guest.end("poweroff")?;
    let disk = guest.disk()?;
    check(disk.to_str().context("a path in UTF-8")?)
}

/// Names in a folder, in order.
pub(super) fn names(partition: &str, folder: &str) -> Result<Vec<String>> {
    let printed = run(DEBUGFS, &["-R", &format!("ls -p {folder}")], partition)?;
    let printed = String::from_utf8(printed)?;
    // /inode/mode/user/group/name/size/, where inode 0 is a place that nobody has.
    let lines = printed.lines().filter(|line| !line.starts_with("/0/"));
    let names = lines.filter_map(|line| line.split('/').nth(5));
    let mut names: Vec<String> = names
        .filter(|name| !["", ".", ".."].contains(name))
        .map(str::to_string)
        .collect();
    names.sort();
    Ok(names)
}

/// Numbers of the blocks of a file.
pub(super) fn blocks(partition: &str, path: &str) -> Result<Vec<u64>> {
    let printed = run(DEBUGFS, &["-R", &format!("blocks {path}")], partition)?;
    let printed = String::from_utf8(printed)?;
    let numbers = printed.split_whitespace().map(str::parse);
    numbers
        .collect::<Result<_, _>>()
        .with_context(|| format!("debugfs lists blocks as `{printed}`"))
}
