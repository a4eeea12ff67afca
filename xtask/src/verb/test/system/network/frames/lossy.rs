//! A wire that loses, doubles and delays in both directions; the peer does what a simple TCP does about it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::super::Guest;
use super::{call, listen};
use crate::lan::{ACK, Connection, FIN, Lan, PATIENCE, RST, Segment};

/// Of 1000 frames so many are lost, as many come twice, and as many late.
const RATE: u64 = 200;
/// The peer's largest segment, and how many it has under way.
const PIECE: usize = 400;
const UNDER_WAY: usize = 8;
/// After so long without news the peer begins again with what is not acknowledged.
const AGAIN: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(10);
/// Longest time for a stream.
const LIMIT: Duration = Duration::from_secs(150);

/// What the guest sends: some kilobytes.
const INPUT: &str = "help";

pub(super) fn gate(guest: &mut Guest<'_>) -> Result<()> {
    rounds(guest, 0..1, 4 << 10)
}

/// More and longer streams than the gate has.
pub(in crate::verb::test::system::network) fn soak(guest: &mut Guest<'_>, seed: u64) -> Result<()> {
    rounds(guest, seed..seed + 5, 20 << 10)
}

/// A round for each seed, with streams of `bytes` to the guest.
fn rounds(guest: &mut Guest<'_>, seeds: Range<u64>, bytes: usize) -> Result<()> {
    let expected = guest.succeed(INPUT)?;
    for round in seeds {
        let text: String = ('!'..='~').cycle().take(bytes).collect();
        let (ran, heard) = listen(guest, INPUT, |lan, port| {
            let peer = Connection::connect(lan, port)?;
            Endpoint::new(peer, text.as_bytes(), round + 1).run()
        })?;
        ensure!(
            ran.status == 0 && ran.stdout == text,
            "round {round}: {ran:?}"
        );
        ensure!(
            heard == expected.as_bytes(),
            "round {round}: {} bytes came",
            heard.len()
        );
        let (ran, heard) = call(guest, INPUT, |lan, port| {
            let (mut peer, _) = Connection::called(lan, port)?;
            peer.take()?;
            Endpoint::new(peer, text.as_bytes(), !round).run()
        })?;
        ensure!(
            ran.status == 0 && ran.stdout == text,
            "round {round}: {ran:?}"
        );
        ensure!(
            heard == expected.as_bytes(),
            "round {round}: {} bytes came",
            heard.len()
        );
    }
    Ok(())
}

/// A peer with a stream to send and one to hear.
struct Endpoint<'a> {
    peer: Connection<'a>,
    text: &'a [u8],
    /// Sequence number of the first byte of `text`, and of the first that is expected.
    first: u32,
    first_heard: u32,
    /// Bytes of `text` (its end counts as one) that are acknowledged, and that were sent.
    acknowledged: usize,
    sent: usize,
    /// How far the guest has room.
    room: usize,
    early: BTreeMap<u32, Segment>,
    heard: Vec<u8>,
    is_over: bool,
    late: Vec<(Instant, Vec<u8>)>,
    random: u64,
}

impl<'a> Endpoint<'a> {
    fn new(peer: Connection<'a>, text: &'a [u8], seed: u64) -> Self {
        Self {
            text,
            first: peer.seq,
            first_heard: peer.ack,
            acknowledged: 0,
            sent: 0,
            room: PIECE,
            early: BTreeMap::new(),
            heard: Vec::new(),
            is_over: false,
            late: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            peer,
        }
    }

