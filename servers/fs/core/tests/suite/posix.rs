//! The rules of POSIX.1-2024 for open, rename, unlink, mkdir, rmdir and truncate, as
//! far as users and permissions have no part in them.

use gritos_fs_api::{FileType, FsError, OpenFlags};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::volume::Volume;

use crate::support::{NEW, Paths, R, RW, W, each, now, tree};

#[test]
fn open_makes_finds_and_refuses_as_its_flags_say() {
    each(|vfs, on| {
        assert_eq!(vfs.at("/m/a", R), Err(FsError::NotFound), "{}", on.name);
        let file = vfs.at("/m/a", NEW | OpenFlags::EXCLUSIVE).expect("new");
        vfs.close(file);
        assert_eq!(
            vfs.at("/m/a", NEW | OpenFlags::EXCLUSIVE),
            Err(FsError::Exists)
        );
        assert_eq!(vfs.at("/m/a", OpenFlags::empty()), Err(FsError::Invalid));
        assert_eq!(
            vfs.at("/m/a", R | OpenFlags::TRUNCATE),
            Err(FsError::Invalid)
        );
        let file = vfs.at("/m/a", R | OpenFlags::APPEND).expect("no matter");
        vfs.close(file);
        assert_eq!(
            vfs.at("/m/a", R | OpenFlags::EXCLUSIVE),
            Err(FsError::Invalid)
        );
        assert_eq!(
            vfs.at("/m/a", R | OpenFlags::DIRECTORY),
            Err(FsError::NotDirectory)
        );
        assert_eq!(vfs.at("/m/a/", R), Err(FsError::NotDirectory));
        assert_eq!(vfs.at("/m/a/b", R), Err(FsError::NotDirectory));
        assert_eq!(vfs.at("/m/a/b", NEW), Err(FsError::NotDirectory));
        assert_eq!(vfs.at("/m/no/b", NEW), Err(FsError::NotFound));
        assert_eq!(vfs.at("/m/new/", NEW), Err(FsError::IsDirectory));
        assert_eq!(vfs.at("", R), Err(FsError::NotFound));
        assert_eq!(vfs.at("/m/a\0b", R), Err(FsError::Invalid));
        vfs.dir("/m/d").expect("folder");
        assert_eq!(vfs.at("/m/d", W), Err(FsError::IsDirectory));
        assert_eq!(vfs.at("/m/d", NEW), Err(FsError::IsDirectory));
        assert_eq!(
            vfs.at("/m/d", R | OpenFlags::CREATE),
            Err(FsError::IsDirectory)
        );
        let folder = vfs.at("/m/d", R).expect("folders open for reading");
        assert_eq!(vfs.read(folder, 0, &mut [0; 8]), Err(FsError::IsDirectory));
        assert_eq!(vfs.write(folder, 0, &[0; 8]), Err(FsError::IsDirectory));
        assert_eq!(vfs.truncate(folder, 0), Err(FsError::IsDirectory));
        vfs.close(folder);
    });
}

#[test]
fn truncate_and_append_do_what_open_promised() {
    each(|vfs, _| {
        vfs.put("/m/f", b"0123456789").expect("write");
        let file = vfs.at("/m/f", W | OpenFlags::APPEND).expect("open");
        assert_eq!(vfs.write(file, 0, b"ab"), Ok(2));
        assert_eq!(vfs.write(file, 3, b"cd"), Ok(2));
        vfs.close(file);
        assert_eq!(vfs.content("/m/f").expect("read"), b"0123456789abcd");
        let file = vfs.at("/m/f", RW).expect("open");
        vfs.truncate(file, 4).expect("shorter");
        vfs.truncate(file, 6).expect("longer");
        vfs.close(file);
        assert_eq!(vfs.content("/m/f").expect("read"), b"0123\0\0");
        let file = vfs.at("/m/f", RW | OpenFlags::TRUNCATE).expect("open");
        assert_eq!(vfs.size("/m/f"), Ok(0));
        assert_eq!(vfs.write(file, 5, b"x"), Ok(1));
        vfs.close(file);
        assert_eq!(vfs.content("/m/f").expect("read"), b"\0\0\0\0\0x");
    });
}

