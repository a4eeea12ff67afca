//! Connections over a stream in memory.

use std::collections::VecDeque;

use gritos_http_core::{
    Bytes, Connection, Found, Memory, Progress, Site, Stamp, Status, Stopped, Stream, Tag,
};

/// A peer: what it says in pieces, what it has heard, how much it takes at a time.
#[derive(Default)]
struct Peer {
    says: VecDeque<Vec<u8>>,
    ended: bool,
    heard: Vec<u8>,
    takes: usize,
    /// Calls of each kind.
    receives: usize,
    sends: usize,
    ends: usize,
}

impl Stream for Peer {
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Stopped> {
        self.receives += 1;
        let Some(mut piece) = self.says.pop_front() else {
            return if self.ended {
                Ok(0)
            } else {
                Err(Stopped::WouldBlock)
            };
        };
        let rest = piece.split_off(piece.len().min(into.len()));
        if !rest.is_empty() {
            self.says.push_front(rest);
        }
        into[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }

    fn send(&mut self, first: &[u8], second: &[u8]) -> Result<usize, Stopped> {
        self.sends += 1;
        let bytes = [first, second].concat();
        let count = bytes.len().min(self.takes);
        if count == 0 {
            return Err(Stopped::WouldBlock);
        }
        self.heard.extend(&bytes[..count]);
        Ok(count)
    }

    fn end(&mut self) -> Result<(), Stopped> {
        self.ends += 1;
        Ok(())
    }
}

/// The state of everything in the folder.
fn tag() -> Tag {
    Tag::of(&Stamp {
        inode: 1,
        size: 10,
        modified_ns: 5,
    })
}

/// A site with a file of 100,000 bytes.
#[derive(Default)]
struct Folder {
    open: usize,
}

fn byte(at: u64) -> u8 {
    (at * 7 % 251) as u8
}

impl Site for Folder {
    type File = ();

    fn find(&mut self, path: &str, _now_ns: u64) -> Result<Found<()>, Status> {
        match path {
            "/small" => Ok(Found::Bytes {
                media_type: "text/plain",
                changes: false,
                tag: Some(tag()),
                bytes: Bytes::Static(b"0123456789"),
            }),
            "/large" | "/broken" => {
                self.open += 1;
                Ok(Found::File {
                    media_type: "image/png",
                    file: (),
                    length: if path == "/large" { 100_000 } else { 200_000 },
                    tag: Some(tag()),
                })
            }
            "/folder" => Ok(Found::Folder),
            _ => Err(Status::NotFound),
        }
    }

    fn read(&mut self, _file: &mut (), offset: u64, into: &mut [u8]) -> Result<usize, Status> {
        let count = into
            .len()
            .min(100_000_u64.saturating_sub(offset) as usize)
            .min(5000);
        for (at, to) in (offset..).zip(&mut into[..count]) {
            *to = byte(at);
        }
        Ok(count)
    }

