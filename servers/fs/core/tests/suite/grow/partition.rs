//! Which partitions are extended, and which are not.

use gritos_fs_core::block::{BlockDevice as _, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::grow::limit;
use gritos_fs_core::partition::extend::{MARK, MARK_AT, extend};
use gritos_fs_core::partition::{PartitionView, partitions};

use super::sparse::Sparse;
use super::{Device, LITTLE, MIB, copy, copy_events, filled};

/// Where the data partition of [`card`] begins.
pub(super) const FIRST: u64 = 2048;

type Entry = (u8, u64, u64);

const FAT: Entry = (0x0c, 64, 1984);
const DATA: Entry = (0x83, FIRST, 21 * MIB / 512);

fn with_table(mut disk: Sparse, mark: &[u8], entries: &[Entry]) -> Sparse {
    let mut sector = [0; 512];
    sector[MARK_AT..MARK_AT + mark.len()].copy_from_slice(mark);
    for (index, (kind, first, count)) in entries.iter().enumerate() {
        let entry = &mut sector[446 + 16 * index..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&(*first as u32).to_le_bytes());
        entry[12..].copy_from_slice(&(*count as u32).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    disk.put(0, &sector);
    disk
}

/// A card of so many bytes, as it was made for a smaller one.
pub(super) fn card(bytes: u64) -> Option<Sparse> {
    let mut disk = copy(&filled(LITTLE)?).moved(0, FIRST / 8);
    disk.set_bytes(bytes);
    Some(with_table(disk, MARK, &[FAT, DATA]))
}

/// The data partition as the server finds it.
pub(super) fn found(disk: &Device) -> Result<PartitionView<Shared<Cache<Device>>>, String> {
    let mut disk = Shared::new(Cache::new(disk.clone(), 1 << 20));
    extend(&mut disk.clone(), |last| {
        limit(PartitionView::of(disk.clone(), last))
    })
    .map_err(|error| error.to_string())?;
    let all = partitions(&mut disk).map_err(|error| error.to_string())?;
    let data = all.get(1).ok_or("it has no second partition")?;
    Ok(PartitionView::of(disk, data))
}

fn sectors(disk: &Device) -> u64 {
    found(disk).expect("it is there").geometry().sectors
}

#[test]
fn the_last_partition_reaches_to_the_end_once() {
    let Some(base) = card(60 * MIB + 5 * 512) else {
        return;
    };
    // No room: the mark stays, whatever it is copied to next.
    let disk = Shared::new(base.copy());
    disk.with(|disk| disk.set_bytes(22 * MIB + 100 * 512));
    assert_eq!(sectors(&disk), 21 * MIB / 512);
    assert_eq!(copy_events(&disk), 0);
    // To the last whole MiB, with one write of one sector.
    disk.with(|disk| disk.set_bytes(60 * MIB + 5 * 512));
    assert_eq!(sectors(&disk), 59 * MIB / 512);
    assert_eq!(copy_events(&disk), 2);
    let mut table = [0; 512];
    copy(&disk).get(0, &mut table);
    let expected = with_table(base, &[0; 24], &[FAT, (0x83, FIRST, 59 * MIB / 512)]);
    let mut same = [0; 512];
    expected.get(0, &mut same);
    assert_eq!(table, same);
    // Once.
    disk.with(|disk| disk.set_bytes(90 * MIB));
    assert_eq!(sectors(&disk), 59 * MIB / 512);
    // And not beyond what the volume can use.
    let huge = Shared::new(card(500_000 * MIB).expect("it was there before"));
    let most = limit(PartitionView::new(huge.clone(), FIRST, DATA.2)).expect("it is ours");
    assert!(most < 499_999 * MIB / 512);
    assert_eq!(sectors(&huge), most);
}

#[test]
fn tables_of_others_stay_as_they_are() {
    let Some(base) = card(60 * MIB) else {
        return;
    };
    let mut other = copy(&filled(LITTLE).expect("it was there before"));
    let (code, words) = other.changed("tune2fs", &["-L", "photos"]);
    assert_eq!(code, 0, "{words}");
    let mut other = other.moved(0, FIRST / 8);
    other.set_bytes(60 * MIB);
    let behind = FIRST + DATA.2;
    let cases = [
        ("no mark", with_table(base.copy(), &[], &[FAT, DATA])),
        (
            "half a mark",
            with_table(base.copy(), &MARK[..20], &[FAT, DATA]),
        ),
        ("another label", with_table(other, MARK, &[FAT, DATA])),
        (
            "another one behind",
            with_table(base.copy(), MARK, &[FAT, DATA, (0x83, behind, 2048)]),
        ),
        (
            "one that reaches beyond the disk",
            with_table(base.copy(), MARK, &[FAT, DATA, (0x83, behind, 1 << 30)]),
        ),
        (
            "one of other partitions",
            with_table(base.copy(), MARK, &[FAT, DATA, (0x05, behind, 2048)]),
        ),
        (
            "GPT",
            with_table(base.copy(), MARK, &[FAT, DATA, (0xee, 1, 10)]),
        ),
        (
            "overlapping ones",
            with_table(base.copy(), MARK, &[FAT, DATA, (0x83, FIRST + 8, 80)]),
        ),
        (
            "another kind",
            with_table(base.copy(), MARK, &[FAT, (0x07, FIRST, DATA.2)]),
        ),
        (
            "nothing in it",
            with_table(base.copy(), MARK, &[FAT, (0x83, FIRST + 8, 8192)]),
        ),
    ];
    for (what, disk) in cases {
        let disk = Shared::new(disk);
        let extended = extend(&mut disk.clone(), |last| {
            limit(PartitionView::of(disk.clone(), last))
        });
        assert_eq!(extended, Ok(None), "{what}");
        assert_eq!(copy_events(&disk), 0, "{what}");
    }
}
