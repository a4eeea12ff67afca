//! Traffic on the network, with peers on this machine: streams, echoes, connections, requests for pages.
//!
//! The guest's time passes with its instructions while it works and with the host's while it waits, so
//! that no timer of its runs out only because this machine is busy. Waiting costs the guest nothing.
//!
//! How soon a peer answers is up to this machine, and makes a difference: whether the guest's service still works
//! or has to be woken. So echoes are measured twice, the second time with an answer that is late on any machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Measurement;
use super::whole::{COUNTED, Row, print, with_guest};
use crate::qemu::Clock;
use crate::verb::test::system::{Guest, Setting};
use crate::workspace::Workspace;

const ROWS: &[Row] = &[
    Row::new(
        "tcp-receive",
        "TCP received, per byte (64 MiB)",
        "2.86",
        2_800,
    )
    .in_thousandths(),
    Row::new("tcp-send", "TCP sent, per byte (64 MiB)", "7.74", 6_000).in_thousandths(),
    Row::open("tcp-receive-rings", "TCP received through a ring, per byte").in_thousandths(),
    Row::open("tcp-send-rings", "TCP sent through a ring, per byte").in_thousandths(),
    Row::new("tcp-echo", "TCP request/response, 1 byte", "20,960", 16_000),
    Row::new(
        "tcp-echo-late",
        "the same, answered after 1 ms",
        "–",
        16_000,
    ),
    Row::new("udp-echo", "UDP echo, 1 byte", "17,500", 13_000),
    Row::new(
        "udp-echo-late",
        "the same, answered after 1 ms",
        "–",
        13_000,
    ),
    Row::new("tcp-connect", "TCP connect + close", "63,560", 50_000),
    Row::new(
        "http-keep",
        "HTTP request, keep-alive (4 connections)",
        "23,400",
        20_000,
    ),
    Row::new(
        "http-new",
        "HTTP request, new connection each",
        "102,000",
        80_000,
    ),
    Row::open(
        "http-keep-page",
        "HTTP request of a page of 5 KiB, keep-alive",
    ),
    Row::open("http-new-page", "HTTP request of it, new connection each"),
];

const NETWORK: Setting = Setting {
    disk: Some(crate::disk::make),
    network: true,
    entropy: true,
    ports: &[80],
    clock: Clock::Paced(0),
    ..COUNTED
};

/// Streams are this long.
const MIB: usize = 64;
const ECHOES: u32 = 300;
const CONNECTIONS: u32 = 100;
/// Requests that keep their connection, and those that have one each.
const REQUESTS: usize = 400;
const NEW_REQUESTS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(120);
/// After that long everybody in the guest sleeps.
const LATE: Duration = Duration::from_millis(1);

/// Something that the guest serves.
#[derive(Clone, Copy)]
struct Page {
    path: &'static str,
    /// What it ends with.
    end: &'static [u8],
}

/// 64 bytes, so that an answer is one segment. Linux' figure per request is less than what it takes to send
/// 5 KiB: it cannot have been more.
const SMALL: Page = Page {
    path: "/small.txt",
    end: b"~\n",
};
/// The page of the first boot.
const WHOLE: Page = Page {
    path: "/",
    end: b"</html>\n",
};

pub(super) fn run(workspace: &Workspace, all: &mut Vec<Measurement>) -> Result<()> {
    let mut found = with_guest(workspace, &NETWORK, |guest| {
        guest.succeed("ip -w")?;
        let mut found = Vec::new();
        let mut note = |printed: String| -> Result<()> {
            for line in printed.lines().filter(|line| line.contains('=')) {
                found.push(Measurement::parse(line)?);
            }
            Ok(())
        };
        let (port, peer) = once(send_stream)?;
        note(guest.succeed(&format!("bench tcp-receive {port}"))?)?;
        join(peer)?;
        let (port, peer) = once(receive_stream)?;
        note(guest.succeed(&format!("bench tcp-send {port} {MIB}"))?)?;
        join(peer)?;
        let (port, peer) = once(send_stream)?;
        note(guest.succeed(&format!("bench tcp-receive-rings {port}"))?)?;
        join(peer)?;
        let (port, peer) = once(receive_stream)?;
        note(guest.succeed(&format!("bench tcp-send-rings {port} {MIB}"))?)?;
        join(peer)?;
        for pause in [Duration::ZERO, LATE] {
            let late = if pause.is_zero() { "" } else { "-late" };
            let renamed = |printed: String| printed.replace("-echo ", &format!("-echo{late} "));
            let (port, peer) = once(move |stream| echo(stream, pause))?;
            note(renamed(
                guest.succeed(&format!("bench tcp-echo {port} {ECHOES}"))?,
            ))?;
            join(peer)?;
            let port = udp_echo(pause)?;
            note(renamed(
                guest.succeed(&format!("bench udp-echo {port} {ECHOES}"))?,
            ))?;
        }
        let port = accept_and_close()?;
        note(guest.succeed(&format!("bench tcp-connect {port} {CONNECTIONS}"))?)?;
        guest.succeed(&format!("echo {}~ > /data/www/small.txt", "a".repeat(62)))?;
        for (name, page) in [("http-keep", SMALL), ("http-keep-page", WHOLE)] {
            note(during(guest, name, page, REQUESTS, keep_asking)?)?;
        }
        for (name, page) in [("http-new", SMALL), ("http-new-page", WHOLE)] {
            note(during(guest, name, page, NEW_REQUESTS, ask_anew)?)?;
        }
        Ok(found)
    })?;
    let verdict = print("instructions of the whole system", ROWS, &found);
    all.append(&mut found);
    verdict
}

