//! What of the network takes too long for the gate.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::http::Peer;
use super::{NETWORK, PATIENCE, accept, frames, peers, restart_cost};

pub(crate) use super::hostile::soak as hostile;
use crate::qemu::Board;
use crate::report;
use crate::verb::test::system::{Guest, Image, Setting};
use crate::workspace::Workspace;

const WITH_DISK: Setting = Setting {
    disk: Some(crate::disk::make),
    ..NETWORK
};

/// Connections that are open at a time, and requests of each.
const CONNECTIONS: usize = 100;
const REQUESTS: usize = 100;
/// Threads that use them.
const WORKERS: usize = 4;
/// Bytes of a file that goes in and out.
const FILE_BYTES: usize = 64 << 20;
/// Longest time for it to come in, or to go out.
const FILE_LIMIT: Duration = Duration::from_secs(1800);
/// How often driver and service are killed in a step.
const KILLS: usize = 10;
/// Longest time from a kill to the page through a new connection: an address by DHCP, and the web server's next attempt.
const RESTART_LIMIT: Duration = Duration::from_secs(20);

fn with_guest(
    workspace: &Workspace,
    setting: &Setting,
    work: impl FnOnce(&mut Guest<'_>) -> Result<()>,
) -> Result<()> {
    const CONTEXT_LINES: usize = 15;
    let path = workspace.output("soak-network.img")?;
    let image = Image::write(workspace, setting, Board::Virt, path)?;
    let mut guest = Guest::start(workspace, setting, Board::Virt, &image, "soak-network")?;
    work(&mut guest).with_context(|| {
        let lines = guest.last_lines(CONTEXT_LINES);
        format!("the console showed last:\n{}", lines.join("\n"))
    })
}

/// The page, as soon as the server has it.
fn first_page(port: u16) -> Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Peer::new(port).get("/") {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            other => ensure!(Instant::now() < end, "no page, but {other:?}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Ten thousand requests through a hundred connections, without an error.
pub(crate) fn requests(workspace: &Workspace) -> Result<()> {
    with_guest(workspace, &WITH_DISK, |guest| {
        guest.succeed("ip -w")?;
        let port = guest.port(80)?;
        let expected = first_page(port)?;
        let worker = || -> Result<()> {
            let mut peers: Vec<Peer> = (0..CONNECTIONS / WORKERS)
                .map(|_| Peer::new(port))
                .collect();
            for round in 0..REQUESTS {
                for peer in &mut peers {
                    let answer = peer.get("/").with_context(|| format!("round {round}"))?;
                    ensure!(
                        answer.status == 200 && answer.body == expected,
                        "round {round}: {} with {} bytes",
                        answer.status,
                        answer.body.len()
                    );
                }
            }
            let connections: usize = peers.iter().map(|peer| peer.connections).sum();
            ensure!(connections == peers.len(), "{connections} connections");
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                worker.join().ok().context("a worker panicked")??;
            }
            Ok(())
        })
    })
}

/// Bytes that follow from `seed` and cannot be guessed from a few of them (`xorshift64*`).
pub(super) fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let words = std::iter::repeat_with(next).take(count.div_ceil(8));
    words.flatten().take(count).collect()
}

/// A file comes in by TCP, is written to the disk, and goes out again: it has the same hash.
pub(crate) fn file(workspace: &Workspace, seed: u64) -> Result<()> {
    with_guest(workspace, &WITH_DISK, |guest| {
        guest.succeed("ip -w")?;
        let sent = bytes(seed, FILE_BYTES);
        let expected = Sha256::digest(&sent);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let server = thread::spawn(move || -> Result<()> {
            let mut stream = accept(&listener)?;
            let mut request: Vec<u8> = Vec::new();
            let mut room = [0; 1024];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                let count = stream.read(&mut room)?;
                ensure!(count > 0, "no request, but {request:?}");
                request.extend(&room[..count]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&sent)?;
            Ok(())
        });
        let command = format!("get http://10.0.2.2:{port}/ /data/www/soak.bin");
        let ran = guest.run_within(&command, FILE_LIMIT)?;
        server.join().ok().context("the server panicked")??;
        ensure!(ran.status == 0, "`{command}`: {ran:?}");
        let hash = download(guest.port(80)?, "/soak.bin")?;
        ensure!(hash == expected[..], "what came out is not what went in");
        Ok(())
    })
}

/// The SHA-256 of what is at `path`.
fn download(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let end = Instant::now() + FILE_LIMIT;
    let (mut head, mut hash, mut count) = (Vec::new(), Sha256::new(), 0);
    let mut is_body = false;
    let mut room = vec![0; 1 << 16];
    loop {
        let got = stream.read(&mut room)?;
        ensure!(Instant::now() < end, "{count} bytes came in time");
        if got == 0 {
            break;
        }
        if is_body {
            hash.update(&room[..got]);
            count += got;
            continue;
        }
        head.extend(&room[..got]);
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            is_body = true;
            hash.update(&head[at + 4..]);
            count += head.len() - at - 4;
        }
    }
    ensure!(head.starts_with(b"HTTP/1.1 200"), "no such file");
    ensure!(count == FILE_BYTES, "{count} of {FILE_BYTES} bytes came");
    Ok(hash.finalize().to_vec())
}

