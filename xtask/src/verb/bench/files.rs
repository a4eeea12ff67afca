//! Operations on files, client to client: ext4 and FAT on a disk, and memory.

use anyhow::Result;

use super::Measurement;
use super::whole::{COUNTED, Row, measure_often, print};
use crate::qemu::Clock;
use crate::verb::test::system::Setting;
use crate::workspace::Workspace;

/// Machines that are booted: when a disk answers is for the host to say.
const BOOTS: usize = 3;

/// With a new disk each time. While the guest waits for it the host's time passes: the disk is the host's.
const WITH_DISK: Setting = Setting {
    disk: Some(crate::disk::make),
    clock: Clock::Paced(0),
    ..COUNTED
};

const EXT4: &[Row] = &[
    Row::new("ext4_open_close", "open + close", "8,204", 6_000),
    Row::new("ext4_stat", "stat", "4,410", 3_500),
    Row::new("ext4_read", "4 KiB read, cached", "2,906", 2_500),
    Row::new("ext4_write", "4 KiB write, not synced", "3,936", 3_500),
    Row::new("ext4_write_fsync", "4 KiB write + fsync", "36,824", 40_000),
    Row::new("ext4_create", "create + close + unlink", "54,544", 60_000),
    Row::new("ext4_mkdir", "mkdir + rmdir", "93,124", 95_000),
    Row::new(
        "ext4_durable_create",
        "durable create, unlink",
        "364,352",
        365_000,
    ),
    Row::new(
        "ext4_read_1m",
        "1 MiB sequential read, cold",
        "1.14 M",
        1_200_000,
    ),
    Row::new(
        "ext4_write_1m",
        "1 MiB write + final fsync",
        "4.79 M",
        4_800_000,
    ),
    Row::open(
        "ext4_grow_1000",
        "1,000 files into a folder of up to 10,000",
    ),
    Row::open("ext4_readdir_10000", "readdir of 10,000 entries"),
    Row::open("ext4_unlink_1000", "1,000 files out of it"),
];

const FAT: &[Row] = &[
    Row::open("fat_open_close", "open + close (Linux vfat 8,377)"),
    Row::open("fat_stat", "stat (4,876)"),
    Row::open("fat_read", "4 KiB read, cached (3,155)"),
    Row::open("fat_write", "4 KiB write, not synced (4,192)"),
    Row::open("fat_write_fsync", "4 KiB write + fsync (67,886)"),
    Row::open("fat_create", "create + close + unlink (47,157)"),
    Row::open("fat_mkdir", "mkdir + rmdir (95,396)"),
    Row::open("fat_durable_create", "durable create, unlink (234,347)"),
    Row::open("fat_read_1m", "1 MiB sequential read, cold (1.28 M)"),
    Row::open("fat_write_1m", "1 MiB write + final fsync (5.78 M)"),
];

const MEMORY: &[Row] = &[
    Row::open("memory_open_close", "open + close"),
    Row::open("memory_stat", "stat"),
    Row::open("memory_read", "4 KiB read"),
    Row::open("memory_write", "4 KiB write"),
    Row::open("memory_write_fsync", "4 KiB write + fsync"),
    Row::open("memory_create", "create + close + unlink"),
    Row::open("memory_mkdir", "mkdir + rmdir"),
    Row::open("memory_durable_create", "create, fsync both, unlink"),
];

/// What is run; the last word is the beginning of the names of its figures.
const COMMANDS: &[&str] = &[
    "bench files /data/bench ext4",
    "bench large /data/large ext4",
    "bench folder /data/many ext4",
    "bench files /tmp/bench memory",
    "mount rw /boot",
    "bench files /boot/bench fat",
    "bench large /boot/large fat",
];

pub(super) fn run(workspace: &Workspace, all: &mut Vec<Measurement>) -> Result<()> {
    let mut found = measure_often(workspace, &WITH_DISK, COMMANDS, BOOTS)?;
    let mut verdict = Ok(());
    for (title, kind, rows) in [
        ("instructions of operations on ext4", "ext4_", EXT4),
        ("of operations on FAT", "fat_", FAT),
        ("of operations in memory", "memory_", MEMORY),
    ] {
        let mine = |m: &&Measurement| m.name.starts_with(kind);
        let measured: Vec<Measurement> = found.iter().filter(mine).cloned().collect();
        verdict = verdict.and(print(title, rows, &measured));
    }
    all.append(&mut found);
    verdict
}
