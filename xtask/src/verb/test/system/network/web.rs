//! The web server and its worse clients: slow ones, silent ones, those that leave in the middle of something.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::{Board, Guest, Image, Setting};
use super::http::Peer;
use super::{NETWORK, PATIENCE, get_again};
use crate::workspace::Workspace;

/// Files to serve.
pub(super) const WEB: Setting = Setting {
    disk: Some(crate::disk::make),
    ..NETWORK
};

/// Copies of the first page that the large file has: more than all buffers on the way hold.
const COPIES: usize = 64;
/// Connections that the server takes at a time.
const PLACES: usize = 124;
/// Connections of a storm at a time, and how long one lasts in the gate and in a step of `cargo xtask soak`.
const CLIENTS: u64 = 8;
/// Answers that each of them gets.
const ENOUGH: u64 = 4;
const STORM: Duration = Duration::from_secs(4);
const LONG_STORM: Duration = Duration::from_secs(60);

/// Makes the large file; returns the port, the page and the file's contents.
fn prepare(guest: &mut Guest<'_>) -> Result<(u16, Vec<u8>, Vec<u8>)> {
    guest.succeed("ip -w")?;
    let eight = |name: &str| [name; 8].join(" ");
    guest.succeed(&format!(
        "cat {} > /tmp/eight; cat {} > /data/www/large",
        eight("/data/www/index.html"),
        eight("/tmp/eight")
    ))?;
    let port = guest.port(80)?;
    let page = Peer::new(port).get("/")?.body;
    let large = page.repeat(COPIES);
    ensure!(
        Peer::new(port).get("/large")?.body == large,
        "the large file"
    );
    Ok((port, page, large))
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, path: &str) -> Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: guest\r\n\r\n").as_bytes())?;
    Ok(())
}

/// Whether the other services go on as well.
fn is_well(guest: &mut Guest<'_>, port: u16, page: &[u8]) -> Result<()> {
    get_again(port, page)?;
    guest.expect("ping 127.0.0.1 1", "1 sent, 1 received")?;
    guest.expect("ls /data", "www")?;
    Ok(())
}

