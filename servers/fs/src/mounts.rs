//! What is mounted where: `/tmp` in memory, and of the disk the first ext4 on `/data` and the first FAT on
//! `/boot`, each if there is one. What cannot be mounted is said on the console, and the rest is served.
//! What an image has brought onto a larger disk grows before it is mounted.

use alloc::boxed::Box;
use core::fmt;

use gritos_fs_core::block::{BlockDevice, SECTOR_BYTES, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::ext4::grow::{self, GrowError};
use gritos_fs_core::fat::FatVolume;
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::partition::extend::extend;
use gritos_fs_core::partition::{
    Content, Partition, PartitionKind, PartitionView, partitions, probe,
};
use gritos_fs_core::vfs::Vfs;
use gritos_fs_core::volume::{Now, Volume};
use gritos_service::call_cap;
use gritos_sys::environment::Environment;

use crate::disk::DriverDisk;

/// Bytes of the block cache.
const CACHE_BYTES: usize = 4 << 20;
/// Bytes that files in `/tmp` may take.
const TMP_BYTES: u64 = 8 << 20;

/// Where the root's folders are.
const DATA: &str = "/data";
const TMP: &str = "/tmp";
const BOOT: &str = "/boot";

type View = PartitionView<Shared<Cache<DriverDisk>>>;

/// The tree, with everything mounted that there is.
pub(crate) fn mount_all(environment: &Environment<'_>, now: Now) -> Vfs {
    let root = MemoryVolume::root_of(&["boot", "data", "tmp"], now);
    let mut vfs = Vfs::new(Box::new(root));
    let tmp = MemoryVolume::new(TMP_BYTES, now);
    add(&mut vfs, TMP, Box::new(tmp), TMP_BYTES);
    if let Some(session) = environment.service("disk") {
        match DriverDisk::new(call_cap(session)) {
            Ok(Ok(disk)) => mount_disk(&mut vfs, disk, now),
            Ok(Err(error)) => log::error!("no disk: {error}"),
            Err(error) => log::error!("no disk: {error}"),
        }
    }
    vfs
}

/// Mounts a file system of so many bytes.
fn add(vfs: &mut Vfs, path: &str, volume: Box<dyn Volume>, bytes: u64) {
    let info = volume.info();
    match vfs.mount(path, volume) {
        Ok(()) => log::info!(
            "{} of {} on {path}{}",
            info.kind,
            Size(bytes),
            if info.read_only { ", read-only" } else { "" }
        ),
        Err(error) => log::error!("{path}: {error:?}"),
    }
}

/// Looks through the partitions of the disk, or all of it if there are none.
fn mount_disk(vfs: &mut Vfs, disk: DriverDisk, now: Now) {
    let mut disk = Shared::new(Cache::new(disk, CACHE_BYTES));
    let sectors = disk.geometry().sectors;
    let extended = extend(&mut disk.clone(), |last| {
        grow::limit(PartitionView::of(disk.clone(), last))
    });
    if let Err(error) = extended {
        log::warn!("the last partition stays as it is: {error}");
    }
    let found = match partitions(&mut disk) {
        Ok(found) => found,
        Err(error) => {
            log::error!("the disk cannot be read: {error}");
            return;
        }
    };
    let whole = Partition {
        number: 0,
        first: 0,
        sectors,
        kind: PartitionKind::Other,
    };
    let candidates = if found.is_empty() {
        alloc::vec![whole]
    } else {
        found
    };
    let (mut has_data, mut has_boot) = (false, false);
    for partition in candidates {
        let mut view = PartitionView::of(disk.clone(), &partition);
        match probe(&mut view) {
            Ok(Content::Ext) if !has_data => has_data = mount_data(vfs, view, &partition, now),
            Ok(Content::Fat) if !has_boot => has_boot = mount_boot(vfs, view, &partition, now),
            Ok(_) => {}
            Err(error) => log::error!("partition {}: {error}", partition.number),
        }
    }
}

/// Bytes as people say them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 >> 20) * 10 / 1024;
        match tenths {
            0..10 => write!(f, "{} MiB", self.0 >> 20),
            _ => write!(f, "{}.{} GiB", tenths / 10, tenths % 10),
        }
    }
}

const fn bytes_of(partition: &Partition) -> u64 {
    partition.sectors.saturating_mul(SECTOR_BYTES as u64)
}

/// Mounts ext4, which fills its partition from then on if it comes from an image; says
/// whether that worked.
fn mount_data(vfs: &mut Vfs, view: View, partition: &Partition, now: Now) -> bool {
    let mut mounted = Ext4Volume::mount(view.clone(), false, now);
    if let Ok(volume) = &mut mounted
        && partition.number > 0
    {
        match volume.grow() {
            Ok(None) => {}
            Ok(Some(grown)) => {
                let (from, to) = (Size(grown.from), Size(grown.to));
                log::info!("{DATA} grew from {from} to {to}");
            }
            Err(error) => {
                log::warn!("{DATA} stays smaller than its partition: {error}");
                if let GrowError::Device(_) = error {
                    mounted = Ext4Volume::mount(view, false, now);
                }
            }
        }
    }
    match mounted {
        Ok(volume) => {
            add(vfs, DATA, Box::new(volume), bytes_of(partition));
            true
        }
        Err(error) => {
            log::error!("ext4 on partition {}: {error:?}", partition.number);
            false
        }
    }
}

/// Mounts FAT, read-only; says whether that worked.
fn mount_boot(vfs: &mut Vfs, view: View, partition: &Partition, now: Now) -> bool {
    match FatVolume::mount(view, now) {
        Ok(volume) => {
            if volume.was_dirty() {
                log::warn!("{BOOT} was not left in order and stays read-only: check it on a PC");
            }
            add(vfs, BOOT, Box::new(volume), bytes_of(partition));
            true
        }
        Err(error) => {
            log::error!("FAT on partition {}: {error:?}", partition.number);
            false
        }
    }
}
