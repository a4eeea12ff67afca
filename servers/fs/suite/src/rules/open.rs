//! `open`, and what its flags allow afterwards.

use gritos_fs_client::posix::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC,
    O_WRONLY, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use gritos_fs_client::{FileType, Link};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

pub(super) fn new_files_are_as_was_asked<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let path = site.at("f");
    let fd = done!(site.posix.open(&path, O_RDWR | O_CREAT | O_EXCL, 0o640));
    let found = done!(site.posix.fstat(fd));
    same!(found.file_type, FileType::Regular);
    same!((found.size, found.links), (0, 1));
    same!(found.mode.bits(), 0o640);
    // A mode counts for new files only.
    let again = done!(site.posix.open(&path, O_RDWR | O_CREAT, 0o777));
    same!(done!(site.posix.fstat(again)).mode.bits(), 0o640);
    same!(done!(site.posix.fstat(again)).inode, found.inode);
    let above = done!(site.stat("."));
    same!(above.volume, found.volume);
    holds!(above.inode != found.inode);
    done!(site.posix.close(again));
    done!(site.posix.close(fd));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn flags_decide<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    fails!(site.open("f", O_RDONLY), NOENT);
    fails!(site.open("f", O_WRONLY | O_TRUNC), NOENT);
    site.put("f", b"0123456789")?;
    done!(site.mkdir("d"));
    fails!(site.open("f", O_RDWR | O_CREAT | O_EXCL), EXIST);
    fails!(site.open("d", O_RDONLY | O_CREAT | O_EXCL), EXIST);
    for flags in [O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_RDONLY | O_CREAT] {
        fails!(site.open("d", flags), ISDIR);
    }
    fails!(site.open("f", O_RDONLY | O_DIRECTORY), NOTDIR);
    fails!(site.open("f/", O_RDONLY), NOTDIR);
    fails!(site.open("f/x", O_RDONLY), NOTDIR);
    fails!(site.open("f/x", O_RDWR | O_CREAT), NOTDIR);
    fails!(site.open("no/x", O_RDWR | O_CREAT), NOENT);
    fails!(site.open("no/", O_RDWR | O_CREAT), ISDIR);
    fails!(site.open("f", 3), INVAL);
    fails!(site.open("f", 1 << 30), INVAL);
    for flags in [O_RDONLY, O_RDONLY | O_DIRECTORY, O_CLOEXEC] {
        let fd = done!(site.open("d", flags));
        done!(site.posix.close(fd));
    }
    let fd = done!(site.open("f", O_RDONLY | O_APPEND));
    done!(site.posix.close(fd));
    same!(done!(site.stat("f")).size, 10);
    let fd = done!(site.open("f", O_RDWR | O_TRUNC));
    same!(done!(site.posix.fstat(fd)).size, 0);
    done!(site.posix.close(fd));
    for flags in [O_SYNC, O_DSYNC, O_APPEND | O_DSYNC] {
        let fd = done!(site.open("f", O_WRONLY | flags));
        same!(site.posix.write(fd, b"durable"), Ok(7));
        same!(site.posix.pwrite(fd, b"D", 0), Ok(1));
        done!(site.posix.close(fd));
    }
    done!(site.unlink("f"));
    done!(site.rmdir("d"));
    Ok(())
}