/// What HTTP/1.1 says of requests that are in order.
pub(super) fn conformance(guest: &mut Guest<'_>) -> Result<()> {
    let (port, page, large) = prepare(guest)?;
    guest.succeed("mkdir /data/www/sub; echo spaced > '/data/www/a b.txt'")?;
    let mut peer = Peer::new(port);
    ensure!(peer.get("/a%20b.txt")?.body == b"spaced\n");
    ensure!(peer.get("/./sub/../%61%20b.txt?x=1")?.body == b"spaced\n");
    ensure!(peer.get("http://guest/a%20b.txt")?.body == b"spaced\n");
    let folder = peer.get("/sub")?;
    ensure!(
        folder.status == 301 && folder.field("Location") == Some("/sub/"),
        "{folder:?}"
    );
    ensure!(peer.get("/sub/")?.status == 404, "an empty folder");
    for path in ["/", "/large"] {
        let whole = peer.get(path)?;
        let head = peer.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"), true)?;
        for name in ["Content-Length", "Content-Type", "ETag"] {
            let both = (whole.field(name), head.field(name));
            ensure!(both.0 == both.1 && both.0.is_some(), "{name}: {both:?}");
        }
        let tag = whole.field("ETag").context("a file has a tag")?;
        let again = format!("GET {path} HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
        let again = peer.ask(&again, false)?;
        ensure!(again.status == 304 && again.body.is_empty(), "{again:?}");
    }
    for (range, part) in [
        ("bytes=5000-5009", 5000..5010),
        ("bytes=-7", large.len() - 7..large.len()),
    ] {
        let request = format!("GET /large HTTP/1.1\r\nHost: a\r\nRange: {range}\r\n\r\n");
        let answer = peer.ask(&request, false)?;
        ensure!(
            answer.status == 206 && answer.body == large[part],
            "{range}: {}",
            answer.status
        );
    }
    ensure!(peer.connections == 1, "{} connections", peer.connections);

    // A file that changes has another tag, in time.
    let tag = peer.get("/a%20b.txt")?.field("ETag").map(str::to_string);
    guest.succeed("echo changed > '/data/www/a b.txt'; sleep 1")?;
    let changed = peer.get("/a%20b.txt")?;
    ensure!(
        changed.body == b"changed\n" && changed.field("ETag") != tag.as_deref(),
        "{changed:?}"
    );

    // Requests that do not wait for answers.
    let mut stream = connect(port)?;
    let mut text = String::new();
    for path in ["/a%20b.txt", "/none", "/a%20b.txt"] {
        text += &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    text += "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(text.as_bytes())?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    ensure!(heard.ends_with(&large), "the last answer is whole");
    let heard = String::from_utf8_lossy(&heard[..heard.len() - large.len()]);
    let statuses: Vec<&str> = heard
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| &rest[..3])
        .collect();
    ensure!(statuses == ["200", "404", "200", "200"], "{heard}");

    // Whoever sends more than anybody wants to read hears why all the same.
    let mut stream = connect(port)?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(&[b'x'; 300_000])?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    ensure!(
        heard.starts_with("HTTP/1.1 405 ") && heard.contains("Allow: GET, HEAD\r\n"),
        "{heard}"
    );
    is_well(guest, port, &page)
}

/// A hundred connections, all of which wait for an answer at the same time, until there were ten thousand.
pub(super) fn ten_thousand(guest: &mut Guest<'_>) -> Result<()> {
    const CONNECTIONS: usize = 100;
    const ROUNDS: usize = 100;
    const THREADS: usize = 4;
    const REQUEST: &str = "GET /small HTTP/1.1\r\nHost: guest\r\n\r\n";
    guest.succeed("ip -w; echo 'a small file' > /data/www/small")?;
    let port = guest.port(80)?;
    // One after the other: QEMU's user network has a queue of one for those who connect.
    let mut peers: Vec<Peer> = (0..CONNECTIONS).map(|_| Peer::new(port)).collect();
    for peer in &mut peers {
        ensure!(peer.get("/small")?.status == 200);
    }
    let mut threads = Vec::new();
    while !peers.is_empty() {
        let mut some = peers.split_off(peers.len() - CONNECTIONS / THREADS);
        threads.push(thread::spawn(move || -> Result<usize> {
            let mut answers = 0;
            for round in 1..ROUNDS {
                for peer in &mut some {
                    peer.send(REQUEST)?;
                }
                for (number, peer) in some.iter_mut().enumerate() {
                    let answer = peer.answer(false)?;
                    let good = answer.status == 200 && answer.body == b"a small file\n";
                    ensure!(good, "{number} in round {round}: {answer:?}");
                    answers += 1;
                }
            }
            let again = some.iter().filter(|peer| peer.connections != 1).count();
            ensure!(again == 0, "{again} connections ended");
            Ok(answers)
        }));
    }
    let mut answers = CONNECTIONS;
    for one in threads {
        answers += one.join().ok().context("a client ended")??;
    }
    ensure!(answers == CONNECTIONS * ROUNDS, "{answers} answers");
    Ok(())
}

/// Clients at their worst keep nobody out for long.
pub(super) fn bad_clients(guest: &mut Guest<'_>) -> Result<()> {
    let (port, page, large) = prepare(guest)?;
    // Somebody asks for much and does not listen; others say nothing, or not all.
    let mut deaf = connect(port)?;
    ask(&mut deaf, "/large")?;
    let silent: Vec<_> = (0..100).map(|_| connect(port)).collect::<Result<_>>()?;
    let mut halves: Vec<_> = (0..10).map(|_| connect(port)).collect::<Result<_>>()?;
    for half in &mut halves {
        half.write_all(b"GET / HTTP/1.1\r\nHo")?;
    }
    let mut peer = Peer::new(port);
    ensure!(peer.get("/")?.body == page, "beside silent clients");
    // Byte by byte.
    let mut slow = connect(port)?;
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" {
        slow.write_all(&[*byte])?;
        thread::sleep(Duration::from_millis(2));
    }
    let mut heard = Vec::new();
    slow.read_to_end(&mut heard)?;
    ensure!(heard.ends_with(&page), "a slow request has its answer");
    // Some leave in the middle of an answer: what they have not read makes a reset of it.
    for number in 0..20 {
        let mut leaver = connect(port)?;
        ask(&mut leaver, "/large")?;
        let _ = leaver.read(&mut vec![0; 1 + number * 997])?;
    }
    ensure!(
        peer.get("/large")?.body == large,
        "beside clients that leave"
    );
    // More than there are places: some wait until the silent ones have left.
    let mut late: Vec<_> = (0..PLACES - 105)
        .map(|_| connect(port))
        .collect::<Result<_>>()?;
    for one in &mut late {
        ask(one, "/")?;
    }
    drop(silent);
    for one in &mut late {
        let mut heard = Vec::new();
        let mut room = [0; 8192];
        while !heard.ends_with(&page) {
            let count = one.read(&mut room)?;
            ensure!(count > 0, "the connection of one who waited ended");
            heard.extend(&room[..count]);
        }
    }
    for half in &mut halves {
        half.write_all(b"st: a\r\nConnection: close\r\n\r\n")?;
        let mut heard = Vec::new();
        half.read_to_end(&mut heard)?;
        ensure!(heard.ends_with(&page), "the other half comes late");
    }
    let mut heard = vec![0; large.len()];
    deaf.read_exact(&mut heard)?;
    // Behind the head the file is all there.
    let mut rest = [0; 1024];
    while !heard.ends_with(&large[large.len() - 64..]) {
        let count = deaf.read(&mut rest)?;
        ensure!(count > 0, "the answer ended early");
        heard.extend(&rest[..count]);
    }
    ensure!(
        heard.ends_with(&large),
        "the deaf one's answer was kept for it"
    );
    storm(port, 1, STORM)?;
    is_well(guest, port, &page)
}

