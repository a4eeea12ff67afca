//! How paths are read.

use alloc::format;

use gritos_fs_client::Link;
use gritos_fs_client::posix::{O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

/// Most bytes of a name.
const NAME: usize = 255;
/// Most bytes of a path, without its NUL.
const PATH: usize = 4095;

pub(super) fn parts_lead_somewhere<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    done!(site.mkdir("d"));
    done!(site.mkdir("d/e"));
    site.put("d/f", b"here")?;
    for path in [
        "d/f",
        "d//f",
        "./d/f",
        "d/./f",
        "d/e/../f",
        "d/e/../../d/f",
        "///d/f",
    ] {
        same!(done!(site.get(path)), b"here");
    }
    for path in ["d/", "d/.", "d/e/..", "d//", "d/e/./.."] {
        holds!(done!(site.is_folder(path)));
    }
    for path in ["d/no/..", "no/../d/f", "no/."] {
        fails!(site.stat(path), NOENT);
    }
    for path in ["d/f/", "d/f/.", "d/f/..", "d/f/x"] {
        fails!(site.stat(path), NOTDIR);
    }
    fails!(site.posix.stat(""), NOENT);
    fails!(site.posix.open("", O_RDWR | O_CREAT, 0o644), NOENT);
    fails!(site.posix.mkdir("", 0o755), NOENT);
    fails!(site.posix.unlink(""), NOENT);
    fails!(site.posix.rmdir(""), NOENT);
    let inside = site.at("d/f");
    fails!(site.posix.rename("", &inside), NOENT);
    fails!(site.posix.rename(&inside, ""), NOENT);
    done!(site.unlink("d/f"));
    done!(site.rmdir("d/e"));
    done!(site.rmdir("d"));
    Ok(())
}

pub(super) fn names_have_a_longest<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    let longest = "n".repeat(NAME);
    let longer = "n".repeat(NAME + 1);
    site.put(&longest, b"x")?;
    same!(done!(site.get(&longest)), b"x");
    same!(done!(site.list(".")), [longest.as_str()]);
    done!(site.rename(&longest, "short"));
    done!(site.rename("short", &longest));
    fails!(site.rename(&longest, &longer), NAMETOOLONG);
    done!(site.unlink(&longest));
    done!(site.mkdir(&longest));
    done!(site.rmdir(&longest));
    fails!(site.open(&longer, O_RDWR | O_CREAT), NAMETOOLONG);
    fails!(site.mkdir(&longer), NAMETOOLONG);
    fails!(site.rmdir(&longer), NAMETOOLONG);
    fails!(site.unlink(&longer), NAMETOOLONG);
    fails!(site.stat(&longer), NAMETOOLONG);
    fails!(site.stat(&format!("{longer}/x")), NAMETOOLONG);
    // A path of just so many bytes, all of it `/.`
    let start = site.at("");
    let mut path = start.clone();
    while path.len() + 2 <= PATH {
        path.push_str("./");
    }
    done!(site.posix.stat(&path));
    path.push_str("././");
    fails!(site.posix.stat(&path), NAMETOOLONG);
    fails!(site.posix.mkdir(&path, 0o755), NAMETOOLONG);
    fails!(site.posix.unlink(&path), NAMETOOLONG);
    fails!(site.posix.rename(&path, &start), NAMETOOLONG);
    fails!(site.posix.rename(&start, &path), NAMETOOLONG);
    Ok(())
}

pub(super) fn names_may_be_any_text<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    let names = [
        "größe", "файл", "文件", "🦀", " a b ", "-", "a\\b", "...", "x\ny", "A", "a",
    ];
    for name in names {
        site.put(name, name.as_bytes())?;
    }
    for name in names {
        same!(done!(site.get(name)), name.as_bytes());
    }
    same!(done!(site.list(".")).len(), names.len());
    for name in names {
        done!(site.unlink(name));
    }
    Ok(())
}

pub(super) fn folders_confine<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    done!(site.mkdir("jail"));
    site.put("secret", b"s")?;
    let jail = site.at("jail");
    let fd = done!(site.posix.open(&jail, O_RDWR | O_DIRECTORY, 0));
    let file = done!(site.posix.openat(fd, "mine", O_RDWR | O_CREAT, 0o600));
    same!(site.posix.write(file, b"m"), Ok(1));
    done!(site.posix.close(file));
    for path in [
        "../secret",
        "/../secret",
        "../../secret",
        "mine/../../secret",
    ] {
        holds!(site.posix.openat(fd, path, O_RDONLY, 0).is_err());
        holds!(site.posix.fstatat(fd, path, 0).is_err());
        holds!(site.posix.unlinkat(fd, path, 0).is_err());
    }
    same!(done!(site.posix.fstatat(fd, "../mine", 0)).size, 1);
    done!(site.posix.mkdirat(fd, "d", 0o755));
    fails!(site.posix.mkdirat(fd, "d", 0o755), EXIST);
    fails!(site.posix.unlinkat(fd, "d", 0), ISDIR);
    fails!(
        site.posix
            .unlinkat(fd, "mine", gritos_fs_client::posix::AT_REMOVEDIR),
        NOTDIR
    );
    done!(site.posix.renameat(fd, "mine", fd, "d/../../escaped"));
    same!(done!(site.list("jail")), ["d", "escaped"]);
    done!(site.posix.unlinkat(fd, "escaped", 0));
    done!(
        site.posix
            .unlinkat(fd, "d", gritos_fs_client::posix::AT_REMOVEDIR)
    );
    done!(site.posix.close(fd));
    // Read-only: nothing is changed through it.
    let fd = done!(site.posix.open(&jail, O_RDONLY | O_DIRECTORY, 0));
    fails!(site.posix.mkdirat(fd, "d", 0o755), BADF);
    fails!(
        site.posix.openat(fd, "new", O_WRONLY | O_CREAT, 0o600),
        ACCES
    );
    done!(site.posix.close(fd));
    done!(site.rmdir("jail"));
    done!(site.unlink("secret"));
    Ok(())
}
