//! One folder with many files.

use alloc::format;
use alloc::string::String;

use gritos_fs_client::Link;
use gritos_fs_client::posix::{O_CREAT, O_EXCL, O_RDWR};
use gritos_service::BufferMemory;

use crate::Site;

/// Files if nobody says how many.
const FILES: u32 = 10_000;

/// The name of a file, which is also what it contains.
#[must_use]
pub fn name(number: u32) -> String {
    format!("file-{number:05}-of-many")
}

/// Makes files in the folder of the site, lists them, and removes every second; the others are left for whoever
/// looks at the disk.
///
/// # Errors
/// What was not as it should be.
pub fn run<T: Link, M: BufferMemory>(
    site: &mut Site<'_, T, M>,
    files: Option<u32>,
) -> Result<String, String> {
    let files = files.unwrap_or(FILES);
    for number in 0..files {
        let name = name(number);
        let path = site.at(&name);
        let fd = done!(site.posix.open(&path, O_RDWR | O_CREAT | O_EXCL, 0o644));
        if number % 100 == 0 {
            same!(site.posix.write(fd, name.as_bytes()), Ok(name.len()));
        }
        done!(site.posix.close(fd));
    }
    same!(count(site)?, files);
    for number in (0..files).step_by(97) {
        let size = done!(site.posix.stat(&site.at(&name(number)))).size;
        same!(size > 0, number % 100 == 0);
    }
    for number in (1..files).step_by(2) {
        done!(site.posix.unlink(&site.at(&name(number))));
    }
    same!(count(site)?, files.div_ceil(2));
    done!(site.posix.sync());
    Ok(format!("{files} files"))
}

fn count<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Result<u32, String> {
    let mut dir = done!(site.posix.opendir(&site.folder));
    let mut count = 0;
    while done!(site.posix.readdir(&mut dir)).is_some() {
        count += 1;
    }
    done!(site.posix.closedir(dir));
    Ok(count)
}
