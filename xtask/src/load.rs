//! The host's side of loading over a serial line (`docs/reference/serial-load.md`).
//!
//! One piece is under way at a time. Whatever is damaged or lost on the way, in either direction, costs the
//! time to send one message again.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gritos_abi::boot_image::crc32c;
use gritos_loader_core::wire::{Decoder, Event};
use gritos_loader_core::{FromBoard, FromHost, PIECE_BYTES, Refusal, VERSION};

/// Speed at which a board begins, in baud.
pub(crate) const FIRST_SPEED: u32 = gritos_board::rpi4::UART_BAUD;
/// How often a message is said before the board is given up.
const ATTEMPTS: u32 = 30;
/// How often an image is sent, to a board that is reset meanwhile or finds its checksum wrong in the end.
const IMAGE_ATTEMPTS: u32 = 3;

/// How many times longer than usual an answer is waited for at most.
const SLACK_LIMIT: u32 = 16;
/// How long a line may take no bytes.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// Whether an access can simply be made again.
fn is_passing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::WouldBlock
    )
}

/// A serial line. Reads come back after a while with nothing (`TimedOut`).
pub(crate) trait Line: Read + Write {
    /// Changes the speed in both directions, once everything written is out.
    fn set_speed(&mut self, baud: u32) -> Result<()>;
}

impl Line for Box<dyn serialport::SerialPort> {
    fn set_speed(&mut self, baud: u32) -> Result<()> {
        self.flush().context("the serial line takes no more")?;
        self.set_baud_rate(baud)
            .with_context(|| format!("the serial line cannot be set to {baud} baud"))
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For an answer, beyond the time that the bytes take.
    pub(crate) answer: Duration,
    /// For the board to go back to its first speed.
    pub(crate) fall_back: Duration,
}

impl Patience {
    /// With a board.
    pub(crate) const BOARD: Self = Self {
        answer: Duration::from_millis(700),
        fall_back: Duration::from_millis(10_500),
    };
}

/// What arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Message(FromBoard),
    /// Bytes that are no message: what the board prints.
    Text,
    /// Nothing before the time was over.
    Nothing,
}

/// Both ends' names for the line.
pub(crate) struct Loader<L> {
    line: L,
    decoder: Decoder,
    speed: u32,
    patience: Patience,
    /// What was read and not looked at yet, the next byte last.
    ahead: Vec<u8>,
    /// By what the patience is multiplied: a board that is slow to answer must not get everything twice.
    slack: u32,
    /// Messages that were said again.
    pub(crate) repeats: u32,
}

impl<L: Line> Loader<L> {
    pub(crate) fn new(line: L, patience: Patience) -> Self {
        Self {
            line,
            decoder: Decoder::new(),
            speed: FIRST_SPEED,
            patience,
            ahead: Vec::new(),
            slack: 1,
            repeats: 0,
        }
    }

    pub(crate) fn line(&mut self) -> &mut L {
        &mut self.line
    }

    /// What the board says from now on, for whoever goes on with it: what was read ahead, then the line.
    pub(crate) fn into_reader(mut self) -> impl Read {
        self.ahead.reverse();
        std::io::Cursor::new(self.ahead).chain(self.line)
    }

    /// Waits for a board that waits for an image; how large that may be. `other` gets what else arrives.
    pub(crate) fn find(
        &mut self,
        until: Option<Instant>,
        mut other: impl FnMut(u8),
    ) -> Result<u32> {
        loop {
            self.say(&FromHost::Hello)?;
            let again = Instant::now() + self.patience.answer;
            loop {
                match self.hear(again, &mut other)? {
                    Heard::Message(FromBoard::Ready { version, room }) => {
                        ensure!(
                            version == VERSION,
                            "the board's loader speaks version {version} and this is {VERSION}: write \
                             its card anew (`cargo xtask flash --loader`)"
                        );
                        return Ok(room);
                    }
                    Heard::Nothing => break,
                    _ => {}
                }
            }
            ensure!(
                until.is_none_or(|until| Instant::now() < until),
                "no loader answers on this line. Is its card in the board, and is the board on?"
            );
        }
    }

