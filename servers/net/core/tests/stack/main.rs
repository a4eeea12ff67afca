//! Two stacks, back to back.

mod datagrams;
mod ends;
mod hardware;
mod hostile;
mod limits;
mod many;
mod names;
mod neighbours;
mod pause;
mod rest;
mod scripted;
mod scripts;
mod sim;
mod storms;
mod streams;
