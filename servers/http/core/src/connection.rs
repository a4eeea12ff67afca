//! One connection: requests in, answers out, one after the other.
//!
//! A request that arrives whole and is answered from memory costs one call to receive it and one to send
//! head and body, and no memory is asked for: input and head keep theirs from request to request.

use alloc::vec::Vec;

use crate::request::{HEAD_LIMIT, Method, Parsed, parse};
use crate::{Bytes, Site};

mod answer;

/// Bytes of a file that are read at a time.
const CHUNK: usize = 16 << 10;
/// Bytes of memory for input to begin with, and of output that are kept between requests.
const INPUT: usize = 1 << 10;
const OUTPUT: usize = 1 << 10;
/// Requests in a row, before others are heard.
const TURNS: usize = 8;
/// Nanoseconds that a peer may be silent between requests, and within one.
const IDLE_NS: u64 = 60_000_000_000;
const SLOW_NS: u64 = 15_000_000_000;
/// Most bytes that are taken of what a peer says after the last answer.
const IGNORED_LIMIT: usize = 1 << 20;

/// Why a stream moved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing is there, or there is no room.
    WouldBlock,
    /// The connection has ended, one way or another.
    Gone,
}

/// Bytes from and to the peer, without waiting.
///
/// Whoever drives a connection calls [`Connection::work`] again when something has arrived, when the peer has ended,
/// and when there is room after [`Stopped::WouldBlock`]; also if any of that happened before `work` returned.
pub trait Stream {
    /// Takes what has arrived; 0 bytes are the end. If `into` is not filled, nothing more was there.
    ///
    /// # Errors
    /// [`Stopped`].
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Stopped>;

    /// Sends as much of `first`, and then of `second`, as there is room for; how many bytes of both.
    ///
    /// # Errors
    /// [`Stopped`].
    fn send(&mut self, first: &[u8], second: &[u8]) -> Result<usize, Stopped>;

    /// Says that nothing more will be sent, and goes on receiving.
    ///
    /// # Errors
    /// [`Stopped`].
    fn end(&mut self) -> Result<(), Stopped>;
}

/// Memory of a connection that has ended, for the next.
#[derive(Debug, Default)]
pub struct Memory {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits for its peer.
    Wait,
    /// There is more to do at once.
    More,
    /// It is to be closed.
    Close,
}

/// What is still to be sent behind the output.
enum Body<F> {
    Nothing,
    Bytes {
        bytes: Bytes,
        sent: usize,
        end: usize,
    },
    File {
        file: F,
        offset: u64,
        left: u64,
    },
}

/// A connection.
pub struct Connection<F> {
    /// What has arrived is in its first `filled` bytes.
    input: Vec<u8>,
    filled: usize,
    /// What was put together and not sent; from `sent` on.
    output: Vec<u8>,
    sent: usize,
    body: Body<F>,
    /// Whether another request may follow the answer that is being sent.
    keep: bool,
    /// When it was last heard of.
    heard_ns: u64,
    /// The peer has said all that it will.
    ended: bool,
    /// The peer may still be talking when the last answer has been sent.
    talks: bool,
    /// The peer was told that there is no more, and what it says is taken and ignored: so many bytes of it.
    ignored: Option<usize>,
}

impl<F> core::fmt::Debug for Connection<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("input", &self.filled)
            .finish_non_exhaustive()
    }
}

impl<F> Connection<F> {
    /// A connection that began at `now_ns`.
    #[must_use]
    pub fn new(memory: Memory, now_ns: u64) -> Self {
        Self {
            input: memory.input,
            filled: 0,
            output: memory.output,
            sent: 0,
            body: Body::Nothing,
            keep: true,
            heard_ns: now_ns,
            ended: false,
            talks: false,
            ignored: None,
        }
    }

    /// Whether the peer has been silent for too long.
    #[must_use]
    pub fn is_late(&self, now_ns: u64) -> bool {
        let idle = self.filled == 0 && !self.is_busy() && self.ignored.is_none();
        let limit = if idle { IDLE_NS } else { SLOW_NS };
        now_ns.saturating_sub(self.heard_ns) >= limit
    }

    fn is_busy(&self) -> bool {
        self.sent < self.output.len() || !matches!(self.body, Body::Nothing)
    }

    /// Gives back what the site lent, and memory that another connection can have.
    pub fn finish<S: Site<File = F>>(mut self, site: &mut S) -> Memory {
        self.drop_body(site);
        self.output.clear();
        self.output.shrink_to(OUTPUT);
        if self.input.len() > INPUT {
            self.input = Vec::new();
        }
        Memory {
            input: self.input,
            output: self.output,
        }
    }

    fn drop_body<S: Site<File = F>>(&mut self, site: &mut S) {
        if let Body::File { file, .. } = core::mem::replace(&mut self.body, Body::Nothing) {
            site.close(file);
        }
    }

