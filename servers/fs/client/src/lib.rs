//! Files for programs.
//!
//! A [`Client`] has a session with the file server and memory that both see; it copies
//! paths and data there, makes the calls, and takes care of every capability. On it
//! stand [`posix::Posix`], with descriptors, positions and `errno`, and [`File`] and
//! [`ReadDir`] for programs in Rust.
//!
//! When the file server was restarted, what was open is [`Errno::STALE`]; the client
//! registers its memory again by itself, and paths work as before.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub use gritos_fs_api as api;
pub use gritos_fs_api::{
    DirectoryEntry, FileSystemStat, FileType, Mode, MountEntry, OpenFlags, Stat,
};

mod client;
#[cfg(target_os = "none")]
mod component;
mod errno;
mod file;
pub mod posix;

pub use client::{Client, Link, MEMORY_BYTES, OpenFile};
#[cfg(target_os = "none")]
pub use component::{ComponentClient, ComponentLink, connect};
pub use errno::Errno;
pub use file::{File, ReadDir};
