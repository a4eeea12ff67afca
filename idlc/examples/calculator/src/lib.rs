//! The calculator of `docs/guide/write-a-server.md`: a server, and a port in
//! memory that its loop can be run on.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod port;
pub mod server;
