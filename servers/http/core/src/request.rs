//! Requests as they arrive.

use core::mem::MaybeUninit;

use crate::Status;

/// Most bytes of a request's head.
pub const HEAD_LIMIT: usize = 8192;
/// Most fields of a head.
const FIELD_LIMIT: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The thing.
    Get,
    /// What would be said of it.
    Head,
}

/// A request's head, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// What is named.
    pub target: &'a str,
    /// The `Range` field, unless it is tied to a state of the thing by `If-Range`: for those who ask so the whole
    /// is always right.
    pub range: Option<&'a str>,
    /// The `If-None-Match` field: states that the peer has already.
    pub known: Option<&'a str>,
    /// Whether the connection stays.
    pub keep: bool,
}

/// What lies at the beginning of the bytes that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Not yet a whole head.
    Partial,
    /// A request, and how many bytes its head has.
    Request(Request<'a>, usize),
    /// Nothing that can be served; the connection is of no further use.
    Refused(Status),
}

/// Reads the head of a request.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= HEAD_LIMIT => {
            return Parsed::Refused(Status::HeadTooLong);
        }
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(Status::HeadTooLong),
        Err(httparse::Error::Version) => return Parsed::Refused(Status::Version),
        Err(_) => return Parsed::Refused(Status::BadRequest),
    };
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Parsed::Refused(Status::MethodNotAllowed),
    };
    let old = request.version == Some(0);
    let mut keep = !old;
    let (mut range, mut known, mut hosts) = (None, None, 0);
    let mut is_tied = false;
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // Few fields matter, so few are looked at.
        let value = || core::str::from_utf8(field.value).unwrap_or("");
        if is("host") {
            hosts += 1;
        } else if is("range") {
            range = Some(value());
        } else if is("if-range") {
            is_tied = true;
        } else if is("if-none-match") {
            known = Some(value());
        } else if is("connection") {
            for word in value().split(',').map(str::trim) {
                if word.eq_ignore_ascii_case("close") {
                    keep = false;
                } else if word.eq_ignore_ascii_case("keep-alive") && old {
                    keep = true;
                }
            }
        } else if is("transfer-encoding") || (is("content-length") && value().trim() != "0") {
            // What follows is no request; nobody here has use for it.
            return Parsed::Refused(Status::BadRequest);
        }
    }
    // RFC 9112, "Request Target": exactly one.
    if hosts > 1 || (hosts == 0 && !old) {
        return Parsed::Refused(Status::BadRequest);
    }
    let request = Request {
        method,
        target: request.path.unwrap_or(""),
        range: range.filter(|_| !is_tied),
        known,
        keep,
    };
    Parsed::Request(request, length)
}

#[cfg(test)]
mod tests {
    use super::{HEAD_LIMIT, Method, Parsed, parse};
    use crate::Status;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let text = b"GET /a HTTP/1.1\r\nHost: x\r\nrange: bytes=1-2\r\n\r\nGET";
        for end in 0..text.len() - 4 {
            assert_eq!(parse(&text[..end]), Parsed::Partial, "{end}");
        }
        let Parsed::Request(request, length) = parse(text) else {
            panic!("it is whole")
        };
        assert_eq!((request.method, request.target), (Method::Get, "/a"));
        assert_eq!((request.range, request.keep), (Some("bytes=1-2"), true));
        assert_eq!(&text[length..], b"GET");
    }

    #[test]
    fn connections_stay_as_the_versions_have_it() {
        for (text, keep) in [
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
                false,
            ),
        ] {
            match parse(text.as_bytes()) {
                Parsed::Request(request, _) => assert_eq!(request.keep, keep, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        for (text, status) in [
            (
                "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
                Status::MethodNotAllowed,
            ),
            ("GET / HTTP/2.0\r\n\r\n", Status::Version),
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Status::BadRequest,
            ),
            ("\u{1}\u{2}\u{3}", Status::BadRequest),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                Status::BadRequest,
            ),
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Refused(status), "{text}");
        }
        let many = alloc::format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        assert_eq!(parse(many.as_bytes()), Parsed::Refused(Status::HeadTooLong));
        let long = alloc::format!("GET /{}", "a".repeat(HEAD_LIMIT));
        assert_eq!(parse(long.as_bytes()), Parsed::Refused(Status::HeadTooLong));
    }
}