    fn close(&mut self, _file: ()) {
        self.open -= 1;
    }
}

/// Lets a peer that takes `takes` bytes at a time talk; what it heard, and how it ended.
fn talk(says: &[&str], takes: usize) -> (String, Progress) {
    let mut peer = Peer {
        says: says.iter().map(|text| text.as_bytes().to_vec()).collect(),
        takes,
        ..Peer::default()
    };
    let mut site = Folder::default();
    let mut connection = Connection::new(Memory::default(), 0);
    let mut progress = Progress::More;
    for _ in 0..1000 {
        progress = connection.work(&mut peer, &mut site, 1);
        // What arrived after a look is a reason to look again.
        if progress == Progress::Close || (progress == Progress::Wait && peer.says.is_empty()) {
            break;
        }
    }
    connection.finish(&mut site);
    assert_eq!(site.open, 0, "every file was given back");
    (String::from_utf8_lossy(&peer.heard).into_owned(), progress)
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn requests_are_answered_one_after_the_other_however_they_arrive() {
    let two = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    let pieces: Vec<String> = two.chars().map(String::from).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    for (says, takes) in [(&[two][..], 10_000), (&pieces[..], 3)] {
        let (heard, progress) = talk(says, takes);
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
        assert!(
            heard.contains("Content-Length: 10\r\n\r\n0123456789HTTP/1.1 404 "),
            "{heard}"
        );
        assert!(heard.ends_with("404 Not Found\n"), "{heard}");
        assert_eq!(progress, Progress::Wait);
    }
}

#[test]
fn a_request_costs_one_call_to_receive_and_one_to_send() {
    let request = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut site, mut connection) = (Folder::default(), Connection::new(Memory::default(), 0));
    for number in 1..10 {
        let mut peer = Peer {
            says: [request.to_vec()].into(),
            takes: 10_000,
            ..Peer::default()
        };
        let progress = connection.work(&mut peer, &mut site, number);
        assert_eq!(progress, Progress::Wait);
        assert!(peer.heard.ends_with(b"\r\n\r\n0123456789"));
        assert_eq!((peer.receives, peer.sends), (1, 1));
    }
}

#[test]
fn a_file_arrives_whole_and_in_parts() {
    let mut peer = Peer {
        says: [b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()].into(),
        takes: 777,
        ..Peer::default()
    };
    let (mut site, mut connection) = (Folder::default(), Connection::new(Memory::default(), 0));
    assert_eq!(connection.work(&mut peer, &mut site, 1), Progress::Close);
    let at = peer
        .heard
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert!(peer.heard[at..].iter().copied().eq((0..100_000).map(byte)));
    assert_eq!(site.open, 0);

    let (heard, _) = talk(
        &["GET /small HTTP/1.1\r\nHost: a\r\nRange: bytes=3-5\r\n\r\n"],
        9999,
    );
    assert!(heard.starts_with("HTTP/1.1 206 "), "{heard}");
    assert!(heard.contains("Content-Range: bytes 3-5/10\r\n"), "{heard}");
    assert_eq!(body(&heard), "345");
    let (heard, _) = talk(
        &["GET /small HTTP/1.1\r\nHost: a\r\nRange: bytes=10-\r\n\r\n"],
        9999,
    );
    assert!(heard.starts_with("HTTP/1.1 416 "), "{heard}");
    assert!(heard.contains("Content-Range: bytes */10\r\n"), "{heard}");
}

#[test]
fn head_is_the_head_alone() {
    for path in ["/small", "/large", "/none"] {
        let (heard, progress) = talk(&[&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")], 9999);
        assert!(heard.contains("Content-Length: 1"), "{heard}");
        assert_eq!((body(&heard), progress), ("", Progress::Wait));
    }
}

#[test]
fn folders_have_a_slash() {
    let (heard, _) = talk(&["GET /folder HTTP/1.1\r\nHost: a\r\n\r\n"], 9999);
    assert!(
        heard.contains("301 ") && heard.contains("Location: /folder/\r\n"),
        "{heard}"
    );
}

#[test]
fn what_is_no_request_ends_the_connection() {
    // Whoever may still be talking is heard until the end.
    for (says, status, end) in [
        (
            "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
            "405",
            Progress::Wait,
        ),
        ("\u{1}", "400", Progress::Wait),
        ("GET /../x HTTP/1.0\r\n\r\n", "400", Progress::Close),
        ("GET /small HTTP/1.0\r\n\r\nmore", "200", Progress::Wait),
    ] {
        let (heard, progress) = talk(&[says], 9999);
        assert!(
            heard.starts_with(&format!("HTTP/1.1 {status} ")),
            "{says}: {heard}"
        );
        assert_eq!(progress, end, "{says}");
    }
}

#[test]
fn a_peer_that_talks_on_gets_its_answer_before_the_end() {
    let says = |pieces: usize| {
        let body = vec![vec![b'x'; 1000]; pieces];
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".to_vec();
        [head].into_iter().chain(body).collect()
    };
    let mut site = Folder::default();
    for (pieces, last) in [(100, Progress::Close), (2000, Progress::Close)] {
        let mut peer = Peer {
            says: says(pieces),
            takes: 9999,
            ended: true,
            ..Peer::default()
        };
        let mut connection = Connection::new(Memory::default(), 0);
        let mut turns = 0;
        let progress = loop {
            match connection.work(&mut peer, &mut site, 0) {
                Progress::More => turns += 1,
                progress => break progress,
            }
        };
        assert_eq!((progress, peer.ends), (last, 1));
        assert!(peer.heard.starts_with(b"HTTP/1.1 405 "));
        assert!(turns > 5, "others are heard in between");
        // It is not listened to for ever.
        assert_eq!(peer.says.is_empty(), pieces == 100);
    }
    let mut peer = Peer {
        says: says(1),
        takes: 9999,
        ..Peer::default()
    };
    let mut connection = Connection::new(Memory::default(), 0);
    assert_eq!(connection.work(&mut peer, &mut site, 0), Progress::Wait);
    assert!(!connection.is_late(14_999_999_999) && connection.is_late(15_000_000_000));
}

#[test]
fn who_has_the_state_already_gets_no_body() {
    let quoted = String::from_utf8(tag().quoted().to_vec()).unwrap();
    let field = format!("ETag: {quoted}\r\n");
    for path in ["/small", "/large"] {
        let ask = |more: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
            talk(&[&request], 1 << 20)
        };
        let (heard, _) = ask("");
        assert!(
            heard.starts_with("HTTP/1.1 200 ") && heard.contains(&field),
            "{heard}"
        );
        let (heard, progress) = ask(&format!(
            "If-None-Match: \"b\", {quoted}\r\nRange: bytes=0-1\r\n"
        ));
        assert!(
            heard.starts_with("HTTP/1.1 304 ") && heard.contains(&field),
            "{heard}"
        );
        assert_eq!((body(&heard), progress), ("", Progress::Wait));
        let (heard, _) = ask("If-None-Match: \"b\"\r\n");
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
        // A part of whatever state there is would be wrong; the whole never is.
        let (heard, _) = ask("If-Range: \"b\"\r\nRange: bytes=0-1\r\n");
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    }
}

#[test]
fn a_file_that_breaks_off_ends_the_connection() {
    let (heard, progress) = talk(&["GET /broken HTTP/1.1\r\nHost: a\r\n\r\n"], 1 << 20);
    assert!(heard.contains("Content-Length: 200000\r\n"));
    assert_eq!(progress, Progress::Close);
}

#[test]
fn whoever_is_silent_is_late_in_time() {
    let mut connection = Connection::<()>::new(Memory::default(), 0);
    assert!(!connection.is_late(59_999_999_999) && connection.is_late(60_000_000_000));
    let mut peer = Peer {
        says: [b"GET /".to_vec()].into(),
        takes: 1,
        ..Peer::default()
    };
    connection.work(&mut peer, &mut Folder::default(), 0);
    assert!(
        connection.is_late(15_000_000_000),
        "within a request there is less time"
    );
}

#[test]
fn bytes_at_random_never_panic() {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    let words: [&[u8]; 8] = [
        b"GET ",
        b"/small",
        b" HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"\r\n",
        b"Range: bytes=",
        b"%2e",
        b"-",
    ];
    for _ in 0..20_000 {
        let says = (0..next() % 8).map(|_| {
            if next() % 4 == 0 {
                (0..next() % 9).map(|_| next() as u8).collect()
            } else {
                words[(next() % 8) as usize].to_vec()
            }
        });
        let mut peer = Peer {
            says: says.collect(),
            takes: (next() % 100) as usize,
            ended: next() % 2 == 0,
            ..Peer::default()
        };
        let mut connection = Connection::new(Memory::default(), 0);
        let mut site = Folder::default();
        connection.work(&mut peer, &mut site, 0);
        connection.finish(&mut site);
        assert_eq!(site.open, 0);
    }
}
