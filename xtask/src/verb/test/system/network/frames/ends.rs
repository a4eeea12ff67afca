//! Resets, and what only looks like one (RFC 9293, 3.5.3 and 3.10.7.4).

use anyhow::{Context, Result, ensure};

use super::super::Guest;
use super::closes::KEPT_PORT;
use super::{QUIET, listen, ready};
use crate::lan::{ACK, Connection, FIN, Lan, RST, SYN};

/// The guest knows nothing of the connection: it answers as a closed port does.
pub(super) fn is_gone(peer: &mut Connection<'_>) -> Result<()> {
    while peer.hear_within(QUIET).is_some() {}
    let probe = peer.data(b"anybody?");
    peer.send(probe);
    let answer = peer.hear()?;
    ensure!(
        answer.has(RST) && answer.seq == peer.ack,
        "the connection is not gone: {answer:?}"
    );
    Ok(())
}

/// The guest has the connection: it says so when asked as a keep-alive asks, once a second at most.
fn is_there(peer: &Connection<'_>) -> Result<()> {
    while peer.hear_within(QUIET).is_some() {}
    let mut probe = peer.segment(ACK);
    probe.seq = peer.seq.wrapping_sub(1);
    let answer = peer.repeat(&probe, |_| true)?;
    ensure!(
        answer.has(ACK) && !answer.has(RST) && answer.ack == peer.seq,
        "the connection is gone: {answer:?}"
    );
    Ok(())
}

fn reset(peer: &mut Connection<'_>) -> Result<()> {
    peer.send(peer.segment(RST));
    is_gone(peer)
}

pub(super) fn every_state(guest: &mut Guest<'_>) -> Result<()> {
    let lan = ready(guest)?;
    established(lan).context("ESTABLISHED")?;
    close_wait(lan).context("CLOSE-WAIT")?;
    last_ack(lan).context("LAST-ACK")?;
    type State = fn(&mut Connection<'_>) -> Result<()>;
    let states: [(&str, State, u8); 4] = [
        ("FIN-WAIT-1", |_| Ok(()), 1),
        (
            "FIN-WAIT-2",
            |peer| {
                peer.send(peer.segment(ACK));
                Ok(())
            },
            1,
        ),
        (
            "CLOSING",
            |peer| {
                let all = peer.ack;
                peer.ack = all.wrapping_sub(1);
                peer.signal(FIN | ACK);
                peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
                peer.ack = all;
                Ok(())
            },
            0,
        ),
        (
            "TIME-WAIT",
            |peer| {
                peer.signal(FIN | ACK);
                peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
                Ok(())
            },
            0,
        ),
    ];
    for (name, enter, status) in states {
        let (ran, ()) = listen(guest, "echo hello", |lan, port| {
            let mut peer = Connection::connect(lan, port)?;
            let end = peer.hear_that("its FIN", |segment, _| segment.has(FIN))?;
            peer.ack = end.end();
            enter(&mut peer)?;
            while peer.hear_within(QUIET).is_some() {}
            peer.send(peer.segment(RST));
            if name == "TIME-WAIT" {
                // RFC 1337: whether it goes at once or in its time, it is silent.
                return peer.silence(QUIET);
            }
            is_gone(&mut peer)
        })
        .context(name)?;
        ensure!(ran.status == status, "{name}: {ran:?}");
        ensure!(
            status == 0 || ran.stdout.contains("reset"),
            "{name}: {ran:?}"
        );
    }
    Ok(())
}

fn established(lan: &Lan) -> Result<()> {
    let mut peer = Connection::connect(lan, KEPT_PORT)?;
    is_there(&peer)?;
    // Outside of the window.
    for ahead in [1 << 30, u32::MAX] {
        let mut forged = peer.segment(RST);
        forged.seq = peer.seq.wrapping_add(ahead);
        peer.send(forged);
        is_there(&peer).with_context(|| format!("a reset {ahead} bytes ahead"))?;
    }
    // A SYN within the window asks for nothing but an acknowledgement (RFC 5961, 4).
    peer.send(peer.segment(SYN));
    is_there(&peer).context("a SYN")?;
    // Acknowledges what was never sent.
    let mut early = peer.segment(ACK);
    early.ack = peer.ack.wrapping_add(100_000);
    peer.send(early);
    is_there(&peer).context("an early ACK")?;
    reset(&mut peer)
}

/// The peer has ended, and the guest has not sent all that it has to say.
fn close_wait(lan: &Lan) -> Result<()> {
    let mut peer = Connection::connect_with(lan, KEPT_PORT, 10)?;
    let mut last = peer.data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    last.flags |= FIN;
    peer.seq = last.end();
    peer.send(last);
    let first = peer.hear_that("data", |segment, _| !segment.data.is_empty())?;
    ensure!(first.data.len() <= 10, "{first:?}");
    peer.ack = first.end();
    peer.window = 0;
    peer.send(peer.segment(ACK));
    reset(&mut peer)
}

/// Both have ended, and the guest waits for the last acknowledgement.
fn last_ack(lan: &Lan) -> Result<()> {
    let mut peer = Connection::connect(lan, KEPT_PORT)?;
    peer.signal(FIN | ACK);
    let end = peer.hear_that("its FIN", |segment, _| segment.has(FIN))?;
    peer.ack = end.end();
    reset(&mut peer)
}
