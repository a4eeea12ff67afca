//! Both sides over a line that does to bytes what a seed says.

use super::{Line, Loader, Patience};
use anyhow::Result;
use gritos_loader_core::wire::{Decoder, Event};
use gritos_loader_core::{Action, FromBoard, FromHost, Memory, Receiver};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

struct Ram(Vec<u8>);

impl Memory for Ram {
    fn room(&self) -> u32 {
        self.0.len() as u32
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

/// What the line does.
struct Trouble {
    state: u64,
    /// One byte of so many is damaged, lost, or doubled; none if 0.
    one_of: u64,
}

impl Trouble {
    fn draw(&mut self) -> u64 {
        // xorshift64; any sequence does that does not repeat soon.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn carry(&mut self, byte: u8, mut to: impl FnMut(u8)) {
        let draw = self.draw();
        if self.one_of == 0 || !draw.is_multiple_of(self.one_of) {
            return to(byte);
        }
        match draw >> 32 & 3 {
            0 => {}
            1 => {
                to(byte);
                to(byte);
            }
            _ => to(byte ^ 1 << (draw >> 40 & 7)),
        }
    }
}

/// A board at the other end of a line.
struct Board {
    receiver: Receiver,
    decoder: Decoder,
    ram: Ram,
    trouble: Trouble,
    answers: VecDeque<u8>,
    started: Option<u32>,
    /// Resets itself after so many messages.
    reset_after: Option<u32>,
    /// Carries no speed but the first.
    slow: bool,
    speeds: (u32, u32),
}

impl Board {
    fn new(one_of: u64, seed: u64) -> Self {
        Self {
            receiver: Receiver::new(),
            decoder: Decoder::new(),
            ram: Ram(vec![0; 100_000]),
            trouble: Trouble {
                state: seed | 1,
                one_of,
            },
            answers: VecDeque::new(),
            started: None,
            reset_after: None,
            slow: false,
            speeds: (super::FIRST_SPEED, super::FIRST_SPEED),
        }
    }

    fn answer(&mut self, message: FromBoard) {
        let (trouble, answers) = (&mut self.trouble, &mut self.answers);
        message.send(|byte| trouble.carry(byte, |byte| answers.push_back(byte)));
    }

    fn hear(&mut self, byte: u8) {
        let handled = match self.decoder.push(byte) {
            Some(Event::Damaged) => Some((FromBoard::Damaged, Action::None)),
            Some(Event::Frame(kind, payload)) => FromHost::parse(kind, payload).map(|m| {
                self.receiver
                    .handle(&m, &mut self.ram, |baud| baud < 3_000_000)
            }),
            _ => None,
        };
        let Some((answer, action)) = handled else {
            return;
        };
        if let Some(left) = &mut self.reset_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.reset_after = None;
                self.receiver = Receiver::new();
                let ready = self.receiver.ready(&self.ram);
                return self.answer(ready);
            }
        }
        self.answer(answer);
        match action {
            Action::Start(bytes) => {
                self.started = Some(bytes);
                self.answer(answer);
                self.answer(answer);
            }
            Action::Speed(baud) => self.speeds.0 = baud,
            Action::None => {}
        }
    }
}

