//! What the tests share: file systems to run on, and numbers that repeat.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use gritos_fs_api::{FsError, OpenFlags};
use gritos_fs_core::block::{MemoryDisk, Shared};
use gritos_fs_core::cache::Cache;
use gritos_fs_core::ext4::Ext4Volume;
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::vfs::{Handle, Vfs};

/// Pseudo-random numbers: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

pub(crate) fn now() -> u64 {
    1_700_000_000_000_000_000
}

/// The same, and each time a little later.
pub(crate) fn ticking() -> u64 {
    static TICKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    now() + 1000 * TICKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// What the file system under test can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) name: &'static str,
    /// An open file can lose its name.
    pub(crate) unlink_open: bool,
    /// Holes take no space, so that large offsets are cheap.
    pub(crate) sparse: bool,
    /// `A` and `a` are two names.
    pub(crate) case: bool,
}

/// Runs `test` on a fresh tree for each kind of file system, mounted at `/m`.
pub(crate) fn each(test: impl Fn(&mut Vfs, Abilities)) {
    let memory = Abilities {
        name: "memory",
        unlink_open: true,
        sparse: true,
        case: true,
    };
    test(
        &mut tree(Box::new(MemoryVolume::new(64 << 20, now))),
        memory,
    );
    for (name, format) in [
        ("ext4", Format::Usual),
        ("ext4 of small blocks", Format::Small),
    ] {
        let Some(image) = ext4_image(format) else {
            continue;
        };
        let disk = Shared::new(MemoryDisk::from_image(image.to_vec()));
        let cache = Cache::new(disk.clone(), 1 << 20);
        let volume = Ext4Volume::mount(cache, false, now).expect("mounting ext4");
        let mut vfs = tree(Box::new(volume));
        test(&mut vfs, Abilities { name, ..memory });
        vfs.unmount_all().expect("unmounting");
        drop(vfs);
        check(&disk, name);
    }
}

/// Has `e2fsck` look at a volume that was unmounted.
pub(crate) fn check(disk: &Shared<MemoryDisk>, context: &str) {
    let mut image = disk.with(|disk| disk.image().to_vec()).expect("the image");
    if let Some((code, words)) = e2fsck("-fn", &mut image) {
        assert_eq!(code, 0, "{context}: {words}");
    }
}

/// How a volume is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 16 MiB as `mke2fs` makes them.
    Little,
    /// 64 MiB, likewise.
    Usual,
    /// 48 MiB in blocks of 1 KiB, so that there are six groups, without sums and with
    /// 32-bit numbers.
    Small,
}

/// An empty ext4 image, made by `mke2fs`. Without `mke2fs` there is none, and the test
/// says that it leaves ext4 out.
pub(crate) fn ext4_image(format: Format) -> Option<&'static [u8]> {
    static IMAGES: [OnceLock<Option<Vec<u8>>>; 3] = [const { OnceLock::new() }; 3];
    let image = IMAGES[format as usize].get_or_init(|| match format {
        Format::Little => mke2fs(16, &["-b", "4096", "-J", "size=4"]),
        Format::Usual => mke2fs(64, &["-b", "4096", "-J", "size=4"]),
        Format::Small => {
            let features = ["-O", "^metadata_csum,^64bit", "-N", "12288"];
            mke2fs(
                48,
                &[&["-b", "1024", "-J", "size=2"], &features[..]].concat(),
            )
        }
    });
    image.as_deref()
}

/// An image of so many MiB.
pub(crate) fn mke2fs(mebibytes: u64, options: &[&str]) -> Option<Vec<u8>> {
    let path = scratch("mke2fs.img");
    let file = std::fs::File::create(&path).expect("a file to format");
    file.set_len(mebibytes << 20).expect("its size");
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-I", "256", "-m", "0", "-U", UUID])
        .args(["-O", "^orphan_file,^metadata_csum_seed,^resize_inode"])
        .args(options)
        .args([
            "-E",
            &format!("lazy_itable_init=0,lazy_journal_init=0,hash_seed={UUID}"),
        ])
        .arg(&path)
        .env("E2FSPROGS_FAKE_TIME", "1700000000")
        .env("PATH", tool_path())
        .status();
    let image = match made {
        Ok(status) if status.success() => Some(std::fs::read(&path).expect("the image")),
        _ => {
            eprintln!("skipped: ext4, since `mke2fs` (Debian package e2fsprogs) is missing");
            None
        }
    };
    let _ = std::fs::remove_file(&path);
    image
}

const UUID: &str = "7a3e5f10-4c1b-4d7e-9a51-0d6a1c2b3e4f";

pub(crate) fn tool_path() -> String {
    format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

/// A path for a file of this test's own.
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    std::env::temp_dir().join(format!("gritos-fs-{}-{number}-{name}", std::process::id()))
}

/// What `e2fsck` says of an image: its exit code and its words; the image is changed
/// as `mode` (`-fn` or `-fp`) says. Nothing without `e2fsck`.
pub(crate) fn e2fsck(mode: &str, image: &mut Vec<u8>) -> Option<(i32, String)> {
    let path = scratch("e2fsck.img");
    std::fs::write(&path, &*image).expect("a file to check");
    let result = Command::new("e2fsck")
        .arg(mode)
        .arg(&path)
        .env("PATH", tool_path())
        .stdin(Stdio::null())
        .output();
    *image = std::fs::read(&path).expect("the file");
    let _ = std::fs::remove_file(&path);
    let output = result.ok()?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().unwrap_or(-1), words))
}