#[test]
fn writes_and_sizes_beyond_the_limit_are_too_large() {
    each(|vfs, _| {
        let file = vfs.at("/m/f", NEW).expect("open");
        assert_eq!(vfs.write(file, u64::MAX, b"x"), Err(FsError::FileTooLarge));
        assert_eq!(
            vfs.write(file, u64::MAX - 1, b"xyz"),
            Err(FsError::FileTooLarge)
        );
        assert_eq!(vfs.truncate(file, u64::MAX), Err(FsError::FileTooLarge));
        assert_eq!(vfs.read(file, u64::MAX, &mut [0; 4]), Ok(0));
        assert_eq!(vfs.write(file, u64::MAX, b""), Ok(0));
        vfs.close(file);
        assert_eq!(vfs.size("/m/f"), Ok(0));
    });
}

#[test]
fn names_and_paths_have_a_longest() {
    each(|vfs, _| {
        let longest = format!("/m/{}", "n".repeat(255));
        vfs.put(&longest, b"x").expect("255 bytes");
        assert_eq!(vfs.content(&longest).expect("read"), b"x");
        vfs.rm(&longest).expect("remove");
        let longer = format!("/m/{}", "n".repeat(256));
        for error in [
            vfs.put(&longer, b"x"),
            vfs.dir(&longer),
            vfs.rm(&longer),
            vfs.rmd(&longer),
            vfs.mv(&longer, "/m/x"),
            vfs.size(&longer).map(drop),
        ] {
            assert_eq!(error, Err(FsError::NameTooLong));
        }
        let path = format!("/m{}", "/.".repeat(2047));
        assert_eq!(path.len(), 4096);
        assert_eq!(vfs.size(&path), Err(FsError::NameTooLong));
        assert!(vfs.size(&path[..4094]).is_ok());
    });
}

#[test]
fn names_may_be_any_text() {
    each(|vfs, _| {
        for name in [
            "größe",
            "файл",
            "文件",
            "emoji 🦀",
            " a b ",
            "-",
            "a+b=c",
            "x.tar.gz",
        ] {
            let path = format!("/m/{name}");
            vfs.put(&path, name.as_bytes()).expect(name);
            assert_eq!(vfs.content(&path).expect(name), name.as_bytes());
            assert_eq!(vfs.list("/m").expect("list"), [name]);
            vfs.rm(&path).expect(name);
        }
        let root = vfs.root();
        assert_eq!(vfs.mkdir(root, b"/m/\xff", 0o755), Err(FsError::Invalid));
        assert_eq!(
            vfs.open(root, b"/m/\xff", NEW, 0o644),
            Err(FsError::Invalid)
        );
    });
}

#[test]
fn mkdir_and_rmdir_refuse_what_posix_refuses() {
    each(|vfs, _| {
        vfs.dir("/m/d").expect("folder");
        vfs.put("/m/f", b"").expect("file");
        assert_eq!(vfs.dir("/m/d"), Err(FsError::Exists));
        assert_eq!(vfs.dir("/m/f"), Err(FsError::Exists));
        assert_eq!(vfs.dir("/m/d/."), Err(FsError::Exists));
        assert_eq!(vfs.dir("/"), Err(FsError::Exists));
        assert_eq!(vfs.dir("/m/f/x"), Err(FsError::NotDirectory));
        assert_eq!(vfs.dir("/m/no/x"), Err(FsError::NotFound));
        vfs.dir("/m/d/e/").expect("a slash at the end is fine");
        assert_eq!(vfs.rmd("/m/d"), Err(FsError::NotEmpty));
        assert_eq!(vfs.rmd("/m/f"), Err(FsError::NotDirectory));
        assert_eq!(vfs.rmd("/m/f/x"), Err(FsError::NotDirectory));
        assert_eq!(vfs.rmd("/m/no"), Err(FsError::NotFound));
        assert_eq!(vfs.rmd("/m/d/e/."), Err(FsError::Invalid));
        assert_eq!(vfs.rmd("/m/d/e/.."), Err(FsError::NotEmpty));
        assert_eq!(vfs.rmd("/"), Err(FsError::Busy));
        assert_eq!(vfs.rmd("/m"), Err(FsError::Busy));
        vfs.rmd("/m/d/e/").expect("empty");
        vfs.rmd("/m/d").expect("empty");
        assert_eq!(vfs.list("/m").expect("list"), ["f"]);
    });
}

