//! Devices that the kernel itself drives.

pub(crate) mod console;
pub(crate) mod gic;
pub(crate) mod power;
pub(crate) mod timer;
