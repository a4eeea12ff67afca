//! An HTTP/1.1 server without a machine (RFC 9110, RFC 9112).
//!
//! A [`Connection`] reads requests from a [`Stream`], finds what they name in a [`Site`] and writes the
//! answers, as far as the stream takes them; it never waits. `GET` and `HEAD` are all that it does. What
//! a peer sends cannot make it use more than its fixed limits, name anything outside of the site, or panic.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cache;
mod connection;
mod head;
mod path;
mod range;
mod request;
mod tag;

pub use cache::{Cache, FILE_LIMIT, FRESH_NS, Kept, Page, Stamp};
pub use connection::{Connection, Memory, Progress, Stopped, Stream};
pub use head::{Status, media_type};
pub use path::resolve;
pub use range::Range;
pub use request::{HEAD_LIMIT, Method, Parsed, Request, parse};
pub use tag::Tag;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Deref;

/// The page that is shown where the site has none.
pub const FIRST_PAGE: &[u8] = include_bytes!("../../../fs/data/www/index.html");

/// Bytes in memory, whoever they belong to.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// The program's.
    Static(&'static [u8]),
    /// Made for one answer.
    Own(Vec<u8>),
    /// Kept for many.
    Shared(Rc<[u8]>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Something that can be sent.
#[derive(Debug)]
pub enum Found<F> {
    /// Bytes in memory.
    Bytes {
        /// What they are.
        media_type: &'static str,
        /// They change from request to request.
        changes: bool,
        /// Tells this state of them from others, if that is known.
        tag: Option<Tag>,
        /// They.
        bytes: Bytes,
    },
    /// A file of so many bytes.
    File {
        /// What it is.
        media_type: &'static str,
        /// It.
        file: F,
        /// Its length.
        length: u64,
        /// Tells this state of it from others.
        tag: Option<Tag>,
    },
    /// The path is a folder's without the slash at its end.
    Folder,
}

/// What is served.
pub trait Site {
    /// An open file.
    type File;

    /// What lies at an absolute path without dots, as [`resolve`] makes them, at `now_ns`.
    ///
    /// # Errors
    /// The status to answer with.
    fn find(&mut self, path: &str, now_ns: u64) -> Result<Found<Self::File>, Status>;

    /// Reads from a file at `offset`; how many bytes, at least one unless it has ended.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    fn read(
        &mut self,
        file: &mut Self::File,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Status>;

    /// Gives a file back.
    fn close(&mut self, file: Self::File);
}
