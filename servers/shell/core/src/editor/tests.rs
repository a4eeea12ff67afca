use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Editor, Event, TEXT_LIMIT, WIDTH};
use crate::complete::Candidate;

/// A terminal that knows nothing but characters, backspace, bell, return and line feed.
struct Screen {
    row: Vec<char>,
    column: usize,
    rows: Vec<String>,
}

impl Screen {
    fn new() -> Self {
        Self {
            row: Vec::new(),
            column: 0,
            rows: Vec::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for c in core::str::from_utf8(bytes).expect("UTF-8").chars() {
            match c {
                '\u{8}' => {
                    self.column = self.column.checked_sub(1).expect("left of the screen");
                }
                '\u{7}' => {}
                '\r' => self.column = 0,
                '\n' => {
                    self.rows.push(self.text());
                    self.row.clear();
                    self.column = 0;
                }
                c => {
                    assert!(!c.is_control(), "{c:?} on a dumb terminal");
                    while self.row.len() <= self.column {
                        self.row.push(' ');
                    }
                    self.row[self.column] = c;
                    self.column += 1;
                    assert!(self.column < WIDTH, "the line wraps");
                }
            }
        }
    }

    fn text(&self) -> String {
        let text: String = self.row.iter().collect();
        text.trim_end().to_string()
    }
}

/// Types `bytes` in pieces of `piece` and returns the last line entered, if any, and the screen.
fn typed(editor: &mut Editor, screen: &mut Screen, bytes: &[u8]) -> Option<String> {
    let (mut out, mut line) = (Vec::new(), None);
    for &byte in bytes {
        if let Event::Line(found) = editor.push(byte) {
            editor.draw(&mut out);
            editor.finish(&mut out);
            editor.begin("> ");
            line = Some(found);
        }
        editor.draw(&mut out);
    }
    screen.write(&out);
    line
}

fn fresh() -> (Editor, Screen) {
    let mut editor = Editor::default();
    editor.begin("> ");
    (editor, Screen::new())
}

#[test]
fn editing_keys_do_what_they_say() {
    for (keys, line) in [
        ("abc\x1b[Dx\r", "abxc"),
        ("abc\x01x\x05y\r", "xabcy"),
        ("abc\x02\x02\x7f\r", "bc"),
        ("abc\x1b[D\x1b[3~\r", "ab"),
        ("one two three\x17\x17four\r", "one four"),
        ("one two\x1bb\x1bbx\x1bfy\r", "xoney two"),
        ("one two\x01\x1bd\r", " two"),
        ("one two\x15x\x19\r", "xone two"),
        ("one two\x17\x17\x19!\r", "one two!"),
        ("one two\x1bb\x0b\x01\x19\r", "twoone "),
        ("abc\x14\r", "acb"),
        ("äöü\x02\x02\x04\r", "äü"),
        ("ab\x04\x1b[Cc\r", "abc"),
    ] {
        let (mut editor, mut screen) = fresh();
        let found = typed(&mut editor, &mut screen, keys.as_bytes());
        assert_eq!(found.as_deref(), Some(line), "{keys:?}");
        assert_eq!(
            screen.rows,
            [alloc::format!("> {line}").trim_end()],
            "{keys:?}"
        );
    }
}

#[test]
fn history_is_browsed_and_the_draft_comes_back() {
    let (mut editor, mut screen) = fresh();
    typed(&mut editor, &mut screen, b"first\rsecond\r");
    typed(&mut editor, &mut screen, b"draft\x1b[A");
    assert_eq!(editor.text(), "second");
    typed(&mut editor, &mut screen, b"\x1b[A\x1b[A");
    assert_eq!(editor.text(), "first");
    typed(&mut editor, &mut screen, b"\x1b[B\x1b[B");
    assert_eq!(editor.text(), "draft");
    // An old line can be changed without changing the history.
    let line = typed(&mut editor, &mut screen, b"\x1b[A!\r");
    assert_eq!(line.as_deref(), Some("second!"));
    assert!(editor.history().iter().eq(["first", "second", "second!"]));
}

#[test]
fn the_history_is_searched_backwards() {
    let (mut editor, mut screen) = fresh();
    typed(&mut editor, &mut screen, b"echo one\recho two\rps\r");
    typed(&mut editor, &mut screen, b"\x12ech");
    assert_eq!(editor.text(), "echo two");
    assert_eq!(screen.text(), "(search `ech`) echo two");
    typed(&mut editor, &mut screen, b"\x12");
    assert_eq!(editor.text(), "echo one");
    let line = typed(&mut editor, &mut screen, b"\r");
    assert_eq!(line.as_deref(), Some("echo one"));
    typed(&mut editor, &mut screen, b"keep\x12zzz\x07");
    assert_eq!(
        (editor.text().as_str(), screen.text().as_str()),
        ("keep", "> keep")
    );
    typed(&mut editor, &mut screen, b"\x12two\x1b[D!");
    assert_eq!(editor.text(), "echo tw!o");
}

#[test]
fn a_long_line_scrolls_and_the_screen_shows_its_part() {
    let (mut editor, mut screen) = fresh();
    let text: String = (0..300)
        .map(|n| char::from(b'a' + (n % 26) as u8))
        .collect();
    typed(&mut editor, &mut screen, text.as_bytes());
    assert!(text.ends_with(screen.text().trim_start_matches("> ")));
    typed(&mut editor, &mut screen, b"\x01");
    assert_eq!(screen.column, 2);
    assert!(text.starts_with(screen.text().trim_start_matches("> ")));
    assert!(screen.text().len() > WIDTH - 4);
    let line = typed(&mut editor, &mut screen, b"\r");
    assert_eq!(line, Some(text));
}

#[test]
fn a_line_takes_so_much_and_no_more() {
    let (mut editor, mut screen) = fresh();
    for _ in 0..TEXT_LIMIT + 100 {
        typed(&mut editor, &mut screen, b"x");
    }
    // Yanking cannot make it longer either.
    typed(&mut editor, &mut screen, b"\x15\x19\x19\x19");
    assert_eq!(editor.text().len(), TEXT_LIMIT);
}

#[test]
fn completion_inserts_what_is_certain() {
    let candidate = |text: &str, goes_on| Candidate {
        text: text.into(),
        goes_on,
    };
    for (line, candidates, wanted) in [
        ("he", &[candidate("help", false)] as &[_], "help "),
        (
            "x he",
            &[candidate("hello", false), candidate("help", false)],
            "x hel",
        ),
        ("cat /d", &[candidate("/data/", true)], "cat /data/"),
        ("cat a", &[candidate("a b", false)], "cat a\\ b "),
        ("cat 'a", &[candidate("a b", false)], "cat a\\ b "),
        ("cat q", &[], "cat q"),
    ] {
        let (mut editor, mut screen) = fresh();
        typed(&mut editor, &mut screen, line.as_bytes());
        editor.complete(candidates, &mut Vec::new());
        assert_eq!(editor.text(), wanted, "{line}");
    }
    // What is behind the cursor stays there.
    let (mut editor, mut screen) = fresh();
    typed(&mut editor, &mut screen, b"he tail\x1bb\x02");
    editor.complete(&[candidate("help", false)], &mut Vec::new());
    assert_eq!(editor.text(), "help  tail");
}

/// After any keys the screen shows the prompt, the visible part of the line, and the cursor where it belongs.
#[test]
fn the_screen_shows_the_line_after_any_keys() {
    let mut seed = 99_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let keys: [&[u8]; 20] = [
        b"a",
        b"b ",
        b"word",
        "é".as_bytes(),
        b"\x1b[D",
        b"\x1b[C",
        b"\x01",
        b"\x05",
        b"\x7f",
        b"\x04",
        b"\x17",
        b"\x0b",
        b"\x15",
        b"\x19",
        b"\x1b[A",
        b"\x1b[B",
        b"\x1bb",
        b"\x1bf",
        b"\x14",
        b"0123456789012345678901234567890123456789",
    ];
    for _ in 0..100 {
        let (mut editor, mut screen) = fresh();
        typed(&mut editor, &mut screen, b"some line\rother\r");
        for _ in 0..100 {
            typed(&mut editor, &mut screen, keys[random() % keys.len()]);
            let text = editor.text();
            let visible: String = text.chars().skip(editor.scroll).take(WIDTH - 4).collect();
            assert_eq!(screen.text(), alloc::format!("> {visible}").trim_end());
            assert_eq!(screen.column, 2 + editor.cursor - editor.scroll);
        }
    }
}