    /// Sends an image to a board that waits, at up to `baud`, and has it started. `progress` is told how many
    /// bytes have arrived.
    pub(crate) fn load(
        &mut self,
        image: &[u8],
        baud: u32,
        mut progress: impl FnMut(u64),
    ) -> Result<()> {
        let bytes = u32::try_from(image.len()).context("an image of more than 4 GiB")?;
        let crc = crc32c(0, image);
        if baud != self.speed && !self.speed_up(baud)? {
            crate::report::warning(format!(
                "the line does not carry {baud} baud: going on at {}",
                self.speed
            ));
        }
        for _ in 0..IMAGE_ATTEMPTS {
            progress(0);
            let begin = FromHost::Begin { bytes, crc };
            match self.ask(&begin, |m| matches!(m, FromBoard::Accepted(0)))? {
                FromBoard::Refused(Refusal::Size) => {
                    bail!("the board has no room for an image of {bytes} bytes")
                }
                FromBoard::Accepted(_) => {}
                other => bail!("the board answers {other:?} to the beginning of an image"),
            }
            if !self.pieces(image, &mut progress)? {
                self.repeats += 1;
                continue;
            }
            match self.start(crc)? {
                None => {
                    self.line.set_speed(FIRST_SPEED)?;
                    self.speed = FIRST_SPEED;
                    return Ok(());
                }
                Some(Refusal::Checksum) => {}
                Some(other) => bail!("the board refuses to start the image: {other:?}"),
            }
        }
        bail!(
            "the image did not arrive in {IMAGE_ATTEMPTS} attempts: the board resets itself, or the line is bad"
        )
    }

    /// Sends all pieces; whether the board has them, or was reset meanwhile.
    fn pieces(&mut self, image: &[u8], progress: &mut impl FnMut(u64)) -> Result<bool> {
        let mut at = 0;
        while at < image.len() {
            let rest = image.get(at..).unwrap_or(&[]);
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            let offset = u32::try_from(at)?;
            let end = offset + u32::try_from(piece.len())?;
            let data = FromHost::Data {
                offset,
                bytes: piece,
            };
            let arrived = |m: &FromBoard| matches!(m, FromBoard::Accepted(to) if *to >= end);
            match self.ask(&data, arrived)? {
                FromBoard::Accepted(_) => at += piece.len(),
                FromBoard::Ready { .. } | FromBoard::Refused(Refusal::Incomplete) => {
                    return Ok(false);
                }
                other => bail!("the board answers {other:?} to a piece of the image"),
            }
            progress(u64::from(end));
        }
        Ok(true)
    }

    /// Has the image started; the reason if the board refuses.
    fn start(&mut self, crc: u32) -> Result<Option<Refusal>> {
        let message = FromHost::Start(crc);
        for _ in 0..ATTEMPTS {
            self.say(&message)?;
            let until = self.answer_until(&message);
            let mut text = 0;
            loop {
                match self.hear(until, |_| {})? {
                    Heard::Message(FromBoard::Started) => return Ok(None),
                    Heard::Message(FromBoard::Refused(why)) => return Ok(Some(why)),
                    Heard::Message(FromBoard::Damaged) | Heard::Nothing => break,
                    Heard::Message(_) => {}
                    // The loader says nothing but messages: this is the image.
                    Heard::Text => text += 1,
                }
                if text > 64 {
                    return Ok(None);
                }
            }
            self.repeats += 1;
        }
        bail!("the board does not answer any more, at the very end")
    }

    /// Changes the speed; whether the line carries it.
    fn speed_up(&mut self, baud: u32) -> Result<bool> {
        let changing = |m: &FromBoard| matches!(m, FromBoard::Changing(_));
        match self.ask(&FromHost::Speed(baud), changing)? {
            FromBoard::Changing(_) => {}
            _ => return Ok(false),
        }
        self.line.set_speed(baud)?;
        self.speed = baud;
        self.decoder.reset();
        for _ in 0..3 {
            self.say(&FromHost::Hello)?;
            let until = self.answer_until(&FromHost::Hello);
            loop {
                match self.hear(until, |_| {})? {
                    Heard::Message(FromBoard::Ready { .. }) => return Ok(true),
                    Heard::Nothing => break,
                    _ => {}
                }
            }
        }
        self.line.set_speed(FIRST_SPEED)?;
        self.speed = FIRST_SPEED;
        self.decoder.reset();
        std::thread::sleep(self.patience.fall_back);
        self.find(Some(Instant::now() + 4 * self.patience.fall_back), |_| {})?;
        Ok(false)
    }