    fn lan(&self) -> &'a Lan {
        self.peer.lan
    }

    /// Whether something that happens to so many of 1000 happens now (xorshift).
    fn happens(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1000 < RATE
    }

    /// Sends and hears everything; returns what was heard.
    fn run(mut self) -> Result<Vec<u8>> {
        let end = Instant::now() + LIMIT;
        let mut news = Instant::now();
        // The end of the stream counts as a byte.
        while !self.is_over || self.acknowledged <= self.text.len() {
            ensure!(
                Instant::now() < end,
                "{} of {} bytes acknowledged, {} heard",
                self.acknowledged,
                self.text.len(),
                self.heard.len()
            );
            self.send_more();
            if let Some(segment) = self.peer.hear_within(LOOK)
                && !self.happens()
            {
                let before = self.acknowledged;
                self.take(segment)?;
                if self.acknowledged > before {
                    news = Instant::now();
                }
            }
            if news.elapsed() > AGAIN {
                self.sent = self.acknowledged;
                news = Instant::now();
            }
        }
        // Whatever else comes is acknowledged, so that the guest is rid of it.
        let end = Instant::now() + PATIENCE;
        while let Some(segment) = self.peer.hear_within(AGAIN)
            && Instant::now() < end
        {
            if segment.length() > 0 {
                self.peer.send(self.answer());
            }
        }
        self.peer.send(self.answer());
        Ok(self.heard)
    }

    /// An acknowledgement of what was heard.
    fn answer(&self) -> Segment {
        let mut answer = self.peer.segment(ACK);
        let end = usize::from(self.is_over);
        answer.ack = self
            .first_heard
            .wrapping_add((self.heard.len() + end) as u32);
        answer.seq = self.first.wrapping_add(self.sent as u32);
        answer
    }

    fn send_more(&mut self) {
        let now = Instant::now();
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<_> = due;
        for (_, frame) in due {
            self.lan().send(&frame);
        }
        let limit = self.acknowledged + self.room.min(PIECE * UNDER_WAY);
        while self.sent <= self.text.len() {
            let from = self.sent;
            let to = (from + PIECE).min(self.text.len());
            let is_end = to == self.text.len();
            let next = to + usize::from(is_end);
            if next > limit.max(self.acknowledged + 1) && from > self.acknowledged {
                break;
            }
            let mut segment = self.answer();
            segment.data = self.text[from..to].to_vec();
            segment.flags |= if is_end { FIN } else { 0 };
            self.sent = next;
            self.put(&segment);
        }
    }

    /// Puts a segment on the wire, or not.
    fn put(&mut self, segment: &Segment) {
        let frame = segment.frame();
        if self.happens() {
            return;
        }
        if self.happens() {
            self.lan().send(&frame);
        }
        if self.happens() {
            self.late.push((Instant::now() + LATE, frame));
        } else {
            self.lan().send(&frame);
        }
    }

    fn take(&mut self, segment: Segment) -> Result<()> {
        ensure!(!segment.has(RST), "reset after {} bytes", self.heard.len());
        if segment.has(ACK) {
            let acknowledged = segment.ack.wrapping_sub(self.first) as usize;
            // Beyond the end of the stream nothing can be acknowledged.
            ensure!(acknowledged <= self.text.len() + 1 || acknowledged > 1 << 31);
            if acknowledged > self.acknowledged && acknowledged <= self.text.len() + 1 {
                self.acknowledged = acknowledged;
                self.sent = self.sent.max(acknowledged);
            }
            self.room = usize::from(segment.window);
        }
        if segment.length() == 0 {
            return Ok(());
        }
        self.early
            .insert(segment.seq.wrapping_sub(self.first_heard), segment);
        while let Some((&at, _)) = self.early.first_key_value() {
            let at = at as usize;
            if at > self.heard.len() {
                break;
            }
            let Some((_, segment)) = self.early.pop_first() else {
                break;
            };
            // What is there already must be the same.
            for (number, byte) in segment.data.iter().enumerate() {
                match self.heard.get(at + number) {
                    Some(known) => ensure!(known == byte, "another byte {}", at + number),
                    None => self.heard.push(*byte),
                }
            }
            self.is_over |= segment.has(FIN);
        }
        let answer = self.answer();
        self.put(&answer);
        Ok(())
    }
}
