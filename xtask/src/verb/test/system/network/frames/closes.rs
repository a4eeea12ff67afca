//! How connections end (RFC 9293, 3.6).

use anyhow::{Result, ensure};

use super::super::Guest;
use super::{listen, ready};
use crate::lan::{ACK, Connection, FIN, RST};

/// The port of the web server, which keeps a connection until its client ends it.
pub(super) const KEPT_PORT: u16 = 80;

pub(super) fn every_order(guest: &mut Guest<'_>) -> Result<()> {
    guest_first(guest)?;
    both(guest)?;
    let lan = ready(guest)?;
    peer_first(Connection::connect(lan, KEPT_PORT)?)
}

/// The guest ends its half; the other goes on.
fn guest_first(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = listen(guest, "echo hello", |lan, port| {
        let mut peer = Connection::connect(lan, port)?;
        ensure!(peer.read_to_end()? == b"hello\n");
        for word in [b"one ".as_slice(), b"two ", b"three"] {
            peer.say(word);
            peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
        }
        peer.signal(FIN | ACK);
        peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
        // The ACK was lost, and the end comes again: so does the ACK (TIME-WAIT).
        let mut again = peer.segment(FIN | ACK);
        again.seq = peer.seq.wrapping_sub(1);
        peer.send(again);
        let answer = peer.hear()?;
        ensure!(
            answer.flags == ACK && answer.ack == peer.seq,
            "an end again: {answer:?}"
        );
        Ok(())
    })?;
    ensure!(ran.status == 0 && ran.stdout == "one two three", "{ran:?}");
    Ok(())
}

/// Both ends cross (3.6, figure 13).
fn both(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = listen(guest, "echo hello", |lan, port| {
        let mut peer = Connection::connect(lan, port)?;
        let end = peer.hear_that("its FIN", |segment, _| segment.has(FIN))?;
        // All but the end is acknowledged with the peer's own.
        peer.ack = end.end().wrapping_sub(1);
        peer.signal(FIN | ACK);
        let answer = peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
        ensure!(!answer.has(RST), "{answer:?}");
        peer.ack = end.end();
        peer.send(peer.segment(ACK));
        let mut again = peer.segment(FIN | ACK);
        again.seq = peer.seq.wrapping_sub(1);
        peer.send(again);
        let answer = peer.hear_that("an ACK", |segment, _| segment.flags == ACK)?;
        ensure!(answer.ack == peer.seq, "an end again: {answer:?}");
        Ok(())
    })?;
    ensure!(ran.status == 0 && ran.stdout.is_empty(), "{ran:?}");
    Ok(())
}

/// The peer ends, then the guest; the connection is gone with the last ACK.
fn peer_first(mut peer: Connection<'_>) -> Result<()> {
    peer.signal(FIN | ACK);
    let end = peer.hear_that("its FIN", |segment, _| segment.has(FIN))?;
    ensure!(end.ack == peer.seq, "{end:?}");
    peer.ack = end.end();
    peer.send(peer.segment(ACK));
    super::ends::is_gone(&mut peer)
}
