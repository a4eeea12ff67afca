//! The kernel on a host: objects in ordinary memory and a machine that records,
//! so that tests, explorers and servers' tests run the very core that runs on
//! the target.
//!
//! [`World`] boots such a kernel and lets threads make system calls;
//! [`check`] says whether every invariant holds.

mod check;
pub mod fuzz;
mod machine;
mod message;
mod state;
mod step;
mod store;
mod world;

pub use check::{Broken, check};
pub use machine::HostMachine;
pub use message::{Ask, Got};
pub use state::{describe, facts};
pub use step::Progress;
pub(crate) use store::entries;
pub use store::{HostStore, Lookups, Object};
pub use world::{PRIORITY, SLICE_NS, Thread, World};

/// The kernel on a host.
pub type HostKernel = crate::kernel::Kernel<HostStore, HostMachine>;
