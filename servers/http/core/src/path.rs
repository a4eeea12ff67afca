//! From the target of a request to a path of the site.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Status;

/// Longest path.
const LIMIT: usize = 1024;

/// The path that a target names: absolute, decoded, without `.`, `..` and empty parts, so that it names
/// nothing outside of the site. A slash at the end stays. What follows a `?` is left out.
///
/// # Errors
/// `BAD_REQUEST` for what is no path or climbs above the site, `TARGET_TOO_LONG`.
pub fn resolve(target: &str) -> Result<Cow<'_, str>, Status> {
    if target.len() > LIMIT {
        return Err(Status::TargetTooLong);
    }
    // A proxy's form of a target names the host as well (RFC 9112, "absolute-form").
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    let end = target.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.and_then(|end| target.get(..end)).unwrap_or(target);
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err(Status::BadRequest);
    }
    let decoded = decode(path)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Status::BadRequest)?;
            }
            part => parts.push(part),
        }
    }
    let mut path = String::from("/");
    path.push_str(&parts.join("/"));
    let folder = ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end));
    if folder && !parts.is_empty() {
        path.push('/');
    }
    Ok(Cow::Owned(path))
}

/// Whether a path can stay as it is: absolute, nothing encoded, no part that is empty or begins with a dot.
fn is_plain(path: &str) -> bool {
    let mut before = None;
    for byte in path.bytes() {
        let good = match before {
            None => byte == b'/',
            Some(b'/') => byte != b'/' && byte != b'.',
            Some(_) => true,
        };
        if !good || !byte.is_ascii_graphic() || matches!(byte, b'%' | b'\\') {
            return false;
        }
        before = Some(byte);
    }
    before.is_some()
}

/// Resolves `%41`. Whatever is no text, and control characters, are no part of a path.
fn decode(path: &str) -> Result<String, Status> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, others @ ..] = rest else {
            return Err(Status::BadRequest);
        };
        rest = others;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(Status::BadRequest);
        bytes.push((digit(high)? << 4 | digit(low)?) as u8);
    }
    if bytes
        .iter()
        .any(|byte| byte.is_ascii_control() || *byte == b'\\')
    {
        return Err(Status::BadRequest);
    }
    String::from_utf8(bytes).map_err(|_| Status::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::Status;

    #[test]
    fn paths_are_made_plain() {
        for (target, path) in [
            ("/", "/"),
            ("/a/b.html?x=/../y#z", "/a/b.html"),
            ("/a//b/./c/", "/a/b/c/"),
            ("/a/b/..", "/a/"),
            ("/a/../b", "/b"),
            ("/%61%20b", "/a b"),
            ("http://host:80/x", "/x"),
            ("http://host", "/"),
            ("/a/..", "/"),
        ] {
            assert_eq!(resolve(target).as_deref(), Ok(path), "{target}");
        }
    }

    #[test]
    fn nothing_names_what_lies_outside() {
        for target in [
            "",
            "*",
            "a",
            "/..",
            "/../etc",
            "/a/../../b",
            "/%2e%2e/x",
            "/..%2fx",
            "/%",
            "/%4",
            "/%zz",
            "/a%00b",
            "/a\\b",
            "/%5c..",
            "/%ff",
            "/%0a",
        ] {
            assert_eq!(resolve(target), Err(Status::BadRequest), "{target}");
        }
        let long = alloc::format!("/{}", "a".repeat(2000));
        assert_eq!(resolve(&long), Err(Status::TargetTooLong));
    }
}
