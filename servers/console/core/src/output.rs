//! What clients have written and the line has not taken yet.
//!
//! Each client has a queue; the line is given to one after the other, for one line of text each time. Whoever
//! falls silent in the middle of a line keeps its turn for a short while, longer if the line is a frame for the host, as long as
//! others wait; then the line is ended for it, and it is told that what it shows was disturbed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Bytes that a client may have unsent.
pub const QUEUE_BYTES: usize = 2048;
/// Clients that can have unsent bytes at a time.
pub const WRITER_LIMIT: usize = 32;
/// Bytes after which a line that does not end is interrupted for others. Every frame is shorter.
pub const LINE_LIMIT: usize = 4096;
/// How long others wait for the rest of a line, in nanoseconds.
const PATIENCE_NS: u64 = 20_000_000;
/// The same for the rest of a frame.
const FRAME_PATIENCE_NS: u64 = 2_000_000_000;
/// First byte of a frame (`docs/reference/serial-frames.md`).
const FRAME: u8 = 0x1e;

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This byte.
    Byte(u8),
    /// Nothing.
    Nothing,
    /// Nothing, unless nothing new is written until this time in nanoseconds.
    NothingUntil(u64),
}

#[derive(Debug)]
struct Writer {
    client: u32,
    queue: VecDeque<u8>,
    /// Its unfinished line was ended for it.
    disturbed: bool,
    /// It is gone; what it wrote is still sent.
    gone: bool,
    /// When it last had a turn, as a number that grows.
    turn: u64,
}

/// The line while one writer has it.
#[derive(Clone, Copy, Debug)]
struct Line {
    client: u32,
    sent: usize,
    is_frame: bool,
    /// When the last byte of it was sent.
    since: u64,
}

/// All queues.
#[derive(Debug, Default)]
pub struct Output {
    writers: Vec<Writer>,
    line: Option<Line>,
    /// A line feed that is to follow a carriage return.
    feed: bool,
    last_was_return: bool,
    turns: u64,
    known: u32,
}

impl Output {
    /// Nothing to send.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of `client`. Whether they were taken: all or none, for lack of place in its queue, or for lack of a queue.
    pub fn write(&mut self, client: u32, bytes: &[u8]) -> bool {
        let Some(writer) = self.writer(client) else {
            return false;
        };
        let fits = writer.queue.len() + bytes.len() <= QUEUE_BYTES;
        if fits {
            writer.queue.extend(bytes);
        }
        fits
    }

    /// Whether nothing of `client` is unsent.
    #[must_use]
    pub fn is_drained(&self, client: u32) -> bool {
        self.find(client)
            .is_none_or(|writer| writer.queue.is_empty())
    }

    /// Whether `client` has lines that were ended for it and has written none since; asking clears it.
    pub fn take_disturbed(&mut self, client: u32) -> bool {
        self.writers
            .iter_mut()
            .find(|writer| writer.client == client)
            .is_some_and(|writer| core::mem::take(&mut writer.disturbed))
    }

    /// Whether [`take_disturbed`](Self::take_disturbed) would say so.
    #[must_use]
    pub fn is_disturbed(&self, client: u32) -> bool {
        self.find(client).is_some_and(|writer| writer.disturbed)
    }

    /// Remembers that `client` is gone: its queue goes once it is sent. Whether it had one.
    pub fn forget(&mut self, client: u32) -> bool {
        let found = self
            .writers
            .iter_mut()
            .find(|writer| writer.client == client);
        let known = found.map(|writer| writer.gone = true).is_some();
        self.clean_up();
        known
    }

    /// How many clients have written so far.
    #[must_use]
    pub const fn clients(&self) -> u32 {
        self.known
    }

