//! The file server's logic against POSIX's rules, models, broken disks and power cuts.
mod cache;
mod client;
mod fsx;
mod hostile;
mod partitions;
mod posix;
mod power;
mod support;
mod tree;
mod wire;
