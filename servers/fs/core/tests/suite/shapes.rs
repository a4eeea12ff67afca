//! ext4 in shapes that small tests do not reach: scattered files, large indexes, full
//! disks, large offsets. After each `e2fsck` finds nothing to complain about.

use gritos_fs_api::FsError;
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::vfs::Vfs;

use crate::support::{Format, NEW, Paths, Random, check, ext4_image, now, tree, tune2fs};

type Disk = Shared<MemoryDisk>;

fn mounted(image: Vec<u8>) -> (Vfs, Disk) {
    let disk = Shared::new(MemoryDisk::from_image(image));
    (again(&disk), disk)
}

fn again(disk: &Disk) -> Vfs {
    let cache = Cache::new(disk.clone(), 1 << 20);
    tree(Box::new(
        Ext4Volume::mount(cache, false, now).expect("mounting"),
    ))
}

fn on_both(test: impl Fn(&mut Vfs, &Disk)) {
    for format in [Format::Usual, Format::Small] {
        let Some(image) = ext4_image(format) else {
            continue;
        };
        let (mut vfs, disk) = mounted(image.to_vec());
        test(&mut vfs, &disk);
        vfs.unmount_all().expect("unmounting");
        check(&disk, &format!("{format:?}"));
    }
}

/// What block `index` of a test file holds.
fn block(index: u64, bytes: usize) -> Vec<u8> {
    Random::new(index + 7).bytes(bytes)
}

#[test]
fn a_file_in_thousands_of_pieces_is_read_cut_and_filled() {
    const UNIT: usize = 1024;
    on_both(|vfs, disk| {
        let unit = if vfs.statfs(vfs.root(), b"/m").expect("statfs").1.block_bytes == 4096 {
            4096
        } else {
            UNIT
        };
        let count = 3000;
        let file = vfs.at("/m/scattered", NEW).expect("open");
        // Not in order, so that extents come in between others.
        let mut order: Vec<u64> = (0..count).collect();
        let mut random = Random::new(1);
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        for index in &order {
            let at = index * 2 * unit as u64;
            assert_eq!(vfs.write(file, at, &block(*index, unit)), Ok(unit));
        }
        vfs.sync().expect("sync");
        let expect = |vfs: &mut Vfs, file, filled: u64, end: u64| {
            let mut bytes = vec![0; unit];
            for index in 0..end {
                let count = vfs
                    .read(file, index * unit as u64, &mut bytes)
                    .expect("read");
                assert_eq!(count, unit, "block {index}");
                let expected = match index {
                    odd if odd % 2 == 1 && odd < filled => block(odd + 100_000, unit),
                    odd if odd % 2 == 1 => vec![0; unit],
                    even => block(even / 2, unit),
                };
                assert!(bytes == expected, "block {index}");
            }
        };
        expect(vfs, file, 0, count * 2 - 1);
        vfs.close(file);
        vfs.unmount_all().expect("unmount");
        check(disk, "scattered");
        *vfs = again(disk);
        let file = vfs.at("/m/scattered", NEW).expect("open");
        expect(vfs, file, 0, count * 2 - 1);
        vfs.truncate(file, 2000 * 2 * unit as u64).expect("cut");
        expect(vfs, file, 0, 4000 - 1);
        for index in (1..2000).step_by(2) {
            let at = index * unit as u64;
            assert_eq!(vfs.write(file, at, &block(index + 100_000, unit)), Ok(unit));
        }
        expect(vfs, file, 2000, 4000 - 1);
        vfs.truncate(file, 3).expect("cut");
        vfs.truncate(file, 0).expect("cut");
        vfs.close(file);
        vfs.rm("/m/scattered").expect("remove");
    });
}

#[test]
fn folders_are_found_by_each_hash_and_grow_to_two_levels() {
    for algorithm in ["legacy", "half_md4", "tea"] {
        let Some(image) = ext4_image(Format::Small) else {
            return;
        };
        let Some(image) = tune2fs(image, &["-E", &format!("hash_alg={algorithm}")]) else {
            return;
        };
        let (mut vfs, disk) = mounted(image);
        // Long names: few in a block, so that 123 entries of a root are not enough.
        let long = "x".repeat(200);
        let name = |i: u32| format!("/m/{i:04}-ä{long}");
        for i in 0..800 {
            let file = vfs.at(&name(i), NEW).expect("create");
            vfs.close(file);
        }
        vfs.sync().expect("sync");
        for i in (0..800).step_by(3) {
            vfs.rm(&name(i)).expect("remove");
        }
        for i in 0..800 {
            assert_eq!(vfs.size(&name(i)).is_ok(), i % 3 != 0, "{algorithm} {i}");
        }
        assert_eq!(vfs.list("/m").expect("list").len(), 533, "{algorithm}");
        vfs.mv(&name(1), "/m/short").expect("rename");
        vfs.mv(&name(2), &name(4)).expect("replace");
        vfs.unmount_all().expect("unmount");
        check(&disk, algorithm);
    }
}

