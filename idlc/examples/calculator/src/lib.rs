//! The calculator of `docs/guide/write-a-server.md`: a server, and a port in
//! memory that its loop can be run on.
#![forbid(unsafe_code)]

pub mod port;
pub mod server;
