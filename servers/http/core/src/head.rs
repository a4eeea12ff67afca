//! Heads of answers.

use alloc::vec::Vec;
use core::fmt::{self, Write};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Here it is.
    Ok = 200,
    /// Here is the part that was asked for.
    Partial = 206,
    /// It lies elsewhere.
    Moved = 301,
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
    /// The words that stand behind the number.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Partial => "Partial Content",
            Self::Moved => "Moved Permanently",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::TimedOut => "Request Timeout",
            Self::TargetTooLong => "URI Too Long",
            Self::NoSuchRange => "Range Not Satisfiable",
            Self::HeadTooLong => "Request Header Fields Too Large",
            Self::Broken => "Internal Server Error",
            Self::Unavailable => "Service Unavailable",
            Self::Version => "HTTP Version Not Supported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", *self as u16, self.reason())
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
pub(crate) struct Head(pub(crate) Vec<u8>);

impl Head {
    /// The first line and what every answer has.
    pub(crate) fn new(status: Status, keep: bool) -> Self {
        let mut head = Self(Vec::with_capacity(256));
        head.text("HTTP/1.1 ");
        head.number(status as u64);
        head.text(" ");
        head.text(status.reason());
        head.text("\r\nServer: gRiTOS\r\nConnection: ");
        head.text(if keep { "keep-alive\r\n" } else { "close\r\n" });
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

    /// What is sent, and how long it is; the end of the head.
    pub(crate) fn body(mut self, media_type: &str, length: u64) -> Vec<u8> {
        self.text("Content-Type: ");
        self.text(media_type);
        self.text("\r\nContent-Length: ");
        self.number(length);
        self.text("\r\n\r\n");
        self.0
    }
}

impl Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}
