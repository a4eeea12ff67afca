//! One connection: requests in, answers out, one after the other.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use crate::head::Head;
use crate::path::resolve;
use crate::request::{HEAD_LIMIT, Method, Parsed, Request, parse};
use crate::{Found, Range, Site, Status};

/// Bytes of a file that are read at a time.
const CHUNK: usize = 16 << 10;
/// Requests in a row, before others are heard.
const TURNS: usize = 8;
/// Nanoseconds that a peer may be silent between requests, and within one.
const IDLE_NS: u64 = 60_000_000_000;
const SLOW_NS: u64 = 15_000_000_000;

/// Why a stream moved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing is there, or there is no room.
    WouldBlock,
    /// The connection has ended, one way or another.
    Gone,
}

/// Bytes from and to the peer, without waiting.
pub trait Stream {
    /// Takes what has arrived; 0 bytes are the end.
    ///
    /// # Errors
    /// [`Stopped`].
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Stopped>;

    /// Sends as much as there is room for.
    ///
    /// # Errors
    /// [`Stopped`].
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Stopped>;
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

/// What is still to be sent.
enum Body<F> {
    Nothing,
    Bytes {
        bytes: Cow<'static, [u8]>,
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
    input: Vec<u8>,
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
}

impl<F> core::fmt::Debug for Connection<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("input", &self.input.len())
            .finish_non_exhaustive()
    }
}

impl<F> Connection<F> {
    /// A connection that began at `now_ns`.
    #[must_use]
    pub const fn new(now_ns: u64) -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            body: Body::Nothing,
            keep: true,
            heard_ns: now_ns,
            ended: false,
        }
    }

    /// Whether the peer has been silent for too long.
    #[must_use]
    pub fn is_late(&self, now_ns: u64) -> bool {
        let idle = self.input.is_empty() && !self.is_busy();
        let limit = if idle { IDLE_NS } else { SLOW_NS };
        now_ns.saturating_sub(self.heard_ns) >= limit
    }

    fn is_busy(&self) -> bool {
        self.sent < self.output.len() || !matches!(self.body, Body::Nothing)
    }

    /// Gives back what the site lent.
    pub fn finish<S: Site<File = F>>(self, site: &mut S) {
        if let Body::File { file, .. } = self.body {
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
        for _ in 0..TURNS {
            match self.flush(stream, site, now_ns) {
                Ok(()) => {}
                Err(Stopped::WouldBlock) => return Progress::Wait,
                Err(Stopped::Gone) => return Progress::Close,
            }
            if !self.keep {
                return Progress::Close;
            }
            if self.begin_answer(site) {
                continue;
            }
            if self.ended {
                return Progress::Close;
            }
            match self.fill(stream) {
                Ok(0) => self.ended = true,
                Ok(_) => self.heard_ns = now_ns,
                Err(Stopped::WouldBlock) => return Progress::Wait,
                Err(Stopped::Gone) => return Progress::Close,
            }
        }
        Progress::More
    }

    fn fill(&mut self, stream: &mut impl Stream) -> Result<usize, Stopped> {
        let mut room = [0; 2048];
        let most = HEAD_LIMIT.saturating_sub(self.input.len()).min(room.len());
        let count = stream.receive(room.get_mut(..most.max(1)).unwrap_or(&mut []))?;
        self.input
            .extend_from_slice(room.get(..count).unwrap_or(&[]));
        Ok(count)
    }

    /// Sends what was put together, then the body.
    fn flush<S: Site<File = F>>(
        &mut self,
        stream: &mut impl Stream,
        site: &mut S,
        now_ns: u64,
    ) -> Result<(), Stopped> {
        loop {
            while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
                self.sent += stream.send(rest)?;
                self.heard_ns = now_ns;
            }
            self.output.clear();
            self.sent = 0;
            match &mut self.body {
                Body::Nothing => return Ok(()),
                Body::Bytes { bytes, sent, end } => {
                    while let Some(rest) = bytes.get(*sent..*end).filter(|rest| !rest.is_empty()) {
                        *sent += stream.send(rest)?;
                        self.heard_ns = now_ns;
                    }
                    self.body = Body::Nothing;
                }
                Body::File { file, offset, left } => {
                    let count = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
                    let mut chunk = vec![0; count];
                    let read = match count {
                        0 => Ok(0),
                        _ => site.read(file, *offset, &mut chunk),
                    };
                    let failed = *left > 0 && !matches!(read, Ok(1..));
                    let count = read.unwrap_or(0).min(count);
                    chunk.truncate(count);
                    *offset += count as u64;
                    *left -= count as u64;
                    if *left == 0 || failed {
                        let body = core::mem::replace(&mut self.body, Body::Nothing);
                        if let Body::File { file, .. } = body {
                            site.close(file);
                        }
                    }
                    if failed {
                        // Less than was promised: the peer sees that by the end of the connection.
                        return Err(Stopped::Gone);
                    }
                    self.output = chunk;
                }
            }
        }
    }

    /// Begins to answer the next request, if one has arrived. Small answers go out in one piece.
    fn begin_answer<S: Site<File = F>>(&mut self, site: &mut S) -> bool {
        // Some send line feeds behind a request (RFC 9112, "Message Parsing").
        let blank = self
            .input
            .iter()
            .take_while(|byte| b"\r\n".contains(byte))
            .count();
        let input = self.input.get(blank..).unwrap_or(&[]);
        if input.is_empty() {
            return false;
        }
        let (answer, used) = match parse(input) {
            Parsed::Partial => return false,
            Parsed::Refused(status) => (refuse(status, false, Method::Get), input.len()),
            Parsed::Request(request, used) => (answer(&request, site), used),
        };
        self.input.drain(..(blank + used).min(self.input.len()));
        let Answer { head, body, keep } = answer;
        self.output = head;
        self.sent = 0;
        self.body = body;
        self.keep = keep;
        self.join_small_body();
        true
    }

    fn join_small_body(&mut self) {
        const SMALL: usize = 8 << 10;
        if let Body::Bytes { bytes, sent, end } = &self.body
            && end - sent <= SMALL
        {
            let part = bytes.get(*sent..*end).unwrap_or(&[]);
            self.output.extend_from_slice(part);
            self.body = Body::Nothing;
        }
    }
}