/// A peer for one connection: its port, and the thread in which it works.
fn once(
    work: impl FnOnce(TcpStream) -> Result<()> + Send + 'static,
) -> Result<(u16, JoinHandle<Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let peer = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        work(stream)
    });
    Ok((port, peer))
}

fn join(peer: JoinHandle<Result<()>>) -> Result<()> {
    peer.join().ok().context("a peer panicked")?
}

fn send_stream(mut stream: TcpStream) -> Result<()> {
    let chunk = vec![0x5a; 1 << 20];
    for _ in 0..MIB {
        stream.write_all(&chunk)?;
    }
    Ok(())
}

fn receive_stream(mut stream: TcpStream) -> Result<()> {
    let mut room = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match stream.read(&mut room)? {
            0 => break,
            count => bytes += count,
        }
    }
    ensure!(bytes == MIB << 20, "{bytes} bytes came");
    Ok(())
}

fn echo(mut stream: TcpStream, pause: Duration) -> Result<()> {
    let mut room = [0; 64];
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        thread::sleep(pause);
        stream.write_all(&room[..count])?;
    }
}

/// Answers messages for as long as the process lives.
fn udp_echo(pause: Duration) -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut room = [0; 64];
        while let Ok((count, from)) = socket.recv_from(&mut room) {
            thread::sleep(pause);
            let _ = socket.send_to(&room[..count], from);
        }
    });
    Ok(port)
}

/// Takes connections and waits for their end, for as long as the process lives.
fn accept_and_close() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 16]);
        }
    });
    Ok(port)
}

/// What the guest executes while `work` is done to its web server, per request.
fn during(
    guest: &mut Guest<'_>,
    name: &str,
    page: Page,
    requests: usize,
    work: fn(u16, Page, usize) -> Result<()>,
) -> Result<String> {
    let server = guest.port(80)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let peer = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // Once to warm up.
        work(server, page, 8)?;
        stream.write_all(b"b")?;
        thread::sleep(Duration::from_millis(200));
        work(server, page, requests)?;
        stream.write_all(b"e")?;
        Ok(())
    });
    let printed = guest.succeed(&format!("bench during {name} {port} {requests}"))?;
    join(peer)?;
    Ok(printed)
}

fn keep_asking(port: u16, page: Page, requests: usize) -> Result<()> {
    const CONNECTIONS: usize = 4;
    let streams: Result<Vec<_>> = (0..CONNECTIONS).map(|_| connect(port)).collect();
    let mut streams = streams?;
    for _ in 0..requests / CONNECTIONS {
        for stream in &mut streams {
            ask(stream, page)?;
        }
        for stream in &mut streams {
            answer(stream, page)?;
        }
    }
    Ok(())
}

fn ask_anew(port: u16, page: Page, requests: usize) -> Result<()> {
    for _ in 0..requests {
        let mut stream = connect(port)?;
        ask(&mut stream, page)?;
        answer(&mut stream, page)?;
    }
    Ok(())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, page: Page) -> Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: guest\r\n\r\n", page.path);
    stream.write_all(request.as_bytes())?;
    Ok(())
}

/// Takes one answer, whose end is known.
fn answer(stream: &mut TcpStream, page: Page) -> Result<()> {
    let mut heard = Vec::new();
    let mut room = [0; 8192];
    while !heard.ends_with(page.end) {
        let count = stream.read(&mut room)?;
        ensure!(count > 0, "the server ended the connection");
        heard.extend(&room[..count]);
    }
    Ok(())
}
