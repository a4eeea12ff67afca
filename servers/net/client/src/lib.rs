//! Sockets for programs.
//!
//! [`Net`] is a program's way to the network service: a session, and memory that
//! it shares with the service for data and addresses. [`Socket`] has the
//! calls of BSD by their names; [`TcpStream`], [`TcpListener`] and
//! [`UdpSocket`] are what Rust programs know, with addresses of `core::net` and the traits
//! of `embedded-io`. A [`RingStream`] moves much with few calls.
//!
//! Everything here is for one thread: calls of one [`Net`] use the same memory.
//! A program with several threads attaches one for each.
#![no_std]
#![forbid(unsafe_code)]

pub use gritos_net_api as api;

mod address;
mod error;
mod local;
mod net;
mod rings;
mod socket;
mod stream;
mod udp;

pub use error::Error;
pub use local::{KernelBell, Local, SharedMemory};
pub use net::Net;
pub use rings::{Bell, RingMemory, RingStream};
pub use socket::Socket;
pub use stream::{TcpListener, TcpStream};
pub use udp::UdpSocket;