#[test]
fn unlink_refuses_folders_and_what_is_not_there() {
    each(|vfs, on| {
        vfs.dir("/m/d").expect("folder");
        vfs.put("/m/f", b"still here").expect("file");
        assert_eq!(vfs.rm("/m/d"), Err(FsError::IsDirectory));
        assert_eq!(vfs.rm("/m/d/."), Err(FsError::IsDirectory));
        assert_eq!(vfs.rm("/"), Err(FsError::IsDirectory));
        assert_eq!(vfs.rm("/m/no"), Err(FsError::NotFound));
        assert_eq!(vfs.rm("/m/f/"), Err(FsError::NotDirectory));
        assert_eq!(vfs.rm("/m/f/x"), Err(FsError::NotDirectory));
        let file = vfs.at("/m/f", RW).expect("open");
        if on.unlink_open {
            vfs.rm("/m/f").expect("remove while open");
            assert_eq!(vfs.size("/m/f"), Err(FsError::NotFound));
            let mut bytes = [0; 16];
            assert_eq!(vfs.read(file, 0, &mut bytes), Ok(10));
            assert_eq!(&bytes[..10], b"still here");
            assert_eq!(vfs.write(file, 10, b"!"), Ok(1));
            assert_eq!(vfs.attributes(file).expect("fstat").1.links, 0);
            vfs.put("/m/f", b"another").expect("the name is free");
            assert_eq!(vfs.read(file, 0, &mut bytes), Ok(11));
            vfs.close(file);
            assert_eq!(vfs.content("/m/f").expect("read"), b"another");
        } else {
            assert_eq!(vfs.rm("/m/f"), Err(FsError::Busy));
            vfs.close(file);
            vfs.rm("/m/f").expect("remove");
        }
    });
}