struct Answer<F> {
    head: Vec<u8>,
    body: Body<F>,
    keep: bool,
}

/// An answer without what was asked for: the status, for a person to read.
fn refuse<F>(status: Status, keep: bool, method: Method) -> Answer<F> {
    let text = alloc::format!("{status}\n").into_bytes();
    let mut head = Head::new(status, keep);
    if status == Status::MethodNotAllowed {
        head.text("Allow: GET, HEAD\r\n");
    }
    let head = head.body("text/plain; charset=utf-8", text.len() as u64);
    let end = if method == Method::Head {
        0
    } else {
        text.len()
    };
    Answer {
        head,
        body: Body::Bytes {
            bytes: text.into(),
            sent: 0,
            end,
        },
        keep,
    }
}

fn answer<S: Site>(request: &Request<'_>, site: &mut S) -> Answer<S::File> {
    let keep = request.keep;
    let path = match resolve(request.target) {
        Ok(path) => path,
        Err(status) => return refuse(status, keep, request.method),
    };
    match site.find(&path) {
        Err(status) => refuse(status, keep, request.method),
        Ok(Found::Folder) => {
            let mut head = Head::new(Status::Moved, keep);
            head.field("Location", format_args!("{}/", Encoded(&path)));
            Answer {
                head: head.body("text/plain; charset=utf-8", 0),
                body: Body::Nothing,
                keep,
            }
        }
        Ok(Found::Bytes {
            media_type,
            changes,
            bytes,
        }) => {
            let length = bytes.len() as u64;
            let range = if changes { None } else { request.range };
            match begin(request, media_type, length, range, changes) {
                Err(answer) => answer,
                Ok((head, first, length)) => {
                    let end = if request.method == Method::Head {
                        first
                    } else {
                        first + length
                    };
                    let body = Body::Bytes {
                        bytes,
                        sent: first as usize,
                        end: end as usize,
                    };
                    Answer { head, body, keep }
                }
            }
        }
        Ok(Found::File {
            media_type,
            file,
            length,
        }) => match begin(request, media_type, length, request.range, false) {
            Err(answer) => {
                site.close(file);
                answer
            }
            Ok((head, ..)) if request.method == Method::Head => {
                site.close(file);
                Answer {
                    head,
                    body: Body::Nothing,
                    keep,
                }
            }
            Ok((head, offset, left)) => Answer {
                head,
                body: Body::File { file, offset, left },
                keep,
            },
        },
    }
}

/// The head of what is sent of something, and which part that is.
fn begin<F>(
    request: &Request<'_>,
    media_type: &str,
    length: u64,
    range: Option<&str>,
    changes: bool,
) -> Result<(Vec<u8>, u64, u64), Answer<F>> {
    let keep = request.keep;
    match Range::parse(range, length) {
        Range::Whole => {
            let mut head = Head::new(Status::Ok, keep);
            head.text(if changes {
                "Cache-Control: no-store\r\n"
            } else {
                "Accept-Ranges: bytes\r\n"
            });
            Ok((head.body(media_type, length), 0, length))
        }
        Range::Part {
            first,
            length: wanted,
        } => {
            let mut head = Head::new(Status::Partial, keep);
            let last = first + wanted - 1;
            head.field(
                "Content-Range",
                format_args!("bytes {first}-{last}/{length}"),
            );
            Ok((head.body(media_type, wanted), first, wanted))
        }
        Range::Beyond => {
            let mut head = Head::new(Status::NoSuchRange, keep);
            head.field("Content-Range", format_args!("bytes */{length}"));
            Err(Answer {
                head: head.body("text/plain; charset=utf-8", 0),
                body: Body::Nothing,
                keep,
            })
        }
    }
}

/// A path as it stands in a URL.
struct Encoded<'a>(&'a str);

impl core::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' | b'~' => write!(f, "{}", char::from(byte))?,
                byte if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte))?,
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
