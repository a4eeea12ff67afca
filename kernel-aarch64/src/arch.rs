//! The processor: address-space layout, translation tables of the kernel, exceptions of the kernel
//! itself, and the few instructions that Rust has no words for.

pub(crate) mod crc;
mod fastpath;
pub(crate) mod fault;
pub(crate) mod layout;
pub(crate) mod linear;
pub(crate) mod machine;
pub(crate) mod mmu;
pub(crate) mod semihosting;
pub(crate) mod trap;
