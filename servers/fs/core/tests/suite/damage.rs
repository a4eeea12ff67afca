//! Broken volumes and broken devices: an error is an answer, a panic or a loop without
//! end is none, and what was synced before the device broke is there when it works.

use std::cell::Cell;
use std::rc::Rc;

use gritos_fs_api::{FsError, OpenFlags};
use gritos_fs_core::block::{BlockDevice, BlockError, Geometry, MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::vfs::Vfs;

use crate::support::{Format, NEW, Paths, Random, e2fsck, ext4_image, now, tree};

/// A volume with something of everything, not unmounted: its journal has commits.
fn lived_in(format: Format) -> Option<Vec<u8>> {
    let image = ext4_image(format)?;
    let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
    let cache = Cache::new(disk.clone(), 1 << 20);
    let volume = Ext4Volume::mount(cache, false, now).expect("mounting");
    let mut vfs = tree(Box::new(volume));
    let mut random = Random::new(8);
    for folder in ["/m/a", "/m/a/b", "/m/c"] {
        vfs.dir(folder).expect("mkdir");
    }
    for i in 0..150 {
        let name = format!("/m/{}/{i}-{}", ["a", "a/b", "c"][i % 3], "n".repeat(60));
        let count = random.below(20_000) as usize;
        vfs.put(&name, &random.bytes(count)).expect("write");
        if i % 40 == 0 {
            vfs.sync().expect("sync");
        }
    }
    let file = vfs.at("/m/scattered", NEW).expect("open");
    for i in 0..500 {
        vfs.write(file, i * 8192, b"piece").expect("write");
    }
    vfs.sync().expect("sync");
    vfs.rm(&format!("/m/c/2-{}", "n".repeat(60)))
        .expect("remove");
    vfs.sync().expect("sync");
    disk.with(|disk| disk.image().to_vec())
}

/// Uses a volume for everything; errors are fine.
fn exercise(vfs: &mut Vfs, random: &mut Random) {
    let mut folders = vec![String::from("/m")];
    let mut files = Vec::new();
    // Loops in the tree make paths longer, and end with that.
    while let Some(folder) = folders.pop() {
        if folders.len() + files.len() > 2000 || folder.len() > 300 {
            break;
        }
        for name in vfs.list(&folder).unwrap_or_default().into_iter().take(200) {
            let path = format!("{folder}/{name}");
            let root = vfs.root();
            match vfs.stat(root, path.as_bytes()) {
                Ok((_, found)) if found.kind == gritos_fs_api::FileType::Directory => {
                    folders.push(path);
                }
                _ => files.push(path),
            }
        }
    }
    let mut bytes = vec![0; 30_000];
    for path in &files {
        let Ok(file) = vfs.at(path, OpenFlags::READ | OpenFlags::WRITE) else {
            continue;
        };
        let _ = vfs.read(file, random.below(40_000), &mut bytes);
        match random.below(4) {
            0 => drop(vfs.write(file, random.below(100_000), &bytes)),
            1 => drop(vfs.truncate(file, random.below(100_000))),
            _ => {}
        }
        vfs.close(file);
        match random.below(6) {
            0 => drop(vfs.rm(path)),
            1 => drop(vfs.mv(path, "/m/moved")),
            2 => drop(vfs.sync()),
            _ => {}
        }
    }
    for i in 0..20 {
        let _ = vfs.put(&format!("/m/new{i}"), &bytes);
        let _ = vfs.dir(&format!("/m/newdir{i}"));
        let _ = vfs.rmd(&format!("/m/newdir{i}"));
    }
    let _ = vfs.unmount_all();
}

fn rounds(default: u64) -> u64 {
    std::env::var("GRITOS_DAMAGE_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

#[test]
fn damaged_volumes_are_survived() {
    for (format, unit) in [(Format::Little, 4096), (Format::Small, 1024)] {
        let Some(image) = lived_in(format) else {
            return;
        };
        // Blocks that are not zero, half of them from the start, where the tables are.
        let used: Vec<usize> = (0..image.len() / unit)
            .filter(|block| image[block * unit..][..unit].iter().any(|byte| *byte != 0))
            .collect();
        let mut mounted = 0;
        let rounds = rounds(120);
        for seed in 0..rounds {
            let mut random = Random::new(seed * 2 + format as u64);
            let mut broken = image.clone();
            for _ in 0..=random.below(8) {
                let some = if random.below(2) == 0 { 40 } else { used.len() };
                let block = used[random.below(some.min(used.len()) as u64) as usize];
                let at = block * unit + random.below(unit as u64) as usize;
                match random.below(4) {
                    0 => broken[at] ^= 1 << random.below(8),
                    1 => broken[at] = [0, 0xff, 0x80, 1][random.below(4) as usize],
                    2 => {
                        let word = [0, u32::MAX, 1 << 31, 77][random.below(4) as usize];
                        let at = at / 4 * 4;
                        broken[at..at + 4].copy_from_slice(&word.to_le_bytes());
                    }
                    _ => {
                        let other = used[random.below(used.len() as u64) as usize];
                        broken.copy_within(other * unit..(other + 1) * unit, block * unit);
                    }
                }
            }
            if random.below(10) == 0 {
                let length = random.below(broken.len() as u64) as usize / 512 * 512;
                broken.truncate(length);
            }
            let read_only = random.below(5) == 0;
            let cache = Cache::new(MemoryDisk::from_image(broken), 1 << 20);
            if let Ok(volume) = Ext4Volume::mount(cache, read_only, now) {
                mounted += 1;
                exercise(&mut tree(Box::new(volume)), &mut random);
            }
        }
        assert!(mounted * 3 > rounds, "only {mounted} of {rounds} mounted");
    }
}

/// A device that fails some of its requests, as long as it is told to.
struct Failing {
    disk: Shared<MemoryDisk>,
    random: Random,
    /// One in so many fails; 0 for none.
    rate: Rc<Cell<u64>>,
}

impl Failing {
    fn fails(&mut self) -> bool {
        let rate = self.rate.get();
        rate > 0 && self.random.below(rate) == 0
    }
}

impl BlockDevice for Failing {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        if self.fails() {
            return Err(BlockError::Io);
        }
        self.disk.read(sector, into)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        if self.fails() {
            // Some of it may have arrived.
            let half = from.len() / 1024 * 512;
            if self.random.below(2) == 0 {
                self.disk.write(sector, &from[..half])?;
            }
            return Err(BlockError::Io);
        }
        self.disk.write(sector, from)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.fails() {
            return Err(BlockError::Io);
        }
        self.disk.flush()
    }
}

#[test]
fn what_was_synced_outlives_a_device_that_fails() {
    let Some(image) = ext4_image(Format::Little) else {
        return;
    };
    let mut failures = 0;
    for seed in 0..rounds(60) {
        let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
        let rate = Rc::new(Cell::new(0));
        let device = Failing {
            disk: disk.clone(),
            random: Random::new(seed),
            rate: Rc::clone(&rate),
        };
        let cache = Cache::new(device, 128 * 1024);
        let mut vfs = tree(Box::new(
            Ext4Volume::mount(cache, false, now).expect("mounting"),
        ));
        let mut random = Random::new(seed + 1000);
        vfs.dir("/m/safe").expect("mkdir");
        for i in 0..10 {
            vfs.put(&format!("/m/safe/{i}"), &Random::new(i).bytes(9000))
                .expect("write");
        }
        vfs.sync().expect("sync");
        rate.set(5 + random.below(60));
        for i in 0..40 {
            let path = format!("/m/risk{}", random.below(10));
            let result = match random.below(5) {
                0 => vfs.put(&path, &random.bytes(20_000)),
                1 => vfs.rm(&path),
                2 => vfs.dir(&format!("/m/dir{i}")),
                3 => vfs.mv(&path, "/m/risk0"),
                _ => vfs.sync(),
            };
            failures += u32::from(result == Err(FsError::Io));
        }
        rate.set(0);
        // Whether it can still be written or not: what is on the device is whole.
        let _ = vfs.unmount_all();
        drop(vfs);
        let mut after = disk.with(|disk| disk.image().to_vec()).expect("the image");
        let volume = Ext4Volume::mount(
            Cache::new(MemoryDisk::from_image(after.clone()), 1 << 20),
            false,
            now,
        );
        let mut vfs = tree(Box::new(volume.expect("mounting again")));
        for i in 0..10 {
            let found = vfs.content(&format!("/m/safe/{i}")).expect("read");
            assert!(found == Random::new(i).bytes(9000), "seed {seed}: file {i}");
        }
        if seed % 4 == 0
            && let Some((code, words)) = e2fsck("-fp", &mut after)
        {
            assert!(code <= 1, "seed {seed}: {words}");
        }
    }
    assert!(failures > 0, "nothing failed");
}
