//! A part of the firmware's memory that it shows on the screen.
//!
//! The firmware wants everything about it in one message: what the screen is to be like, and where it is to lie
//! (raspberrypi/firmware wiki, "Mailbox property interface", "Frame Buffer"). It answers with what it made of
//! it, which is checked here, since somebody is going to write there.

use crate::{ANSWERED, Trouble, VISIBLE_END};

/// Words of the message.
pub const WORDS: usize = 40;
/// Tags and the bytes of their values, in the order in which they are sent.
const TAGS: [(u32, u32); 8] = [
    (0x0004_8003, 8),
    (0x0004_8004, 8),
    (0x0004_8009, 8),
    (0x0004_8005, 4),
    (0x0004_8006, 4),
    (0x0004_8007, 4),
    (0x0004_0001, 8),
    (0x0004_0008, 4),
];
/// Bits of a pixel.
const DEPTH: u32 = 32;
/// The highest of them count for nothing.
const IGNORE_ALPHA: u32 = 2;
/// Where the pixels are to begin: at a multiple of this.
const ALIGNMENT: u32 = 4096;

/// Sizes that are asked for: the screen's own within these, else the other.
const SMALLEST: (u32, u32) = (320, 200);
const LARGEST: (u32, u32) = (1920, 1200);
const USUAL: (u32, u32) = (1024, 768);

/// A framebuffer as the firmware made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framebuffer {
    /// Physical address of the first pixel.
    pub address: u32,
    /// Bytes from a pixel to the one below.
    pub pitch: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The size to ask for on a screen that says it has so many pixels, if it says anything.
#[must_use]
pub fn size(screen: Option<(u32, u32)>) -> (u32, u32) {
    let fits = |(width, height): &(u32, u32)| {
        (SMALLEST.0..=LARGEST.0).contains(width) && (SMALLEST.1..=LARGEST.1).contains(height)
    };
    screen.filter(fits).unwrap_or(USUAL)
}

/// The message that asks for a framebuffer of this size.
#[must_use]
pub fn words((width, height): (u32, u32)) -> [u32; WORDS] {
    let values: [[u32; 2]; 8] = [
        [width, height],
        [width, height],
        [0, 0],
        [DEPTH, 0],
        // Red in the lowest bits; black, grey and white do not tell.
        [1, 0],
        [IGNORE_ALPHA, 0],
        [ALIGNMENT, 0],
        [0, 0],
    ];
    let mut message = [0; WORDS];
    let head = [4 * WORDS as u32, 0].into_iter();
    let tags = TAGS.iter().zip(values).flat_map(|((tag, bytes), values)| {
        let count = (bytes / 4) as usize;
        [*tag, *bytes, 0]
            .into_iter()
            .chain(values.into_iter().take(count))
    });
    // The end is a tag of 0, and is there already.
    message
        .iter_mut()
        .zip(head.chain(tags))
        .for_each(|(to, from)| *to = from);
    message
}

/// Reads the answer.
///
/// # Errors
/// `Unknown`: this firmware has no framebuffer, or not one like that. `Damaged`: what came back is no answer, or
/// lies where no framebuffer can be.
pub fn answer(words: &[u32; WORDS]) -> Result<Framebuffer, Trouble> {
    let [_, status, rest @ ..] = words;
    if *status != ANSWERED {
        return Err(Trouble::Damaged);
    }
    let mut rest = rest.as_slice();
    let mut values = [[0; 2]; TAGS.len()];
    for ((tag, bytes), value) in TAGS.iter().zip(&mut values) {
        let count = (bytes / 4) as usize;
        let (head, tail) = rest.split_at_checked(3).ok_or(Trouble::Damaged)?;
        let (own, after) = tail.split_at_checked(count).ok_or(Trouble::Damaged)?;
        if head.first() != Some(tag) {
            return Err(Trouble::Damaged);
        }
        // The allocation and the pitch must be answered; of the others the values tell what came of them.
        let answered = head.get(2).is_some_and(|word| *word == ANSWERED | *bytes);
        if !answered && matches!(tag, 0x0004_0001 | 0x0004_0008) {
            return Err(Trouble::Unknown);
        }
        value.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
        rest = after;
    }
    let [
        _,
        [width, height],
        _,
        [depth, _],
        _,
        _,
        [base, bytes],
        [pitch, _],
    ] = values;
    if depth != DEPTH || base == 0 {
        return Err(Trouble::Unknown);
    }
    // The firmware names its memory as its own masters see it: bits 31:30 say through which cache.
    let address = base & (VISIBLE_END - 1) as u32;
    let needed = u64::from(pitch) * u64::from(height);
    let sound = (1..=LARGEST.0).contains(&width)
        && (1..=LARGEST.1).contains(&height)
        && pitch >= 4 * width
        && pitch.is_multiple_of(4)
        && address.is_multiple_of(4)
        && needed <= u64::from(bytes)
        && u64::from(address) + needed <= VISIBLE_END;
    if !sound {
        return Err(Trouble::Damaged);
    }
    Ok(Framebuffer {
        address,
        pitch,
        width,
        height,
    })
}

