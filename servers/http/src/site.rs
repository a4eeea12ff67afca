//! What is served: files, the state of the system, and a first page.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;

use gritos_fs_client::{Errno, FileType, Mode, OpenFile, OpenFlags, Stat};
use gritos_http_core::{
    Bytes, Cache, FILE_LIMIT, FIRST_PAGE, FRESH_NS, Found, Kept, Page, Site, Stamp, Status, Tag,
    media_type,
};
use gritos_idl_runtime::Cap as StubCap;
use gritos_system_api::System;

use crate::state;
use crate::storage::Door;

/// The folder whose files are served.
const ROOT: &str = "/data/www";
/// What a folder shows.
const INDEX: &str = "index.html";

/// What is at `/` where the site has nothing.
const FIRST: Found<OpenFile> = Found::Bytes {
    media_type: "text/html; charset=utf-8",
    changes: false,
    tag: None,
    bytes: Bytes::Static(FIRST_PAGE),
};

/// The site.
pub(crate) struct Files {
    fs: Option<Door>,
    system: Option<StubCap<System>>,
    cache: Cache,
    /// Until when it is believed that the site has no page of its own at `/`.
    bare_until_ns: u64,
}

impl Files {
    /// Files of the service `fs` if the component may use it.
    pub(crate) fn new(fs: Option<Door>, system: Option<StubCap<System>>) -> Self {
        Self {
            fs,
            system,
            cache: Cache::default(),
            bare_until_ns: 0,
        }
    }

    /// A file or folder, from memory if it is known there and nothing has changed.
    fn find_file(&mut self, path: &str, now_ns: u64) -> Result<Found<OpenFile>, Status> {
        match self.cache.get(path, now_ns) {
            Kept::Fresh(page) => return Ok(shared(page)),
            Kept::Stale(_) => {
                let fs = self.fs.as_mut().ok_or(Status::NotFound)?;
                let found = fs.open(now_ns).and_then(|fs| fs.stat(&name_of(path)));
                let known = match fs.note(found) {
                    Ok(stat) => self.cache.confirm(path, stamp(&stat), now_ns),
                    Err(_) => None,
                };
                if let Some(page) = known {
                    return Ok(shared(page));
                }
                self.cache.forget(path);
            }
            Kept::Nothing => {}
        }
        self.open_file(path, now_ns)
    }

    fn open_file(&mut self, path: &str, now_ns: u64) -> Result<Found<OpenFile>, Status> {
        let door = self.fs.as_mut().ok_or(Status::NotFound)?;
        let name = name_of(path);
        let open = door
            .open(now_ns)
            .and_then(|fs| fs.open(&name, OpenFlags::READ, Mode::empty()));
        let file = door.note(open).map_err(status)?;
        let fs = door.opened().map_err(status)?;
        let stat = match fs.fstat(file) {
            Ok(stat) if stat.file_type != FileType::Directory => stat,
            result => {
                // It was opened a moment ago; what comes of closing it concerns nobody.
                let _ = fs.close(file);
                return result.map(|_| Found::Folder).map_err(status);
            }
        };
        let media_type = media_type(&name);
        let stamp = stamp(&stat);
        let tag = Tag::of(&stamp);
        if stat.size <= FILE_LIMIT {
            let mut bytes = vec![0; stat.size as usize];
            // What cannot be read whole is left to those who send it part by part.
            if fs.read(file, 0, &mut bytes) == Ok(bytes.len()) {
                let _ = fs.close(file);
                let page = Page {
                    bytes: Rc::from(bytes),
                    media_type,
                    tag,
                };
                self.cache.keep(path, stamp, page.clone(), now_ns);
                return Ok(shared(page));
            }
        }
        Ok(Found::File {
            media_type,
            file,
            length: stat.size,
            tag: Some(tag),
        })
    }
}

/// The name of what lies at a path of the site.
fn name_of(path: &str) -> String {
    let mut name = String::with_capacity(ROOT.len() + path.len() + INDEX.len());
    name.push_str(ROOT);
    name.push_str(path);
    if path.ends_with('/') {
        name.push_str(INDEX);
    }
    name
}

const fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        inode: stat.inode,
        size: stat.size,
        modified_ns: stat.modified_ns,
    }
}

fn shared(page: Page) -> Found<OpenFile> {
    Found::Bytes {
        media_type: page.media_type,
        changes: false,
        tag: Some(page.tag),
        bytes: Bytes::Shared(page.bytes),
    }
}

impl Site for Files {
    type File = OpenFile;

    fn find(&mut self, path: &str, now_ns: u64) -> Result<Found<OpenFile>, Status> {
        if path == "/api/system" {
            let bytes = self.system.and_then(state::json);
            return Ok(Found::Bytes {
                media_type: "application/json",
                changes: true,
                tag: None,
                bytes: Bytes::Own(bytes.ok_or(Status::Unavailable)?),
            });
        }
        let is_top = path == "/";
        if is_top && now_ns < self.bare_until_ns {
            return Ok(FIRST);
        }
        match self.find_file(path, now_ns) {
            Err(Status::NotFound) if is_top => {
                self.bare_until_ns = now_ns.saturating_add(FRESH_NS);
                Ok(FIRST)
            }
            found => found,
        }
    }

    fn read(&mut self, file: &mut OpenFile, offset: u64, into: &mut [u8]) -> Result<usize, Status> {
        let door = self.fs.as_mut().ok_or(Status::Broken)?;
        let read = door.opened().and_then(|fs| fs.read(*file, offset, into));
        door.note(read).map_err(status)
    }

    fn close(&mut self, file: OpenFile) {
        if let Some(Ok(fs)) = self.fs.as_mut().map(Door::opened) {
            // A file server that was started anew knows it no more.
            let _ = fs.close(file);
        }
    }
}

fn status(error: Errno) -> Status {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Status::NotFound,
        Errno::ACCES | Errno::PERM => Status::Forbidden,
        Errno::NOMEM | Errno::CONNRESET | Errno::TIMEDOUT => Status::Unavailable,
        _ => Status::Broken,
    }
}