#[test]
fn rename_replaces_in_one_step_and_refuses_the_rest() {
    each(|vfs, _| {
        for folder in ["/m/d", "/m/e", "/m/full"] {
            vfs.dir(folder).expect("folder");
        }
        vfs.put("/m/f", b"f").expect("file");
        vfs.put("/m/g", b"g").expect("file");
        vfs.put("/m/full/x", b"x").expect("file");
        assert_eq!(vfs.mv("/m/no", "/m/x"), Err(FsError::NotFound));
        assert_eq!(vfs.mv("/m/f", "/m/no/x"), Err(FsError::NotFound));
        assert_eq!(vfs.mv("/m/f", "/m/g/x"), Err(FsError::NotDirectory));
        assert_eq!(vfs.mv("/m/f", "/m/d"), Err(FsError::IsDirectory));
        assert_eq!(vfs.mv("/m/d", "/m/f"), Err(FsError::NotDirectory));
        assert_eq!(vfs.mv("/m/f", "/m/new/"), Err(FsError::NotDirectory));
        assert_eq!(vfs.mv("/m/d", "/m/full"), Err(FsError::NotEmpty));
        assert_eq!(vfs.mv("/m/full/x", "/m/full"), Err(FsError::IsDirectory));
        assert_eq!(vfs.mv("/m/d", "/m/d/inside"), Err(FsError::Invalid));
        assert_eq!(vfs.mv("/m/d/.", "/m/x"), Err(FsError::Invalid));
        assert_eq!(vfs.mv("/m/d/..", "/m/x"), Err(FsError::Invalid));
        assert_eq!(vfs.mv("/m/d", "/m/e/."), Err(FsError::Invalid));
        assert_eq!(vfs.mv("/m", "/x"), Err(FsError::Busy));
        assert_eq!(vfs.mv("/m/f", "/other/f"), Err(FsError::CrossDevice));
        let root = vfs.root();
        let keep =
            |vfs: &mut gritos_fs_core::vfs::Vfs, to: &[u8]| vfs.rename(root, b"/m/f", to, false);
        assert_eq!(keep(vfs, b"/m/g"), Err(FsError::Exists));
        assert_eq!(keep(vfs, b"/m/f"), Err(FsError::Exists));
        vfs.mv("/m/f", "/m/f").expect("onto itself");
        vfs.mv("/m/f", "/m/g").expect("replace a file");
        assert_eq!(vfs.content("/m/g").expect("read"), b"f");
        vfs.mv("/m/full", "/m/d").expect("replace an empty folder");
        vfs.mv("/m/d/", "/m/e/in/").expect("move with slashes");
        assert_eq!(vfs.content("/m/e/in/x").expect("read"), b"x");
        assert_eq!(vfs.list("/m").expect("list"), ["e", "g"]);
        vfs.mv("/m/e/in/x", "/m/g").expect("up and over");
        assert_eq!(vfs.content("/m/g").expect("read"), b"x");
        vfs.rmd("/m/e/in").expect("now empty");
        assert_eq!(vfs.mv("/m/e", "/m/e/e"), Err(FsError::Invalid));
    });
}

#[test]
fn a_folder_moved_below_another_has_that_one_above() {
    each(|vfs, _| {
        vfs.dir("/m/a").expect("folder");
        vfs.dir("/m/b").expect("folder");
        vfs.dir("/m/a/x").expect("folder");
        vfs.put("/m/b/here", b"").expect("file");
        vfs.mv("/m/a/x", "/m/b/x").expect("move");
        assert!(vfs.size("/m/b/x/../here").is_ok());
        vfs.rmd("/m/a").expect("nothing left in it");
    });
}

#[test]
fn an_open_file_that_is_replaced_keeps_its_contents() {
    each(|vfs, on| {
        if !on.unlink_open {
            return;
        }
        vfs.put("/m/old", b"old").expect("file");
        vfs.put("/m/new", b"new").expect("file");
        let file = vfs.at("/m/old", R).expect("open");
        vfs.mv("/m/new", "/m/old").expect("replace");
        let mut bytes = [0; 3];
        assert_eq!(vfs.read(file, 0, &mut bytes), Ok(3));
        assert_eq!(&bytes, b"old");
        vfs.close(file);
        assert_eq!(vfs.content("/m/old").expect("read"), b"new");
    });
}

#[test]
fn nothing_is_made_in_a_folder_that_was_removed() {
    each(|vfs, on| {
        if !on.unlink_open {
            return;
        }
        vfs.dir("/m/d").expect("folder");
        let folder = vfs.at("/m/d", R).expect("open");
        vfs.rmd("/m/d").expect("remove while open");
        let place = folder.place();
        assert_eq!(vfs.mkdir(place, b"x", 0o755), Err(FsError::NotFound));
        assert_eq!(vfs.open(place, b"x", NEW, 0o644), Err(FsError::NotFound));
        assert_eq!(vfs.stat(place, b"x").map(drop), Err(FsError::NotFound));
        vfs.close(folder);
    });
}

