//! Version 2 of `iperf` as a peer.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Guest, PATIENCE, SPARE_PORT};
use crate::report;

/// A program that ends with this value.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn peer(arguments: &[&str]) -> Result<Peer> {
    let mut command = Command::new("iperf");
    command.args(arguments).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Peer(child.context("iperf does not start")?))
}

/// What the guest says it moved.
fn bytes(printed: &str) -> Option<u64> {
    let (before, _) = printed.split_once(" bytes")?;
    before.rsplit(' ').next()?.parse().ok()
}

pub(super) fn both_ways(guest: &mut Guest<'_>) -> Result<()> {
    const NUMBER: &str = "1048576";
    if Command::new("iperf").arg("-v").output().is_err() {
        report::skipped(
            "network/iperf_measures_both_ways: iperf is not here (`apt-get install iperf`)",
        );
        return Ok(());
    }
    guest.succeed("ip -w")?;
    let port = guest.port(SPARE_PORT)?.to_string();
    let over = std::sync::atomic::AtomicBool::new(false);
    let printed = std::thread::scope(|scope| {
        // A client that finds nobody yet comes again.
        scope.spawn(|| {
            let end = Instant::now() + PATIENCE;
            while !over.load(std::sync::atomic::Ordering::Relaxed) && Instant::now() < end {
                let Ok(mut client) = peer(&["-c", "127.0.0.1", "-p", &port, "-n", NUMBER]) else {
                    return;
                };
                let _ = client.0.wait();
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let printed = guest.succeed(&format!("iperf -s {SPARE_PORT}"));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        printed
    })?;
    ensure!(
        bytes(&printed).is_some_and(|bytes| bytes >= 1 << 20),
        "{printed}"
    );

    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _server = peer(&["-s", "-p", &port.to_string()])?;
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < end, "iperf does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let printed = guest.succeed(&format!("iperf -c 10.0.2.2 1 {port}"))?;
    ensure!(
        bytes(&printed).is_some_and(|bytes| bytes > 0) && printed.contains("Mbit/s"),
        "{printed}"
    );
    Ok(())
}