pub(super) fn positions_and_appending<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let fd = done!(site.open("f", O_RDWR | O_CREAT));
    same!(site.posix.write(fd, b"hello, world"), Ok(12));
    same!(site.posix.lseek(fd, 0, SEEK_CUR), Ok(12));
    same!(site.posix.lseek(fd, -5, SEEK_END), Ok(7));
    let mut bytes = [0; 16];
    same!(site.posix.read(fd, &mut bytes), Ok(5));
    same!(site.posix.pread(fd, &mut bytes, 3), Ok(9));
    same!(site.posix.pwrite(fd, b"J", 0), Ok(1));
    same!(site.posix.lseek(fd, 0, SEEK_CUR), Ok(12));
    fails!(site.posix.lseek(fd, -1, SEEK_SET), INVAL);
    fails!(site.posix.lseek(fd, -13, SEEK_END), INVAL);
    fails!(site.posix.lseek(fd, i64::MAX, SEEK_CUR), INVAL);
    fails!(site.posix.lseek(fd, 0, 9), INVAL);
    fails!(site.posix.pread(fd, &mut bytes, -1), INVAL);
    fails!(site.posix.pwrite(fd, b"x", -1), INVAL);
    same!(site.posix.lseek(fd, 3, SEEK_DATA), Ok(3));
    same!(site.posix.lseek(fd, 3, SEEK_HOLE), Ok(12));
    fails!(site.posix.lseek(fd, 12, SEEK_DATA), NXIO);
    fails!(site.posix.lseek(fd, 99, SEEK_HOLE), NXIO);
    // A position behind the end is fine, and makes nothing larger by itself.
    same!(site.posix.lseek(fd, 100, SEEK_SET), Ok(100));
    same!(site.posix.read(fd, &mut bytes), Ok(0));
    same!(done!(site.posix.fstat(fd)).size, 12);
    let end = done!(site.open("f", O_WRONLY | O_APPEND));
    same!(site.posix.write(end, b"!"), Ok(1));
    same!(site.posix.lseek(end, 0, SEEK_CUR), Ok(13));
    same!(site.posix.lseek(end, 2, SEEK_SET), Ok(2));
    same!(site.posix.write(end, b"?"), Ok(1));
    done!(site.posix.close(end));
    done!(site.posix.close(fd));
    same!(done!(site.get("f")), b"Jello, world!?");
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn what_was_not_asked_for_is_refused<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("f", b"text")?;
    let mut bytes = [0; 8];
    let reader = done!(site.open("f", O_RDONLY));
    fails!(site.posix.write(reader, b"x"), BADF);
    fails!(site.posix.pwrite(reader, b"x", 0), BADF);
    fails!(site.posix.ftruncate(reader, 0), BADF);
    done!(site.posix.fsync(reader));
    done!(site.posix.close(reader));
    let writer = done!(site.open("f", O_WRONLY));
    fails!(site.posix.read(writer, &mut bytes), BADF);
    fails!(site.posix.pread(writer, &mut bytes, 0), BADF);
    done!(site.posix.fstat(writer));
    done!(site.posix.fdatasync(writer));
    done!(site.posix.close(writer));
    let folder = done!(site.open(".", O_RDONLY | O_DIRECTORY));
    fails!(site.posix.read(folder, &mut bytes), ISDIR);
    fails!(site.posix.write(folder, b"x"), BADF);
    done!(site.posix.fsync(folder));
    done!(site.posix.close(folder));
    for fd in [reader, -1, 9999] {
        fails!(site.posix.read(fd, &mut bytes), BADF);
        fails!(site.posix.write(fd, b"x"), BADF);
        fails!(site.posix.fstat(fd), BADF);
        fails!(site.posix.fsync(fd), BADF);
        fails!(site.posix.lseek(fd, 0, SEEK_SET), BADF);
        fails!(site.posix.ftruncate(fd, 0), BADF);
        fails!(site.posix.close(fd), BADF);
    }
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn descriptors_are_the_lowest<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("f", b"")?;
    let first = done!(site.open("f", O_RDONLY));
    let second = done!(site.open("f", O_RDONLY));
    same!(second, first + 1);
    done!(site.posix.close(first));
    same!(site.open("f", O_RDONLY), Ok(first));
    done!(site.posix.close(first));
    done!(site.posix.close(second));
    let mut open = alloc::vec::Vec::new();
    let error = loop {
        match site.open("f", O_RDONLY) {
            Ok(fd) => open.push(fd),
            Err(error) => break error,
        }
        holds!(open.len() <= 1024);
    };
    same!(error, gritos_fs_client::Errno::MFILE);
    for fd in open {
        done!(site.posix.close(fd));
    }
    done!(site.unlink("f"));
    Ok(())
}