    /// Takes the next byte to send at time `now`, in nanoseconds.
    pub fn next(&mut self, now: u64) -> Next {
        if core::mem::take(&mut self.feed) {
            self.last_was_return = false;
            return Next::Byte(b'\n');
        }
        loop {
            let Some(mut line) = self.line else {
                match self.choose(now) {
                    Some(line) => self.line = Some(line),
                    None => return Next::Nothing,
                }
                continue;
            };
            let others = self.others_wait(line.client);
            let writer = self.writers.iter_mut().find(|w| w.client == line.client);
            let Some(writer) = writer else {
                self.line = None;
                continue;
            };
            if others && line.sent >= LINE_LIMIT {
                return self.interrupt();
            }
            match writer.queue.pop_front() {
                Some(byte) => {
                    line.is_frame |= line.sent == 0 && byte == FRAME;
                    (line.sent, line.since) = (line.sent + 1, now);
                    self.line = Some(line);
                    return Next::Byte(self.sent(byte));
                }
                None if !others && !writer.gone => return Next::Nothing,
                None if writer.gone => return self.interrupt(),
                None => {
                    let patience = if line.is_frame {
                        FRAME_PATIENCE_NS
                    } else {
                        PATIENCE_NS
                    };
                    let end = line.since.saturating_add(patience);
                    if now < end {
                        return Next::NothingUntil(end);
                    }
                    return self.interrupt();
                }
            }
        }
    }

    /// What goes out for `byte` of the current line.
    fn sent(&mut self, byte: u8) -> u8 {
        if byte != b'\n' {
            self.last_was_return = byte == b'\r';
            return byte;
        }
        if let Some(line) = self.line.take()
            && let Some(writer) = self.writers.iter_mut().find(|w| w.client == line.client)
        {
            writer.disturbed = false;
        }
        self.clean_up();
        if self.last_was_return {
            self.last_was_return = false;
            return b'\n';
        }
        self.feed = true;
        b'\r'
    }

    /// Ends the current line for its writer.
    fn interrupt(&mut self) -> Next {
        if let Some(line) = self.line.take()
            && let Some(writer) = self.writers.iter_mut().find(|w| w.client == line.client)
        {
            writer.disturbed = true;
        }
        self.clean_up();
        self.feed = true;
        Next::Byte(b'\r')
    }

    /// Gives the line to the one who has waited longest.
    fn choose(&mut self, now: u64) -> Option<Line> {
        let writer = self
            .writers
            .iter_mut()
            .filter(|writer| !writer.queue.is_empty())
            .min_by_key(|writer| writer.turn)?;
        self.turns += 1;
        writer.turn = self.turns;
        Some(Line {
            client: writer.client,
            sent: 0,
            is_frame: false,
            since: now,
        })
    }

    fn others_wait(&self, client: u32) -> bool {
        self.writers
            .iter()
            .any(|writer| writer.client != client && !writer.queue.is_empty())
    }

    fn find(&self, client: u32) -> Option<&Writer> {
        self.writers.iter().find(|writer| writer.client == client)
    }

    /// The queue of `client`, made if it has none; a queue that is empty and unused makes place for it.
    fn writer(&mut self, client: u32) -> Option<&mut Writer> {
        if self.find(client).is_none() {
            let mut queue = VecDeque::new();
            if self.writers.len() >= WRITER_LIMIT {
                let holder = self.line.map(|line| line.client);
                let idle = self
                    .writers
                    .iter()
                    .enumerate()
                    .filter(|(_, w)| w.queue.is_empty() && Some(w.client) != holder)
                    .min_by_key(|(_, w)| w.turn)?
                    .0;
                queue = self.writers.swap_remove(idle).queue;
            }
            queue.reserve_exact(QUEUE_BYTES);
            self.known = self.known.saturating_add(1);
            self.writers.push(Writer {
                client,
                queue,
                disturbed: false,
                gone: false,
                turn: self.turns,
            });
        }
        let writer = self.writers.iter_mut().find(|w| w.client == client)?;
        writer.gone = false;
        Some(writer)
    }

    /// Removes queues of clients that are gone, once sent.
    fn clean_up(&mut self) {
        let holder = self.line.map(|line| line.client);
        self.writers.retain(|writer| {
            !writer.gone || !writer.queue.is_empty() || Some(writer.client) == holder
        });
    }
}

#[cfg(test)]
mod tests;
