//! Data that is lost, repeated, cut otherwise, or early (RFC 9293, 3.8 and 3.10.7.4).

use std::time::Instant;

use anyhow::{Result, ensure};

use super::super::Guest;
use super::{call, listen};
use crate::lan::{ACK, Connection, FIN, RST, Segment};

/// What the guest sends and nobody acknowledges comes again, the same and ever more seldom.
pub(super) fn lost(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = call(guest, "echo hello", |lan, port| {
        let (mut peer, _) = Connection::called(lan, port)?;
        peer.take()?;
        let begun = Instant::now();
        let mut times = Vec::new();
        while times.len() < 3 {
            let segment = peer.hear_that("its data again", |segment, now| {
                segment.seq == now.ack && !segment.data.is_empty()
            })?;
            times.push(begun.elapsed());
            let length = segment.data.len().min(6);
            ensure!(segment.data == b"hello\n"[..length], "{segment:?}");
        }
        let (one, two) = (times[1] - times[0], times[2] - times[1]);
        ensure!(
            two > one + one / 4,
            "again after {one:?}, and then after {two:?}"
        );
        // The data are acknowledged, and the end not yet: it comes again too.
        peer.ack = peer.ack.wrapping_add(6);
        peer.send(peer.segment(ACK));
        let end = peer.hear_that("its FIN", |segment, now| {
            segment.has(FIN) && segment.seq == now.ack
        })?;
        ensure!(end.data.is_empty(), "{end:?}");
        peer.ack = peer.ack.wrapping_add(1);
        peer.signal(FIN | ACK);
        // What comes late is answered, or is too late.
        peer.hear_that("an ACK of the end", |segment, now| segment.ack == now.seq)?;
        Ok(())
    })?;
    ensure!(ran.status == 0, "{ran:?}");
    Ok(())
}

/// Sends the last of some segments until what it completes is acknowledged.
#[track_caller]
fn acknowledged(peer: &Connection<'_>, last: &Segment, expected: u32) -> Result<()> {
    let answer = peer.repeat(last, |answer| answer.ack == expected)?;
    ensure!(!answer.has(RST), "{answer:?}");
    Ok(())
}

/// Pieces in every order make the stream that was sent.
pub(super) fn any(guest: &mut Guest<'_>) -> Result<()> {
    const TEXT: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let (ran, ()) = listen(guest, "echo x", |lan, port| {
        let mut peer = Connection::connect(lan, port)?;
        peer.read_to_end()?;
        let base = peer.seq;
        let piece = |from: usize, to: usize| {
            let mut segment = peer.data(&TEXT[from..to]);
            segment.seq = base.wrapping_add(from as u32);
            segment
        };
        let at = |bytes: u32| base.wrapping_add(bytes);
        let ends = |mut segment: Segment| {
            segment.flags |= FIN;
            segment
        };
        // The second before the first: the acknowledgement stays where it is, at once.
        acknowledged(&peer, &piece(5, 10), at(0))?;
        acknowledged(&peer, &piece(0, 5), at(10))?;
        // Again, all and in part.
        acknowledged(&peer, &piece(0, 10), at(10))?;
        acknowledged(&peer, &piece(8, 14), at(14))?;
        // Two holes, the pieces overlap, and the last comes first.
        peer.send(piece(30, 34));
        peer.send(piece(20, 26));
        acknowledged(&peer, &piece(18, 22), at(14))?;
        acknowledged(&peer, &piece(14, 19), at(26))?;
        acknowledged(&peer, &piece(25, 31), at(34))?;
        // The end before the last byte: it counts when all is there.
        acknowledged(&peer, &ends(piece(35, 36)), at(34))?;
        // Far outside of the window, before and behind: acknowledged as it is, and not taken.
        for seq in [base.wrapping_sub(100_000), base.wrapping_add(1 << 30)] {
            let mut outside = peer.data(b"outside");
            outside.seq = seq;
            acknowledged(&peer, &outside, at(34))?;
        }
        peer.send(piece(34, 35));
        // The end comes once more, by itself: it was early, and is not kept.
        let all = at(37);
        acknowledged(&peer, &ends(piece(36, 36)), all)?;
        peer.seq = all;
        Ok(())
    })?;
    ensure!(
        ran.status == 0 && ran.stdout.as_bytes() == TEXT,
        "{} of {} bytes: {ran:?}",
        ran.stdout.len(),
        TEXT.len()
    );
    Ok(())
}
