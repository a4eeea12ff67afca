//! [`gritos_fs_suite`] on each file system: what runs on the target too.

use gritos_fs_client::posix::Posix;
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::host::{HostMemory, World};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::Limits;
use gritos_fs_core::volume::Volume;
use gritos_fs_suite::{Site, fsx, rules};

use crate::support::{Format, check, ext4_image, ticking, tree};
use crate::wire::{Wire, client};

/// Runs `test` on each kind of file system, through the protocol.
fn each(test: impl Fn(&mut Site<'_, Wire, HostMemory>, &str)) {
    let run = |volume: Box<dyn Volume>, name: &str| {
        let world = World::new(tree(volume), Limits::default());
        let slots = world.slot_count();
        let mut posix = Posix::new(client(&world, 1).0);
        let mut site = Site {
            posix: &mut posix,
            folder: String::from("/m"),
            elsewhere: "/other",
            alone: true,
        };
        test(&mut site, name);
        // Memory and its second capability at the server, session, buffer.
        assert_eq!(world.slot_count(), slots + 4, "{name}");
        world.with_server(|server| server.vfs().unmount_all().expect("unmounting"));
    };
    run(Box::new(MemoryVolume::new(64 << 20, ticking)), "memory");
    for format in [Format::Usual, Format::Small] {
        let Some(image) = ext4_image(format) else {
            continue;
        };
        let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
        let cache = Cache::new(disk.clone(), 1 << 20);
        let volume = Ext4Volume::mount(cache, false, ticking).expect("mounting");
        run(Box::new(volume), &format!("{format:?}"));
        check(&disk, &format!("{format:?}"));
    }
}

#[test]
fn every_rule_of_posix_holds() {
    each(|site, name| {
        let count = rules::check(site).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(count > 20, "{count} rules");
    });
}

#[test]
fn a_file_agrees_with_its_copy_through_the_client_library() {
    let steps = std::env::var("GRITOS_FSX_STEPS")
        .ok()
        .and_then(|n| n.parse().ok());
    for seed in 1..=2 {
        each(|site, name| {
            let result = fsx::run(site, seed, steps.unwrap_or(1_000));
            result.unwrap_or_else(|why| panic!("{name}: {why}"));
        });
    }
}