/// A step of `cargo xtask soak`: a machine of its own.
pub(crate) fn soak(workspace: &Workspace, seed: u64) -> Result<()> {
    let path = workspace.output("soak-web.img")?;
    let image = Image::write(workspace, &WEB, Board::Virt, path)?;
    let mut guest = Guest::start(workspace, &WEB, Board::Virt, &image, "soak-web")?;
    let (port, page, _) = prepare(&mut guest)?;
    storm(port, seed, LONG_STORM)?;
    is_well(&mut guest, port, &page)
}

/// Clients that do at random what clients can do wrong. What they hear is not looked at: whoever leaves early hears
/// little.
fn storm(port: u16, seed: u64, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| thread::spawn(move || visit(port, Random(CLIENTS * seed + number), end)))
        .collect();
    let visits = clients
        .into_iter()
        .map(|client| client.join().ok().context("a client ended"));
    let visits: Vec<u64> = visits.collect::<Result<_>>()?;
    // One who was never let in would have found out nothing.
    ensure!(
        visits.iter().all(|count| *count >= ENOUGH),
        "visits of each client: {visits:?}"
    );
    Ok(())
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Comes and leaves until `end`; how often it was answered.
fn visit(port: u16, mut random: Random, end: Instant) -> u64 {
    let mut answers = 0;
    // A busy host lets nobody in often.
    let latest = end + PATIENCE;
    while Instant::now() < end || (answers < ENOUGH && Instant::now() < latest) {
        let Ok(mut stream) = connect(port) else {
            continue;
        };
        for _ in 0..random.below(5) {
            let path = ["/", "/large", "/none", "/api/system"][random.below(4) as usize];
            let request = format!("GET {path} HTTP/1.1\r\nHost: guest\r\n\r\n");
            // Whole or not, in one piece or two.
            let length = match random.below(3) {
                0 => random.below(request.len() as u64) as usize,
                _ => request.len(),
            };
            let cut = random.below(length as u64 + 1) as usize;
            let pieces = [&request.as_bytes()[..cut], &request.as_bytes()[cut..length]];
            for piece in pieces {
                if stream.write_all(piece).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(random.below(20)));
            }
            if length < request.len() || random.below(4) == 0 {
                break;
            }
            let mut room = vec![0; 1 + random.below(20_000) as usize];
            match stream.read(&mut room) {
                Ok(count) if count > 0 => answers += 1,
                _ => break,
            }
        }
        if random.below(8) == 0 {
            thread::sleep(Duration::from_millis(random.below(300)));
        }
    }
    answers
}
