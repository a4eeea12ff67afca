//! The file server's logic against POSIX's rules, models, broken disks and power cuts.
mod alarm;
mod cache;
mod client;
mod damage;
mod foreign;
mod fsx;
mod grow;
mod hostile;
#[cfg(target_os = "linux")]
mod linux;
mod partitions;
mod posix;
mod power;
mod rules;
mod shapes;
mod stress;
mod support;
mod tree;
mod wire;