#[test]
fn paths_from_a_folder_do_not_leave_it() {
    each(|vfs, _| {
        vfs.dir("/m/jail").expect("folder");
        vfs.dir("/m/jail/in").expect("folder");
        vfs.put("/m/secret", b"s").expect("file");
        vfs.put("/m/jail/mine", b"m").expect("file");
        let folder = vfs.at("/m/jail", R | OpenFlags::DIRECTORY).expect("open");
        let place = folder.place();
        for path in [
            "../secret",
            "/../secret",
            "in/../../secret",
            "/m/secret",
            "../../m/secret",
        ] {
            let found = vfs.open(place, path.as_bytes(), R, 0);
            assert_eq!(found, Err(FsError::NotFound), "{path}");
        }
        for path in [
            "mine",
            "/mine",
            "../mine",
            "in/../mine",
            "../../../mine",
            "./in/.././mine",
        ] {
            let (_, found) = vfs.stat(place, path.as_bytes()).expect(path);
            assert_eq!(found.size, 1, "{path}");
        }
        assert_eq!(vfs.rename(place, b"mine", b"../out", true), Ok(()));
        assert_eq!(vfs.list("/m/jail").expect("list"), ["in", "out"]);
        assert_eq!(vfs.rmdir(place, b"/"), Err(FsError::Busy));
        vfs.close(folder);
    });
}

#[test]
fn symbolic_links_lead_on_and_never_out() {
    let mut volume = MemoryVolume::new(1 << 20, now);
    let root = volume.root();
    let d = volume.mkdir(root, b"d", 0o755).expect("folder");
    volume.create(d, b"f", 0o644).expect("file");
    volume.symlink(root, b"to_file", b"d/f").expect("link");
    volume.symlink(root, b"to_dir", b"./d/").expect("link");
    volume.symlink(root, b"loop", b"pool").expect("link");
    volume.symlink(root, b"pool", b"loop").expect("link");
    volume.symlink(root, b"nowhere", b"d/new").expect("link");
    volume.symlink(d, b"absolute", b"/to_file").expect("link");
    volume
        .symlink(d, b"up", b"../../../../other")
        .expect("link");
    let mut vfs = tree(Box::new(volume));
    let kind = |vfs: &mut gritos_fs_core::vfs::Vfs, path: &str| {
        let root = vfs.root();
        vfs.stat(root, path.as_bytes()).map(|(_, found)| found.kind)
    };
    assert_eq!(kind(&mut vfs, "/m/to_file"), Ok(FileType::Regular));
    assert_eq!(kind(&mut vfs, "/m/to_file/"), Err(FsError::NotDirectory));
    assert_eq!(kind(&mut vfs, "/m/to_dir/f"), Ok(FileType::Regular));
    assert_eq!(
        kind(&mut vfs, "/m/to_dir/../to_dir"),
        Ok(FileType::Directory)
    );
    assert_eq!(kind(&mut vfs, "/m/loop"), Err(FsError::LinkLoop));
    assert_eq!(kind(&mut vfs, "/m/loop/x"), Err(FsError::LinkLoop));
    assert_eq!(kind(&mut vfs, "/m/nowhere"), Err(FsError::NotFound));
    assert_eq!(kind(&mut vfs, "/m/d/up"), Ok(FileType::Directory));
    assert_eq!(kind(&mut vfs, "/m/d/absolute"), Err(FsError::NotFound));
    assert_eq!(vfs.dir("/m/nowhere"), Err(FsError::Exists));
    assert_eq!(
        vfs.at("/m/nowhere", NEW | OpenFlags::EXCLUSIVE),
        Err(FsError::Exists)
    );
    let file = vfs
        .at("/m/nowhere", NEW)
        .expect("made where the link leads");
    vfs.close(file);
    assert_eq!(kind(&mut vfs, "/m/d/new"), Ok(FileType::Regular));
    let folder = vfs.at("/m", R).expect("open");
    let (_, found) = vfs
        .stat(folder.place(), b"d/absolute")
        .expect("from the folder's root");
    assert_eq!(found.kind, FileType::Regular);
    assert_eq!(
        vfs.stat(folder.place(), b"d/up").map(drop),
        Err(FsError::NotFound)
    );
    vfs.close(folder);
    vfs.rm("/m/to_dir").expect("the link itself");
    assert_eq!(kind(&mut vfs, "/m/d/f"), Ok(FileType::Regular));
    vfs.mv("/m/loop", "/m/renamed").expect("the link itself");
}