    /// Says something until the board answers with what is `wanted`, a refusal, or that it was reset.
    fn ask(
        &mut self,
        message: &FromHost<'_>,
        wanted: impl Fn(&FromBoard) -> bool,
    ) -> Result<FromBoard> {
        let begins = matches!(message, FromHost::Begin { .. } | FromHost::Speed(_));
        for _ in 0..ATTEMPTS {
            self.say(message)?;
            let until = self.answer_until(message);
            loop {
                match self.hear(until, |_| {})? {
                    Heard::Message(answer) if wanted(&answer) => {
                        self.slack = (self.slack / 2).max(1);
                        return Ok(answer);
                    }
                    Heard::Message(answer @ FromBoard::Refused(_)) => return Ok(answer),
                    // It may have been said before the board heard of the image.
                    Heard::Message(answer @ FromBoard::Ready { .. }) if !begins => {
                        return Ok(answer);
                    }
                    Heard::Message(FromBoard::Damaged) => break,
                    Heard::Nothing => {
                        self.slack = (2 * self.slack).min(SLACK_LIMIT);
                        break;
                    }
                    Heard::Message(_) | Heard::Text => {}
                }
            }
            self.repeats += 1;
        }
        bail!("the board does not answer any more")
    }

    fn say(&mut self, message: &FromHost<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        message.send(|byte| bytes.push(byte));
        let mut rest = bytes.as_slice();
        let end = Instant::now() + WRITE_LIMIT;
        while !rest.is_empty() {
            match self.line.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or(&[]),
                // The line is slower than what is written to it.
                Err(error) if is_passing(&error) && Instant::now() < end => {}
                Err(error) => return Err(error).context("the serial line takes no more"),
            }
        }
        self.line.flush().context("the serial line takes no more")
    }

    /// Until when an answer to `message` is waited for: its bytes need ten bits each.
    fn answer_until(&self, message: &FromHost<'_>) -> Instant {
        let mut bytes = 0_u32;
        message.send(|_| bytes += 1);
        let time = f64::from(bytes) * 10.0 / f64::from(self.speed);
        Instant::now() + Duration::from_secs_f64(time) + self.patience.answer * self.slack
    }

    fn hear(&mut self, until: Instant, mut other: impl FnMut(u8)) -> Result<Heard> {
        loop {
            while let Some(byte) = self.ahead.pop() {
                match self.decoder.push(byte) {
                    Some(Event::Frame(kind, payload)) => {
                        if let Some(message) = FromBoard::parse(kind, payload) {
                            return Ok(Heard::Message(message));
                        }
                    }
                    Some(Event::Other(byte)) => {
                        other(byte);
                        return Ok(Heard::Text);
                    }
                    Some(Event::Damaged) | None => {}
                }
            }
            let mut buffer = [0; 1024];
            match self.line.read(&mut buffer) {
                Ok(0) => bail!("the serial line was closed"),
                Ok(count) => self.ahead.extend(buffer.iter().take(count).rev().copied()),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error).context("the serial line cannot be read"),
            }
            if self.ahead.is_empty() && Instant::now() >= until {
                self.decoder.reset();
                return Ok(Heard::Nothing);
            }
        }
    }

    /// Passes on what the board prints until it waits for an image again, or `until` comes. Whether it waits.
    pub(crate) fn listen(
        &mut self,
        until: Option<Instant>,
        mut other: impl FnMut(u8),
    ) -> Result<bool> {
        loop {
            let now = Instant::now();
            let step = now + Duration::from_millis(100);
            match self.hear(until.map_or(step, |until| until.min(step)), &mut other)? {
                Heard::Message(FromBoard::Ready { .. }) => return Ok(true),
                Heard::Nothing if until.is_some_and(|until| Instant::now() >= until) => {
                    return Ok(false);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
