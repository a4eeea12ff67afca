//! When things are said to have changed.

use gritos_fs_client::posix::{O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use gritos_fs_client::{Errno, Link, Stat};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

/// What a call is expected to date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dated {
    Nothing,
    Change,
    Contents,
}

impl Dated {
    fn fits(self, before: &Stat, after: &Stat) -> bool {
        let changed = after.changed_ns > before.changed_ns;
        let modified = after.modified_ns > before.modified_ns;
        let same = after.modified_ns == before.modified_ns;
        match self {
            Self::Nothing => same && after.changed_ns == before.changed_ns,
            Self::Change => same && changed,
            Self::Contents => modified && changed && after.changed_ns >= after.modified_ns,
        }
    }
}

/// Looks at a path before and after a call.
fn dates<T: Link, M: BufferMemory, R>(
    site: &mut Site<'_, T, M>,
    name: &str,
    dated: Dated,
    call: impl FnOnce(&mut Site<'_, T, M>) -> Result<R, Errno>,
) -> Result<R, alloc::string::String> {
    let before = done!(site.stat(name));
    let result = done!(call(site));
    let after = done!(site.stat(name));
    if dated.fits(&before, &after) {
        Ok(result)
    } else {
        Err(alloc::format!(
            "the dates of {name} went from {before:?} to {after:?}"
        ))
    }
}

pub(super) fn changes_are_dated<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    use Dated::Contents;
    let fd = dates(site, ".", Contents, |site| site.open("f", O_RDWR | O_CREAT))?;
    let made = done!(site.stat("f"));
    holds!(made.created_ns <= made.modified_ns && made.modified_ns <= made.changed_ns);
    dates(site, "f", Contents, |site| site.posix.write(fd, b"x"))?;
    dates(site, "f", Contents, |site| site.posix.pwrite(fd, b"y", 0))?;
    dates(site, "f", Contents, |site| site.posix.ftruncate(fd, 100))?;
    dates(site, "f", Contents, |site| site.posix.ftruncate(fd, 0))?;
    dates(site, "f", Contents, |site| {
        let path = site.at("f");
        site.posix.truncate(&path, 10)
    })?;
    dates(site, "f", Contents, |site| {
        let fd = site.open("f", O_WRONLY | O_TRUNC)?;
        site.posix.close(fd)
    })?;
    dates(site, ".", Contents, |site| site.mkdir("d"))?;
    dates(site, "d", Contents, |site| site.mkdir("d/e"))?;
    dates(site, "d", Contents, |site| site.rmdir("d/e"))?;
    dates(site, "d", Contents, |site| site.rename("f", "d/g"))?;
    dates(site, ".", Contents, |site| site.rename("d/g", "f"))?;
    dates(site, ".", Contents, |site| site.rename("f", "g"))?;
    dates(site, "d", Contents, |site| site.rename("g", "d/f"))?;
    let before = done!(site.posix.fstat(fd));
    done!(site.rename("d/f", "f"));
    let moved = done!(site.posix.fstat(fd));
    holds!(moved.changed_ns > before.changed_ns && moved.modified_ns == before.modified_ns);
    dates(site, ".", Contents, |site| site.unlink("f"))?;
    let gone = done!(site.posix.fstat(fd));
    holds!(gone.changed_ns > moved.changed_ns && gone.modified_ns == moved.modified_ns);
    done!(site.posix.close(fd));
    site.put("f", b"x")?;
    let fd = done!(site.open("f", O_RDWR));
    dates(site, "f", Contents, |site| site.posix.futimens(fd, None))?;
    let before = done!(site.stat("f"));
    done!(site.posix.futimens(fd, Some(1_234_567_890_123_456_789)));
    let after = done!(site.stat("f"));
    same!(after.modified_ns, 1_234_567_890_123_456_789);
    holds!(after.changed_ns > before.changed_ns);
    done!(site.posix.close(fd));
    // A folder that moves changes; what is in it does not.
    let before = done!(site.stat("d"));
    done!(site.rename("d", "e"));
    holds!(Dated::Change.fits(&before, &done!(site.stat("e"))));
    done!(site.rmdir("e"));
    done!(site.unlink("f"));
    Ok(())
}

pub(super) fn nothing_else_is_dated<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    use Dated::Nothing;
    done!(site.mkdir("d"));
    site.put("f", b"x")?;
    site.put("d/f", b"x")?;
    let fd = done!(site.open("f", O_RDWR));
    let mut bytes = [0; 4];
    dates(site, "f", Nothing, |site| site.posix.read(fd, &mut bytes))?;
    dates(site, "f", Nothing, |site| {
        site.posix.pread(fd, &mut bytes, 9)
    })?;
    dates(site, "f", Nothing, |site| site.posix.write(fd, &[]))?;
    dates(site, "f", Nothing, |site| site.posix.fsync(fd))?;
    dates(site, "f", Nothing, |site| {
        let fd = site.open("f", O_RDONLY)?;
        site.posix.close(fd)
    })?;
    dates(site, ".", Nothing, |site| site.open("f", O_RDWR | O_CREAT)).and_then(|fd| {
        site.posix
            .close(fd)
            .map_err(|error| alloc::format!("{error:?}"))
    })?;
    dates(site, "d", Nothing, |site| site.list("d"))?;
    // What fails dates nothing.
    for (name, error) in [("d", Errno::NOTEMPTY), ("f", Errno::NOTDIR)] {
        dates(site, ".", Nothing, |site| match site.rmdir(name) {
            Err(found) if found == error => Ok(()),
            _ => Err(Errno::PROTO),
        })?;
    }
    dates(site, ".", Nothing, |site| match site.mkdir("d") {
        Err(Errno::EXIST) => Ok(()),
        _ => Err(Errno::PROTO),
    })?;
    dates(site, ".", Nothing, |site| match site.rename("f", "d") {
        Err(Errno::ISDIR) => Ok(()),
        _ => Err(Errno::PROTO),
    })?;
    dates(site, "f", Nothing, |site| site.rename("f", "f"))?;
    done!(site.posix.close(fd));
    done!(site.unlink("d/f"));
    done!(site.rmdir("d"));
    done!(site.unlink("f"));
    Ok(())
}
