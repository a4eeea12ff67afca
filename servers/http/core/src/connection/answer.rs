//! What is answered to a request: a head, and where the body comes from.

use alloc::vec::Vec;

use super::Body;
use crate::head::Head;
use crate::path::resolve;
use crate::request::{Method, Request};
use crate::{Bytes, Found, Range, Site, Status, Tag};

const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer without what was asked for: the status, for a person to read.
pub(super) fn refuse<F>(out: &mut Vec<u8>, status: Status, keep: bool, method: Method) -> Body<F> {
    let text = alloc::format!("{status}\n").into_bytes();
    let mut head = Head::new(out, status, keep);
    if status == Status::MethodNotAllowed {
        head.text("Allow: GET, HEAD\r\n");
    }
    head.body(PLAIN, text.len() as u64);
    match method {
        Method::Head => Body::Nothing,
        Method::Get => Body::Bytes {
            sent: 0,
            end: text.len(),
            bytes: Bytes::Own(text),
        },
    }
}

/// Puts the head of the answer into `out` and says what follows it.
pub(super) fn answer<S: Site>(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    site: &mut S,
    now_ns: u64,
) -> Body<S::File> {
    let keep = request.keep;
    let path = match resolve(request.target) {
        Ok(path) => path,
        Err(status) => return refuse(out, status, keep, request.method),
    };
    match site.find(&path, now_ns) {
        Err(status) => refuse(out, status, keep, request.method),
        Ok(Found::Folder) => {
            let mut head = Head::new(out, Status::Moved, keep);
            head.field("Location", format_args!("{}/", Encoded(&path)));
            head.body(PLAIN, 0);
            Body::Nothing
        }
        Ok(Found::Bytes {
            media_type,
            changes,
            tag,
            bytes,
        }) => {
            let part = begin(out, request, media_type, bytes.len() as u64, changes, tag);
            match part {
                Some((first, length)) => Body::Bytes {
                    bytes,
                    sent: first as usize,
                    end: (first + length) as usize,
                },
                None => Body::Nothing,
            }
        }
        Ok(Found::File {
            media_type,
            file,
            length,
            tag,
        }) => match begin(out, request, media_type, length, false, tag) {
            Some((offset, left)) => Body::File { file, offset, left },
            None => {
                site.close(file);
                Body::Nothing
            }
        },
    }
}

/// The head of what is sent of something of `length` bytes; which part of it follows, first byte and number, if
/// any does.
fn begin(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    media_type: &str,
    length: u64,
    changes: bool,
    tag: Option<Tag>,
) -> Option<(u64, u64)> {
    let keep = request.keep;
    // Before ranges (RFC 9110, "Precedence of Preconditions").
    if let (Some(tag), Some(known)) = (tag, request.known)
        && tag.is_among(known)
    {
        let mut head = Head::new(out, Status::NotModified, keep);
        head.tag(Some(tag));
        head.end();
        return None;
    }
    let range = request.range.filter(|_| !changes);
    let part = match Range::parse(range, length) {
        Range::Whole => {
            let mut head = Head::new(out, Status::Ok, keep);
            head.text(if changes {
                "Cache-Control: no-store\r\n"
            } else {
                "Accept-Ranges: bytes\r\n"
            });
            head.tag(tag);
            head.body(media_type, length);
            (0, length)
        }
        Range::Part {
            first,
            length: wanted,
        } => {
            let mut head = Head::new(out, Status::Partial, keep);
            let last = first + wanted - 1;
            head.field(
                "Content-Range",
                format_args!("bytes {first}-{last}/{length}"),
            );
            head.tag(tag);
            head.body(media_type, wanted);
            (first, wanted)
        }
        Range::Beyond => {
            let mut head = Head::new(out, Status::NoSuchRange, keep);
            head.field("Content-Range", format_args!("bytes */{length}"));
            head.body(PLAIN, 0);
            return None;
        }
    };
    (request.method == Method::Get).then_some(part)
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