/// An image after `tune2fs`. Nothing without `tune2fs`.
pub(crate) fn tune2fs(image: &[u8], options: &[&str]) -> Option<Vec<u8>> {
    let path = scratch("tune2fs.img");
    std::fs::write(&path, image).expect("a file to tune");
    let result = Command::new("tune2fs")
        .args(options)
        .arg(&path)
        .env("PATH", tool_path())
        .stdin(Stdio::null())
        .output();
    let image = std::fs::read(&path).expect("the file");
    let _ = std::fs::remove_file(&path);
    let output = result.ok()?;
    assert!(output.status.success(), "tune2fs {options:?}: {output:?}");
    Some(image)
}

/// What `debugfs` says when it does something to an image. Nothing without `debugfs`.
pub(crate) fn debugfs(image: &mut Vec<u8>, commands: &[&str]) -> Option<String> {
    let path = scratch("debugfs.img");
    let script = scratch("debugfs.txt");
    std::fs::write(&path, &*image).expect("a file to work on");
    std::fs::write(&script, commands.join("\n") + "\n").expect("a script");
    let result = Command::new("debugfs")
        .arg("-w")
        .arg("-f")
        .arg(&script)
        .arg(&path)
        .env("PATH", tool_path())
        .stdin(Stdio::null())
        .output();
    *image = std::fs::read(&path).expect("the file");
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_file(&script);
    let output = result.ok()?;
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// A tree with a file system at `/m` and another one at `/other`.
pub(crate) fn tree(volume: Box<dyn gritos_fs_core::volume::Volume>) -> Vfs {
    let mut vfs = Vfs::new(Box::new(MemoryVolume::root_of(&["m", "other"], now)));
    vfs.mount("/m", volume).expect("mounting");
    vfs.mount("/other", Box::new(MemoryVolume::new(1 << 20, now)))
        .expect("mounting");
    vfs
}

/// Calls with a path from the root.
pub(crate) trait Paths {
    fn at(&mut self, path: &str, flags: OpenFlags) -> Result<Handle, FsError>;
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), FsError>;
    fn content(&mut self, path: &str) -> Result<Vec<u8>, FsError>;
    fn dir(&mut self, path: &str) -> Result<(), FsError>;
    fn rm(&mut self, path: &str) -> Result<(), FsError>;
    fn rmd(&mut self, path: &str) -> Result<(), FsError>;
    fn mv(&mut self, from: &str, to: &str) -> Result<(), FsError>;
    fn size(&mut self, path: &str) -> Result<u64, FsError>;
    fn list(&mut self, path: &str) -> Result<Vec<String>, FsError>;
}

pub(crate) const R: OpenFlags = OpenFlags::READ;
pub(crate) const W: OpenFlags = OpenFlags::WRITE;
pub(crate) const RW: OpenFlags = R.union(W);
pub(crate) const NEW: OpenFlags = RW.union(OpenFlags::CREATE);

impl Paths for Vfs {
    fn at(&mut self, path: &str, flags: OpenFlags) -> Result<Handle, FsError> {
        self.open(self.root(), path.as_bytes(), flags, 0o644)
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), FsError> {
        let file = self.at(path, NEW | OpenFlags::TRUNCATE)?;
        let mut done = 0;
        while done < bytes.len() {
            match self.write(file, done as u64, &bytes[done..]) {
                Ok(count) => done += count,
                Err(error) => {
                    self.close(file);
                    return Err(error);
                }
            }
        }
        self.close(file);
        Ok(())
    }

    fn content(&mut self, path: &str) -> Result<Vec<u8>, FsError> {
        let file = self.at(path, R)?;
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 65536];
        loop {
            match self.read(file, bytes.len() as u64, &mut chunk) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(error) => {
                    self.close(file);
                    return Err(error);
                }
            }
        }
        self.close(file);
        Ok(bytes)
    }

    fn dir(&mut self, path: &str) -> Result<(), FsError> {
        self.mkdir(self.root(), path.as_bytes(), 0o755)
    }

    fn rm(&mut self, path: &str) -> Result<(), FsError> {
        self.unlink(self.root(), path.as_bytes())
    }

    fn rmd(&mut self, path: &str) -> Result<(), FsError> {
        self.rmdir(self.root(), path.as_bytes())
    }

    fn mv(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        self.rename(self.root(), from.as_bytes(), to.as_bytes(), true)
    }

    fn size(&mut self, path: &str) -> Result<u64, FsError> {
        Ok(self.stat(self.root(), path.as_bytes())?.1.size)
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>, FsError> {
        let folder = self.at(path, R | OpenFlags::DIRECTORY)?;
        let mut names = Vec::new();
        let mut position = 0;
        // A few at a time, so that positions are used.
        loop {
            let before = names.len();
            let mut left = 3;
            let result = self.entries(folder, position, &mut |entry| {
                if left == 0 {
                    return false;
                }
                left -= 1;
                position = entry.next;
                names.push(String::from_utf8_lossy(&entry.name).into_owned());
                true
            });
            if let Err(error) = result {
                self.close(folder);
                return Err(error);
            }
            if names.len() == before {
                break;
            }
        }
        self.close(folder);
        names.retain(|name| name != "lost+found");
        names.sort();
        Ok(names)
    }
}
