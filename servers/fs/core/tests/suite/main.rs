//! The file server's logic against POSIX's rules, models, broken disks and power cuts.
mod cache;
mod fsx;
mod partitions;
mod posix;
mod power;
mod support;
mod tree;
