//! Partitions of a disk, by a GPT or an MBR.

use alloc::vec;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::block::{BlockDevice, BlockError, Extent, Geometry, SECTOR_BYTES, sectors_of};

pub mod extend;

/// Most partitions that are looked at.
const MAX_PARTITIONS: u32 = 128;

/// What a partition says it is for. File systems are recognised by their contents;
/// this tells which one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKind {
    /// FAT, or an EFI system partition.
    Fat,
    /// A Linux file system.
    Linux,
    /// Anything else.
    Other,
}

/// A range of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1 on, as other systems count.
    pub number: u32,
    /// First sector.
    pub first: u64,
    /// Sectors.
    pub sectors: u64,
    /// What for.
    pub kind: PartitionKind,
}

/// What is at the start of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An ext2, ext3 or ext4 superblock.
    Ext,
    /// A FAT boot sector.
    Fat,
    /// Nothing that is known.
    Unknown,
}

/// The partitions of a disk, in the order of their numbers. Those that end beyond the
/// disk, are empty or overlap an earlier one are left out, as are logical partitions
/// inside an extended one. A disk without a table has none.
///
/// # Errors
/// Those of reading.
pub fn partitions<D: BlockDevice>(disk: &mut D) -> Result<Vec<Partition>, BlockError> {
    let sectors = disk.geometry().sectors;
    if sectors == 0 {
        return Ok(Vec::new());
    }
    let mut first = [0; SECTOR_BYTES];
    disk.read(0, &mut first)?;
    if u16_at(&first, 510) != 0xaa55 {
        return Ok(Vec::new());
    }
    let entries: Vec<Partition> = (0..4).filter_map(|i| mbr_entry(&first, i)).collect();
    let protective = (0..4).any(|i| first.get(446 + 16 * i + 4) == Some(&0xee));
    let mut found = if protective {
        match gpt(disk, 1)? {
            Some(found) => found,
            None => gpt(disk, sectors - 1)?.unwrap_or_default(),
        }
    } else {
        entries
    };
    let mut taken: Vec<(u64, u64)> = Vec::new();
    found.retain(|partition| {
        let Some(end) = partition.first.checked_add(partition.sectors) else {
            return false;
        };
        let free = taken
            .iter()
            .all(|(from, to)| end <= *from || partition.first >= *to);
        let good = partition.sectors > 0 && partition.first > 0 && end <= sectors && free;
        if good {
            taken.push((partition.first, end));
        }
        good
    });
    Ok(found)
}

fn mbr_entry(sector: &[u8], index: usize) -> Option<Partition> {
    let at = 446 + 16 * index;
    let kind = match *sector.get(at + 4)? {
        0 | 0x05 | 0x0f | 0x85 => return None,
        0x01 | 0x04 | 0x06 | 0x0b | 0x0c | 0x0e | 0xef => PartitionKind::Fat,
        0x83 => PartitionKind::Linux,
        _ => PartitionKind::Other,
    };
    Some(Partition {
        number: index as u32 + 1,
        first: u64::from(u32_at(sector, at + 8)),
        sectors: u64::from(u32_at(sector, at + 12)),
        kind,
    })
}

const EFI_SYSTEM: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
const BASIC_DATA: [u8; 16] = [
    0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7,
];
const LINUX_DATA: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// The partitions of the table whose header is in a sector, if both have their
/// checksums (UEFI 2.10, "GUID Partition Table (GPT) Disk Layout").
fn gpt<D: BlockDevice>(disk: &mut D, at: u64) -> Result<Option<Vec<Partition>>, BlockError> {
    let total = disk.geometry().sectors;
    let mut header = [0; SECTOR_BYTES];
    if at >= total {
        return Ok(None);
    }
    disk.read(at, &mut header)?;
    let size = u32_at(&header, 12) as usize;
    let sum = u32_at(&header, 16);
    if header.first_chunk() != Some(b"EFI PART") || !(92..=SECTOR_BYTES).contains(&size) {
        return Ok(None);
    }
    let mut checked = header;
    checked[16..20].fill(0);
    if crc32(checked.get(..size).unwrap_or(&[])) != sum || u64_at(&header, 24) != at {
        return Ok(None);
    }
    let entries_at = u64_at(&header, 72);
    let count = u32_at(&header, 80);
    let entry_bytes = u32_at(&header, 84) as usize;
    if count > MAX_PARTITIONS
        || !(128..=1024).contains(&entry_bytes)
        || !entry_bytes.is_multiple_of(128)
    {
        return Ok(None);
    }
    let bytes = count as usize * entry_bytes;
    let mut table = vec![0; bytes.next_multiple_of(SECTOR_BYTES)];
    if sectors_of(disk.geometry(), entries_at, table.len()).is_err() {
        return Ok(None);
    }
    disk.read(entries_at, &mut table)?;
    table.truncate(bytes);
    if crc32(&table) != u32_at(&header, 88) {
        return Ok(None);
    }
    let entries = table.chunks(entry_bytes).zip(1..);
    Ok(Some(entries.filter_map(gpt_entry).collect()))
}

