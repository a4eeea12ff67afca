//! What `cargo xtask` can be told to do, a module for each verb.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod ci;
pub(crate) mod codegen;
pub(crate) mod flash;
pub(crate) mod gdb;
pub(crate) mod image;
pub(crate) mod load;
pub(crate) mod new;
pub(crate) mod qemu;
pub(crate) mod size;
pub(crate) mod soak;
pub(crate) mod system;
pub(crate) mod test;
