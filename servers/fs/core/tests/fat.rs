//! FAT against another implementation, `fatfs`, and against damage.

use std::io::{Cursor, Read, Write};

use fatfs::{FatType, FormatVolumeOptions, FsOptions};
use gritos_fs_api::{FileType, FsError, OpenFlags};
use gritos_fs_core::block::{BlockDevice, MemoryDisk, Shared};
use gritos_fs_core::fat::FatVolume;
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::vfs::{Handle, Vfs};

/// Sectors of the volumes: enough for FAT32 to be FAT32.
const SECTORS: usize = 80_000;
const LONG: &str = "A rather long name with Ümläuts and 名前.text";

fn now() -> u64 {
    1_790_000_000_000_000_000
}

/// A volume that the other implementation made, with some files.
fn image(fat_type: FatType) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; SECTORS * 512]);
    let options = FormatVolumeOptions::new().fat_type(fat_type);
    fatfs::format_volume(&mut bytes, options).unwrap();
    {
        let fs = fatfs::FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
        let root = fs.root_dir();
        let folder = root.create_dir("folder").unwrap();
        put(&folder, LONG, &pattern(1, 100_000));
        put(&root, "SHORT.TXT", b"short");
        put(&root, "empty", b"");
    }
    bytes.into_inner()
}

fn put<T: fatfs::ReadWriteSeek>(folder: &fatfs::Dir<'_, T>, name: &str, bytes: &[u8]) {
    let mut file = folder.create_file(name).unwrap();
    file.write_all(bytes).unwrap();
}

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed)
        .collect()
}

/// The tree with the volume on `/boot`, and the disk below it.
fn mounted(image: Vec<u8>) -> Result<(Vfs, Shared<MemoryDisk>), FsError> {
    let disk = Shared::new(MemoryDisk::from_image(image));
    let volume = FatVolume::mount(disk.clone(), now)?;
    let mut vfs = Vfs::new(Box::new(MemoryVolume::root_of(&["boot"], now)));
    vfs.mount("/boot", Box::new(volume)).unwrap();
    Ok((vfs, disk))
}

fn open(vfs: &mut Vfs, path: &str, flags: OpenFlags) -> Result<Handle, FsError> {
    let root = vfs.root();
    vfs.open(root, path.as_bytes(), flags, 0o644)
}

fn read(vfs: &mut Vfs, path: &str) -> Result<Vec<u8>, FsError> {
    let file = open(vfs, path, OpenFlags::READ)?;
    let (_, found) = vfs.attributes(file)?;
    let mut bytes = vec![0; found.size as usize + 10];
    let count = vfs.read(file, 0, &mut bytes)?;
    vfs.close(file);
    bytes.truncate(count);
    Ok(bytes)
}

fn write(vfs: &mut Vfs, path: &str, bytes: &[u8]) -> Result<(), FsError> {
    let file = open(
        vfs,
        path,
        OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE,
    )?;
    let written = vfs.write(file, 0, bytes);
    vfs.close(file);
    assert_eq!(written?, bytes.len());
    Ok(())
}

fn names(vfs: &mut Vfs, path: &str) -> Vec<String> {
    let folder = open(vfs, path, OpenFlags::READ | OpenFlags::DIRECTORY).unwrap();
    let mut found = Vec::new();
    vfs.entries(folder, 0, &mut |entry| {
        found.push(String::from_utf8(entry.name).unwrap());
        true
    })
    .unwrap();
    vfs.close(folder);
    found.sort();
    found
}

fn image_of(disk: &Shared<MemoryDisk>) -> Vec<u8> {
    disk.with(|disk| disk.image().to_vec()).unwrap()
}

#[test]
fn what_another_implementation_wrote_is_read_and_nothing_is_changed() {
    for fat_type in [FatType::Fat16, FatType::Fat32] {
        let image = image(fat_type);
        let (mut vfs, disk) = mounted(image.clone()).unwrap();
        assert_eq!(names(&mut vfs, "/boot"), ["SHORT.TXT", "empty", "folder"]);
        assert_eq!(names(&mut vfs, "/boot/folder"), [LONG]);
        let long = format!("/boot/folder/{LONG}");
        assert_eq!(read(&mut vfs, &long).unwrap(), pattern(1, 100_000));
        assert_eq!(read(&mut vfs, "/boot/short.txt").unwrap(), b"short");
        let root = vfs.root();
        let (_, found) = vfs.stat(root, b"/boot/folder").unwrap();
        assert_eq!(found.kind, FileType::Directory);
        assert_eq!(write(&mut vfs, "/boot/new", b"x"), Err(FsError::ReadOnly));
        assert_eq!(vfs.unlink(root, b"/boot/empty"), Err(FsError::ReadOnly));
        vfs.unmount_all().unwrap();
        assert!(image_of(&disk) == image, "reading changed the volume");
    }
}

