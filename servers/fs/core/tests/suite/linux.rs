//! The same calls to the file server and to Linux, and what differs.
//!
//! Long random sequences of calls go through the client library to each kind of file system, and to a folder of
//! the host's own. Results, errors and, now and then, the whole tree must be the same, but for what [`differs`]
//! lists, each with a reason; `docs/reference/files.md` has the same list for readers.
//!
//! Not here: flags that POSIX says nothing of, times, which the host's clock is too coarse for, and blocks taken.

use std::collections::BTreeMap;

use gritos_fs_client::posix::{O_CREAT, Posix, SEEK_DATA};
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::fat::FatVolume;
use gritos_fs_core::host::World;
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::Limits;
use gritos_fs_core::volume::Volume;

use crate::support::{Format, Random, check, ext4_image, ticking, tree};
use crate::wire::client;
use call::{Call, Kind, Known, Said, Side, Way};
use host::Host;
use ours::Ours;

/// Errors as Linux numbers them.
const EPERM: u32 = 1;
const ENOENT: u32 = 2;
const ENXIO: u32 = 6;
const EBADF: u32 = 9;
const EBUSY: u32 = 16;
const EEXIST: u32 = 17;
const ENOTDIR: u32 = 20;
const EISDIR: u32 = 21;
const EINVAL: u32 = 22;
const ENAMETOOLONG: u32 = 36;
const ENOTEMPTY: u32 = 39;
const ELOOP: u32 = 40;

mod call;
mod host;
mod ours;

/// What a kind of file system cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacks {
    /// An open file keeps its name, folders do not count those in them, and there are no links.
    fat: bool,
}

/// Calls of one sequence: as many as fit into a gate, or as a long run asks for.
fn steps() -> usize {
    let given = std::env::var("GRITOS_LINUX_STEPS").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

/// Sequences, each of its own seed.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let given = std::env::var("GRITOS_LINUX_SEEDS").ok();
    1..=given.and_then(|n| n.parse().ok()).unwrap_or(2)
}

#[test]
fn memory_does_as_linux() {
    for seed in seeds() {
        let volume = MemoryVolume::new(512 << 20, ticking);
        run(Box::new(volume), "memory", seed, Lacks { fat: false });
    }
}

#[test]
fn ext4_does_as_linux() {
    for format in [Format::Usual, Format::Small] {
        let Some(image) = ext4_image(format) else {
            return;
        };
        for seed in seeds() {
            let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
            let cache = Cache::new(disk.clone(), 1 << 20);
            let volume = Ext4Volume::mount(cache, false, ticking).expect("mounting");
            let name = format!("ext4 {format:?}");
            run(Box::new(volume), &name, seed, Lacks { fat: false });
            check(&disk, &name);
        }
    }
}

#[test]
fn fat_does_as_linux() {
    for seed in seeds() {
        let mut bytes = std::io::Cursor::new(vec![0; 100 << 20]);
        let options = fatfs::FormatVolumeOptions::new().fat_type(fatfs::FatType::Fat32);
        fatfs::format_volume(&mut bytes, options).expect("formatting");
        let disk = Shared::new(MemoryDisk::from_image(bytes.into_inner()));
        let mut volume = FatVolume::mount(disk, ticking).expect("mounting");
        volume.remount(false).expect("writing");
        run(Box::new(volume), "FAT", seed, Lacks { fat: true });
    }
}

/// One sequence.
fn run(volume: Box<dyn Volume>, name: &str, seed: u64, lacks: Lacks) {
    let world = World::new(tree(volume), Limits::default());
    let mut ours = Ours::new(Posix::new(client(&world, 1).0));
    let mut host = Host::new();
    let mut random = Random::new(seed);
    let mut lately = Vec::new();
    for step in 0..steps() {
        let call = Call::random(&mut random, seed.is_multiple_of(2));
        let mine = ours.act(&call);
        lately.push(format!("{call:?}\n      {}", short(&mine)));
        // Nothing happened: nothing is to happen there.
        if lacks.fat
            && (mine == Said::Failed(EBUSY) && call.removes()
                || mine == Said::Failed(EPERM) && call.links())
        {
            continue;
        }
        let theirs = host.act(&call);
        let from = lately.len().saturating_sub(12);
        assert!(
            mine == theirs || differs(&call, &mine, &theirs, lacks),
            "{name}, seed {seed}, step {step}: Linux says {}, after\n{}",
            short(&theirs),
            lately[from..].join("\n"),
        );
        if step % 500 == 499 {
            assert_eq!(
                whole(&mut ours, lacks),
                whole(&mut host, lacks),
                "{name}, seed {seed}, step {step}: the trees, after\n{}",
                lately[from..].join("\n"),
            );
        }
    }
    ours.close_all();
    world.with_server(|server| server.vfs().unmount_all().expect("unmounting"));
}