#[test]
fn a_full_disk_says_so_and_loses_nothing() {
    on_both(|vfs, _| {
        let bytes = Random::new(3).bytes(100_000);
        vfs.put("/m/kept", &bytes).expect("write");
        let free = |vfs: &mut Vfs| vfs.statfs(vfs.root(), b"/m").expect("statfs").1.free_bytes;
        for round in 0..3 {
            let before = free(vfs);
            let mut count = 0;
            let full = loop {
                if let Err(error) = vfs.put(&format!("/m/fill{count}"), &bytes) {
                    break error;
                }
                count += 1;
            };
            assert_eq!(full, FsError::NoSpace);
            let file = vfs.at("/m/fill0", NEW).expect("open");
            assert_eq!(
                vfs.write(file, 200_000_000, &bytes),
                Err(FsError::NoSpace),
                "round {round}"
            );
            // What is there can be written over.
            assert_eq!(vfs.write(file, 0, &bytes), Ok(bytes.len()));
            vfs.close(file);
            let mut folders = 0;
            while vfs.dir(&format!("/m/dir{folders}")).is_ok() {
                folders += 1;
                assert!(folders < 20_000);
            }
            for i in 0..folders {
                vfs.rmd(&format!("/m/dir{i}")).expect("rmdir");
            }
            assert!(vfs.content("/m/kept").expect("read") == bytes);
            for i in 0..=count {
                vfs.rm(&format!("/m/fill{i}")).expect("remove");
            }
            vfs.sync().expect("sync");
            // What the folder itself grew by, it keeps.
            assert!(before - free(vfs) < 600_000, "round {round}");
        }
    });
}

#[test]
fn no_inode_left_is_no_space_left() {
    let Some(image) = ext4_image(Format::Small) else {
        return;
    };
    let (mut vfs, disk) = mounted(image.to_vec());
    let mut count = 0;
    while let Ok(file) = vfs.at(&format!("/m/{count}"), NEW) {
        vfs.close(file);
        count += 1;
    }
    assert_eq!(vfs.at("/m/more", NEW), Err(FsError::NoSpace));
    assert_eq!(vfs.dir("/m/more"), Err(FsError::NoSpace));
    assert_eq!(count, 12_288 - 11);
    vfs.rm("/m/77").expect("remove");
    vfs.dir("/m/more").expect("in its place");
    vfs.unmount_all().expect("unmount");
    check(&disk, "all inodes");
}

#[test]
fn offsets_of_gigabytes_take_no_space() {
    on_both(|vfs, _| {
        let far = 5 << 30;
        let file = vfs.at("/m/sparse", NEW).expect("open");
        assert_eq!(vfs.write(file, far, b"here"), Ok(4));
        assert_eq!(vfs.write(file, 3 << 30, b"and here"), Ok(8));
        let mut bytes = [1; 12];
        assert_eq!(vfs.read(file, far - 8, &mut bytes), Ok(12));
        assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0here");
        let (_, found) = vfs.attributes(file).expect("attributes");
        assert_eq!(found.size, far + 4);
        assert!(found.blocks <= 24, "{} sectors", found.blocks);
        vfs.truncate(file, 4 << 30).expect("cut");
        assert_eq!(vfs.read(file, 3 << 30, &mut bytes), Ok(12));
        assert_eq!(&bytes, b"and here\0\0\0\0");
        let most = u64::from(u32::MAX) * 1024;
        vfs.truncate(file, most).expect("as long as can be");
        assert_eq!(vfs.write(file, most - 1, b"x"), Ok(1));
        vfs.close(file);
    });
}

#[test]
fn changes_all_over_the_volume_fit_in_a_small_journal() {
    let Some(image) = ext4_image(Format::Small) else {
        return;
    };
    let (mut vfs, disk) = mounted(image.to_vec());
    let name = |i: u32| format!("/m/{i}");
    for i in 0..10_000 {
        let file = vfs.at(&name(i), NEW).expect("create");
        vfs.close(file);
    }
    vfs.sync().expect("sync");
    // Four inodes share a block: more blocks change than the journal has.
    for round in 0..2 {
        for i in (0..10_000).step_by(4) {
            let file = vfs.at(&name(i), NEW).expect("open");
            vfs.set_modified(file, Some(1_800_000_000_000_000_000 + round))
                .expect("set");
            vfs.close(file);
        }
    }
    vfs.unmount_all().expect("unmount");
    check(&disk, "all over");
}
