//! `link`, `symlink`, `readlink`, `lstat`, and links in paths.

use alloc::format;
use alloc::string::String;

use gritos_fs_client::posix::{
    AT_SYMLINK_NOFOLLOW, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC,
    O_WRONLY,
};
use gritos_fs_client::{Errno, FileType, Link};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

impl<T: Link, M: BufferMemory> Site<'_, T, M> {
    fn link(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let (from, to) = (self.at(from), self.at(to));
        self.posix.link(&from, &to)
    }

    fn symlink(&mut self, target: &str, name: &str) -> Result<(), Errno> {
        let path = self.at(name);
        self.posix.symlink(target, &path)
    }

    fn readlink(&mut self, name: &str) -> Result<String, Errno> {
        let path = self.at(name);
        let mut bytes = [0; 4096];
        let count = self.posix.readlink(&path, &mut bytes)?;
        Ok(String::from_utf8_lossy(bytes.get(..count).unwrap_or(&[])).into_owned())
    }

    fn lstat(&mut self, name: &str) -> Result<gritos_fs_client::Stat, Errno> {
        let path = self.at(name);
        self.posix.lstat(&path)
    }
}

pub(super) fn files_have_many_names<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("f", b"shared")?;
    done!(site.mkdir("d"));
    let before = done!(site.stat("f"));
    let above = done!(site.stat("d"));
    done!(site.link("f", "d/g"));
    let after = done!(site.stat("d/g"));
    same!(
        (after.inode, after.links, after.size, after.mode),
        (before.inode, 2, 6, before.mode)
    );
    holds!(after.changed_ns > before.changed_ns && after.modified_ns == before.modified_ns);
    holds!(done!(site.stat("d")).modified_ns > above.modified_ns);
    let fd = done!(site.open("d/g", O_WRONLY));
    same!(site.posix.write(fd, b"SH"), Ok(2));
    done!(site.posix.close(fd));
    same!(done!(site.get("f")), b"SHared");
    // Two names of one file: a rename of one to the other leaves both.
    done!(site.rename("f", "d/g"));
    same!(done!(site.stat("f")).links, 2);
    done!(site.link("d/g", "h"));
    same!(done!(site.stat("f")).links, 3);
    // Each goes by itself, also when another file takes its place.
    done!(site.unlink("f"));
    same!(done!(site.stat("h")).links, 2);
    site.put("f", b"other")?;
    done!(site.rename("f", "h"));
    let last = done!(site.stat("d/g"));
    same!((last.links, last.inode), (1, before.inode));
    holds!(last.changed_ns > after.changed_ns);
    let fd = done!(site.open("d/g", O_RDONLY));
    done!(site.unlink("d/g"));
    same!(done!(site.posix.fstat(fd)).links, 0);
    done!(site.posix.close(fd));
    done!(site.unlink("h"));
    done!(site.rmdir("d"));
    Ok(())
}

pub(super) fn what_cannot_be_linked<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("f", b"")?;
    site.put("g", b"")?;
    done!(site.mkdir("d"));
    fails!(site.link("d", "x"), PERM);
    fails!(site.link("d/", "x"), PERM);
    fails!(site.link("f", "g"), EXIST);
    fails!(site.link("f", "f"), EXIST);
    fails!(site.link("f", "d"), EXIST);
    fails!(site.link("f", "d/."), EXIST);
    fails!(site.link("no", "x"), NOENT);
    fails!(site.link("f", "no/x"), NOENT);
    fails!(site.link("f", "x/"), NOENT);
    fails!(site.link("f", "g/x"), NOTDIR);
    fails!(site.link("f/", "x"), NOTDIR);
    fails!(site.link("f/x", "x"), NOTDIR);
    let longer = "n".repeat(256);
    fails!(site.link("f", &longer), NAMETOOLONG);
    fails!(site.link(&longer, "x"), NAMETOOLONG);
    let here = site.at("f");
    let there = format!("{}/gritos-fs-suite", site.elsewhere);
    fails!(site.posix.link(&here, &there), XDEV);
    fails!(site.posix.link(&here, ""), NOENT);
    fails!(site.posix.link("", &there), NOENT);
    same!(done!(site.stat("f")).links, 1);
    for name in ["f", "g"] {
        done!(site.unlink(name));
    }
    done!(site.rmdir("d"));
    Ok(())
}

