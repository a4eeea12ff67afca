//! Devices that the kernel itself drives.

pub(crate) mod console;
