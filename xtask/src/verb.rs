//! What `cargo xtask` can be told to do, a module for each verb.

pub(crate) mod image;
pub(crate) mod qemu;
pub(crate) mod test;