#[test]
fn what_can_only_be_read_does_not_change() {
    let mut volume = MemoryVolume::new(1 << 20, now);
    let root = volume.root();
    volume.mkdir(root, b"d", 0o755).expect("folder");
    volume.create(root, b"f", 0o644).expect("file");
    volume.remount(true).expect("read-only");
    let mut vfs = tree(Box::new(volume));
    for error in [
        vfs.at("/m/new", NEW).map(drop),
        vfs.at("/m/f", W).map(drop),
        vfs.dir("/m/x"),
        vfs.rmd("/m/d"),
        vfs.rm("/m/f"),
        vfs.mv("/m/f", "/m/g"),
        vfs.dir("/x"),
    ] {
        assert_eq!(error, Err(FsError::ReadOnly));
    }
    let file = vfs.at("/m/f", R | OpenFlags::CREATE).expect("it exists");
    vfs.close(file);
    let root = vfs.root();
    vfs.remount(root, b"/m", false).expect("writable");
    let file = vfs.at("/m/f", W).expect("open");
    assert_eq!(vfs.remount(root, b"/m", true), Err(FsError::Busy));
    vfs.close(file);
    assert_eq!(vfs.remount(root, b"/m/d", true), Err(FsError::Invalid));
    vfs.remount(root, b"/m", true).expect("read-only");
    assert_eq!(vfs.remount(root, b"/", false), Err(FsError::ReadOnly));
}

#[test]
fn a_listing_shows_once_what_stays_while_others_come_and_go() {
    each(|vfs, _| {
        for i in 0..200 {
            vfs.put(&format!("/m/stays{i:03}"), b"").expect("file");
        }
        let folder = vfs.at("/m", R).expect("open");
        let mut seen = Vec::new();
        let mut position = 0;
        for round in 0.. {
            let before = seen.len();
            let mut left = 7;
            vfs.entries(folder, position, &mut |entry| {
                if left == 0 {
                    return false;
                }
                left -= 1;
                position = entry.next;
                seen.push(String::from_utf8(entry.name).expect("text"));
                true
            })
            .expect("list");
            if seen.len() == before {
                break;
            }
            assert!(round < 1000, "the end comes");
            vfs.put(&format!("/m/comes{round:03}"), b"").expect("file");
            if round > 2 {
                vfs.rm(&format!("/m/comes{:03}", round - 3))
                    .expect("remove");
            }
            if round > 60 {
                break;
            }
        }
        vfs.close(folder);
        for i in 0..200 {
            let name = format!("stays{i:03}");
            assert_eq!(
                seen.iter().filter(|seen| **seen == name).count(),
                1,
                "{name}"
            );
        }
    });
}

#[test]
fn links_count_names_and_folders() {
    each(|vfs, on| {
        if on.name.starts_with("fat") {
            return;
        }
        let root = vfs.root();
        let links = |vfs: &mut gritos_fs_core::vfs::Vfs, path: &str| {
            vfs.stat(root, path.as_bytes()).expect(path).1.links
        };
        vfs.dir("/m/d").expect("folder");
        assert_eq!(links(vfs, "/m/d"), 2);
        vfs.dir("/m/d/e").expect("folder");
        assert_eq!(links(vfs, "/m/d"), 3);
        vfs.put("/m/d/f", b"").expect("file");
        assert_eq!(links(vfs, "/m/d/f"), 1);
        vfs.rmd("/m/d/e").expect("remove");
        assert_eq!(links(vfs, "/m/d"), 2);
    });
}
