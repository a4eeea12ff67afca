//! One connection as a peer sees it, a segment at a time. Nothing is answered that is not asked for.

use std::panic::Location;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{ACK, Lan, PATIENCE, RST, SYN, Segment};

/// Largest segment that a peer names, and its window.
const LARGEST: [u8; 4] = [2, 4, 0x05, 0xb4];
const WINDOW: u16 = 60_000;
/// How long a port that refuses is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// The numbers of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection<'a> {
    pub(crate) lan: &'a Lan,
    pub(crate) peer_port: u16,
    pub(crate) guest_port: u16,
    /// The next sequence number of the peer's.
    pub(crate) seq: u32,
    /// The next that is expected of the guest.
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
}

impl<'a> Connection<'a> {
    /// One that does not exist yet, from the peer's `seq` on.
    pub(crate) fn new(lan: &'a Lan, guest_port: u16, seq: u32) -> Self {
        Self {
            lan,
            peer_port: lan.fresh_port(),
            guest_port,
            seq,
            ack: 0,
            window: WINDOW,
            options: LARGEST.to_vec(),
        }
    }

    /// Connects to a port of the guest's, as soon as somebody listens there.
    pub(crate) fn connect(lan: &'a Lan, guest_port: u16) -> Result<Self> {
        Self::connect_with(lan, guest_port, WINDOW)
    }

    /// The same with another window.
    pub(crate) fn connect_with(lan: &'a Lan, guest_port: u16, window: u16) -> Result<Self> {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let mut connection = Self::new(lan, guest_port, 0xffff_fff0);
            connection.window = window;
            let answer = connection.ask()?;
            if answer.has(SYN | ACK) && !answer.has(RST) {
                connection.send(connection.segment(ACK));
                return Ok(connection);
            }
            ensure!(
                std::time::Instant::now() < end,
                "nobody listens at port {guest_port}"
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Sends the first segment, again if need be, and takes the first answer.
    #[track_caller]
    pub(crate) fn ask(&mut self) -> Result<Segment> {
        let mut first = self.segment(SYN);
        first.options.clone_from(&self.options);
        self.seq = first.end();
        let answer = self.repeat(&first, |_| true)?;
        self.ack = answer.end();
        Ok(answer)
    }

    /// Waits for the first segment of a connection that the guest makes to `port`.
    pub(crate) fn called(lan: &'a Lan, port: u16) -> Result<(Self, Segment)> {
        let what = format!("a SYN to port {port}");
        let first = lan.expect(&what, |frame| {
            Segment::of(frame).filter(|segment| segment.destination == port && segment.has(SYN))
        })?;
        let mut connection = Self::new(lan, first.source, 0x7fff_fff0);
        connection.peer_port = port;
        connection.ack = first.end();
        Ok((connection, first))
    }

    /// Answers the guest's first segment, and waits until it knows.
    pub(crate) fn take(&mut self) -> Result<()> {
        let mut answer = self.segment(SYN | ACK);
        answer.options.clone_from(&self.options);
        self.send(answer);
        self.seq = self.seq.wrapping_add(1);
        self.hear_that("its ACK", |segment, now| {
            segment.has(ACK) && segment.ack == now.seq
        })?;
        Ok(())
    }

    /// A segment without data, with the numbers of now.
    pub(crate) fn segment(&self, flags: u8) -> Segment {
        Segment {
            source: self.peer_port,
            destination: self.guest_port,
            seq: self.seq,
            ack: if flags & ACK != 0 { self.ack } else { 0 },
            flags,
            window: self.window,
            ..Segment::default()
        }
    }

    /// One with data, which does not move the numbers.
    pub(crate) fn data(&self, data: &[u8]) -> Segment {
        Segment {
            data: data.to_vec(),
            ..self.segment(ACK | super::PSH)
        }
    }

    pub(crate) fn send(&self, segment: Segment) {
        self.lan.send(&segment.frame());
    }

    /// Sends data, and moves on.
    pub(crate) fn say(&mut self, data: &[u8]) {
        let segment = self.data(data);
        self.seq = segment.end();
        self.send(segment);
    }

    /// Sends a segment of flags alone, and moves on.
    pub(crate) fn signal(&mut self, flags: u8) {
        let segment = self.segment(flags);
        self.seq = segment.end();
        self.send(segment);
    }

    fn is_of(&self, segment: &Segment) -> bool {
        (segment.source, segment.destination) == (self.guest_port, self.peer_port)
    }

    /// The next segment of the guest's within `limit`.
    pub(crate) fn hear_within(&self, limit: Duration) -> Option<Segment> {
        let take = |frame: &[u8]| Segment::of(frame).filter(|segment| self.is_of(segment));
        self.lan.find(limit, take)
    }

    /// The next segment of the guest's.
    #[track_caller]
    pub(crate) fn hear(&self) -> Result<Segment> {
        let what = format!("a segment that {} waits for", Location::caller());
        self.lan.expect(&what, |frame| {
            Segment::of(frame).filter(|segment| self.is_of(segment))
        })
    }

    /// The next segment that `is_it`; those before are dropped.
    #[track_caller]
    pub(crate) fn hear_that(
        &self,
        what: &str,
        is_it: impl Fn(&Segment, &Self) -> bool,
    ) -> Result<Segment> {
        let end = std::time::Instant::now() + PATIENCE;
        let mut last = None;
        while std::time::Instant::now() < end {
            match self.hear_within(Duration::from_secs(1)) {
                Some(segment) if is_it(&segment, self) => return Ok(segment),
                Some(segment) => last = Some(segment),
                None => {}
            }
        }
        let script = Location::caller();
        bail!("the guest did not send {what}, which {script} waits for; its last was {last:?}")
    }

    /// Sends `segment` again and again until an answer comes that `is_it`.
    #[track_caller]
    pub(crate) fn repeat(
        &self,
        segment: &Segment,
        is_it: impl Fn(&Segment) -> bool,
    ) -> Result<Segment> {
        const PAUSE: Duration = Duration::from_millis(400);
        let end = std::time::Instant::now() + PATIENCE;
        let mut last = None;
        while std::time::Instant::now() < end {
            self.send(segment.clone());
            while let Some(answer) = self.hear_within(PAUSE) {
                if is_it(&answer) {
                    return Ok(answer);
                }
                last = Some(answer);
            }
        }
        let script = Location::caller();
        bail!("the answer that {script} waits for did not come; the last was {last:?}")
    }

    /// Nothing comes for a while.
    pub(crate) fn silence(&self, limit: Duration) -> Result<()> {
        match self.hear_within(limit) {
            None => Ok(()),
            Some(segment) => bail!("the guest was to be silent, and sent {segment:?}"),
        }
    }

    /// Takes data up to the guest's end of the stream, acknowledging each; returns it.
    pub(crate) fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut read = Vec::new();
        loop {
            let segment = self.hear()?;
            ensure!(!segment.has(RST), "reset after {} bytes", read.len());
            if segment.seq == self.ack && segment.length() > 0 {
                read.extend(&segment.data);
                self.ack = segment.end();
            }
            if segment.length() > 0 {
                self.send(self.segment(ACK));
            }
            if segment.has(super::FIN) && self.ack == segment.end() {
                return Ok(read);
            }
        }
    }
}
