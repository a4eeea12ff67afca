//! How connections begin (RFC 9293, 3.5).

use anyhow::{Result, ensure};

use super::super::Guest;
use super::{QUIET, call, listen, ready};
use crate::lan::{ACK, Connection, FIN, RST, SYN};

/// Ports at which nobody listens (3.5.2, group 1).
pub(super) fn closed(guest: &mut Guest<'_>) -> Result<()> {
    let lan = ready(guest)?;
    let mut caller = Connection::new(lan, 9, 0xffff_ffff);
    let answer = caller.ask()?;
    ensure!(
        answer.flags == RST | ACK && answer.seq == 0 && answer.ack == 0,
        "a SYN: {answer:?}"
    );
    let mut caller = Connection::new(lan, 9, 500);
    caller.ack = 700;
    caller.send(caller.segment(ACK));
    let answer = caller.hear()?;
    ensure!(
        answer.flags == RST && answer.seq == 700,
        "an ACK: {answer:?}"
    );
    let mut with_data = caller.segment(SYN);
    with_data.data = b"data".to_vec();
    caller.send(with_data.clone());
    let answer = caller.hear()?;
    ensure!(
        answer.has(RST) && answer.ack == with_data.end(),
        "a SYN with data: {answer:?}"
    );
    caller.send(caller.segment(RST));
    caller.send(caller.segment(RST | ACK));
    caller.silence(QUIET)
}

/// The guest calls, and the peer answers in every way (3.10.7.3).
pub(super) fn calls_out(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = call(guest, "echo hello", |lan, port| {
        let (mut peer, first) = Connection::called(lan, port)?;
        ensure!(
            first.flags == SYN && first.ack == 0 && first.data.is_empty(),
            "{first:?}"
        );
        ensure!(
            first.option(2) == Some(1460),
            "no largest segment: {first:?}"
        );
        // What acknowledges something else is refused, and does not end the attempt.
        let mut wrong = peer.segment(SYN | ACK);
        wrong.ack = first.seq;
        peer.send(wrong);
        let answer = peer.hear()?;
        ensure!(
            answer.has(RST) && answer.seq == first.seq,
            "a wrong acknowledgement: {answer:?}"
        );
        // A reset counts only if it acknowledges the SYN.
        peer.send(peer.segment(RST));
        let mut forged = peer.segment(RST | ACK);
        forged.ack = first.seq;
        peer.send(forged);
        let again = peer.hear_that("its SYN again", |segment, _| segment.has(SYN))?;
        ensure!(again.seq == first.seq, "{first:?} and then {again:?}");
        peer.take()?;
        let heard = peer.read_to_end()?;
        ensure!(heard == b"hello\n", "the peer heard {heard:?}");
        peer.signal(FIN | ACK);
        Ok(())
    })?;
    ensure!(ran.status == 0, "{ran:?}");
    let (ran, ()) = call(guest, "echo hello", |lan, port| {
        let (peer, _) = Connection::called(lan, port)?;
        peer.send(peer.segment(RST | ACK));
        peer.silence(QUIET)
    })?;
    ensure!(ran.status == 1 && ran.stdout.contains("refused"), "{ran:?}");
    Ok(())
}

/// The guest listens.
pub(super) fn calls_in(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = listen(guest, "echo hello", |lan, port| {
        // The listener is there as soon as something else than a reset comes back.
        let mut peer = loop {
            let mut peer = Connection::new(lan, port, 0xffff_fffe);
            let answer = peer.ask()?;
            if !answer.has(RST) {
                ensure!(
                    answer.flags == SYN | ACK && answer.ack == peer.seq,
                    "{answer:?}"
                );
                break peer;
            }
            std::thread::sleep(QUIET);
        };
        let first = peer.ack.wrapping_sub(1);
        // The same SYN again: the same answer.
        let mut again = peer.segment(SYN);
        again.seq = peer.seq.wrapping_sub(1);
        peer.send(again);
        let answer = peer.hear()?;
        ensure!(
            answer.has(ACK) && (!answer.has(SYN) || answer.seq == first),
            "a SYN again: {answer:?}"
        );
        // A wrong acknowledgement does not complete it.
        let mut wrong = peer.segment(ACK);
        wrong.ack = peer.ack.wrapping_add(77);
        peer.send(wrong.clone());
        let answer = peer.hear_that("a reset", |segment, _| segment.has(RST))?;
        ensure!(answer.seq == wrong.ack, "{answer:?}");
        // The last step can carry data and the end of the stream.
        let mut last = peer.data(b"all at once");
        last.flags |= FIN;
        peer.seq = last.end();
        peer.send(last);
        let heard = peer.read_to_end()?;
        ensure!(heard == b"hello\n", "the peer heard {heard:?}");
        Ok(())
    })?;
    ensure!(ran.status == 0 && ran.stdout == "all at once", "{ran:?}");
    let (ran, ()) = listen(guest, "echo hello", |lan, port| {
        // Reset before it is complete: the listener goes on.
        loop {
            let mut early = Connection::new(lan, port, 1);
            if !early.ask()?.has(RST) {
                early.send(early.segment(RST));
                break;
            }
            std::thread::sleep(QUIET);
        }
        let mut peer = Connection::connect(lan, port)?;
        peer.signal(FIN | ACK);
        let heard = peer.read_to_end()?;
        ensure!(heard == b"hello\n", "the peer heard {heard:?}");
        Ok(())
    })?;
    ensure!(ran.status == 0 && ran.stdout.is_empty(), "{ran:?}");
    Ok(())
}

/// Simultaneous open (3.5, figure 7).
pub(super) fn both(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = call(guest, "echo hello", |lan, port| {
        let (mut peer, first) = Connection::called(lan, port)?;
        let mut own = peer.segment(SYN);
        own.options.clone_from(&peer.options);
        peer.send(own);
        let answer = peer.hear_that("SYN and ACK", |segment, _| segment.has(ACK))?;
        ensure!(
            answer.has(SYN) && answer.seq == first.seq && answer.ack == peer.seq.wrapping_add(1),
            "{answer:?}"
        );
        let mut last = peer.segment(SYN | ACK);
        last.options.clone_from(&peer.options);
        peer.send(last);
        peer.seq = peer.seq.wrapping_add(1);
        peer.send(peer.segment(ACK));
        let heard = peer.read_to_end()?;
        ensure!(heard == b"hello\n", "the peer heard {heard:?}");
        peer.signal(FIN | ACK);
        Ok(())
    })?;
    ensure!(ran.status == 0, "{ran:?}");
    Ok(())
}
