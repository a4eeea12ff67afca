//! Two stacks, back to back.

mod datagrams;
mod ends;
mod hostile;
mod limits;
mod names;
mod pause;
mod rest;
mod sim;
mod streams;
