//! What is served: files, the state of the system, and a first page.

use alloc::string::String;

use gritos_fs_client::{ComponentClient, Errno, FileType, Mode, OpenFile, OpenFlags, connect};
use gritos_http_core::{FIRST_PAGE, Found, Site, Status, media_type};
use gritos_idl_runtime::Cap as StubCap;
use gritos_system_api::System;

use crate::state;

/// The folder whose files are served.
const ROOT: &str = "/data/www";
/// What a folder shows.
const INDEX: &str = "index.html";

/// The site.
pub(crate) struct Files {
    fs: Option<ComponentClient>,
    system: Option<StubCap<System>>,
}

impl Files {
    /// Files of the service `fs` if the component may use it.
    pub(crate) fn new(system: Option<StubCap<System>>) -> Self {
        Self {
            fs: connect("fs").ok(),
            system,
        }
    }

    fn find_file(&mut self, path: &str) -> Result<Found<OpenFile>, Status> {
        let fs = self.fs.as_mut().ok_or(Status::NotFound)?;
        let mut name = String::from(ROOT);
        name.push_str(path);
        if path.ends_with('/') {
            name.push_str(INDEX);
        }
        let open = fs.open(&name, OpenFlags::READ, Mode::empty());
        let file = open.map_err(status)?;
        let found = match fs.fstat(file) {
            Ok(stat) if stat.file_type == FileType::Directory => Ok(Found::Folder),
            Ok(stat) => {
                return Ok(Found::File {
                    media_type: media_type(&name),
                    file,
                    length: stat.size,
                });
            }
            Err(error) => Err(status(error)),
        };
        // It was opened a moment ago; what comes of closing it concerns nobody.
        let _ = fs.close(file);
        found
    }
}

impl Site for Files {
    type File = OpenFile;

    fn find(&mut self, path: &str) -> Result<Found<OpenFile>, Status> {
        if path == "/api/system" {
            let bytes = self.system.and_then(state::json);
            return Ok(Found::Bytes {
                media_type: "application/json",
                changes: true,
                bytes: bytes.ok_or(Status::Unavailable)?.into(),
            });
        }
        match self.find_file(path) {
            Err(Status::NotFound) if path == "/" => Ok(Found::Bytes {
                media_type: media_type(INDEX),
                changes: false,
                bytes: FIRST_PAGE.into(),
            }),
            found => found,
        }
    }

    fn read(&mut self, file: &mut OpenFile, offset: u64, into: &mut [u8]) -> Result<usize, Status> {
        let fs = self.fs.as_mut().ok_or(Status::Broken)?;
        fs.read(*file, offset, into).map_err(status)
    }

    fn close(&mut self, file: OpenFile) {
        if let Some(fs) = &mut self.fs {
            // A file server that was started anew knows it no more.
            let _ = fs.close(file);
        }
    }
}

fn status(error: Errno) -> Status {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Status::NotFound,
        Errno::ACCES | Errno::PERM => Status::Forbidden,
        Errno::NOMEM | Errno::CONNRESET => Status::Unavailable,
        _ => Status::Broken,
    }
}
