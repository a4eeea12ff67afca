//! Many clients at once on one ext4 volume, as `fsstress` does it: see [`gritos_fs_suite::stress`]. At the end
//! the tree is what the clients know, and `e2fsck` has no complaint.

use gritos_fs_client::posix::Posix;
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::host::World;
use gritos_fs_core::service::Limits;
use gritos_fs_suite::stress::Worker;

use crate::support::{Format, Random, check, ext4_image, now, tree};
use crate::wire::client;

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
        let world = World::new(tree(Box::new(volume)), Limits::default());
        let mut workers: Vec<_> = (0..6)
            .map(|number| {
                let posix = Posix::new(client(&world, number).0);
                let home = format!("/m/home{number}");
                let seed = seed * 100 + u64::from(number);
                Worker::new(posix, &home, "/m/all", seed).expect("folders")
            })
            .collect();
        let mut random = Random::new(seed);
        for step in 0..steps {
            let which = random.below(6) as usize;
            let result = workers[which].step();
            result.unwrap_or_else(|why| panic!("{format:?}, step {step}, client {which}: {why}"));
        }
        for worker in &mut workers {
            worker
                .check()
                .unwrap_or_else(|why| panic!("{format:?}: {why}"));
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
