//! The processor: address-space layout, exceptions of the kernel itself, system registers.

pub(crate) mod fault;
pub(crate) mod layout;