/// A component is killed under traffic: what was open goes on or ends with an error, and new connections
/// work.
pub(crate) fn kills(workspace: &Workspace, component: &str) -> Result<()> {
    with_guest(workspace, &WITH_DISK, |guest| {
        guest.succeed("ip -w")?;
        let port = guest.port(80)?;
        let expected = first_page(port)?;
        let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
        let traffic = || -> Result<()> {
            let mut peer = Peer::new(port);
            while !over.load(Ordering::Relaxed) {
                match peer.get("/") {
                    Ok(answer) => {
                        ensure!(
                            answer.status == 200 && answer.body == expected,
                            "a wrong page: {} with {} bytes",
                            answer.status,
                            answer.body.len()
                        );
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    // It ended with an error: the next request makes a new connection.
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(traffic)).collect();
            let mut costs = Vec::new();
            let mut campaign = || -> Result<()> {
                for number in 0..KILLS {
                    let before = answers.load(Ordering::Relaxed);
                    let cost = restart_cost(guest, component, port, &expected);
                    costs.push(cost.with_context(|| format!("kill {number}"))?);
                    // Those who were there get answers again too.
                    let end = Instant::now() + PATIENCE;
                    while answers.load(Ordering::Relaxed) == before {
                        if Instant::now() >= end {
                            bail!("no answers after kill {number}");
                        }
                        thread::sleep(Duration::from_millis(10));
                    }
                }
                guest.expect("ip -w", "10.0.2.15/24")?;
                Ok(())
            };
            let result = campaign();
            over.store(true, Ordering::Relaxed);
            for worker in workers {
                worker.join().ok().context("a worker panicked")??;
            }
            result?;
            costs.sort_unstable();
            let (middle, most) = (costs.get(costs.len() / 2), costs.last());
            if let (Some(middle), Some(most)) = (middle, most) {
                let text = format!(
                    "from the kill of {component} to the page through a new connection: {} ms in the middle, {} ms at most",
                    middle.as_millis(),
                    most.as_millis()
                );
                report::step("Measured", text);
                ensure!(*most <= RESTART_LIMIT, "the longest restart took {most:?}");
            }
            Ok(())
        })
    })
}

/// Bytes of the stream that goes in and out.
const GIBIBYTE: usize = 1 << 30;
const PIECE: usize = 1 << 20;

/// A gibibyte goes to a program in the guest and back, both at the same time: what comes has the hash of what went.
pub(crate) fn gibibyte(workspace: &Workspace) -> Result<()> {
    with_guest(workspace, &super::hostile::HOSTILE, |guest| {
        guest.succeed("ip -w")?;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", guest.port(super::hostile::ECHO_PORT)?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut sender = stream.try_clone()?;
        let sender = thread::spawn(move || -> Result<Vec<u8>> {
            let mut hash = Sha256::new();
            for number in 0..GIBIBYTE / PIECE {
                let piece = bytes(number as u64 + 1, PIECE);
                hash.update(&piece);
                sender
                    .write_all(&piece)
                    .with_context(|| format!("sending MiB {number}"))?;
            }
            sender.shutdown(Shutdown::Write)?;
            Ok(hash.finalize().to_vec())
        });
        let (mut hash, mut count, mut room) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let got = stream.read(&mut room);
            let got = got.with_context(|| format!("after {count} bytes that came back"))?;
            if got == 0 {
                break;
            }
            hash.update(&room[..got]);
            count += got;
        }
        let sent = sender.join().ok().context("the sender panicked")??;
        ensure!(count == GIBIBYTE, "{count} bytes came back");
        ensure!(
            hash.finalize()[..] == sent[..],
            "what came is not what went"
        );
        let rate = GIBIBYTE as f64 / 1e6 / begun.elapsed().as_secs_f64();
        report::step(
            "Measured",
            format!("a gibibyte in and out at {rate:.1} MB/s each"),
        );
        Ok(())
    })
}

/// `ab` and `wrk` at length.
pub(crate) fn loads(workspace: &Workspace) -> Result<()> {
    if let Some(why) = peers::impossible_apart() {
        report::skipped(format!("load generators: {why}"));
        return Ok(());
    }
    with_guest(workspace, &peers::APART, |guest| {
        let load = peers::Load {
            kept: 10_000,
            fresh: 10_000,
            seconds: 30,
        };
        peers::under_load(guest, load)
    })
}

/// Streams over a wire that loses, doubles and delays, from this seed on.
pub(crate) fn lossy(workspace: &Workspace, seed: u64) -> Result<()> {
    with_guest(workspace, &frames::WIRE, |guest| {
        frames::lossy(guest, seed)?;
        frames::well_formed(guest)
    })
}
