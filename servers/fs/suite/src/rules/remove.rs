//! `mkdir`, `rmdir` and `unlink`.

use gritos_fs_client::posix::{O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR};
use gritos_fs_client::{FileType, Link};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

pub(super) fn mkdir_makes_and_refuses<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let path = site.at("d");
    done!(site.posix.mkdir(&path, 0o750));
    let found = done!(site.stat("d"));
    same!(found.file_type, FileType::Directory);
    same!((found.links, found.mode.bits()), (2, 0o750));
    same!(done!(site.stat(".")).links, 3);
    same!(done!(site.list("d")).len(), 0);
    site.put("f", b"")?;
    for path in ["d", "f", "d/", "f/", "d/.", "d/.."] {
        fails!(site.mkdir(path), EXIST);
    }
    fails!(site.mkdir("f/x"), NOTDIR);
    fails!(site.mkdir("no/x"), NOENT);
    fails!(site.posix.mkdir("/", 0o755), EXIST);
    fails!(site.posix.mkdir("/new", 0o755), ROFS);
    done!(site.mkdir("d/e/"));
    same!(done!(site.stat("d")).links, 3);
    done!(site.rmdir("d/e"));
    same!(done!(site.stat("d")).links, 2);
    done!(site.rmdir("d"));
    done!(site.unlink("f"));
    same!(done!(site.stat(".")).links, 2);
    Ok(())
}

pub(super) fn rmdir_removes_and_refuses<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    done!(site.mkdir("d"));
    done!(site.mkdir("d/e"));
    site.put("f", b"")?;
    fails!(site.rmdir("d"), NOTEMPTY);
    fails!(site.rmdir("d/e/.."), NOTEMPTY);
    fails!(site.rmdir("d/e/."), INVAL);
    fails!(site.rmdir("f"), NOTDIR);
    fails!(site.rmdir("f/"), NOTDIR);
    fails!(site.rmdir("f/x"), NOTDIR);
    fails!(site.rmdir("no"), NOENT);
    fails!(site.rmdir("no/x"), NOENT);
    fails!(site.posix.rmdir("/"), BUSY);
    let mounted = alloc::format!("/{}", site.elsewhere.trim_matches('/'));
    fails!(site.posix.rmdir(&mounted), BUSY);
    done!(site.rmdir("d/e/"));
    fails!(site.rmdir("d/e"), NOENT);
    done!(site.rmdir("d"));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn unlink_removes_and_refuses<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    done!(site.mkdir("d"));
    site.put("f", b"")?;
    for path in ["d", "d/", "d/.", "d/.."] {
        fails!(site.unlink(path), ISDIR);
    }
    fails!(site.posix.unlink("/"), ISDIR);
    fails!(site.unlink("no"), NOENT);
    fails!(site.unlink("no/x"), NOENT);
    fails!(site.unlink("f/"), NOTDIR);
    fails!(site.unlink("f/x"), NOTDIR);
    done!(site.unlink("f"));
    fails!(site.unlink("f"), NOENT);
    let path = site.at("d");
    done!(site.posix.remove(&path));
    fails!(site.posix.remove(&path), NOENT);
    Ok(())
}

pub(super) fn what_is_open_stays<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    site.put("f", b"still here")?;
    let fd = done!(site.open("f", O_RDWR));
    let before = done!(site.posix.fstat(fd));
    done!(site.unlink("f"));
    fails!(site.stat("f"), NOENT);
    let mut bytes = [0; 16];
    same!(site.posix.read(fd, &mut bytes), Ok(10));
    same!(site.posix.write(fd, b"!"), Ok(1));
    let found = done!(site.posix.fstat(fd));
    same!(
        (found.links, found.size, found.inode),
        (0, 11, before.inode)
    );
    site.put("f", b"another")?;
    holds!(done!(site.stat("f")).inode != found.inode);
    same!(site.posix.pread(fd, &mut bytes, 0), Ok(11));
    done!(site.posix.close(fd));
    same!(done!(site.get("f")), b"another");
    done!(site.unlink("f"));
    // A folder that was removed is empty, and nothing can be made in it.
    done!(site.mkdir("d"));
    let path = site.at("d");
    let fd = done!(site.posix.open(&path, O_RDWR | O_DIRECTORY, 0));
    let mut dir = done!(site.posix.opendir(&path));
    done!(site.rmdir("d"));
    holds!(done!(site.posix.readdir(&mut dir)).is_none());
    done!(site.posix.closedir(dir));
    fails!(site.posix.openat(fd, "x", O_RDWR | O_CREAT, 0o644), NOENT);
    fails!(site.posix.openat(fd, "x", O_RDONLY, 0), NOENT);
    fails!(site.posix.mkdirat(fd, "x", 0o755), NOENT);
    fails!(site.posix.fstatat(fd, "x", 0), NOENT);
    same!(done!(site.posix.fstat(fd)).links, 0);
    done!(site.posix.close(fd));
    Ok(())
}
