//! `truncate`, `read` and `write` around the end of a file.

use gritos_fs_client::Link;
use gritos_fs_client::posix::{O_CREAT, O_RDWR};
use gritos_service::BufferMemory;

use crate::{Random, Site, Verdict};

/// Somewhere that takes 64 bits.
const FAR: i64 = 5 << 30;

pub(super) fn cutting_and_extending<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("f", b"0123456789")?;
    let path = site.at("f");
    done!(site.posix.truncate(&path, 4));
    done!(site.posix.truncate(&path, 6));
    same!(done!(site.get("f")), b"0123\0\0");
    // What was cut off never comes back, across blocks too.
    let bytes = Random::new(1).bytes(20_000);
    let fd = done!(site.open("f", O_RDWR));
    same!(site.posix.pwrite(fd, &bytes, 0), Ok(bytes.len()));
    for (cut, end) in [(12_289, 20_000), (4095, 9000), (1, 5000)] {
        done!(site.posix.ftruncate(fd, cut));
        done!(site.posix.ftruncate(fd, end));
        let mut found = alloc::vec![1; end as usize];
        same!(site.posix.pread(fd, &mut found, 0), Ok(end as usize));
        let (kept, zeros) = found.split_at(cut as usize);
        holds!(bytes.starts_with(kept) && zeros.iter().all(|byte| *byte == 0));
        same!(site.posix.pwrite(fd, &bytes, 0), Ok(bytes.len()));
    }
    done!(site.posix.close(fd));
    done!(site.mkdir("d"));
    let folder = site.at("d");
    fails!(site.posix.truncate(&folder, 0), ISDIR);
    fails!(site.posix.truncate(&site.at("no"), 0), NOENT);
    fails!(site.posix.truncate(&site.at("f/x"), 0), NOTDIR);
    fails!(site.posix.truncate(&path, -1), INVAL);
    same!(done!(site.stat("f")).size, 20_000);
    done!(site.rmdir("d"));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn holes_are_zeros_and_take_no_space<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let fd = done!(site.open("f", O_RDWR | O_CREAT));
    same!(site.posix.pwrite(fd, b"here", FAR), Ok(4));
    same!(site.posix.pwrite(fd, b"and here", 3 << 30), Ok(8));
    let mut bytes = [1; 16];
    same!(site.posix.pread(fd, &mut bytes, FAR - 8), Ok(12));
    holds!(bytes.starts_with(b"\0\0\0\0\0\0\0\0here"));
    same!(site.posix.pread(fd, &mut bytes, 1 << 31), Ok(16));
    same!(bytes, [0; 16]);
    let found = done!(site.posix.fstat(fd));
    same!(found.size, FAR.cast_unsigned() + 4);
    holds!((2..=64).contains(&found.blocks));
    done!(site.posix.ftruncate(fd, 4 << 30));
    same!(site.posix.pread(fd, &mut bytes, 3 << 30), Ok(16));
    holds!(bytes.starts_with(b"and here\0"));
    done!(site.posix.fsync(fd));
    done!(site.posix.close(fd));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn limits_are_told<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    let fd = done!(site.open("f", O_RDWR | O_CREAT));
    fails!(site.posix.pwrite(fd, b"x", i64::MAX), FBIG);
    same!(done!(site.posix.fstat(fd)).size, 0);
    let mut bytes = [0; 4];
    same!(site.posix.pread(fd, &mut bytes, i64::MAX), Ok(0));
    fails!(site.posix.ftruncate(fd, i64::MIN), INVAL);
    done!(site.posix.close(fd));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn reading_ends_at_the_end<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let bytes = Random::new(2).bytes(300_001);
    site.put("f", &bytes)?;
    holds!(done!(site.get("f")) == bytes);
    let fd = done!(site.open("f", O_RDWR));
    let mut some = [0; 100];
    same!(site.posix.pread(fd, &mut some, 300_000), Ok(1));
    same!(site.posix.pread(fd, &mut some, 300_001), Ok(0));
    same!(site.posix.pread(fd, &mut some, 400_000), Ok(0));
    same!(site.posix.read(fd, &mut []), Ok(0));
    same!(site.posix.write(fd, &[]), Ok(0));
    same!(site.posix.pwrite(fd, &[], 400_000), Ok(0));
    same!(done!(site.posix.fstat(fd)).size, 300_001);
    same!(site.posix.pwrite(fd, b"x", 300_010), Ok(1));
    same!(site.posix.pread(fd, &mut some, 300_000), Ok(11));
    holds!(some.get(1..11) == Some(b"\0\0\0\0\0\0\0\0\0x".as_slice()));
    done!(site.posix.close(fd));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn space_is_counted<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    const BYTES: usize = 200_000;
    let folder = site.at(".");
    let before = done!(site.posix.statvfs(&folder));
    holds!(before.block_bytes.is_power_of_two() && before.block_bytes >= 512);
    same!(before.max_name, 255);
    holds!(!before.read_only && before.free_bytes <= before.total_bytes);
    site.put("f", &Random::new(3).bytes(BYTES))?;
    let during = done!(site.posix.statvfs(&folder));
    let taken = before.free_bytes.saturating_sub(during.free_bytes);
    holds!(!site.alone || taken >= BYTES as u64 && taken < 2 * BYTES as u64);
    let blocks = done!(site.stat("f")).blocks * 512;
    holds!(blocks >= BYTES as u64 && blocks < 2 * BYTES as u64);
    done!(site.unlink("f"));
    done!(site.posix.sync());
    let after = done!(site.posix.statvfs(&folder));
    let freed = after.free_bytes.saturating_sub(during.free_bytes);
    holds!(!site.alone || freed >= BYTES as u64);
    same!(after.total_bytes, before.total_bytes);
    Ok(())
}
