//! The SD card of a Raspberry Pi, as an image.
//!
//! ```text
//! 0        MBR
//! 1 MiB    FAT32: firmware, config.txt, device trees, kernel8.img
//! 128 MiB  ext4: data
//! 512 MiB  end; a power of two, as QEMU's card wants it
//! ```
//!
//! No root is needed, and the same contents give the same bytes. On a larger card the board extends the data partition at
//! its first boot.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use fscommon::{BufStream, StreamSlice};
use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBR, MBRPartitionEntry};

use crate::toolchain::{self, disk};

pub(crate) mod firmware;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
pub(crate) const BOOT_START: u64 = MIB;
/// Where the data partition begins, in bytes.
pub(crate) const DATA_START: u64 = 128 * MIB;
/// Size of the card's image.
const CARD_BYTES: u64 = 512 * MIB;
/// Largest size of the data partition for which room is set aside.
const GROWTH_LIMIT: u64 = 256 << 30;

/// Partition types: FAT32 with LBA addresses, and Linux.
const TYPE_FAT32_LBA: u8 = 0x0c;
const TYPE_LINUX: u8 = 0x83;

/// What tells the file server that the last partition may reach to the end of the card, once
/// (`servers/fs/core/src/partition/extend.rs`), and where it is among the code that nobody runs.
pub(crate) const GROW: &[u8] = b"gRiTOS: last may grow 1x";
pub(crate) const GROW_AT: usize = 384;
/// Label of the data partition, which grows with it (`servers/fs/core/src/ext4/grow.rs`).
const DATA_LABEL: &str = "gritos-data";

/// Identifiers that other tools would draw at random.
const DISK_SIGNATURE: [u8; 4] = *b"gRiT";
const FAT_VOLUME: u32 = 0x6752_6954;
const DATA_UUID: &str = "67526954-4f53-4000-8000-000000000001";

/// A file of the boot partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootFile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl BootFile {
    pub(crate) fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_string(),
            bytes: bytes.into(),
        }
    }
}

/// Writes the image of a card with these files on its boot partition to `path`.
pub(crate) fn write(path: &Path, files: &[BootFile]) -> Result<()> {
    write_with(path, files, None)
}

/// The same, with what the folder `data` contains on the data partition.
pub(crate) fn write_with(path: &Path, files: &[BootFile], data: Option<&Path>) -> Result<()> {
    let mut card = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // Holes read as zeros: what is not written takes no room.
    card.set_len(CARD_BYTES)?;
    partition_table(&mut card).context("the partition table")?;
    boot_partition(&card, files).context("the boot partition")?;
    card.sync_all()?;
    drop(card);
    data_partition(path, data).context("the data partition")
}

fn partition_table(card: &mut File) -> Result<()> {
    let mut table = MBR::new_from(card, u32::try_from(SECTOR)?, DISK_SIGNATURE)?;
    let partition = |boot, sys, start: u64, end: u64| -> Result<MBRPartitionEntry> {
        Ok(MBRPartitionEntry {
            boot,
            first_chs: CHS::empty(),
            sys,
            last_chs: CHS::empty(),
            starting_lba: u32::try_from(start / SECTOR)?,
            sectors: u32::try_from((end - start) / SECTOR)?,
        })
    };
    let mark = table
        .header
        .bootstrap_code
        .get_mut(GROW_AT..GROW_AT + GROW.len());
    mark.context("the mark lies outside of the boot code")?
        .copy_from_slice(GROW);
    table[1] = partition(BOOT_ACTIVE, TYPE_FAT32_LBA, BOOT_START, DATA_START)?;
    table[2] = partition(BOOT_INACTIVE, TYPE_LINUX, DATA_START, CARD_BYTES)?;
    table.write_into(card)?;
    Ok(())
}

fn boot_partition(card: &File, files: &[BootFile]) -> Result<()> {
    let slice = || StreamSlice::new(card.try_clone()?, BOOT_START, DATA_START);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(512)
        .total_sectors(u32::try_from((DATA_START - BOOT_START) / SECTOR)?)
        .volume_id(FAT_VOLUME)
        .volume_label(*b"GRITOS     ");
    fatfs::format_volume(BufStream::new(slice()?), options)?;
    let volume = FileSystem::new(BufStream::new(slice()?), FsOptions::new())?;
    for file in files {
        let mut entry = volume.root_dir().create_file(&file.name)?;
        entry.truncate()?;
        entry
            .write_all(&file.bytes)
            .with_context(|| file.name.clone())?;
        entry.flush()?;
    }
    volume.unmount()?;
    let volume = FileSystem::new(BufStream::new(slice()?), FsOptions::new())?;
    for file in files {
        let mut bytes = Vec::new();
        volume
            .root_dir()
            .open_file(&file.name)?
            .read_to_end(&mut bytes)?;
        ensure!(bytes == file.bytes, "{} reads back differently", file.name);
    }
    Ok(())
}

/// Several block groups, so that there are copies of the superblock, and room in each for the
/// descriptors of a larger card; nothing that depends on the time or on chance.
fn data_partition(path: &Path, contents: Option<&Path>) -> Result<()> {
    let mut command = Command::new(disk::MKE2FS.find()?);
    command
        .args([
            "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=16", "-m", "0",
        ])
        // On a large card more inodes would only take room.
        .args(["-i", "16384", "-L", DATA_LABEL, "-U", DATA_UUID, "-E"])
        .arg(format!(
            "offset={DATA_START},resize={},hash_seed={DATA_UUID},lazy_itable_init=0,\
             lazy_journal_init=0,nodiscard",
            GROWTH_LIMIT / 4096
        ));
    if let Some(folder) = contents {
        command.arg("-d").arg(folder);
    }
    command
        .arg(path)
        .arg(format!("{}k", (CARD_BYTES - DATA_START) / 1024))
        .env("E2FSPROGS_FAKE_TIME", "1");
    toolchain::run(&mut command)
}

/// Bytes at the start of the file at `path`, for those who look at partition tables.
pub(crate) fn is_card_image(path: &Path) -> Result<bool> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut signature = [0; 2];
    file.seek(SeekFrom::Start(SECTOR - 2))?;
    Ok(file.read_exact(&mut signature).is_ok() && signature == [0x55, 0xaa])
}

#[cfg(test)]
mod tests;
