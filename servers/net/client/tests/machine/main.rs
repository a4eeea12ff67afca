//! The client library and the service, over calls, in one machine.

mod bsd;
mod common;
mod hostile;
mod rings;
mod rust;
