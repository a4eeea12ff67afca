//! Clients and servers of interfaces, over the kernel.
//!
//! Generated stubs are written against two seams of `gritos-idl-runtime`. This
//! crate fills them: [`Kernel`] carries a client's calls, [`Port`] receives for
//! a server. Beside them stands what every server needs: a bounded table of
//! [`Clients`], the [`Buffers`] that they register, and [`start`], which makes
//! a component ready to use any of it.
//!
//! A server in full:
//!
//! ```text
//! gritos_sys::entry!(main);
//!
//! fn main(_: u64) {
//!     let Ok(environment) = gritos_service::start() else { return };
//!     let Some(endpoint) = environment.endpoint("echo") else { return };
//!     let Ok(mut port) = Port::<1>::new(endpoint, 4) else { return };
//!     serve::<Echo, _, _>(&mut port, &mut MyEcho::default());
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub use gritos_base_api as base;
pub use gritos_idl_runtime as idl;

mod buffers;
mod clients;
mod component;
mod port;
mod settings;
mod transport;

pub use buffers::{BADGE_BUFFER, BufferMemory, Buffers, MapMemory, Mapped, SharedMapper, Use};
pub use clients::Clients;
pub use component::{call_cap, memory_cap, object_cap, start};
pub use port::{Port, adopt};
pub use settings::{Setting, SettingError, read_settings};
pub use transport::{Kernel, release};
