//! Clients of the network service that do all that clients can do wrong, and one beside them that is served as ever.
//!
//! They run on the target in the system of `servers/trial/network`, and judge by themselves what their mistakes came to.
//! Meanwhile a peer outside streams to an honest client and back, and compares each byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::soak::bytes;
use super::{PATIENCE, Setting};
use crate::qemu::Board;
use crate::verb::test::system::{Guest, Image};
use crate::workspace::Workspace;

/// Where the honest client listens.
pub(super) const ECHO_PORT: u16 = 7;
/// Bytes that go there and back at a time: more than all buffers on the way.
const STREAM_BYTES: usize = 1 << 20;
/// Longest time for one that does harm.
const LIMIT: Duration = Duration::from_secs(150);
/// Lives of each in a step of `cargo xtask soak`.
const LONG_ROUNDS: usize = 8;

/// The system of `servers/trial/network`.
pub(super) const HOSTILE: Setting = Setting {
    system: "servers/trial/network/system.toml",
    ports: &[ECHO_PORT],
    entropy: true,
    ..Setting::SHIPPED
};

/// A table with one line for each component, and what it shows of one.
fn restarts(guest: &mut Guest<'_>, name: &str) -> Result<String> {
    let table = guest.succeed("ps")?;
    let line = table
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == name));
    let line = line.with_context(|| format!("no `{name}` in\n{table}"))?;
    let restarts = line.split_whitespace().rev().nth(2);
    Ok(restarts.context("no restarts")?.to_string())
}

/// Runs `name` until it has ended, and returns what it said of itself.
fn let_loose(guest: &mut Guest<'_>, name: &str) -> Result<String> {
    let last = format!("log -1 {name}");
    // What an earlier life said.
    let before = guest.succeed(&last)?;
    guest.succeed(&format!("restart {name}"))?;
    let end = Instant::now() + LIMIT;
    loop {
        guest.succeed("sleep 0.2")?;
        let said = guest.succeed(&last)?;
        if said == before {
            ensure!(Instant::now() < end, "{name} does not end");
            continue;
        }
        if said.contains(&format!("{name}: passed")) {
            return Ok(said);
        }
        ensure!(!said.contains(&format!("{name}: ")), "{said}");
        ensure!(Instant::now() < end, "{name} does not end; last {said}");
    }
}

/// Streams to the honest client and back until `over`; how often.
fn stream(port: u16, over: &AtomicBool) -> Result<usize> {
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) || rounds == 0 {
        let sent = bytes(rounds as u64 + 1, STREAM_BYTES);
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut back = Vec::new();
        std::thread::scope(|scope| {
            let mut sender = stream.try_clone()?;
            let sent = &sent;
            let writer = scope.spawn(move || {
                sender.write_all(sent)?;
                sender.shutdown(Shutdown::Write)
            });
            let read = stream.read_to_end(&mut back);
            let written = writer.join().ok().context("the writer panicked")?;
            written.with_context(|| format!("sending in round {rounds}"))?;
            read.with_context(|| format!("receiving in round {rounds}"))?;
            anyhow::Ok(())
        })?;
        ensure!(
            back == sent,
            "round {rounds}: {} of {STREAM_BYTES} bytes came back, {}",
            back.len(),
            match back.iter().zip(&sent).position(|(a, b)| a != b) {
                Some(at) => format!("the first wrong one at {at}"),
                None => "none of them wrong".to_string(),
            }
        );
        rounds += 1;
    }
    Ok(rounds)
}

/// Each that does harm, so many times, beside somebody who is served.
fn beside(guest: &mut Guest<'_>, rounds: usize) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(ECHO_PORT)?;
    let over = AtomicBool::new(false);
    let (streamed, said) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| stream(port, &over));
        let mut campaign = || -> Result<Vec<String>> {
            let mut said = Vec::new();
            for _ in 0..rounds {
                for name in ["hostile", "hasty", "fuzz"] {
                    said.push(let_loose(guest, name)?);
                    if honest.is_finished() {
                        bail!("the honest client is not served any more beside {name}");
                    }
                }
            }
            Ok(said)
        };
        let said = campaign();
        over.store(true, Ordering::Relaxed);
        let streamed = honest.join().ok().context("the honest peer panicked");
        (streamed, said)
    });
    let streamed = streamed??;
    let said = said?;
    ensure!(streamed > 0, "nothing was streamed meanwhile");
    for line in said {
        let line = line.trim();
        crate::report::step("Measured", format!("{line}, {streamed} MiB beside them"));
    }
    for name in ["net", "echo", "lend", "virtio-net"] {
        let restarts = restarts(guest, name)?;
        ensure!(
            restarts == "0",
            "{name} was started again, {restarts} times"
        );
    }
    // Whoever has ended holds nothing any more, as soon as the root task has said so.
    let end = Instant::now() + PATIENCE;
    loop {
        let sockets = guest.succeed("netstat")?;
        let left = ["hostile", "hasty", "fuzz"].map(|name| sockets.contains(name));
        if left == [false; 3] {
            break;
        }
        ensure!(
            Instant::now() < end,
            "those who have ended have sockets:\n{sockets}"
        );
        guest.succeed("sleep 0.1")?;
    }
    Ok(())
}

pub(super) fn harm_nobody(guest: &mut Guest<'_>) -> Result<()> {
    beside(guest, 1)
}

/// A step of `cargo xtask soak`: a machine of its own.
pub(crate) fn soak(workspace: &Workspace) -> Result<()> {
    let path = workspace.output("soak-hostile.img")?;
    let image = Image::write(workspace, &HOSTILE, Board::Virt, path)?;
    let mut guest = Guest::start(workspace, &HOSTILE, Board::Virt, &image, "soak-hostile")?;
    beside(&mut guest, LONG_ROUNDS)
}