/// Where the file server and Linux need not say the same.
fn differs(call: &Call, mine: &Said, theirs: &Said, lacks: Lacks) -> bool {
    let (mine, theirs) = match (mine, theirs) {
        (Said::Failed(mine), Said::Failed(theirs)) => (*mine, *theirs),
        // FAT keeps no permissions, and counts no names.
        (Said::Known(mine), Said::Known(theirs)) => {
            return lacks.fat && (mine.kind, mine.size) == (theirs.kind, theirs.size);
        }
        // Here all of a file is data.
        (Said::Done, Said::Failed(ENXIO)) => {
            return matches!(call, Call::SeekHole { whence, .. } if *whence == SEEK_DATA);
        }
        _ => return false,
    };
    match (call, mine, theirs) {
        // POSIX has either for a descriptor that is not open for writing.
        (Call::CutOpen { .. }, EBADF, EINVAL) => true,
        // With a `/` behind a name, or behind what a symbolic link says, Linux makes nothing, and looks no further;
        // POSIX says what is said here.
        (
            Call::Open { flags, .. } | Call::OpenAt { flags, .. },
            ENOENT | ENOTDIR | EEXIST | ENAMETOOLONG | ELOOP,
            EISDIR,
        ) => flags & O_CREAT != 0,
        // Below a folder that was removed there is nothing, whatever the name.
        (call, ENAMETOOLONG, ENOENT) if call.is_at() => true,
        // A file over the folder that it is in: both are true.
        (Call::Rename { .. } | Call::RenameAt { .. }, EISDIR, ENOTEMPTY) => true,
        // Of what can fail for two reasons, with one path or the other, POSIX does not say which one counts. For `.`
        // and `..` Linux has another error than POSIX.
        (
            Call::Rename { .. } | Call::RenameAt { .. } | Call::Link { .. } | Call::LinkAt { .. },
            ENOENT | ENOTDIR | EINVAL | ENAMETOOLONG | ELOOP,
            theirs,
        ) => match theirs {
            ENOENT | ENOTDIR | EINVAL | ENAMETOOLONG | ELOOP => true,
            EBUSY => call.names_dots(),
            EEXIST => matches!(call, Call::Rename { replace: false, .. }),
            _ => false,
        },
        _ => false,
    }
}

/// An answer that fits on a line.
fn short(said: &Said) -> String {
    let text = format!("{said:?}");
    text.chars().take(200).collect()
}

/// All that is in a side's folder.
fn whole(side: &mut dyn Side, lacks: Lacks) -> BTreeMap<String, (Known, Said)> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![String::from(".")];
    while let Some(folder) = folders.pop() {
        let listed = side.act(&Call::List {
            path: Way::to(&folder),
        });
        let Said::Listed(names) = listed else {
            panic!("{folder}: {listed:?}");
        };
        for (name, kind) in names {
            let path = format!("{folder}/{name}");
            let way = Way::to(&path);
            let Said::Known(mut known) = side.act(&Call::StatLink { path: way.clone() }) else {
                panic!("{path} is listed and not there");
            };
            assert_eq!(known.kind, kind, "{path}");
            if lacks.fat {
                known.links = 0;
                known.mode = 0;
            }
            let inside = match kind {
                Kind::File => side.act(&Call::Whole { path: way }),
                Kind::Link => side.act(&Call::ReadLink { path: way }),
                _ => Said::Done,
            };
            if kind == Kind::Folder {
                folders.push(path.clone());
            }
            tree.insert(path, (known, inside));
        }
    }
    tree
}