#[cfg(test)]
mod tests {
    use super::{Framebuffer, WORDS, answer, size, words};
    use crate::Trouble;

    /// As QEMU answers, and as the firmware does, which names its memory through another cache.
    fn answered(base: u32) -> [u32; WORDS] {
        let mut answer = words((640, 480));
        answer[1] = 0x8000_0000;
        let mut at = 2;
        while answer[at] != 0 {
            let bytes = answer[at + 1];
            answer[at + 2] = 0x8000_0000 | bytes;
            match answer[at] {
                0x0004_0001 => (answer[at + 3], answer[at + 4]) = (base, 640 * 480 * 4),
                0x0004_0008 => answer[at + 3] = 640 * 4,
                _ => {}
            }
            at += 3 + bytes as usize / 4;
        }
        assert_eq!(at, WORDS - 2, "an end, and one word to spare");
        answer
    }

    #[test]
    fn a_message_is_laid_out_as_the_firmware_reads_it() {
        let words = words((640, 480));
        assert_eq!(words[..2], [160, 0]);
        assert_eq!(words[2..7], [0x0004_8003, 8, 0, 640, 480]);
        assert_eq!(words[17..21], [0x0004_8005, 4, 0, 32]);
        assert_eq!(words[34..], [0x0004_0008, 4, 0, 0, 0, 0]);
    }

    #[test]
    fn an_answer_tells_where_the_pixels_are() {
        let there = Framebuffer {
            address: 0x3e40_0000,
            pitch: 2560,
            width: 640,
            height: 480,
        };
        for base in [0x3e40_0000, 0xfe40_0000] {
            assert_eq!(answer(&answered(base)), Ok(there));
        }
    }

    #[test]
    fn what_nobody_should_write_to_is_refused() {
        let good = answered(0x3e40_0000);
        let with = |place: usize, value| {
            let mut words = good;
            words[place] = value;
            answer(&words)
        };
        let place = |tag| good.iter().position(|word| *word == tag).unwrap();
        let (base, pitch) = (place(0x0004_0001) + 3, place(0x0004_0008) + 3);
        assert_eq!(with(1, 0), Err(Trouble::Damaged), "not answered");
        assert_eq!(with(2, 7), Err(Trouble::Damaged), "of another");
        assert_eq!(with(base, 0), Err(Trouble::Unknown), "nowhere");
        assert_eq!(with(base - 1, 0), Err(Trouble::Unknown), "not done");
        assert_eq!(with(20, 16), Err(Trouble::Unknown), "other pixels");
        assert_eq!(
            with(base, 0x3fff_f000),
            Err(Trouble::Damaged),
            "behind its end"
        );
        assert_eq!(with(base, 0x3e40_0002), Err(Trouble::Damaged), "uneven");
        assert_eq!(
            with(base + 1, 640 * 480),
            Err(Trouble::Damaged),
            "too small"
        );
        assert_eq!(with(pitch, 2556), Err(Trouble::Damaged), "rows overlap");
        assert_eq!(with(pitch, u32::MAX - 3), Err(Trouble::Damaged));
        assert_eq!(with(10, 0), Err(Trouble::Damaged), "no rows");
    }

    #[test]
    fn sizes_follow_the_screen_within_reason() {
        assert_eq!(size(Some((1920, 1080))), (1920, 1080));
        for odd in [None, Some((0, 0)), Some((3840, 2160)), Some((592, 3000))] {
            assert_eq!(size(odd), (1024, 768));
        }
    }
}
