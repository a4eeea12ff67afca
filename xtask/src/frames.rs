//! The host's side of the framed lines that programs on the target write (`gritos_abi::frame`).

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gritos_abi::frame::{Channel, Decoder, Event};

/// Something that the target wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A frame of another channel than `O`. Bytes that are not UTF-8 are replaced.
    Frame(Channel, String),
    /// A frame of channel `O`, byte for byte.
    Output(Vec<u8>),
    /// A line outside frames, without its end.
    Line(String),
    /// A frame arrived damaged and is lost.
    Damaged,
}

/// What waiting for the next [`Item`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Item(Item),
    /// The time is over.
    TimedOut,
    /// The line is closed.
    End,
}

/// Everything that arrived on a line, byte for byte, up to a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<u8>>>);

/// Most bytes that a record holds.
const RECORD_LIMIT: usize = 16 << 20;

impl Record {
    fn add(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = RECORD_LIMIT.saturating_sub(all.len());
        all.extend(bytes.iter().take(room));
    }

    /// What arrived so far, with bytes replaced that are not UTF-8.
    pub(crate) fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// A serial line, read by a thread of its own.
pub(crate) struct Stream(Receiver<Item>);

impl Stream {
    /// Reads `line` until its end. A read that times out is repeated.
    pub(crate) fn new(line: impl Read + Send + 'static) -> Self {
        Self::recorded(line, None)
    }

    /// As [`new`](Self::new); what arrives goes to `record` as well.
    pub(crate) fn recorded(mut line: impl Read + Send + 'static, record: Option<Record>) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let (mut splitter, mut buffer) = (Splitter::default(), [0; 4096]);
            loop {
                match line.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(len) => {
                        if let Some(record) = &record {
                            record.add(buffer.get(..len).unwrap_or_default());
                        }
                        for &byte in buffer.iter().take(len) {
                            if let Some(item) = splitter.push(byte)
                                && sender.send(item).is_err()
                            {
                                return;
                            }
                        }
                    }
                    Err(error)
                        if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                    }
                    Err(_) => break,
                }
            }
            if let Some(item) = splitter.finish() {
                // Nobody listens any more: then nobody misses it.
                let _ = sender.send(item);
            }
        });
        Self(receiver)
    }

    /// Waits for the next item, at most until `deadline`.
    pub(crate) fn next(&self, deadline: Instant) -> Next {
        match self
            .0
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(item) => Next::Item(item),
            Err(RecvTimeoutError::Timeout) => Next::TimedOut,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// Lines and frames that arrive within `time`, or until the end of the line.
    pub(crate) fn drain(&self, time: Duration) -> Vec<Item> {
        let deadline = Instant::now() + time;
        std::iter::from_fn(|| match self.next(deadline) {
            Next::Item(item) => Some(item),
            Next::TimedOut | Next::End => None,
        })
        .collect()
    }
}

/// Makes items of bytes.
#[derive(Default)]
struct Splitter {
    decoder: Decoder,
    line: Vec<u8>,
}

impl Splitter {
    fn push(&mut self, byte: u8) -> Option<Item> {
        match self.decoder.push(byte)? {
            Event::Text(b'\n') => Some(self.take_line()),
            Event::Text(byte) => {
                self.line.push(byte);
                None
            }
            Event::Frame(Channel::Output, payload) => Some(Item::Output(payload.to_vec())),
            Event::Frame(channel, payload) => Some(Item::Frame(
                channel,
                String::from_utf8_lossy(payload).into_owned(),
            )),
            Event::Damaged => Some(Item::Damaged),
        }
    }

    fn take_line(&mut self) -> Item {
        let line = std::mem::take(&mut self.line);
        Item::Line(
            String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_string(),
        )
    }

    fn finish(mut self) -> Option<Item> {
        (!self.line.is_empty()).then(|| self.take_line())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gritos_abi::frame::{Channel, encode};

    use super::{Item, Next, Stream};

    #[test]
    fn lines_and_frames_come_in_order_and_then_the_end() {
        let mut bytes = b"boot\r\n".to_vec();
        encode(Channel::Test, b"start a", |byte| bytes.push(byte));
        bytes.extend(b"\x1eT:bad");
        encode(Channel::Test, b"pass a", |byte| bytes.push(byte));
        bytes.extend(b"no line feed");
        let stream = Stream::new(std::io::Cursor::new(bytes));
        let items = stream.drain(Duration::from_secs(10));
        let frame = |text: &str| Item::Frame(Channel::Test, text.to_string());
        assert_eq!(
            items,
            [
                Item::Line("boot".into()),
                frame("start a"),
                Item::Damaged,
                frame("pass a"),
                Item::Line("no line feed".into()),
            ]
        );
        assert_eq!(
            stream.next(Instant::now() + Duration::from_secs(10)),
            Next::End
        );
    }
}