#[test]
fn what_is_written_here_another_implementation_reads() {
    for fat_type in [FatType::Fat16, FatType::Fat32] {
        let (mut vfs, disk) = mounted(image(fat_type)).unwrap();
        let root = vfs.root();
        vfs.remount(root, b"/boot", false).unwrap();
        vfs.mkdir(root, b"/boot/made", 0o755).unwrap();
        write(&mut vfs, "/boot/made/größe", &pattern(2, 70_001)).unwrap();
        write(&mut vfs, "/boot/SHORT.TXT", b"longer than it was").unwrap();
        vfs.rename(root, b"/boot/empty", b"/boot/made/full", true)
            .unwrap();
        let file = open(&mut vfs, "/boot/made/full", OpenFlags::WRITE).unwrap();
        // A gap, then a cut.
        assert_eq!(vfs.write(file, 5000, b"end").unwrap(), 3);
        vfs.truncate(file, 5001).unwrap();
        assert_eq!(
            vfs.unlink(root, b"/boot/made/full"),
            Err(FsError::Busy),
            "it is open"
        );
        vfs.close(file);
        let long = format!("/boot/folder/{LONG}");
        vfs.unlink(root, long.as_bytes()).unwrap();
        assert_eq!(vfs.rmdir(root, b"/boot/made"), Err(FsError::NotEmpty));
        vfs.rmdir(root, b"/boot/folder").unwrap();
        vfs.sync().unwrap();
        assert!(!vfs.is_dirty());

        let mut bytes = Cursor::new(image_of(&disk));
        let fs = fatfs::FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
        let root = fs.root_dir();
        let get = |path: &str| {
            let mut bytes = Vec::new();
            root.open_file(path)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        assert_eq!(get("made/größe"), pattern(2, 70_001));
        assert_eq!(get("SHORT.TXT"), b"longer than it was");
        let mut gap = vec![0; 5000];
        gap.push(b'e');
        assert_eq!(get("made/full"), gap);
        assert!(root.open_dir("folder").is_err());
    }
}

#[test]
fn a_full_volume_is_said_and_survived() {
    let (mut vfs, _) = mounted(image(FatType::Fat16)).unwrap();
    let root = vfs.root();
    vfs.remount(root, b"/boot", false).unwrap();
    let file = open(&mut vfs, "/boot/fill", OpenFlags::WRITE | OpenFlags::CREATE).unwrap();
    let piece = pattern(3, 1 << 20);
    let mut at = 0;
    let full = loop {
        match vfs.write(file, at, &piece) {
            Ok(count) => at += count as u64,
            Err(error) => break error,
        }
        assert!(
            at < 2 * (SECTORS as u64) * 512,
            "it takes more than there is"
        );
    };
    assert_eq!(full, FsError::NoSpace);
    vfs.close(file);
    vfs.unlink(root, b"/boot/fill").unwrap();
    write(&mut vfs, "/boot/again", &piece).unwrap();
    assert_eq!(read(&mut vfs, "/boot/again").unwrap(), piece);
    assert_eq!(read(&mut vfs, "/boot/SHORT.TXT").unwrap(), b"short");
}

/// Reads everything there is, at most so many entries.
fn walk(vfs: &mut Vfs, path: &str, budget: &mut u32) {
    let Ok(folder) = open(vfs, path, OpenFlags::READ | OpenFlags::DIRECTORY) else {
        return;
    };
    let mut found = Vec::new();
    // Errors are what damage is expected to lead to.
    let _ = vfs.entries(folder, 0, &mut |entry| {
        found.push((entry.name, entry.kind));
        found.len() < 200
    });
    vfs.close(folder);
    for (name, kind) in found {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let path = format!("{path}/{}", String::from_utf8_lossy(&name));
        if kind == FileType::Directory {
            walk(vfs, &path, budget);
        } else if let Ok(file) = open(vfs, &path, OpenFlags::READ) {
            let mut bytes = vec![0; 300_000];
            let _ = vfs.read(file, 0, &mut bytes);
            vfs.close(file);
        }
    }
}

#[test]
fn damage_is_an_error_and_never_a_panic_or_a_loop() {
    let whole = image(FatType::Fat32);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Where the boot sector, the FATs and the first clusters are.
    let interesting = 1_300_000_u64;
    for _ in 0..60 {
        let mut damaged = whole.clone();
        for _ in 0..1 + random() % 8 {
            let at = match random() % 3 {
                0 => random() % 512,
                1 => 16_384 + random() % 2048,
                _ => random() % interesting,
            };
            damaged[at as usize] = random() as u8;
        }
        if random() % 8 == 0 {
            damaged.truncate((random() % interesting) as usize / 512 * 512);
        }
        if let Ok((mut vfs, _)) = mounted(damaged) {
            walk(&mut vfs, "/boot", &mut 400);
            let root = vfs.root();
            if vfs.remount(root, b"/boot", false).is_ok() {
                let _ = write(&mut vfs, "/boot/new", &pattern(4, 5000));
                let _ = vfs.mkdir(root, b"/boot/newer", 0o755);
                let _ = vfs.sync();
            }
        }
    }
}

#[test]
fn a_chain_that_loops_ends() {
    let mut looped = image(FatType::Fat32);
    // The reserved sectors end where the FAT begins; cluster n has 32 bits at 4 n.
    let reserved = u16::from_le_bytes([looped[14], looped[15]]) as usize * 512;
    let fats = usize::from(looped[16]);
    let sectors = u32::from_le_bytes(*looped[36..].first_chunk().unwrap()) as usize;
    for fat in 0..fats {
        let start = reserved + fat * sectors * 512;
        for cluster in 3..40_u32 {
            let at = start + cluster as usize * 4;
            // Each leads to the one before.
            looped[at..at + 4].copy_from_slice(&(cluster - 1).to_le_bytes());
        }
    }
    if let Ok((mut vfs, mut disk)) = mounted(looped) {
        walk(&mut vfs, "/boot", &mut 1000);
        assert!(disk.geometry().sectors == SECTORS as u64);
        disk.flush().unwrap();
    }
}
