//! What POSIX.1-2024 promises of files, as tests through the client library.
//!
//! The same source runs on a host, against the server's logic, and on the target, against the server, its
//! driver and a disk. [`rules`] are statements about single calls and their errors, after what `pjdfstest`
//! covers where users and permissions have no part; [`fsx`] reads, writes and cuts one file at random and
//! compares with a copy; [`many`] fills one folder; [`stress`] is one of many clients that work at once, each of which knows what must be
//! in its own folder.
//!
//! Nothing here panics: a test returns [`Verdict`], and whoever runs it says so.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;

use gritos_fs_client::Link;
use gritos_fs_client::posix::Posix;
use gritos_service::BufferMemory;

#[macro_use]
mod verdict;

pub mod fsx;
pub mod many;
mod random;
pub mod rules;
pub mod stress;

pub use random::Random;

/// Nothing, or what was not as it should be.
pub type Verdict = Result<(), String>;

/// Where a test works.
#[derive(Debug)]
pub struct Site<'a, T: Link, M: BufferMemory> {
    /// The program's files.
    pub posix: &'a mut Posix<T, M>,
    /// A folder of the test's own.
    pub folder: String,
    /// A folder on another file system.
    pub elsewhere: &'a str,
    /// Nobody else changes anything on the folder's file system meanwhile.
    pub alone: bool,
}

impl<T: Link, M: BufferMemory> Site<'_, T, M> {
    /// A path in the folder.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        alloc::format!("{}/{name}", self.folder)
    }
}