impl Write for Board {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.slow && self.speeds != (super::FIRST_SPEED, super::FIRST_SPEED) {
            // The board gives the speed up after a while, which here is at once.
            self.speeds.0 = super::FIRST_SPEED;
            return Ok(bytes.len());
        }
        if self.started.is_some() {
            return Ok(bytes.len());
        }
        let mut arrived = Vec::new();
        for &byte in bytes {
            self.trouble.carry(byte, |byte| arrived.push(byte));
        }
        for byte in arrived {
            self.hear(byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for Board {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match (self.answers.pop_front(), buffer.first_mut()) {
            (Some(byte), Some(place)) => {
                *place = byte;
                Ok(1)
            }
            // Time passes; a frame that was cut short is given up by the board.
            _ => {
                self.decoder.reset();
                Err(ErrorKind::TimedOut.into())
            }
        }
    }
}

impl Line for Board {
    fn set_speed(&mut self, baud: u32) -> Result<()> {
        self.speeds.1 = baud;
        Ok(())
    }
}

const QUICK: Patience = Patience {
    answer: Duration::from_millis(1),
    fall_back: Duration::from_millis(1),
};

fn image() -> Vec<u8> {
    (0..50_000_u32).map(|i| ((i * i) >> 5) as u8).collect()
}

fn loader(board: Board) -> Loader<Board> {
    Loader::new(board, QUICK)
}

#[test]
fn an_image_arrives_over_a_good_line() {
    let mut loader = loader(Board::new(0, 1));
    assert_eq!(loader.find(None, |_| {}).unwrap(), 100_000);
    let mut told = Vec::new();
    let image = image();
    loader
        .load(&image, super::FIRST_SPEED, |at| told.push(at))
        .unwrap();
    assert_eq!((loader.repeats, loader.line().started), (0, Some(50_000)));
    assert!(loader.line().ram.0[..50_000] == image);
    assert!(told.is_sorted() && told.last() == Some(&50_000));
}

#[test]
fn an_image_arrives_over_a_line_that_damages_loses_and_doubles_bytes() {
    let image = image();
    let mut repeats = 0;
    for seed in 1..6 {
        let mut loader = loader(Board::new(3_000, seed * 0x9e37_79b9));
        loader.find(None, |_| {}).unwrap();
        loader.load(&image, super::FIRST_SPEED, |_| {}).unwrap();
        assert_eq!(loader.line().started, Some(50_000));
        assert!(loader.line().ram.0[..50_000] == image, "seed {seed}");
        repeats += loader.repeats;
    }
    assert!(repeats > 20, "the line was not bad enough: {repeats}");
}

#[test]
fn a_board_that_is_reset_meanwhile_gets_the_image_from_its_beginning() {
    let mut board = Board::new(0, 1);
    board.reset_after = Some(10);
    let mut loader = loader(board);
    loader.find(None, |_| {}).unwrap();
    loader.load(&image(), super::FIRST_SPEED, |_| {}).unwrap();
    assert_eq!(loader.repeats, 1);
    assert!(loader.line().ram.0[..50_000] == image());
}

#[test]
fn a_faster_speed_is_used_if_the_line_carries_it() {
    for slow in [false, true] {
        let mut board = Board::new(0, 1);
        board.slow = slow;
        let mut loader = loader(board);
        loader.find(None, |_| {}).unwrap();
        loader.load(&image(), 921_600, |_| {}).unwrap();
        assert!(loader.line().ram.0[..50_000] == image());
        assert_eq!(
            loader.line().speeds.1,
            super::FIRST_SPEED,
            "for the console"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sent() {
    let mut loader = loader(Board::new(0, 1));
    let told = loader
        .load(&vec![0; 100_001], super::FIRST_SPEED, |_| {})
        .unwrap_err();
    assert!(
        told.to_string()
            .contains("no room for an image of 100001 bytes")
    );
}

#[test]
fn a_silent_line_is_given_up() {
    struct Silence;
    impl Read for Silence {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(ErrorKind::TimedOut.into())
        }
    }
    impl Write for Silence {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Line for Silence {
        fn set_speed(&mut self, _: u32) -> Result<()> {
            Ok(())
        }
    }
    let mut loader = Loader::new(Silence, QUICK);
    let told = loader
        .find(Some(std::time::Instant::now()), |_| {})
        .unwrap_err();
    assert!(told.to_string().contains("no loader answers"), "{told}");
    let told = loader.load(&[1], super::FIRST_SPEED, |_| {}).unwrap_err();
    assert!(told.to_string().contains("does not answer any more"));
}
