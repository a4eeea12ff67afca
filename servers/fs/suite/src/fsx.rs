//! What `fsx` does: random reads, writes and cuts of a file against a copy in memory.

use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::Link;
use gritos_fs_client::posix::{O_CREAT, O_RDWR, SEEK_CUR, SEEK_SET};
use gritos_service::BufferMemory;

use crate::{Random, Site, Verdict};

/// Most bytes of the file.
pub const LIMIT: u64 = 256 * 1024;

/// Takes so many steps.
///
/// # Errors
/// The first difference, with the step.
pub fn run<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>, seed: u64, steps: u32) -> Verdict {
    let path = site.at("fsx");
    let mut random = Random::new(seed);
    let mut copy: Vec<u8> = Vec::new();
    let mut fd = done!(site.posix.open(&path, O_RDWR | O_CREAT, 0o600));
    for step in 0..steps {
        let result = one(site, &mut random, &mut copy, &path, &mut fd);
        result.map_err(|why| alloc::format!("seed {seed}, step {step}: {why}"))?;
    }
    let mut all = vec![0; copy.len() + 1];
    same!(site.posix.pread(fd, &mut all, 0), Ok(copy.len()));
    all.truncate(copy.len());
    holds!(all == copy);
    done!(site.posix.close(fd));
    done!(site.posix.unlink(&path));
    Ok(())
}

fn one<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
    random: &mut Random,
    copy: &mut Vec<u8>,
    path: &str,
    fd: &mut i32,
) -> Verdict {
    let offset = random.below(LIMIT);
    let length = match random.below(4) {
        0 => random.below(16),
        1 => random.below(LIMIT - offset),
        _ => random.below(8192),
    };
    let length = length.min(LIMIT - offset) as usize;
    let (from, at) = (offset as usize, offset.cast_signed());
    let positioned = random.below(2) == 0;
    match random.below(10) {
        0..=3 => {
            let mut bytes = vec![0xaa; length];
            let count = if positioned {
                same!(site.posix.lseek(*fd, at, SEEK_SET), Ok(at));
                let count = done!(site.posix.read(*fd, &mut bytes));
                let after = at + count as i64;
                same!(site.posix.lseek(*fd, 0, SEEK_CUR), Ok(after));
                count
            } else {
                done!(site.posix.pread(*fd, &mut bytes, at))
            };
            let there = copy.get(from..).unwrap_or(&[]);
            let expected = there.get(..length).unwrap_or(there);
            same!(count, expected.len());
            holds!(bytes.get(..count) == Some(expected));
        }
        4..=7 => {
            let bytes = random.bytes(length);
            if positioned {
                same!(site.posix.lseek(*fd, at, SEEK_SET), Ok(at));
                same!(site.posix.write(*fd, &bytes), Ok(length));
            } else {
                same!(site.posix.pwrite(*fd, &bytes, at), Ok(length));
            }
            if length > 0 {
                copy.resize(copy.len().max(from + length), 0);
                if let Some(to) = copy.get_mut(from..from + length) {
                    to.copy_from_slice(&bytes);
                }
            }
        }
        8 => {
            if positioned {
                done!(site.posix.ftruncate(*fd, at));
            } else {
                done!(site.posix.truncate(path, at));
            }
            copy.resize(from, 0);
        }
        _ if positioned => done!(site.posix.fsync(*fd)),
        _ => {
            done!(site.posix.close(*fd));
            *fd = done!(site.posix.open(path, O_RDWR, 0));
        }
    }
    same!(done!(site.posix.stat(path)).size, copy.len() as u64);
    Ok(())
}
