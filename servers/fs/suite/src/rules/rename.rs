//! `rename`.

use alloc::format;

use gritos_fs_client::Link;
use gritos_fs_client::posix::O_RDWR;
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

pub(super) fn names_move_and_replace<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    for folder in ["d", "e", "full"] {
        done!(site.mkdir(folder));
    }
    site.put("f", b"f")?;
    site.put("g", b"g")?;
    site.put("full/x", b"x")?;
    let inode = done!(site.stat("f")).inode;
    done!(site.rename("f", "f"));
    done!(site.rename("f", "./f"));
    done!(site.rename("d", "d"));
    done!(site.rename("f", "g"));
    same!(done!(site.get("g")), b"f");
    same!(done!(site.stat("g")).inode, inode);
    fails!(site.stat("f"), NOENT);
    done!(site.rename("g", "d/h"));
    same!(done!(site.stat("d/h")).inode, inode);
    done!(site.rename("d/h", "f"));
    done!(site.rename("full", "d"));
    same!(done!(site.list("d")), ["x"]);
    done!(site.rename("d/", "e/in/"));
    same!(done!(site.get("e/in/x")), b"x");
    same!(done!(site.list(".")), ["e", "f"]);
    // Out of the folder, over something above it.
    done!(site.rename("e/in/x", "f"));
    same!(done!(site.get("f")), b"x");
    done!(site.rmdir("e/in"));
    done!(site.rmdir("e"));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn what_cannot_move<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    for folder in ["d", "d/e", "full", "empty"] {
        done!(site.mkdir(folder));
    }
    site.put("f", b"f")?;
    site.put("full/x", b"x")?;
    fails!(site.rename("no", "x"), NOENT);
    fails!(site.rename("no/x", "x"), NOENT);
    fails!(site.rename("f", "no/x"), NOENT);
    fails!(site.rename("f", "f/x"), NOTDIR);
    fails!(site.rename("f/x", "x"), NOTDIR);
    fails!(site.rename("f/", "x"), NOTDIR);
    fails!(site.rename("f", "new/"), NOTDIR);
    fails!(site.rename("f", "empty/"), NOTDIR);
    fails!(site.rename("f", "empty"), ISDIR);
    fails!(site.rename("f", "full"), ISDIR);
    fails!(site.rename("full/x", "full"), ISDIR);
    fails!(site.rename("empty", "f"), NOTDIR);
    fails!(site.rename("empty", "full"), NOTEMPTY);
    fails!(site.rename("d/e", "d"), NOTEMPTY);
    fails!(site.rename("d", "d/x"), INVAL);
    fails!(site.rename("d", "d/e"), INVAL);
    fails!(site.rename("d", "d/e/x"), INVAL);
    for dots in ["d/.", "d/..", ".", ".."] {
        fails!(site.rename(dots, "x"), INVAL);
        fails!(site.rename("empty", dots), INVAL);
    }
    let here = site.at("f");
    let there = format!("{}/gritos-fs-suite", site.elsewhere);
    fails!(site.posix.rename(&here, &there), XDEV);
    let mounted = format!("/{}", site.elsewhere.trim_matches('/'));
    let folder = site.at("empty");
    fails!(site.posix.rename(&mounted, "/x"), BUSY);
    holds!(site.posix.rename(&folder, &mounted).is_err());
    // All of it is as it was.
    same!(done!(site.list(".")), ["d", "empty", "f", "full"]);
    same!(done!(site.get("f")), b"f");
    // Nothing is replaced if that is what was asked for.
    let full = site.at("full/x");
    let client = site.posix.client();
    fails!(client.rename(&here, &full, false), EXIST);
    fails!(client.rename(&here, &here, false), EXIST);
    done!(client.rename(&here, &format!("{here}2"), false));
    done!(site.unlink("f2"));
    done!(site.unlink("full/x"));
    for folder in ["d/e", "d", "full", "empty"] {
        done!(site.rmdir(folder));
    }
    Ok(())
}

pub(super) fn folders_count_their_folders<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    for folder in ["a", "b", "a/x", "b/y"] {
        done!(site.mkdir(folder));
    }
    site.put("b/here", b"")?;
    done!(site.rename("a/x", "b/x"));
    same!(done!(site.stat("a")).links, 2);
    same!(done!(site.stat("b")).links, 4);
    // `..` of what was moved is where it is now.
    done!(site.stat("b/x/../here"));
    // One replaces another.
    done!(site.rename("b/x", "b/y"));
    same!(done!(site.stat("b")).links, 3);
    done!(site.rename("b/y", "a/y"));
    same!(done!(site.stat("a")).links, 3);
    same!(done!(site.stat("b")).links, 2);
    done!(site.unlink("b/here"));
    for folder in ["a/y", "a", "b"] {
        done!(site.rmdir(folder));
    }
    Ok(())
}

pub(super) fn replaced_files_stay_while_open<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    site.put("old", b"old")?;
    site.put("new", b"new")?;
    let fd = done!(site.open("old", O_RDWR));
    let moved = done!(site.open("new", O_RDWR));
    done!(site.rename("new", "old"));
    let mut bytes = [0; 8];
    same!(site.posix.read(fd, &mut bytes), Ok(3));
    holds!(bytes.starts_with(b"old"));
    same!(done!(site.posix.fstat(fd)).links, 0);
    same!(site.posix.write(moved, b"NEW"), Ok(3));
    done!(site.posix.close(fd));
    done!(site.posix.close(moved));
    same!(done!(site.get("old")), b"NEW");
    same!(done!(site.stat("old")).links, 1);
    done!(site.unlink("old"));
    Ok(())
}
