//! The echo service of `docs/guide/write-a-server.md`.
#![no_std]
#![forbid(unsafe_code)]

use example_echo_api::EchoServer;
use gritos_idl_runtime::{Caller, Hooks, Text};

/// Says what it hears.
#[derive(Debug)]
pub struct Parrot;

impl EchoServer for Parrot {
    fn echo(&mut self, _caller: Caller, text: Text<55>) -> Text<55> {
        text
    }
}

/// Nothing is to be done between messages.
impl<P> Hooks<P> for Parrot {}
