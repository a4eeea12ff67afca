//! What a peer has room for (RFC 9293, 3.8.6).

use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::Guest;
use super::call;
use crate::lan::{ACK, Connection, FIN, RST};

/// What the guest sends: several kilobytes that it knows by heart.
const INPUT: &str = "help";

/// The guest sends no byte more than there is room for, and all of them in the end.
pub(super) fn small(guest: &mut Guest<'_>) -> Result<()> {
    let expected = guest.succeed(INPUT)?;
    let (ran, heard) = call(guest, INPUT, |lan, port| {
        let (mut peer, _) = Connection::called(lan, port)?;
        // Segments of 88 bytes at most, and less room than that.
        peer.options = vec![2, 4, 0, 88];
        peer.window = 1;
        peer.take()?;
        let mut heard = Vec::<u8>::new();
        let mut edge = peer.ack.wrapping_add(1);
        // Each time there is room for as much as this.
        let mut rooms = [1, 2, 7, 30, 88, 100, 500].iter().cycle();
        loop {
            let segment = peer.hear()?;
            ensure!(!segment.has(RST), "reset after {} bytes", heard.len());
            ensure!(segment.data.len() <= 88, "{} bytes", segment.data.len());
            let behind = segment.seq.wrapping_add(segment.data.len() as u32);
            ensure!(
                edge.wrapping_sub(behind) < 1 << 31,
                "{} bytes more than there is room for",
                behind.wrapping_sub(edge)
            );
            if segment.seq == peer.ack {
                heard.extend(&segment.data);
                peer.ack = segment.end();
            }
            if segment.has(FIN) && peer.ack == segment.end() {
                break;
            }
            // New room only when the old is used up.
            if peer.ack == edge {
                peer.window = *rooms.next().unwrap_or(&1);
                edge = peer.ack.wrapping_add(u32::from(peer.window));
            }
            let mut answer = peer.segment(ACK);
            answer.window = edge.wrapping_sub(peer.ack) as u16;
            peer.send(answer);
        }
        peer.signal(FIN | ACK);
        Ok(heard)
    })?;
    ensure!(ran.status == 0, "{ran:?}");
    ensure!(heard == expected.as_bytes(), "{} bytes", heard.len());
    Ok(())
}

/// No room at all: the guest asks now and then, with a byte at most, and goes on when there is some.
pub(super) fn closed(guest: &mut Guest<'_>) -> Result<()> {
    let expected = guest.succeed(INPUT)?;
    let (ran, heard) = call(guest, INPUT, |lan, port| {
        let (mut peer, _) = Connection::called(lan, port)?;
        peer.window = 0;
        peer.take()?;
        for _ in 0..2 {
            let probe = peer.hear_within(Duration::from_secs(30));
            let Some(probe) = probe else {
                anyhow::bail!("no question whether there is room");
            };
            ensure!(probe.data.len() <= 1, "{} bytes", probe.data.len());
            peer.send(peer.segment(ACK));
        }
        // The news that there is room is lost: the next question learns it.
        peer.window = 2000;
        let probe = peer.hear_that("a question whether there is room", |_, _| true)?;
        if probe.seq == peer.ack {
            // A byte that was taken.
            let mut heard = probe.data.clone();
            peer.ack = probe.end();
            peer.send(peer.segment(ACK));
            heard.extend(peer.read_to_end()?);
            peer.signal(FIN | ACK);
            return Ok(heard);
        }
        peer.send(peer.segment(ACK));
        let heard = peer.read_to_end()?;
        peer.signal(FIN | ACK);
        Ok(heard)
    })?;
    ensure!(ran.status == 0, "{ran:?}");
    ensure!(heard == expected.as_bytes(), "{} bytes", heard.len());
    Ok(())
}
