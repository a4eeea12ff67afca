//! What was received and not yet read, and who may read it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use gritos_console_api::{ConsoleError, InputEvents};

/// Bytes that wait at most. A paste of 64 KiB fits whole; what is longer waits at the sender.
pub const INPUT_BYTES: usize = 80 << 10;
/// How often input may be lent on.
pub const OWNER_LIMIT: usize = 8;
/// Place kept for bytes that a probe had set aside.
const RESERVE: usize = 32;

/// The input.
#[derive(Debug)]
pub struct Input {
    bytes: VecDeque<u8>,
    events: InputEvents,
    /// Who has the input, behind those who lent it.
    owners: Vec<u32>,
    most: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

impl Input {
    /// Input of which nothing has arrived, and which nobody has.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: VecDeque::with_capacity(INPUT_BYTES),
            events: InputEvents::empty(),
            owners: Vec::with_capacity(OWNER_LIMIT),
            most: 0,
        }
    }

    /// How many bytes may be fetched from the line.
    #[must_use]
    pub fn room(&self) -> usize {
        (INPUT_BYTES - RESERVE).saturating_sub(self.bytes.len())
    }

    /// Appends a byte. Whether there was place for it, which [`room`](Self::room) says beforehand.
    pub fn push(&mut self, byte: u8) -> bool {
        let fits = self.bytes.len() < INPUT_BYTES;
        if fits {
            self.bytes.push_back(byte);
            self.most = self.most.max(self.bytes.len());
        }
        fits
    }

    /// Forgets the bytes that nobody has read.
    pub fn drop_bytes(&mut self) {
        self.bytes.clear();
    }

    /// Remembers what happened until somebody reads.
    pub fn note(&mut self, events: InputEvents) {
        self.events |= events;
    }

    /// Whether a read would return at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.bytes.is_empty() || !self.events.is_empty()
    }

    /// Copies the next bytes to `to`: how many, and what happened.
    pub fn peek(&self, to: &mut [u8]) -> (usize, InputEvents) {
        let count = self.bytes.len().min(to.len());
        to.iter_mut()
            .zip(&self.bytes)
            .for_each(|(place, byte)| *place = *byte);
        (count, self.events)
    }

    /// Forgets what a reader has got: so many bytes, and the events.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        self.events = InputEvents::empty();
    }

    /// Most bytes that ever waited.
    #[must_use]
    pub const fn most_waiting(&self) -> usize {
        self.most
    }

    /// Who has the input.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        self.owners.last().copied()
    }

    /// Lets `client` read, if it has the input or nobody has.
    ///
    /// # Errors
    /// `Busy` if another client has it.
    pub fn claim(&mut self, client: u32) -> Result<(), ConsoleError> {
        match self.owner() {
            None => self.owners.push(client),
            Some(owner) if owner == client => {}
            Some(_) => return Err(ConsoleError::Busy),
        }
        Ok(())
    }

    /// Lends the input of `from` to `to`.
    ///
    /// # Errors
    /// `NotOwner`; `Invalid` if `to` is in the chain of lenders already; `Limit`.
    pub fn lend(&mut self, from: u32, to: u32) -> Result<(), ConsoleError> {
        if self.owner() != Some(from) {
            return Err(ConsoleError::NotOwner);
        }
        if self.owners.contains(&to) {
            return Err(ConsoleError::Invalid);
        }
        if self.owners.len() >= OWNER_LIMIT {
            return Err(ConsoleError::Limit);
        }
        self.owners.push(to);
        Ok(())
    }

    /// Gives the input of `client` back to who lent it.
    ///
    /// # Errors
    /// `NotOwner`.
    pub fn release(&mut self, client: u32) -> Result<(), ConsoleError> {
        if self.owner() != Some(client) {
            return Err(ConsoleError::NotOwner);
        }
        self.owners.pop();
        Ok(())
    }

    /// Takes a client that is gone out of the chain, wherever it is. Whether it was there.
    pub fn forget(&mut self, client: u32) -> bool {
        let before = self.owners.len();
        self.owners.retain(|owner| *owner != client);
        self.owners.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUT_BYTES, Input, OWNER_LIMIT};
    use gritos_console_api::{ConsoleError, InputEvents};

    #[test]
    fn bytes_come_out_as_they_went_in_and_only_once_consumed() {
        let mut input = Input::new();
        let mut taken = alloc::vec::Vec::<u8>::new();
        let wanted: alloc::vec::Vec<u8> = (0..64 << 10).map(|i| (i * 7 % 251) as u8).collect();
        for &byte in &wanted {
            assert!(input.room() > 0 && input.push(byte));
        }
        assert_eq!(input.most_waiting(), 64 << 10);
        let mut part = [0; 62];
        while input.is_ready() {
            let (count, _) = input.peek(&mut part);
            assert_eq!(input.peek(&mut part).0, count, "peeking takes nothing");
            taken.extend(&part[..count]);
            input.consume(count);
        }
        assert_eq!(taken, wanted);
    }

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let mut input = Input::new();
        let pushed = (0..INPUT_BYTES + 10).filter(|_| input.push(b'x')).count();
        assert_eq!(pushed, INPUT_BYTES);
        assert!(input.room() == 0 && !input.push(b'y'));
        input.consume(100);
        assert!(input.room() > 0);
    }

    #[test]
    fn events_alone_make_a_read_ready_and_are_told_once() {
        let mut input = Input::new();
        input.note(InputEvents::BREAK);
        input.note(InputEvents::OVERRUN);
        assert!(input.is_ready());
        let (count, events) = input.peek(&mut [0; 4]);
        assert_eq!(
            (count, events),
            (0, InputEvents::BREAK | InputEvents::OVERRUN)
        );
        input.consume(0);
        assert!(!input.is_ready());
    }

    #[test]
    fn input_belongs_to_one_at_a_time_and_returns_to_who_lent_it() {
        let mut input = Input::new();
        assert_eq!(input.claim(1), Ok(()));
        assert_eq!(input.claim(1), Ok(()));
        assert_eq!(input.claim(2), Err(ConsoleError::Busy));
        assert_eq!(input.lend(2, 3), Err(ConsoleError::NotOwner));
        assert_eq!(input.lend(1, 1), Err(ConsoleError::Invalid));
        assert_eq!(input.lend(1, 2), Ok(()));
        assert_eq!(input.claim(1), Err(ConsoleError::Busy));
        assert_eq!(input.lend(2, 3), Ok(()));
        // A lender in the middle disappears; the last one still returns it to the first.
        assert!(input.forget(2));
        assert!(!input.forget(2));
        assert_eq!(input.release(3), Ok(()));
        assert_eq!(input.owner(), Some(1));
        assert_eq!(input.release(3), Err(ConsoleError::NotOwner));
        assert_eq!(input.release(1), Ok(()));
        assert_eq!(input.claim(9), Ok(()));
    }

    #[test]
    fn lending_on_ends_somewhere() {
        let mut input = Input::new();
        input.claim(1).expect("nobody has it");
        let lent = (1..100).take_while(|&n| input.lend(n, n + 1).is_ok());
        assert_eq!(lent.count(), OWNER_LIMIT - 1);
    }
}
