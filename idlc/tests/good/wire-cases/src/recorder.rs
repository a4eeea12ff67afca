//! Remembers what passes through a transport.

use core::cell::Cell;

use gritos_idl_runtime::{Address, Incoming, Outcome, Outgoing, Transport, Words};

/// A transport around another.
#[derive(Debug)]
pub struct Recorder<'a, T> {
    inner: T,
    words: &'a Cell<Words>,
}

impl<'a, T> Recorder<'a, T> {
    /// Wraps a transport; `words` becomes those of each message.
    pub const fn new(inner: T, words: &'a Cell<Words>) -> Self {
        Self { inner, words }
    }
}

impl<T: Transport> Transport for Recorder<'_, T> {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        self.words.set(message.words);
        self.inner.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.words.set(message.words);
        self.inner.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.inner.discard(incoming);
    }
}