pub(super) fn symbolic_links_are_told_and_followed<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    done!(site.mkdir("d"));
    site.put("d/f", b"there")?;
    let above = done!(site.stat("."));
    done!(site.symlink("d/f", "file"));
    holds!(done!(site.stat(".")).modified_ns > above.modified_ns);
    done!(site.symlink("d", "folder"));
    done!(site.symlink("nowhere", "dangling"));
    let found = done!(site.lstat("file"));
    same!(
        (found.file_type, found.size, found.links),
        (FileType::Symlink, 3, 1)
    );
    same!(done!(site.readlink("file")), "d/f");
    same!(done!(site.stat("file")).file_type, FileType::Regular);
    same!(
        done!(site.stat("file")).inode,
        done!(site.stat("d/f")).inode
    );
    same!(done!(site.get("file")), b"there");
    same!(done!(site.get("folder/f")), b"there");
    same!(done!(site.list("folder")), ["f"]);
    same!(done!(site.lstat("folder/")).file_type, FileType::Directory);
    same!(done!(site.lstat("dangling")).file_type, FileType::Symlink);
    fails!(site.stat("dangling"), NOENT);
    fails!(site.open("dangling", O_RDONLY), NOENT);
    // As much as fits.
    let path = site.at("file");
    let mut two = [0; 2];
    same!(site.posix.readlink(&path, &mut two), Ok(2));
    same!(&two, b"d/");
    fails!(site.readlink("d/f"), INVAL);
    fails!(site.readlink("d"), INVAL);
    fails!(site.readlink("no"), NOENT);
    fails!(site.readlink("d/f/x"), NOTDIR);
    // What is done to the name is done to the link.
    done!(site.link("file", "again"));
    same!(done!(site.lstat("again")).links, 2);
    done!(site.rename("again", "file2"));
    done!(site.unlink("file2"));
    done!(site.unlink("file"));
    same!(done!(site.get("d/f")), b"there");
    fails!(site.rmdir("folder"), NOTDIR);
    fails!(site.rmdir("folder/"), NOTDIR);
    fails!(site.unlink("folder/"), NOTDIR);
    fails!(site.rename("folder/", "x"), NOTDIR);
    fails!(site.mkdir("dangling"), EXIST);
    fails!(site.mkdir("dangling/"), EXIST);
    // Making what a link leads to.
    fails!(site.open("dangling", O_RDWR | O_CREAT | O_EXCL), EXIST);
    let fd = done!(site.open("dangling", O_RDWR | O_CREAT));
    same!(site.posix.write(fd, b"x"), Ok(1));
    done!(site.posix.close(fd));
    same!(done!(site.get("nowhere")), b"x");
    for name in ["nowhere", "dangling", "folder", "d/f"] {
        done!(site.unlink(name));
    }
    done!(site.rmdir("d"));
    Ok(())
}

pub(super) fn symbolic_links_have_limits<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    fails!(site.symlink("", "x"), NOENT);
    fails!(site.symlink("t", "no/x"), NOENT);
    fails!(site.symlink("t", "x/"), NOENT);
    fails!(site.symlink("t", &"n".repeat(256)), NAMETOOLONG);
    fails!(site.symlink(&"t".repeat(4096), "x"), NAMETOOLONG);
    site.put("f", b"")?;
    fails!(site.symlink("t", "f"), EXIST);
    fails!(site.symlink("t", "f/x"), NOTDIR);
    // Short ones and long ones, on both sides of where they are kept otherwise.
    for length in [1, 58, 59, 60, 61, 255, 1000] {
        let target = "t/"
            .repeat(length)
            .get(..length)
            .unwrap_or("")
            .replace("//", "/");
        done!(site.symlink(&target, "x"));
        same!(done!(site.readlink("x")), target.as_str());
        same!(done!(site.lstat("x")).size, target.len() as u64);
        done!(site.unlink("x"));
    }
    // Circles, and more of them than a path may have.
    done!(site.symlink("b", "a"));
    done!(site.symlink("a", "b"));
    for path in ["a", "b", "a/x", "b/"] {
        fails!(site.stat(path), LOOP);
        fails!(site.open(path, O_RDONLY), LOOP);
    }
    fails!(site.open("a", O_RDWR | O_CREAT), LOOP);
    fails!(site.mkdir("a/x"), LOOP);
    fails!(site.rename("a/x", "y"), LOOP);
    fails!(site.unlink("a/x"), LOOP);
    fails!(site.link("a/x", "y"), LOOP);
    fails!(site.open("a", O_RDONLY | O_NOFOLLOW), LOOP);
    done!(site.unlink("a"));
    done!(site.unlink("b"));
    done!(site.symlink("f", "s"));
    fails!(site.open("s", O_RDONLY | O_NOFOLLOW), LOOP);
    fails!(site.open("s", O_WRONLY | O_TRUNC | O_NOFOLLOW), LOOP);
    let fd = done!(site.open("f", O_RDONLY | O_NOFOLLOW));
    done!(site.posix.close(fd));
    done!(site.unlink("s"));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn links_do_not_lead_out<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    done!(site.mkdir("jail"));
    site.put("secret", b"s")?;
    site.put("jail/mine", b"m")?;
    let jail = site.at("jail");
    let fd = done!(site.posix.open(&jail, O_RDWR | O_DIRECTORY, 0));
    for target in ["../secret", "../../secret", "/secret"] {
        done!(site.posix.symlinkat(target, fd, "out"));
        fails!(site.posix.openat(fd, "out", O_RDONLY, 0), NOENT);
        fails!(site.posix.fstatat(fd, "out", 0), NOENT);
        let found = done!(site.posix.fstatat(fd, "out", AT_SYMLINK_NOFOLLOW));
        same!(found.file_type, FileType::Symlink);
        done!(site.posix.unlinkat(fd, "out", 0));
    }
    done!(site.posix.symlinkat("/mine", fd, "in"));
    same!(done!(site.posix.fstatat(fd, "in", 0)).size, 1);
    let mut bytes = [0; 8];
    same!(site.posix.readlinkat(fd, "in", &mut bytes), Ok(5));
    fails!(site.posix.linkat(fd, "../secret", fd, "x", 0), NOENT);
    done!(site.posix.linkat(fd, "mine", fd, "x", 0));
    same!(done!(site.stat("jail/mine")).links, 2);
    done!(site.posix.close(fd));
    // Read-only: nothing is made through it.
    let fd = done!(site.posix.open(&jail, O_RDONLY | O_DIRECTORY, 0));
    fails!(site.posix.symlinkat("t", fd, "y"), BADF);
    fails!(site.posix.linkat(fd, "mine", fd, "y", 0), BADF);
    same!(site.posix.readlinkat(fd, "in", &mut bytes), Ok(5));
    done!(site.posix.close(fd));
    for name in ["jail/in", "jail/x", "jail/mine", "secret"] {
        done!(site.unlink(name));
    }
    done!(site.rmdir("jail"));
    Ok(())
}
