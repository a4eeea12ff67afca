//! What `fsstress` does: one of many clients that work at once.
//!
//! Each has folders of its own, whose contents it knows, and all share one, where anything may happen.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::posix::{O_CREAT, O_RDONLY, O_RDWR, Posix};
use gritos_fs_client::{Errno, FileType, Link};
use gritos_service::BufferMemory;

use crate::{Random, Verdict};

/// Folders of one's own.
const FOLDERS: u64 = 3;
/// Files in each that there may be.
const FILES: u64 = 12;
/// What may come of a call in the folder of all.
const POSSIBLE: [Errno; 7] = [
    Errno::NOENT,
    Errno::EXIST,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::NOTEMPTY,
    Errno::INVAL,
    Errno::MFILE,
];

/// A client, and what it knows.
#[derive(Debug)]
pub struct Worker<T: Link, M: BufferMemory> {
    posix: Posix<T, M>,
    random: Random,
    home: String,
    all: String,
    /// What is in its own folders.
    files: BTreeMap<String, Vec<u8>>,
}

impl<T: Link, M: BufferMemory> Worker<T, M> {
    /// A client that makes its folder `home`, and uses `all` with others.
    ///
    /// # Errors
    /// If the folders cannot be made.
    pub fn new(mut posix: Posix<T, M>, home: &str, all: &str, seed: u64) -> Result<Self, String> {
        match posix.mkdir(all, 0o755) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(format!("mkdir {all}: {error:?}")),
        }
        done!(posix.mkdir(home, 0o755));
        for folder in 0..FOLDERS {
            done!(posix.mkdir(&format!("{home}/d{folder}"), 0o755));
        }
        Ok(Self {
            posix,
            random: Random::new(seed),
            home: home.into(),
            all: all.into(),
            files: BTreeMap::new(),
        })
    }

    fn path(&mut self) -> String {
        let folder = self.random.below(FOLDERS);
        format!("{}/d{folder}/f{}", self.home, self.random.below(FILES))
    }

    /// Does one thing.
    ///
    /// # Errors
    /// If it came to something else than this client knows.
    pub fn step(&mut self) -> Verdict {
        let path = self.path();
        match self.random.below(12) {
            0..=3 => self.write(&path),
            4 => {
                let expected = match self.files.remove(&path) {
                    Some(_) => Ok(()),
                    None => Err(Errno::NOENT),
                };
                same!(self.posix.unlink(&path), expected);
                Ok(())
            }
            5 | 6 => {
                let to = self.path();
                let result = self.posix.rename(&path, &to);
                match self.files.remove(&path) {
                    Some(bytes) => {
                        same!(result, Ok(()));
                        self.files.insert(to, bytes);
                    }
                    None => same!(result, Err(Errno::NOENT)),
                }
                Ok(())
            }
            7 => self.read(&path),
            8 => {
                if self.random.below(4) == 0 {
                    done!(self.posix.sync());
                }
                Ok(())
            }
            _ => self.share(),
        }
    }

    fn write(&mut self, path: &str) -> Verdict {
        let fd = done!(self.posix.open(path, O_RDWR | O_CREAT, 0o644));
        let mut content = self.files.remove(path).unwrap_or_default();
        if self.random.below(5) == 0 {
            let size = self.random.below(content.len() as u64 + 1000);
            done!(self.posix.ftruncate(fd, size.cast_signed()));
            content.resize(size as usize, 0);
        } else {
            let offset = self.random.below(content.len() as u64 + 2000) as usize;
            let count = self.random.below(20_000) as usize + 1;
            let bytes = self.random.bytes(count);
            same!(self.posix.pwrite(fd, &bytes, offset as i64), Ok(count));
            content.resize(content.len().max(offset + count), 0);
            if let Some(to) = content.get_mut(offset..offset + count) {
                to.copy_from_slice(&bytes);
            }
        }
        self.files.insert(path.into(), content);
        if self.random.below(10) == 0 {
            done!(self.posix.fsync(fd));
        }
        done!(self.posix.close(fd));
        Ok(())
    }

    fn read(&mut self, path: &str) -> Verdict {
        let result = self.posix.open(path, O_RDONLY, 0);
        let Some(content) = self.files.get(path) else {
            same!(result, Err(Errno::NOENT));
            return Ok(());
        };
        let fd = done!(result);
        let mut bytes = vec![0; content.len() + 10];
        let count = done!(self.posix.read(fd, &mut bytes));
        bytes.truncate(count);
        if bytes != *content {
            return Err(format!("{path} has other contents"));
        }
        done!(self.posix.close(fd));
        Ok(())
    }

    /// Something in the folder of all, with whatever result.
    fn share(&mut self) -> Verdict {
        let one = format!("{}/{}", self.all, self.random.below(10));
        let other = format!(
            "{}/{}/{}",
            self.all,
            self.random.below(10),
            self.random.below(3)
        );
        let result = match self.random.below(7) {
            0 => self.posix.mkdir(&one, 0o755),
            1 => self.posix.rmdir(&one),
            2 => self.posix.rename(&one, &other),
            3 => self.posix.rename(&other, &one),
            4 => self.posix.unlink(&other),
            5 => self.posix.opendir(&one).and_then(|mut dir| {
                let mut result = Ok(());
                loop {
                    match self.posix.readdir(&mut dir) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => {
                            result = Err(error);
                            break;
                        }
                    }
                }
                self.posix.closedir(dir).and(result)
            }),
            _ => self.posix.open(&other, O_RDWR | O_CREAT, 0o644).map(|fd| {
                // Left open by some, whatever happens to its name.
                let _ = self.posix.write(fd, b"shared");
                if self.random.below(20) > 0 {
                    let _ = self.posix.close(fd);
                }
            }),
        };
        match result {
            Err(error) if !POSSIBLE.contains(&error) => {
                Err(format!("in the folder of all: {error:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether everything in the client's own folders is there, and nothing else.
    ///
    /// # Errors
    /// If not.
    pub fn check(&mut self) -> Verdict {
        let paths: Vec<String> = self.files.keys().cloned().collect();
        for path in &paths {
            self.read(path)?;
        }
        let mut count = 0;
        for folder in 0..FOLDERS {
            let mut dir = done!(self.posix.opendir(&format!("{}/d{folder}", self.home)));
            while let Some(entry) = done!(self.posix.readdir(&mut dir)) {
                same!(entry.file_type, FileType::Regular);
                count += 1;
            }
            done!(self.posix.closedir(dir));
        }
        same!(count, paths.len());
        Ok(())
    }
}
