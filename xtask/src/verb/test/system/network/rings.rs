//! Streams through rings of bytes that the shell shares with the service.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use anyhow::{Context, Result, ensure};

use super::{Guest, accept};

const MIB: usize = 1 << 20;
/// Most calls for a megabyte: a call a piece of 64 KiB would be 16.
const CALLS: u32 = 12;

pub(super) fn megabytes(guest: &mut Guest<'_>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let sender = listener.try_clone()?;
    let peer = thread::spawn(move || -> Result<()> {
        accept(&sender)?.write_all(&vec![0x5a; 4 * MIB])?;
        Ok(())
    });
    let printed = guest.succeed(&format!("bench tcp-receive-rings {port}"))?;
    peer.join().ok().context("the sender panicked")??;
    ensure!(printed.contains(&format!("bytes={}", 4 * MIB)), "{printed}");
    few_calls(&printed, 4)?;

    let peer = thread::spawn(move || -> Result<Vec<u8>> {
        let mut heard = Vec::new();
        accept(&listener)?.read_to_end(&mut heard)?;
        Ok(heard)
    });
    let printed = guest.succeed(&format!("bench tcp-send-rings {port} 4"))?;
    let heard = peer.join().ok().context("the receiver panicked")??;
    ensure!(heard.len() == 4 * MIB, "{} bytes came", heard.len());
    ensure!(heard.iter().all(|byte| *byte == 0x5a), "other bytes came");
    few_calls(&printed, 4)
}

fn few_calls(printed: &str, mib: u32) -> Result<()> {
    let calls = printed.lines().find_map(|line| line.strip_suffix(" calls"));
    let calls: u32 = calls
        .with_context(|| format!("no calls in {printed}"))?
        .parse()?;
    ensure!(calls <= CALLS * mib, "{calls} calls for {mib} MiB");
    Ok(())
}
