//! What operations of the file systems cost, without the messages: `costs KIND OPERATION
//! COUNT` does one operation so many times, where `KIND` is `memory` or `ext4`.
//!
//! Counted by `valgrind --tool=callgrind`, or by `perf stat -e instructions:u` where the
//! processor can be asked, the difference of two counts is the cost of so many operations.
//! Between builds for different processors only the ratios mean something.

use std::process::{Command, ExitCode};

use gritos_fs_api::OpenFlags;
use gritos_fs_core::block::MemoryDisk;
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::vfs::Vfs;
use gritos_fs_core::volume::Volume;

fn now() -> u64 {
    1_700_000_000_000_000_000
}

fn ext4() -> Option<Box<dyn Volume>> {
    let path = std::env::temp_dir().join(format!("gritos-costs-{}.img", std::process::id()));
    let file = std::fs::File::create(&path).ok()?;
    file.set_len(256 << 20).ok()?;
    let made = Command::new("mke2fs")
        .args([
            "-q", "-t", "ext4", "-b", "4096", "-I", "256", "-J", "size=16", "-m", "0",
        ])
        .args(["-O", "^orphan_file,^metadata_csum_seed,^resize_inode"])
        .args(["-E", "lazy_itable_init=0,lazy_journal_init=0"])
        .arg(&path)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .status()
        .ok()?;
    let image = made.success().then(|| std::fs::read(&path).ok())?;
    let _ = std::fs::remove_file(&path);
    let disk = Cache::new(MemoryDisk::from_image(image?), 4 << 20);
    Some(Box::new(Ext4Volume::mount(disk, false, now).ok()?))
}

const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

fn run(vfs: &mut Vfs, operation: &str, count: u64) -> Result<(), gritos_fs_api::FsError> {
    let root = vfs.root();
    let page = vec![7_u8; 4096];
    let mut buffer = vec![0_u8; 4096];
    let mebibyte = vec![7_u8; 1 << 20];
    let file = vfs.open(root, b"/m/kept", NEW, 0o644)?;
    for i in 0..16 {
        vfs.write(file, i * 65536, mebibyte.get(..65536).unwrap_or(&[]))?;
    }
    vfs.sync()?;
    for i in 0..count {
        match operation {
            "open" => {
                let file = vfs.open(root, b"/m/kept", OpenFlags::READ, 0)?;
                vfs.close(file);
            }
            "stat" => {
                vfs.stat(root, b"/m/kept")?;
            }
            "read" => {
                vfs.read(file, i % 256 * 4096, &mut buffer)?;
            }
            "write" => {
                vfs.write(file, i % 256 * 4096, &page)?;
            }
            "fsync" => {
                vfs.write(file, i % 256 * 4096, &page)?;
                vfs.fsync(file)?;
            }
            "create" => {
                let file = vfs.open(root, b"/m/new", NEW, 0o644)?;
                vfs.close(file);
                vfs.unlink(root, b"/m/new")?;
            }
            "mkdir" => {
                vfs.mkdir(root, b"/m/dir", 0o755)?;
                vfs.rmdir(root, b"/m/dir")?;
            }
            "durable" => {
                let file = vfs.open(root, b"/m/new", NEW, 0o644)?;
                vfs.write(file, 0, &page)?;
                vfs.fsync(file)?;
                vfs.close(file);
                let dir = vfs.open(root, b"/m", OpenFlags::READ | OpenFlags::DIRECTORY, 0)?;
                vfs.fsync(dir)?;
                vfs.close(dir);
                vfs.unlink(root, b"/m/new")?;
            }
            "read1m" => {
                for at in 0..16 {
                    let mut big = vec![0; 65536];
                    vfs.read(file, at * 65536, &mut big)?;
                }
            }
            "write1m" => {
                for at in 0..16 {
                    vfs.write(file, at * 65536, mebibyte.get(..65536).unwrap_or(&[]))?;
                }
                vfs.fsync(file)?;
            }
            "grow" => {
                let file = vfs.open(root, format!("/m/file-{i:06}").as_bytes(), NEW, 0o644)?;
                vfs.close(file);
            }
            _ => return Err(gritos_fs_api::FsError::NotSupported),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let volume = match argument(1) {
        "ext4" => ext4(),
        _ => Some(Box::new(MemoryVolume::new(64 << 20, now)) as Box<dyn Volume>),
    };
    let Some(volume) = volume else {
        eprintln!("no file system: is `mke2fs` (Debian package e2fsprogs) there?");
        return ExitCode::FAILURE;
    };
    let mut vfs = Vfs::new(Box::new(MemoryVolume::root_of(&["m"], now)));
    if vfs.mount("/m", volume).is_err() {
        return ExitCode::FAILURE;
    }
    match run(&mut vfs, argument(2), argument(3).parse().unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
