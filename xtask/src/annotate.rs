//! The console of an interactive run, with what addresses in reports mean.
//!
//! Every byte goes on as it comes; behind a line that tells of a place in a program comes a line with function, file and
//! line of that place. What the user types does not pass here.

use std::io::{ErrorKind, Read, Write};

/// Most bytes of a line that is looked at.
const LINE_LIMIT: usize = 1024;

/// Copies `from` to `to` until its end, or until `to` takes no more. `explain` says what a line without its end means.
pub(crate) fn copy(
    mut from: impl Read,
    mut to: impl Write,
    explain: impl Fn(&str) -> Option<String>,
) {
    let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_LIMIT.saturating_sub(line.len());
            line.extend(part.iter().take(room));
            let mut written = to.write_all(part);
            if part.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&line);
                if let Some(place) = explain(text.trim_end()) {
                    // The terminal is raw: a line feed alone goes down and not back.
                    written = written.and_then(|()| write!(to, "    at {place}\r\n"));
                }
                line.clear();
            }
            if written.and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::copy;

    /// Text that arrives in the given pieces.
    struct Pieces(Vec<&'static [u8]>);

    impl std::io::Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn copied(pieces: &[&'static [u8]]) -> String {
        let mut to = Vec::new();
        copy(Pieces(pieces.to_vec()), &mut to, |line| {
            line.contains("log+0x1")
                .then(|| format!("of {}", line.len()))
        });
        String::from_utf8_lossy(&to).into_owned()
    }

    #[test]
    fn a_line_that_tells_of_a_place_is_explained_behind_it() {
        assert_eq!(
            copied(&[b"> ec", b"ho\r\nroot: log+", b"0x1\r\n> ", b"x"]),
            "> echo\r\nroot: log+0x1\r\n    at of 13\r\n> x"
        );
    }

    #[test]
    fn nothing_else_is_touched_and_lines_may_be_endless() {
        let long: &[u8] = &[b'x'; 4000];
        let text = copied(&[b"\x1b[2K\xff", long, b"log+0x1\nlog+0x1"]);
        assert!(
            !text.contains("at of"),
            "beyond what is looked at, or without an end"
        );
    }
}
