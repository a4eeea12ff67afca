//! What is damaged, forged, or too short is as if it had never come.

use anyhow::{Result, ensure};
use etherparse::IpNumber;

use super::super::Guest;
use super::{QUIET, listen, listening_port, ready};
use crate::lan::packet::{self, ETHERNET_BYTES};
use crate::lan::{ACK, Connection, FIN, GUEST, PEER};

/// Where the parts of a frame with TCP begin.
const IP: usize = ETHERNET_BYTES;
const TCP: usize = IP + 20;

pub(super) fn damaged(guest: &mut Guest<'_>) -> Result<()> {
    let (ran, ()) = listen(guest, "echo x", |lan, port| {
        let mut peer = Connection::connect(lan, port)?;
        peer.read_to_end()?;
        let good = peer.data(b"wrong").frame();
        let changed = |at: usize, to: u8| {
            let mut frame = good.clone();
            frame[at] = to;
            frame
        };
        // A checksum that fits to what was changed in the header of IP.
        let mended = |at: usize, to: u8| {
            let mut frame = changed(at, to);
            frame[IP + 10..IP + 12].fill(0);
            let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&frame[IP..TCP]);
            frame[IP + 10..IP + 12].copy_from_slice(&sum.ones_complement().to_ne_bytes());
            frame
        };
        let mut bad = vec![
            changed(good.len() - 1, b'x'),
            changed(TCP + 16, good[TCP + 16] ^ 1),
            changed(IP + 10, good[IP + 10] ^ 1),
            changed(TCP + 12, 4 << 4),
            changed(TCP + 12, 15 << 4),
            changed(12, 9),
            mended(IP, 0x55),
            mended(IP, 0x44),
            mended(IP, 0x4f),
            mended(IP + 3, 19),
            mended(IP + 3, 200),
            mended(IP + 2, 0xff),
            mended(IP + 19, GUEST[3] + 1),
        ];
        for source in [GUEST, [127, 0, 0, 1], [255; 4], [224, 0, 0, 1], [0; 4]] {
            bad.push(packet::ipv4(source, IpNumber::TCP, &good[TCP..]));
        }
        // One that is right but for its end, which is missing. (QEMU takes one of no bytes for its own end.)
        bad.extend((1..good.len()).map(|length| good[..length].to_vec()));
        for frame in &bad {
            lan.send(frame);
        }
        if let Some(segment) = peer.hear_within(QUIET) {
            anyhow::bail!("the guest answers what is damaged: {segment:?}");
        }
        peer.say(b"right");
        peer.hear_that("an ACK", |segment, now| segment.ack == now.seq)?;
        peer.signal(FIN | ACK);
        Ok(())
    })?;
    ensure!(ran.status == 0 && ran.stdout == "right", "{ran:?}");
    messages(guest)
}

/// The same of messages by UDP.
fn messages(guest: &mut Guest<'_>) -> Result<()> {
    let port = listening_port(guest.lan()?);
    ready(guest)?;
    let (ran, ()) = guest.with_peer(&format!("echo back | nc -u -l {port}"), |lan| {
        let from = (PEER, lan.fresh_port());
        let good = packet::udp(from, port, b"wrong");
        let udp = &good[TCP..];
        let changed = |at: usize, to: u8| {
            let mut datagram = udp.to_vec();
            datagram[at] = to;
            packet::ipv4(PEER, IpNumber::UDP, &datagram)
        };
        let bad = [
            changed(8, b'W'),
            changed(6, udp[6] ^ 1),
            changed(5, 7),
            changed(5, 200),
            packet::ipv4(PEER, IpNumber::UDP, &udp[..7]),
        ];
        // Somebody listens as soon as an answer comes.
        let end = std::time::Instant::now() + crate::lan::PATIENCE;
        while std::time::Instant::now() < end {
            for frame in &bad {
                lan.send(frame);
            }
            lan.send(&packet::udp(from, port, b"right"));
            let answer = lan.find(QUIET, |frame| packet::udp_to(frame, from.1));
            if let Some((source, data)) = answer {
                ensure!(source == port && data == b"back\n", "{source}: {data:?}");
                return Ok(());
            }
        }
        anyhow::bail!("nobody answers")
    })?;
    ensure!(ran.status == 0 && ran.stdout == "right", "{ran:?}");
    Ok(())
}
