use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Surface, Terminal};
use crate::font::Font;

/// A screen that can be read back.
struct Screen {
    width: u32,
    pixels: Vec<u32>,
    puts: usize,
}

const WIDTH: u32 = 10 * 8 + 3;
const HEIGHT: u32 = 4 * 13 + 5;
/// What is left over is shared between the sides.
const LEFT: u32 = 1;
const TOP: u32 = 2;
const UNTOUCHED: u32 = 0xdead_beef;

impl Surface for Screen {
    fn put(&mut self, x: u32, y: u32, pixels: &[u32]) {
        assert!(x as usize + pixels.len() <= self.width as usize);
        let first = (y * self.width + x) as usize;
        self.pixels[first..first + pixels.len()].copy_from_slice(pixels);
        self.puts += 1;
    }
}

impl Screen {
    fn new() -> Self {
        Self {
            width: WIDTH,
            pixels: vec![UNTOUCHED; (WIDTH * HEIGHT) as usize],
            puts: 0,
        }
    }

    /// The text whose glyphs are drawn. Reversed ones are marked by `_` if blank, and by capitals.
    fn text(&self) -> Vec<String> {
        let font = Font::for_width(WIDTH);
        let cell = |row: u32, column: u32| {
            let bit = |x: u32, y: u32| {
                let (x, y) = (LEFT + column * 8 + x, TOP + row * 13 + y);
                let at = y * self.width + x;
                u16::from(self.pixels[at as usize] != 0)
            };
            let mut glyph = [0; crate::GLYPH_ROWS];
            for (y, bits) in (0..13).zip(&mut glyph) {
                *bits = (0..8).fold(0, |bits, x| bits << 1 | bit(x, y));
            }
            let mut inverse = glyph;
            inverse.iter_mut().take(13).for_each(|bits| *bits ^= 0xff);
            let find = |wanted| (b' '..=b'~').find(|code| font.glyph(*code) == wanted);
            match (find(glyph), find(inverse)) {
                (Some(code), _) => code.into(),
                (_, Some(b' ')) => '_',
                (_, Some(code)) => char::from(code).to_ascii_uppercase(),
                _ => '#',
            }
        };
        (0..4)
            .map(|row| {
                let line: String = (0..10).map(|column| cell(row, column)).collect();
                line.trim_end().into()
            })
            .collect()
    }
}

/// What a screen of ten columns and four rows shows after these bytes.
fn shown(bytes: &[u8]) -> Vec<String> {
    let (mut terminal, mut screen) = (Terminal::new(WIDTH, HEIGHT), Screen::new());
    assert_eq!(terminal.size(), (10, 4));
    for part in bytes.chunks(3) {
        terminal.write(part);
        terminal.draw(&mut screen);
    }
    screen.text()
}

#[test]
fn text_appears_and_the_cursor_behind_it() {
    assert_eq!(shown(b"ab c\r\n$ "), ["ab c", "$ _", "", ""]);
    assert_eq!(shown(b"\tx\x08"), ["        X", "", "", ""]);
    assert_eq!(shown(b"\x1b[?25lab"), ["ab", "", "", ""]);
}

#[test]
fn long_lines_wrap_and_long_texts_scroll() {
    assert_eq!(
        shown(b"0123456789"),
        ["0123456789", "", "", ""],
        "cursor on the last"
    );
    assert_eq!(shown(b"0123456789ab"), ["0123456789", "ab_", "", ""]);
    assert_eq!(shown(b"a\r\nb\r\nc\r\nd\r\ne\r\nf"), ["c", "d", "e", "f_"]);
}

#[test]
fn what_a_line_editor_sends_is_understood() {
    // Insert in the middle, as editors redraw: back, rest of the line, erase, back.
    assert_eq!(shown(b"$ helo\x1b[2D\x1b[Kllo"), ["$ hello_", "", "", ""]);
    assert_eq!(shown(b"one\r\x1b[2Ktwo"), ["two_", "", "", ""]);
    assert_eq!(
        shown(b"a\r\nb\r\nc\x1b[2A\x1b[9DX\x1b[J"),
        ["X_", "", "", ""]
    );
    assert_eq!(shown(b"abc\r\nd\x1b[H\x1b[2J>"), [">_", "", "", ""]);
    assert_eq!(shown(b"abcdef\x1b[3G\x1b[2P"), ["abEf", "", "", ""]);
    assert_eq!(shown(b"abcdef\x1b[3G\x1b[1@"), ["ab_cdef", "", "", ""]);
    assert_eq!(shown(b"\x1b[7mab\x1b[0mc"), ["ABc_", "", "", ""]);
    assert_eq!(shown("\u{20ac}\u{7}".as_bytes()), ["?_", "", "", ""]);
    assert_eq!(shown(b"ab\x1bc"), ["_", "", "", ""]);
}

#[test]
fn only_what_changed_is_drawn_and_nothing_beside_the_cells() {
    let (mut terminal, mut screen) = (Terminal::new(WIDTH, HEIGHT), Screen::new());
    assert_eq!(terminal.draw(&mut screen), 40);
    screen.puts = 0;
    terminal.write(b"x");
    assert_eq!(
        terminal.draw(&mut screen),
        2,
        "the character and the cursor"
    );
    assert_eq!(terminal.draw(&mut screen), 0);
    assert_eq!(screen.puts, 2 * 13);
    for (at, pixel) in (0..).zip(&screen.pixels) {
        let (columns, rows) = (LEFT..LEFT + 80, TOP..TOP + 52);
        let inside = columns.contains(&(at % WIDTH)) && rows.contains(&(at / WIDTH));
        assert_eq!(*pixel != UNTOUCHED, inside, "pixel {at}");
    }
    // However much scrolls past, each cell is drawn once.
    (0..1000).for_each(|_| terminal.write(b"many lines\r\n"));
    assert!(terminal.draw(&mut screen) <= 40);
}

#[test]
fn wide_screens_have_a_margin_and_no_screen_loses_a_line_of_eighty() {
    for (width, height, size) in [
        (640, 480, (80, 36)),
        (800, 600, (80, 30)),
        (1024, 768, (100, 37)),
        (1920, 1080, (190, 53)),
    ] {
        let terminal = Terminal::new(width, height);
        assert_eq!(terminal.size(), size, "{width} x {height}");
    }
}

#[test]
fn no_bytes_harm_it() {
    let (mut terminal, mut screen) = (Terminal::new(WIDTH, HEIGHT), Screen::new());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let pick = b"\x1b[]?;0123456789ABCDEFGHJKPXdfmhlc@\r\n\t\x08 ax\xc3\xa9\x9b\x18";
        let byte = match random % 8 {
            0 => (random >> 8) as u8,
            _ => pick[(random >> 8) as usize % pick.len()],
        };
        terminal.write(&[byte]);
        if random % 64 == 1 {
            terminal.draw(&mut screen);
        }
    }
    for sequence in [
        "\x1b[99999999;99999999H",
        "\x1b[65535B",
        "\x1b[65535@",
        "\x1b[65535P",
    ] {
        terminal.write(sequence.as_bytes());
        terminal.draw(&mut screen);
    }
    for (width, height) in [(0, 0), (7, 3), (1, 4000)] {
        Terminal::new(width, height).write(b"tiny\n\x1b[J");
    }
    terminal.write(b"\x18\x1bc\x1b[?25lalive");
    terminal.draw(&mut screen);
    assert_eq!(screen.text()[0], "alive");
}
