//! Questions to the Raspberry Pi's firmware, as words in memory that it reads and answers in.
//!
//! Sources: raspberrypi/firmware wiki, "Mailbox property interface" (tags, layout) and "Mailboxes" (registers,
//! status bits); Linux `drivers/firmware/raspberrypi.c`, `drivers/mailbox/bcm2835-mailbox.c`.
//!
//! ```text
//! word 0  bytes of the whole        3  bytes of room for values
//!      1  0; answered 0x8000_0000   4  0; answered 0x8000_0000 | bytes of the answer
//!      2  tag                       5  values; then a 0, the end
//! ```
//!
//! A [`framebuffer`] is several tags in one message, and the only thing here that changes a board.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod framebuffer;

/// Words of a question: two values, and the end.
pub const WORDS: usize = 8;
/// Where the values are.
const VALUES: usize = 5;
const VALUE_BYTES: u32 = 8;
/// The firmware has answered.
const ANSWERED: u32 = 1 << 31;

/// The channel for questions, in the low bits of what is written to the mailbox.
pub const CHANNEL: u32 = 8;
/// Offsets of the mailbox's registers in its page: 0xb880 of the legacy peripherals.
pub mod register {
    /// The next message of the firmware; reading takes it.
    pub const READ: usize = 0x880;
    /// Status of the mailbox to read from.
    pub const READ_STATUS: usize = 0x898;
    /// A message for the firmware.
    pub const WRITE: usize = 0x8a0;
    /// Status of the mailbox to write to.
    pub const WRITE_STATUS: usize = 0x8b8;
    /// The mailbox is empty.
    pub const EMPTY: u32 = 1 << 30;
    /// The mailbox is full.
    pub const FULL: u32 = 1 << 31;
}

/// Physical addresses of which the firmware sees memory, and what it adds to them: the uncached view of the
/// first GiB.
pub const VISIBLE_END: u64 = 1 << 30;
const UNCACHED: u32 = 0xc000_0000;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The firmware's date.
    FirmwareRevision,
    /// The board's revision code.
    BoardRevision,
    /// The Ethernet address.
    EthernetAddress,
    /// How fast a clock runs.
    ClockRate(u32),
    /// The temperature.
    Temperature,
    /// How many pixels the screen has, across and down.
    ScreenSize,
}

impl Question {
    /// Tag, the value that goes with it, which value answers, and bytes that a full answer has.
    const fn form(self) -> (u32, u32, usize, u32) {
        match self {
            Self::FirmwareRevision => (0x0000_0001, 0, 0, 4),
            Self::BoardRevision => (0x0001_0002, 0, 0, 4),
            Self::EthernetAddress => (0x0001_0003, 0, 0, 6),
            Self::ClockRate(clock) => (0x0003_0002, clock, 1, 8),
            Self::Temperature => (0x0003_0006, 0, 1, 8),
            Self::ScreenSize => (0x0004_0003, 0, 0, 8),
        }
    }

    /// The words of it.
    #[must_use]
    pub const fn words(self) -> [u32; WORDS] {
        let (tag, value, ..) = self.form();
        [4 * WORDS as u32, 0, tag, VALUE_BYTES, 0, value, 0, 0]
    }

    /// Reads the answer, whose words come from the firmware.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn answer(self, words: &[u32; WORDS]) -> Result<[u32; 2], Trouble> {
        let (tag, _, first, bytes) = self.form();
        if words[1] != ANSWERED || words[2] != tag {
            return Err(Trouble::Damaged);
        }
        // QEMU and old firmware "answer" what they do not know with nothing.
        if words[4] != ANSWERED | bytes {
            return Err(Trouble::Unknown);
        }
        let value = |i: usize| words.get(VALUES + i).copied().unwrap_or(0);
        Ok([value(first), value(first + 1)])
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The firmware does not know the question.
    Unknown,
    /// What came back is no answer.
    Damaged,
}

/// What is written to the mailbox for so many words at a physical address; `None` if the firmware cannot see
/// them there, or they do not begin at a multiple of 16.
#[must_use]
pub fn letter(physical: u64, words: usize) -> Option<u32> {
    let end = physical.checked_add(4 * words as u64)?;
    if end > VISIBLE_END || !physical.is_multiple_of(16) {
        return None;
    }
    u32::try_from(physical)
        .ok()
        .map(|address| address | UNCACHED | CHANNEL)
}

#[cfg(test)]
mod tests {
    use super::{Question, Trouble, WORDS, letter};

    #[test]
    fn a_question_is_laid_out_as_the_firmware_reads_it() {
        let words = Question::ClockRate(3).words();
        assert_eq!(words, [32, 0, 0x0003_0002, 8, 0, 3, 0, 0]);
    }

    #[test]
    fn answers_are_taken_only_if_they_are_whole() {
        let question = Question::Temperature;
        let mut words = question.words();
        assert_eq!(
            question.answer(&words),
            Err(Trouble::Damaged),
            "not answered"
        );
        words[1] = 0x8000_0000;
        assert_eq!(question.answer(&words), Err(Trouble::Unknown));
        words[4] = 0x8000_0000;
        assert_eq!(question.answer(&words), Err(Trouble::Unknown), "QEMU's way");
        (words[4], words[6]) = (0x8000_0008, 25_000);
        assert_eq!(question.answer(&words), Ok([25_000, 0]));
        words[2] = 7;
        assert_eq!(question.answer(&words), Err(Trouble::Damaged), "of another");
        words[1] = 0x8000_0001;
        assert_eq!(question.answer(&words), Err(Trouble::Damaged), "its error");
    }

    #[test]
    fn memory_that_the_firmware_does_not_see_is_refused() {
        assert_eq!(letter(0x1230, WORDS), Some(0xc000_1238));
        assert_eq!(letter(0x3fff_ffe0, WORDS), Some(0xffff_ffe8));
        for bad in [0x1238, 0x3fff_fff0, 0x4000_0000, u64::MAX] {
            assert_eq!(letter(bad, WORDS), None, "{bad:#x}");
        }
    }
}
