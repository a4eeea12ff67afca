//! Listing folders.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_fs_client::posix::{O_CREAT, O_WRONLY};
use gritos_fs_client::{FileType, Link};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

/// More than a client asks for at a time, and than a block of ext4 holds.
const STAY: usize = 300;

fn make<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>, name: &str) -> Verdict {
    let fd = done!(site.open(name, O_WRONLY | O_CREAT));
    done!(site.posix.close(fd));
    Ok(())
}

pub(super) fn each_entry_once_while_others_change<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
) -> Verdict {
    for i in 0..STAY {
        make(site, &format!("stays{i}"))?;
    }
    done!(site.mkdir("folder"));
    let path = site.at(".");
    let mut dir = done!(site.posix.opendir(&path));
    let mut seen = BTreeSet::new();
    let mut round = 0;
    while let Some(entry) = done!(site.posix.readdir(&mut dir)) {
        let name = entry.name.as_str();
        let is_folder = entry.file_type == FileType::Directory;
        same!(is_folder, name == "folder");
        if !name.starts_with("comes") {
            same!(done!(site.posix.stat(&site.at(name))).inode, entry.inode);
            holds!(seen.insert(String::from(name)));
        }
        round += 1;
        if round % 5 == 0 && round < 500 {
            make(site, &format!("comes{round}"))?;
            if round > 20 {
                done!(site.unlink(&format!("comes{}", round - 20)));
            }
        }
        holds!(round < 5000);
    }
    done!(site.posix.closedir(dir));
    same!(seen.len(), STAY + 1);
    // Removing what was just listed reaches everything.
    let mut dir = done!(site.posix.opendir(&path));
    while let Some(entry) = done!(site.posix.readdir(&mut dir)) {
        let path = site.at(entry.name.as_str());
        done!(site.posix.remove(&path));
    }
    done!(site.posix.closedir(dir));
    same!(done!(site.list(".")).len(), 0);
    Ok(())
}

pub(super) fn places_can_be_kept<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    for i in 0..20 {
        make(site, &format!("f{i}"))?;
    }
    let path = site.at(".");
    let mut dir = done!(site.posix.opendir(&path));
    let mut places = Vec::new();
    loop {
        let place = site.posix.telldir(&dir);
        let Some(entry) = done!(site.posix.readdir(&mut dir)) else {
            break;
        };
        places.push((place, String::from(entry.name.as_str())));
    }
    same!(places.len(), 20);
    for (place, name) in places.iter().rev() {
        site.posix.seekdir(&mut dir, *place);
        let entry = done!(site.posix.readdir(&mut dir));
        same!(
            entry.map(|entry| String::from(entry.name.as_str())),
            Some(name.clone())
        );
    }
    site.posix.rewinddir(&mut dir);
    make(site, "later")?;
    let mut count = 0;
    while done!(site.posix.readdir(&mut dir)).is_some() {
        count += 1;
    }
    same!(count, 21);
    done!(site.posix.closedir(dir));
    for name in done!(site.list(".")) {
        done!(site.unlink(&name));
    }
    let file = site.at("file");
    make(site, "file")?;
    fails!(site.posix.opendir(&file), NOTDIR);
    done!(site.unlink("file"));
    fails!(site.posix.opendir(&file), NOENT);
    Ok(())
}

pub(super) fn many_entries<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Verdict {
    // Deep, then wide.
    let mut path = String::from("d");
    for _ in 0..50 {
        done!(site.mkdir(&path));
        path.push_str("/d");
    }
    for _ in 0..50 {
        path.truncate(path.len() - 2);
        done!(site.rmdir(&path));
    }
    for i in 0..1000 {
        make(site, &format!("one-of-many-{i:04}"))?;
    }
    let names = done!(site.list("."));
    same!(names.len(), 1000);
    for (i, name) in names.iter().enumerate() {
        holds!(*name == format!("one-of-many-{i:04}"));
        done!(site.unlink(name));
    }
    Ok(())
}
