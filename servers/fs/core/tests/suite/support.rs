//! What the tests share: file systems to run on, and numbers that repeat.

use gritos_fs_api::{FsError, OpenFlags};
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
        names.sort();
        Ok(names)
    }
}
