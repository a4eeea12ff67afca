//! Partition tables, whole and broken.

use gritos_fs_core::block::{BlockDevice, BlockError, MemoryDisk};
use gritos_fs_core::partition::{Partition, PartitionKind, PartitionView, crc32, partitions};

use crate::support::Random;

const SECTORS: usize = 20_000;

fn mbr(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut image = vec![0; SECTORS * 512];
    for (i, (kind, first, count)) in entries.iter().enumerate() {
        let at = 446 + 16 * i;
        image[at + 4] = *kind;
        image[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        image[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

fn gpt(entries: &[(u64, u64)]) -> Vec<u8> {
    let mut image = mbr(&[(0xee, 1, SECTORS as u32 - 1)]);
    let mut table = vec![0; 128 * 128];
    for (i, (first, last)) in entries.iter().enumerate() {
        let entry = &mut table[i * 128..][..128];
        entry[..16].copy_from_slice(&[
            0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47,
            0x7d, 0xe4,
        ]);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    for (at, table_at) in [(1, 2), (SECTORS as u64 - 1, SECTORS as u64 - 33)] {
        let mut header = vec![0; 512];
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92u32.to_le_bytes());
        header[24..32].copy_from_slice(&at.to_le_bytes());
        header[72..80].copy_from_slice(&table_at.to_le_bytes());
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&table).to_le_bytes());
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        image[at as usize * 512..][..512].copy_from_slice(&header);
        image[table_at as usize * 512..][..table.len()].copy_from_slice(&table);
    }
    image
}

fn found(image: Vec<u8>) -> Vec<Partition> {
    partitions(&mut MemoryDisk::from_image(image)).expect("readable")
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn an_mbr_gives_its_partitions() {
    let parts = found(mbr(&[(0x0c, 2048, 8192), (0x83, 10240, 4096)]));
    let expected = [
        Partition {
            number: 1,
            first: 2048,
            sectors: 8192,
            kind: PartitionKind::Fat,
        },
        Partition {
            number: 2,
            first: 10240,
            sectors: 4096,
            kind: PartitionKind::Linux,
        },
    ];
    assert_eq!(parts, expected);
}

#[test]
fn partitions_that_cannot_be_are_left_out() {
    assert_eq!(found(mbr(&[(0x83, 19_000, 2_000)])), [], "beyond the end");
    assert_eq!(found(mbr(&[(0x83, 0, 100)])), [], "covers the table");
    assert_eq!(found(mbr(&[(0x83, 100, 0)])), [], "empty");
    assert_eq!(found(mbr(&[(0x83, u32::MAX, u32::MAX)])), [], "overflows");
    assert_eq!(found(mbr(&[(0x05, 100, 100)])), [], "extended");
    let parts = found(mbr(&[(0x83, 100, 100), (0x83, 150, 100), (0x83, 200, 10)]));
    let numbers: Vec<u32> = parts.iter().map(|partition| partition.number).collect();
    assert_eq!(numbers, [1, 3], "one overlaps");
    assert_eq!(found(vec![0; 512]), []);
    assert_eq!(found(vec![]), []);
}

#[test]
fn a_gpt_is_read_from_either_end() {
    let image = gpt(&[(2048, 4095), (4096, 9999)]);
    let whole = found(image.clone());
    assert_eq!(whole.len(), 2);
    assert_eq!((whole[1].first, whole[1].sectors), (4096, 5904));
    let mut broken = image.clone();
    broken[512 + 60] ^= 1;
    assert_eq!(found(broken), whole, "the second copy");
    let mut broken = image.clone();
    broken[1024 + 32] ^= 1;
    assert_eq!(found(broken), whole, "the second copy's entries");
    let mut broken = image;
    broken[512 + 60] ^= 1;
    broken[(SECTORS - 1) * 512 + 60] ^= 1;
    assert_eq!(found(broken), [], "neither");
}

#[test]
fn spoiled_tables_are_survived() {
    let good = gpt(&[(2048, 4095), (4096, 9999)]);
    let mut random = Random::new(7);
    for _ in 0..2_000 {
        let mut image = good.clone();
        for _ in 0..1 + random.below(6) {
            let at = match random.below(3) {
                0 => random.below(1024),
                1 => random.below(17 * 1024),
                _ => (SECTORS - 33) as u64 * 512 + random.below(33 * 512),
            };
            image[at as usize] = random.next() as u8;
        }
        // The header is made valid again, so that what it says is looked at.
        let sum = {
            image[512 + 16..512 + 20].fill(0);
            crc32(&image[512..512 + 92])
        };
        image[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
        for partition in found(image) {
            assert!(partition.first + partition.sectors <= SECTORS as u64);
        }
    }
}

#[test]
fn a_partition_shows_its_own_sectors_only() {
    let mut view = PartitionView::new(MemoryDisk::new(100), 10, 20);
    assert_eq!(view.geometry().sectors, 20);
    view.write(19, &[7; 512]).expect("the last one");
    assert_eq!(view.write(20, &[7; 512]), Err(BlockError::OutOfRange));
    assert_eq!(view.write(19, &[7; 1024]), Err(BlockError::OutOfRange));
    assert_eq!(
        view.read(u64::MAX - 5, &mut [0; 512]),
        Err(BlockError::OutOfRange)
    );
    let view = PartitionView::new(MemoryDisk::new(100), 90, u64::MAX);
    assert_eq!(view.geometry().sectors, 10);
    let view = PartitionView::new(MemoryDisk::new(100), u64::MAX, u64::MAX);
    assert_eq!(view.geometry().sectors, 0);
}
