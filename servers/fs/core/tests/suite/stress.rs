//! Many clients at once on one ext4 volume, as `fsstress` does it: each has folders of its
//! own, whose contents it knows, and all share one, where anything may happen. At the end
//! the tree is what the clients know, and `e2fsck` has no complaint.

use std::collections::BTreeMap;

use gritos_fs_api::{FileType, Mode, OpenFlags};
use gritos_fs_client::Errno;
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::host::World;
use gritos_fs_core::service::Limits;

use crate::support::{Format, Random, check, ext4_image, now, tree};
use crate::wire::{TestClient, client};

const MODE: Mode = Mode::from_bits_retain(0o644);
const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

struct Worker {
    client: TestClient,
    random: Random,
    home: String,
    /// What is in its own folder.
    files: BTreeMap<String, Vec<u8>>,
}

impl Worker {
    fn path(&mut self) -> String {
        let folder = self.random.below(3);
        format!("{}/d{folder}/f{}", self.home, self.random.below(12))
    }

    fn step(&mut self) {
        let path = self.path();
        match self.random.below(12) {
            0..=3 => self.write(&path),
            4 => {
                let expected = if self.files.remove(&path).is_some() {
                    Ok(())
                } else {
                    Err(Errno::NOENT)
                };
                assert_eq!(self.client.unlink(&path), expected, "{path}");
            }
            5 | 6 => {
                let to = self.path();
                let result = self.client.rename(&path, &to, true);
                match self.files.remove(&path) {
                    Some(bytes) => {
                        assert_eq!(result, Ok(()), "{path} to {to}");
                        self.files.insert(to, bytes);
                    }
                    None => assert_eq!(result, Err(Errno::NOENT), "{path} to {to}"),
                }
            }
            7 => self.read(&path),
            8 => {
                if self.random.below(4) == 0 {
                    self.client.sync().expect("sync");
                }
            }
            _ => self.share(),
        }
    }

    fn write(&mut self, path: &str) {
        let file = self.client.open(path, NEW, MODE).expect("open");
        let mut content = self.files.remove(path).unwrap_or_default();
        if self.random.below(5) == 0 {
            let size = self.random.below(content.len() as u64 + 1000);
            self.client.truncate(file, size).expect("truncate");
            content.resize(size as usize, 0);
        } else {
            let offset = self.random.below(content.len() as u64 + 2000) as usize;
            let count = self.random.below(20_000) as usize + 1;
            let bytes = self.random.bytes(count);
            assert_eq!(self.client.write(file, offset as u64, &bytes), Ok(count));
            content.resize(content.len().max(offset + count), 0);
            content[offset..offset + count].copy_from_slice(&bytes);
        }
        self.files.insert(path.into(), content);
        if self.random.below(10) == 0 {
            self.client.fsync(file).expect("fsync");
        }
        self.client.close(file).expect("close");
    }

    fn read(&mut self, path: &str) {
        let result = self.client.open(path, OpenFlags::READ, MODE);
        let Some(content) = self.files.get(path) else {
            assert_eq!(result, Err(Errno::NOENT));
            return;
        };
        let file = result.expect("open");
        let mut bytes = vec![0; content.len() + 10];
        assert_eq!(self.client.read(file, 0, &mut bytes), Ok(content.len()));
        assert!(bytes[..content.len()] == content[..], "{path}");
        self.client.close(file).expect("close");
    }

    /// Something in the folder of all, with whatever result.
    fn share(&mut self) {
        let one = format!("/m/all/{}", self.random.below(10));
        let other = format!("/m/all/{}/{}", self.random.below(10), self.random.below(3));
        let result = match self.random.below(6) {
            0 => self.client.mkdir(&one, MODE),
            1 => self.client.rmdir(&one),
            2 => self.client.rename(&one, &other, true),
            3 => self.client.rename(&other, &one, self.random.below(2) == 0),
            4 => self.client.unlink(&other),
            _ => self.client.open(&other, NEW, MODE).map(|file| {
                // Left open by some, whatever happens to its name.
                let _ = self.client.write(file, 0, b"shared");
                if self.random.below(20) > 0 {
                    self.client.close(file).expect("close");
                }
            }),
        };
        if let Err(error) = result {
            let possible = [
                Errno::NOENT,
                Errno::EXIST,
                Errno::NOTDIR,
                Errno::ISDIR,
                Errno::NOTEMPTY,
                Errno::INVAL,
                Errno::MFILE,
            ];
            assert!(possible.contains(&error), "{error:?}");
        }
    }
}

#[test]
fn many_clients_keep_what_is_theirs() {
    let steps = std::env::var("GRITOS_STRESS_STEPS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6_000);
    for (seed, format) in [(1, Format::Usual), (2, Format::Small)] {
        let Some(image) = ext4_image(format) else {
            return;
        };
        let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
        let cache = Cache::new(disk.clone(), 256 * 1024);
        let volume = Ext4Volume::mount(cache, false, now).expect("mounting");
        let world = World::new(tree(Box::new(volume)), Limits::default(), now);
        let (mut first, _) = client(&world, 99);
        first.mkdir("/m/all", MODE).expect("mkdir");
        let mut workers: Vec<Worker> = (0..6)
            .map(|number| {
                let home = format!("/m/home{number}");
                first.mkdir(&home, MODE).expect("mkdir");
                for folder in 0..3 {
                    let path = format!("{home}/d{folder}");
                    first.mkdir(&path, MODE).expect("mkdir");
                }
                Worker {
                    client: client(&world, number).0,
                    random: Random::new(seed * 100 + u64::from(number)),
                    home,
                    files: BTreeMap::new(),
                }
            })
            .collect();
        let mut random = Random::new(seed);
        for _ in 0..steps {
            let which = random.below(6) as usize;
            workers[which].step();
        }
        for worker in &mut workers {
            let paths: Vec<String> = worker.files.keys().cloned().collect();
            for path in &paths {
                worker.read(path);
            }
            let mut count = 0;
            for folder in 0..3 {
                let path = format!("{}/d{folder}", worker.home);
                let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
                let open = worker.client.open(&path, flags, MODE).expect("open");
                let (names, _) = worker.client.read_dir(open, 0).expect("list");
                assert!(names.iter().all(|name| name.file_type == FileType::Regular));
                count += names.len();
            }
            assert_eq!(count, paths.len(), "{}", worker.home);
        }
        world.with_server(|server| server.vfs().unmount_all().expect("unmounting"));
        // Files that are open without a name are left for the next mount.
        let volume = Ext4Volume::mount(Cache::new(disk.clone(), 1 << 20), false, now);
        tree(Box::new(volume.expect("mounting again")))
            .unmount_all()
            .expect("unmounting");
        check(&disk, "after all");
    }
}