    /// Does what can be done now.
    pub fn work<S: Site<File = F>>(
        &mut self,
        stream: &mut impl Stream,
        site: &mut S,
        now_ns: u64,
    ) -> Progress {
        // Everything that had arrived was taken: to look again would be in vain.
        let mut is_drained = false;
        for _ in 0..TURNS {
            match self.flush(stream, site, now_ns) {
                Ok(()) => {}
                Err(Stopped::WouldBlock) => return Progress::Wait,
                Err(Stopped::Gone) => return Progress::Close,
            }
            if !self.keep {
                return match self.talks {
                    true => self.see_off(stream),
                    false => Progress::Close,
                };
            }
            if self.begin_answer(site, now_ns) {
                continue;
            }
            if self.ended {
                return Progress::Close;
            }
            if is_drained {
                return Progress::Wait;
            }
            match self.fill(stream) {
                Ok((0, _)) => self.ended = true,
                Ok((_, drained)) => {
                    is_drained = drained;
                    self.heard_ns = now_ns;
                }
                Err(Stopped::WouldBlock) => return Progress::Wait,
                Err(Stopped::Gone) => return Progress::Close,
            }
        }
        Progress::More
    }

    /// Takes what the peer still says. To close with something unread resets the connection, and with it may go the
    /// answer before the peer has read it (RFC 9112, "Tear-down").
    fn see_off(&mut self, stream: &mut impl Stream) -> Progress {
        if self.ignored.is_none() {
            self.ignored = Some(0);
            self.filled = 0;
            if self.ended || stream.end().is_err() {
                return Progress::Close;
            }
        }
        if self.input.len() < INPUT {
            self.input.resize(INPUT, 0);
        }
        for _ in 0..TURNS {
            match stream.receive(&mut self.input) {
                Ok(0) | Err(Stopped::Gone) => return Progress::Close,
                Err(Stopped::WouldBlock) => return Progress::Wait,
                Ok(count) => {
                    let ignored = self.ignored.unwrap_or(0).saturating_add(count);
                    if ignored > IGNORED_LIMIT {
                        return Progress::Close;
                    }
                    self.ignored = Some(ignored);
                }
            }
        }
        Progress::More
    }

    /// Receives; how many bytes, and whether that was all.
    fn fill(&mut self, stream: &mut impl Stream) -> Result<(usize, bool), Stopped> {
        if self.filled == self.input.len() {
            // A head that is as long as it may be has been refused before.
            let length = (2 * self.filled).clamp(INPUT, HEAD_LIMIT.max(self.filled + 1));
            self.input.resize(length, 0);
        }
        let room = self.input.get_mut(self.filled..).unwrap_or(&mut []);
        let count = stream.receive(room)?.min(room.len());
        let is_all = count < room.len();
        self.filled += count;
        Ok((count, is_all))
    }

    /// Takes the first `count` bytes out of the input.
    fn use_up(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.input.copy_within(count..self.filled, 0);
        self.filled -= count;
        if self.filled == 0 && self.input.len() > INPUT {
            self.input = Vec::new();
        }
    }

    /// Sends what was put together, then the body.
    fn flush<S: Site<File = F>>(
        &mut self,
        stream: &mut impl Stream,
        site: &mut S,
        now_ns: u64,
    ) -> Result<(), Stopped> {
        loop {
            loop {
                let first = self.output.get(self.sent..).unwrap_or(&[]);
                let second = match &self.body {
                    Body::Bytes { bytes, sent, end } => bytes.get(*sent..*end),
                    Body::Nothing | Body::File { .. } => None,
                };
                let second = second.unwrap_or(&[]);
                if first.is_empty() && second.is_empty() {
                    break;
                }
                let count = stream.send(first, second)?;
                let of_first = count.min(first.len());
                self.heard_ns = now_ns;
                self.sent += of_first;
                if let Body::Bytes { sent, .. } = &mut self.body {
                    *sent += count - of_first;
                }
            }
            self.sent = 0;
            self.output.clear();
            if !matches!(self.body, Body::File { .. }) {
                self.body = Body::Nothing;
                self.output.shrink_to(OUTPUT);
                return Ok(());
            }
            self.read_chunk(site)?;
        }
    }

    /// Puts the next part of a file into the output, and gives the file back after the last.
    fn read_chunk<S: Site<File = F>>(&mut self, site: &mut S) -> Result<(), Stopped> {
        let Body::File { file, offset, left } = &mut self.body else {
            return Ok(());
        };
        let wanted = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
        self.output.resize(wanted, 0);
        let read = match wanted {
            0 => Ok(0),
            _ => site.read(file, *offset, &mut self.output),
        };
        let count = read.unwrap_or(0).min(wanted);
        self.output.truncate(count);
        *offset += count as u64;
        *left -= count as u64;
        let failed = wanted > 0 && count == 0;
        if *left == 0 || failed {
            self.drop_body(site);
        }
        if failed {
            // Less than was promised: the peer sees that by the end of the connection.
            return Err(Stopped::Gone);
        }
        Ok(())
    }

    /// Begins to answer the next request, if one has arrived.
    fn begin_answer<S: Site<File = F>>(&mut self, site: &mut S, now_ns: u64) -> bool {
        let input = self.input.get(..self.filled).unwrap_or(&[]);
        // Some send line feeds behind a request (RFC 9112, "Message Parsing").
        let blank = input
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let input = input.get(blank..).unwrap_or(&[]);
        if input.is_empty() {
            return false;
        }
        let out = &mut self.output;
        let used = match parse(input) {
            Parsed::Partial => return false,
            Parsed::Refused(status) => {
                self.body = answer::refuse(out, status, false, Method::Get);
                self.keep = false;
                self.talks = true;
                input.len()
            }
            Parsed::Request(request, used) => {
                self.body = answer::answer(out, &request, site, now_ns);
                self.keep = request.keep;
                used
            }
        };
        self.sent = 0;
        self.use_up(blank + used);
        self.talks |= !self.keep && self.filled > 0;
        true
    }
}