fn gpt_entry((entry, number): (&[u8], u32)) -> Option<Partition> {
    let kind = match entry.first_chunk::<16>()? {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => return None,
        &EFI_SYSTEM | &BASIC_DATA => PartitionKind::Fat,
        &LINUX_DATA => PartitionKind::Linux,
        _ => PartitionKind::Other,
    };
    let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
    Some(Partition {
        number,
        first,
        sectors: last.checked_sub(first)?.checked_add(1)?,
        kind,
    })
}

/// What the first sectors of a volume look like.
///
/// # Errors
/// Those of reading.
pub fn probe<D: BlockDevice>(volume: &mut D) -> Result<Content, BlockError> {
    if volume.geometry().sectors < 4 {
        return Ok(Content::Unknown);
    }
    let mut head = [0; 4 * SECTOR_BYTES];
    volume.read(0, &mut head)?;
    let sector_bytes = u16_at(&head, 11);
    let cluster = head[13];
    Ok(if u16_at(&head, 1024 + 56) == 0xef53 {
        Content::Ext
    } else if u16_at(&head, 510) == 0xaa55
        && sector_bytes.is_power_of_two()
        && (512..=4096).contains(&sector_bytes)
        && cluster.is_power_of_two()
        && matches!(head[16], 1 | 2)
    {
        Content::Fat
    } else {
        Content::Unknown
    })
}

/// A partition as a device of its own.
#[derive(Clone, Debug)]
pub struct PartitionView<D> {
    disk: D,
    first: u64,
    sectors: u64,
}

impl<D: BlockDevice> PartitionView<D> {
    /// A range of a disk; one that ends beyond the disk is cut there.
    pub fn new(disk: D, first: u64, sectors: u64) -> Self {
        let total = disk.geometry().sectors;
        let first = first.min(total);
        Self {
            disk,
            first,
            sectors: sectors.min(total - first),
        }
    }

    /// One that was found.
    pub fn of(disk: D, partition: &Partition) -> Self {
        Self::new(disk, partition.first, partition.sectors)
    }
}

impl<D: BlockDevice> BlockDevice for PartitionView<D> {
    fn geometry(&self) -> Geometry {
        Geometry {
            sectors: self.sectors,
            ..self.disk.geometry()
        }
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry(), sector, into.len())?;
        self.disk.read(self.first + sector, into)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry(), sector, from.len())?;
        self.disk.write(self.first + sector, from)
    }

    fn read_with(
        &mut self,
        sector: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BlockError> {
        let end = sector.checked_add(count).ok_or(BlockError::OutOfRange)?;
        if end > self.sectors {
            return Err(BlockError::OutOfRange);
        }
        self.disk.read_with(self.first + sector, count, take)
    }

    fn write_with(
        &mut self,
        sector: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<u64, BlockError> {
        let end = sector.checked_add(count).ok_or(BlockError::OutOfRange)?;
        if end > self.sectors {
            return Err(BlockError::OutOfRange);
        }
        self.disk.write_with(self.first + sector, count, fill)
    }

    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry(), sector, from.len())?;
        self.disk.write_past(self.first + sector, from)
    }

    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        let mut moved: SmallVec<[Extent<'_>; 8]> = SmallVec::new();
        for extent in extents {
            sectors_of(self.geometry(), extent.sector, extent.bytes.len())?;
            moved.push(Extent {
                sector: self.first + extent.sector,
                bytes: extent.bytes,
            });
        }
        self.disk.write_all(&moved, durable)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.disk.flush()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.first_chunk())
        .map_or(0, |b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.first_chunk())
        .map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.first_chunk())
        .map_or(0, |b| u64::from_le_bytes(*b))
}

/// The checksum of GPT: CRC-32 with the reflected polynomial 0xedb88320.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
