//! The board's side.

use gritos_abi::boot_image::crc32c;

use crate::message::{FromBoard, FromHost, Refusal};
use crate::{PIECE_BYTES, VERSION};

/// Where the image goes.
pub trait Memory {
    /// Most bytes that it takes.
    fn room(&self) -> u32;

    /// Puts bytes at `offset`; all of them lie inside.
    fn put(&mut self, offset: u32, bytes: &[u8]);
}

/// What the board does after its answer has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Listens at so many baud.
    Speed(u32),
    /// Starts the image, which has so many bytes.
    Start(u32),
}

#[derive(Clone, Copy, Debug)]
struct Session {
    bytes: u32,
    crc: u32,
    received: u32,
    received_crc: u32,
}

/// Receives one image after the other, until one is started.
#[derive(Debug, Default)]
pub struct Receiver {
    session: Option<Session>,
}

impl Receiver {
    /// Nothing was received.
    #[must_use]
    pub const fn new() -> Self {
        Self { session: None }
    }

    /// Whether an image is on its way.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.session.is_some()
    }

    /// Forgets what was received: the host is gone.
    pub const fn reset(&mut self) {
        self.session = None;
    }

    /// Takes a message; the answer, and what to do behind it. `speeds` says which the line can do.
    pub fn handle(
        &mut self,
        message: &FromHost<'_>,
        memory: &mut impl Memory,
        speeds: impl Fn(u32) -> bool,
    ) -> (FromBoard, Action) {
        let answer = match *message {
            FromHost::Hello => self.ready(memory),
            FromHost::Speed(baud) if speeds(baud) => {
                return (FromBoard::Changing(baud), Action::Speed(baud));
            }
            FromHost::Speed(_) => FromBoard::Refused(Refusal::Speed),
            FromHost::Begin { bytes, .. } if bytes == 0 || bytes > memory.room() => {
                FromBoard::Refused(Refusal::Size)
            }
            FromHost::Begin { bytes, crc } => {
                self.session = Some(Session {
                    bytes,
                    crc,
                    received: 0,
                    received_crc: 0,
                });
                FromBoard::Accepted(0)
            }
            FromHost::Data { offset, bytes } => self.data(offset, bytes, memory),
            FromHost::Start(crc) => match self.session {
                Some(session) if session.received < session.bytes => {
                    FromBoard::Refused(Refusal::Incomplete)
                }
                Some(session) if session.crc == crc && session.received_crc == crc => {
                    return (FromBoard::Started, Action::Start(session.bytes));
                }
                Some(_) => FromBoard::Refused(Refusal::Checksum),
                None => FromBoard::Refused(Refusal::Incomplete),
            },
        };
        (answer, Action::None)
    }

    /// What it says when nothing happens.
    #[must_use]
    pub fn ready(&self, memory: &impl Memory) -> FromBoard {
        FromBoard::Ready {
            version: VERSION,
            room: memory.room(),
        }
    }

    fn data(&mut self, offset: u32, bytes: &[u8], memory: &mut impl Memory) -> FromBoard {
        let Some(session) = &mut self.session else {
            return FromBoard::Refused(Refusal::Incomplete);
        };
        let left = session.bytes - session.received;
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // What came before comes again when its answer was lost; it is answered and not taken.
        if offset == session.received && count <= left && bytes.len() <= PIECE_BYTES {
            memory.put(offset, bytes);
            session.received += count;
            session.received_crc = crc32c(session.received_crc, bytes);
        }
        FromBoard::Accepted(session.received)
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Memory, Receiver};
    use crate::message::{FromBoard, FromHost, Refusal};
    use gritos_abi::boot_image::crc32c;
    use std::vec;
    use std::vec::Vec;

    struct Ram(Vec<u8>);

    impl Memory for Ram {
        fn room(&self) -> u32 {
            self.0.len() as u32
        }

        fn put(&mut self, offset: u32, bytes: &[u8]) {
            self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn say(receiver: &mut Receiver, ram: &mut Ram, message: FromHost<'_>) -> (FromBoard, Action) {
        receiver.handle(&message, ram, |baud| baud <= 3_000_000)
    }

    #[test]
    fn an_image_arrives_in_order_whatever_comes_twice() {
        let (mut receiver, mut ram) = (Receiver::new(), Ram(vec![0; 8000]));
        let image: Vec<u8> = (0..5000_u32).map(|i| (i * 7) as u8).collect();
        let crc = crc32c(0, &image);
        let begin = FromHost::Begin { bytes: 5000, crc };
        assert_eq!(
            say(&mut receiver, &mut ram, begin).0,
            FromBoard::Accepted(0)
        );
        let piece = |at: usize| FromHost::Data {
            offset: at as u32,
            bytes: &image[at..(at + 2048).min(5000)],
        };
        for (at, next) in [
            (0, 2048),
            (0, 2048),
            (4096, 2048),
            (2048, 4096),
            (4096, 5000),
            (0, 5000),
        ] {
            let answer = say(&mut receiver, &mut ram, piece(at));
            assert_eq!(answer, (FromBoard::Accepted(next), Action::None), "{at}");
        }
        let started = (FromBoard::Started, Action::Start(5000));
        assert_eq!(say(&mut receiver, &mut ram, FromHost::Start(crc)), started);
        assert!(ram.0[..5000] == image && ram.0[5000..] == [0; 3000]);
    }

    #[test]
    fn what_is_not_what_was_announced_is_never_started() {
        let (mut receiver, mut ram) = (Receiver::new(), Ram(vec![0; 100]));
        let refused = |why| (FromBoard::Refused(why), Action::None);
        let start = FromHost::Start(0);
        assert_eq!(
            say(&mut receiver, &mut ram, start),
            refused(Refusal::Incomplete)
        );
        for bytes in [0, 101, u32::MAX] {
            let begin = FromHost::Begin { bytes, crc: 0 };
            assert_eq!(say(&mut receiver, &mut ram, begin), refused(Refusal::Size));
        }
        let data = |offset, bytes| FromHost::Data { offset, bytes };
        assert_eq!(
            say(&mut receiver, &mut ram, data(0, &[1])),
            refused(Refusal::Incomplete)
        );
        say(
            &mut receiver,
            &mut ram,
            FromHost::Begin { bytes: 4, crc: 0 },
        );
        say(&mut receiver, &mut ram, data(0, &[1, 2]));
        assert_eq!(
            say(&mut receiver, &mut ram, start),
            refused(Refusal::Incomplete)
        );
        let beyond = say(&mut receiver, &mut ram, data(2, &[3, 4, 5]));
        assert_eq!(beyond.0, FromBoard::Accepted(2), "more than was announced");
        say(&mut receiver, &mut ram, data(2, &[3, 4]));
        assert_eq!(
            say(&mut receiver, &mut ram, start),
            refused(Refusal::Checksum)
        );
        let crc = crc32c(0, &[1, 2, 3, 4]);
        let begin = FromHost::Begin { bytes: 4, crc };
        say(&mut receiver, &mut ram, begin);
        say(&mut receiver, &mut ram, data(0, &[1, 2, 3, 5]));
        let start = FromHost::Start(crc);
        assert_eq!(
            say(&mut receiver, &mut ram, start),
            refused(Refusal::Checksum)
        );
    }

    #[test]
    fn speeds_that_the_line_cannot_do_are_refused() {
        let (mut receiver, mut ram) = (Receiver::new(), Ram(vec![0; 100]));
        let answer = say(&mut receiver, &mut ram, FromHost::Speed(921_600));
        assert_eq!(
            answer,
            (FromBoard::Changing(921_600), Action::Speed(921_600))
        );
        let answer = say(&mut receiver, &mut ram, FromHost::Speed(4_000_000));
        assert_eq!(answer.0, FromBoard::Refused(Refusal::Speed));
    }
}
