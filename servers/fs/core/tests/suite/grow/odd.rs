//! Volumes that are not as growing expects them: it says so and writes nothing.

use gritos_fs_core::block::Shared;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::ext4::grow::GrowError;
use gritos_fs_core::volume::Volume as _;

use super::sparse::Sparse;
use super::{LITTLE, MIB, copy, copy_events, enlarge, filled};
use crate::support::{Random, now};

/// Where the resize inode's block of pointers is.
fn pointers(disk: &Sparse) -> u64 {
    let (_, words) = disk.judged("debugfs", &["-R", "stat <7>"]);
    let after = words.split("(DIND):").nth(1).expect("a block of pointers");
    let digits = after.split(',').next().unwrap_or_default();
    digits.trim().parse().expect("its number")
}

/// Adds one to a word of a block.
fn disturb(disk: &mut Sparse, block: u64, word: usize) {
    let mut data = vec![0; 4096];
    disk.get(block * 8, &mut data);
    data[4 * word] = data[4 * word].wrapping_add(1);
    disk.put(block * 8, &data);
}

#[test]
fn what_is_odd_is_left_as_it_is() {
    let Some(base) = filled(LITTLE) else {
        return;
    };
    let base = copy(&base);
    let with = |commands: &[&str]| {
        let mut disk = base.copy();
        for command in commands {
            let (code, words) = disk.changed("debugfs", &["-w", "-R", command]);
            assert_eq!(code, 0, "{command}: {words}");
        }
        disk
    };
    let disturbed = |block, word| {
        let mut disk = base.copy();
        disturb(&mut disk, block, word);
        disk
    };
    let table = pointers(&base);
    let cases = [
        ("nothing", base.copy(), false),
        ("a pointer", disturbed(table, 1), true),
        ("a pointer to a copy", disturbed(2, 0), true),
        ("one copy too many", disturbed(2, 3), true),
        (
            "more reserved",
            with(&["set_super_value reserved_gdt_blocks 5"]),
            true,
        ),
        (
            "fewer reserved",
            with(&["set_super_value reserved_gdt_blocks 2"]),
            true,
        ),
        ("no inode", with(&["feature -resize_inode"]), true),
        ("a feature", with(&["feature sparse_super2"]), true),
        (
            "another block",
            with(&["set_inode_field <7> block[DIND] 5"]),
            true,
        ),
        (
            "one block more",
            with(&["set_inode_field <7> block[0] 900"]),
            true,
        ),
        ("a folder", with(&["set_inode_field <7> mode 040600"]), true),
        ("its size", with(&["set_inode_field <7> blocks 8"]), true),
        (
            "extents",
            with(&["set_inode_field <7> flags 0x80000"]),
            true,
        ),
    ];
    for (what, disk, is_odd) in cases {
        let disk = Shared::new(disk);
        enlarge(&disk, 80 * MIB);
        let cache = Cache::new(disk.clone(), 1 << 20);
        let mut volume = match Ext4Volume::mount(cache, false, now) {
            Ok(volume) => volume,
            Err(_) => continue,
        };
        let before = copy_events(&disk);
        let result = volume.grow();
        let odd = matches!(result, Err(GrowError::Odd(_)));
        assert_eq!(odd, is_odd, "{what}: {result:?}");
        if odd {
            assert_eq!(copy_events(&disk), before, "{what}");
            let bytes = volume.space().expect("space").total_bytes;
            assert_eq!(bytes, 21 * MIB, "{what}");
        }
        volume.unmount().expect("unmounting");
    }
}

#[test]
fn damage_is_survived() {
    let Some(base) = filled(LITTLE) else {
        return;
    };
    let base = copy(&base);
    // What changes, and here and there a block that is summed.
    let own: Vec<u64> = (1..10).chain([pointers(&base), 1024, 1025]).collect();
    let mut grown = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut disk = base.copy();
        for _ in 0..=random.below(3) {
            let block = match random.below(8) {
                0 => random.below(24),
                _ => own[random.below(own.len() as u64) as usize],
            };
            let word = [random.below(16), random.below(1024)][random.below(2) as usize];
            disturb(&mut disk, block, word as usize);
        }
        let disk = Shared::new(disk);
        enlarge(&disk, (22 + random.below(100)) * MIB);
        let cache = Cache::new(disk.clone(), 1 << 20);
        let Ok(mut volume) = Ext4Volume::mount(cache, false, now) else {
            continue;
        };
        let before = copy_events(&disk);
        match volume.grow() {
            Ok(_) => grown += 1,
            Err(GrowError::Odd(_)) => assert_eq!(copy_events(&disk), before, "seed {seed}"),
            // The caller mounts anew.
            Err(GrowError::Device(_)) => continue,
        }
        let _ = volume.unmount();
    }
    assert!(grown > 20, "{grown}");
}
