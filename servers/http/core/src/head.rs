//! Heads of answers.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::Tag;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Here it is.
    Ok = 200,
    /// Here is the part that was asked for.
    Partial = 206,
    /// It lies elsewhere.
    Moved = 301,
    /// The peer has it already.
    NotModified = 304,
    /// It was no request.
    BadRequest = 400,
    /// It is not for everybody.
    Forbidden = 403,
    /// There is nothing of that name.
    NotFound = 404,
    /// Only `GET` and `HEAD` are possible.
    MethodNotAllowed = 405,
    /// The request took too long.
    TimedOut = 408,
    /// The name is too long.
    TargetTooLong = 414,
    /// The part that was asked for does not exist.
    NoSuchRange = 416,
    /// The head of the request is too long.
    HeadTooLong = 431,
    /// Something is broken here.
    Broken = 500,
    /// There are too many connections, or what is needed does not run.
    Unavailable = 503,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version = 505,
}

impl Status {
    /// Number and words, as the first line has them.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::Partial => "206 Partial Content",
            Self::Moved => "301 Moved Permanently",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::TimedOut => "408 Request Timeout",
            Self::TargetTooLong => "414 URI Too Long",
            Self::NoSuchRange => "416 Range Not Satisfiable",
            Self::HeadTooLong => "431 Request Header Fields Too Large",
            Self::Broken => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The media type of a file, by what its name ends with.
#[must_use]
pub fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, ending)) = name.rsplit_once('.') else {
        return "application/octet-stream";
    };
    const TYPES: &[(&str, &str)] = &[
        ("html", "text/html; charset=utf-8"),
        ("htm", "text/html; charset=utf-8"),
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("json", "application/json"),
        ("txt", "text/plain; charset=utf-8"),
        ("md", "text/plain; charset=utf-8"),
        ("svg", "image/svg+xml"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("ico", "image/x-icon"),
        ("wasm", "application/wasm"),
        ("pdf", "application/pdf"),
    ];
    TYPES
        .iter()
        .find(|(known, _)| ending.eq_ignore_ascii_case(known))
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// Puts text together; memory that is not there ends the program as everywhere.
pub(crate) struct Head<'a>(&'a mut Vec<u8>);

impl<'a> Head<'a> {
    /// The first line and what every answer has, in place of what `out` held.
    pub(crate) fn new(out: &'a mut Vec<u8>, status: Status, keep: bool) -> Self {
        out.clear();
        let mut head = Self(out);
        head.text("HTTP/1.1 ");
        head.text(status.text());
        head.text(if keep {
            "\r\nServer: gRiTOS\r\nConnection: keep-alive\r\n"
        } else {
            "\r\nServer: gRiTOS\r\nConnection: close\r\n"
        });
        head
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    pub(crate) fn field(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.text(name);
        self.text(": ");
        // Writing into memory does not fail.
        let _ = self.write_fmt(value);
        self.text("\r\n");
    }

    /// Which state of the thing it is.
    pub(crate) fn tag(&mut self, tag: Option<Tag>) {
        if let Some(tag) = tag {
            self.text("ETag: ");
            self.0.extend_from_slice(&tag.quoted());
            self.text("\r\n");
        }
    }

    /// The end of the head of an answer that has no body.
    pub(crate) fn end(mut self) {
        self.text("\r\n");
    }

    /// What is sent, and how long it is; the end of the head.
    pub(crate) fn body(mut self, media_type: &str, length: u64) {
        self.text("Content-Type: ");
        self.text(media_type);
        self.text("\r\nContent-Length: ");
        self.number(length);
        self.text("\r\n\r\n");
    }
}

impl Write for Head<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}
