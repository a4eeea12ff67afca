//! The line that is being typed.
//!
//! [`Editor::push`] changes the line, [`Editor::draw`] brings the screen up to date. Only printable characters, backspace and carriage
//! return with line feed are sent, and a line never takes more than one row: a longer one shows the part around the
//! cursor. So it works on any terminal of at least the width that is assumed, whether or not that understands escape
//! sequences, and does not mind if its size changes.

use alloc::string::String;
use alloc::vec::Vec;

use unicode_width::UnicodeWidthChar;

use crate::complete::{self, Candidate};
use crate::history::History;
use crate::keys::{Key, Keys};
use crate::listing::WIDTH;
use crate::parse;

/// Most characters of a line.
pub const TEXT_LIMIT: usize = 4096;
/// Least columns for text, however long the prompt is.
const LEAST_TEXT: usize = 16;
const BELL: u8 = 0x07;

/// What a byte brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing but, perhaps, another line on the screen.
    Edited,
    /// The line is complete.
    Line(String),
    /// The user gave it up.
    Interrupt,
    /// End of input on an empty line.
    End,
    /// What could the word before the cursor become? See [`Editor::complete`].
    Complete,
}

/// A search in the history.
#[derive(Clone, Debug, Default)]
struct Search {
    query: String,
    /// How many lines ago the match is.
    at: Option<usize>,
    /// The line before the search.
    before: Vec<char>,
}

/// What the screen shows of the line.
#[derive(Clone, Debug, Default)]
struct Shown {
    chars: Vec<char>,
    cursor: usize,
}

/// A line editor.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    keys: Keys,
    prompt: String,
    text: Vec<char>,
    /// Characters before the cursor.
    cursor: usize,
    /// First character that is visible.
    scroll: usize,
    cut: Vec<char>,
    last: Option<Key>,
    history: History,
    /// How many lines ago the line came from that is shown.
    browsing: Option<usize>,
    /// The line before browsing.
    draft: Vec<char>,
    search: Option<Search>,
    shown: Option<Shown>,
    bell: bool,
    /// Whether [`complete`](Self::complete) could not add anything the last time.
    stuck: bool,
}

impl Editor {
    /// Begins a new line behind `prompt`.
    pub fn begin(&mut self, prompt: &str) {
        self.prompt = prompt.into();
        self.text.clear();
        self.draft.clear();
        (self.cursor, self.scroll) = (0, 0);
        (self.browsing, self.search, self.shown, self.last) = (None, None, None, None);
    }

    /// The line so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What was entered before.
    pub const fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Forgets what the screen shows: the next [`draw`](Self::draw) draws all of it on a new line.
    pub fn forget_screen(&mut self) {
        self.shown = None;
    }

    /// Takes a byte.
    pub fn push(&mut self, byte: u8) -> Event {
        match self.keys.push(byte) {
            Some(key) => {
                let event = self.key(key);
                self.last = Some(key);
                event
            }
            None => Event::Edited,
        }
    }

    fn key(&mut self, key: Key) -> Event {
        if self.search.is_some()
            && let Some(event) = self.search_key(key)
        {
            return event;
        }
        if key != Key::Tab {
            self.stuck = false;
        }
        match key {
            Key::Enter => {
                let line = self.text();
                self.history.add(&line);
                return Event::Line(line);
            }
            Key::Tab => return Event::Complete,
            Key::Interrupt => return Event::Interrupt,
            Key::EndOfInput if self.text.is_empty() => return Event::End,
            Key::EndOfInput | Key::Delete => self.remove(self.cursor, self.cursor + 1),
            Key::Backspace => self.remove(self.cursor.saturating_sub(1), self.cursor),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::WordLeft => self.cursor = self.word_start(),
            Key::WordRight => self.cursor = self.word_end(),
            Key::CutWordLeft => self.cut(self.word_start(), self.cursor),
            Key::CutWordRight => self.cut(self.cursor, self.word_end()),
            Key::CutToStart => self.cut(0, self.cursor),
            Key::CutToEnd => self.cut(self.cursor, self.text.len()),
            Key::Yank => {
                let cut = self.cut.clone();
                self.insert(&cut);
            }
            Key::Swap => self.swap(),
            Key::Up => self.browse(self.browsing.map_or(0, |back| back + 1)),
            Key::Down => match self.browsing {
                Some(back) if back > 0 => self.browse(back - 1),
                Some(_) => {
                    self.browsing = None;
                    let draft = core::mem::take(&mut self.draft);
                    self.replace(draft);
                }
                None => self.bell = true,
            },
            Key::Search => {
                self.search = Some(Search {
                    before: self.text.clone(),
                    ..Search::default()
                });
            }
            Key::Redraw => self.shown = None,
            Key::Cancel => {}
            Key::Char(c) => self.insert(&[c]),
        }
        Event::Edited
    }

    /// A key during a search; `None` if it ends the search and is to be handled as usual.
    fn search_key(&mut self, key: Key) -> Option<Event> {
        let search = self.search.as_mut()?;
        let older = match key {
            Key::Char(c) if search.query.len() < 128 => {
                search.query.push(c);
                search.at.unwrap_or(0)
            }
            Key::Char(_) => return Some(Event::Edited),
            Key::Backspace => {
                search.query.pop();
                0
            }
            Key::Search => search.at.map_or(0, |at| at + 1),
            Key::Cancel | Key::Interrupt => {
                let before = core::mem::take(&mut search.before);
                self.search = None;
                self.replace(before);
                return Some(Event::Edited);
            }
            _ => {
                self.search = None;
                return None;
            }
        };
        let found = match search.query.is_empty() {
            true => None,
            false => self.history.find(&search.query, older),
        };
        match found {
            Some(at) => {
                search.at = Some(at);
                let line = self.history.back(at).unwrap_or("").chars().collect();
                self.replace(line);
            }
            None => self.bell |= !search.query.is_empty(),
        }
        Some(Event::Edited)
    }

    fn insert(&mut self, chars: &[char]) {
        if self.text.len() + chars.len() > TEXT_LIMIT {
            self.bell = true;
            return;
        }
        self.text
            .splice(self.cursor..self.cursor, chars.iter().copied());
        self.cursor += chars.len();
    }

    fn remove(&mut self, start: usize, end: usize) {
        if end > self.text.len() || start == end {
            self.bell = true;
            return;
        }
        self.text.drain(start..end);
        self.cursor = start;
    }

    /// Removes characters and keeps them; cuts in a row keep all of theirs.
    fn cut(&mut self, start: usize, end: usize) {
        let cuts = [
            Key::CutWordLeft,
            Key::CutWordRight,
            Key::CutToStart,
            Key::CutToEnd,
        ];
        if !self.last.is_some_and(|last| cuts.contains(&last)) {
            self.cut.clear();
        }
        let taken: Vec<char> = self.text.drain(start..end).collect();
        if end == self.cursor && start < end {
            self.cut.splice(0..0, taken);
        } else {
            self.cut.extend(taken);
        }
        self.cut.truncate(TEXT_LIMIT);
        self.cursor = start;
    }

    fn swap(&mut self) {
        let right = self.cursor.min(self.text.len().saturating_sub(1));
        if right == 0 {
            self.bell = true;
            return;
        }
        self.text.swap(right - 1, right);
        self.cursor = right + 1;
    }

    fn replace(&mut self, text: Vec<char>) {
        self.text = text;
        self.text.truncate(TEXT_LIMIT);
        self.cursor = self.text.len();
    }

    fn browse(&mut self, back: usize) {
        let Some(line) = self.history.back(back) else {
            self.bell = true;
            return;
        };
        let line = line.chars().collect();
        if self.browsing.is_none() {
            self.draft = core::mem::take(&mut self.text);
        }
        self.browsing = Some(back);
        self.replace(line);
    }

    fn word_start(&self) -> usize {
        let is_word = |at: &usize| {
            at.checked_sub(1)
                .and_then(|i| self.text.get(i))
                .is_some_and(|c| c.is_alphanumeric())
        };
        let mut at = self.cursor;
        while at > 0 && !is_word(&at) {
            at -= 1;
        }
        while is_word(&at) {
            at -= 1;
        }
        at
    }

    fn word_end(&self) -> usize {
        let is_word = |at: usize| self.text.get(at).is_some_and(|c| c.is_alphanumeric());
        let mut at = self.cursor;
        while at < self.text.len() && !is_word(at) {
            at += 1;
        }
        while is_word(at) {
            at += 1;
        }
        at
    }

    /// The line up to the cursor.
    #[must_use]
    pub fn before_cursor(&self) -> String {
        self.text.iter().take(self.cursor).collect()
    }

    /// Replaces the word before the cursor by what all `candidates` begin with. Asked twice without anything to
    /// add, it writes them to `out`.
    pub fn complete(&mut self, candidates: &[Candidate], out: &mut Vec<u8>) {
        let word = parse::unfinished(&self.before_cursor());
        let start = word.start;
        let common = complete::common(candidates);
        let mut insert = parse::quoted(common);
        if let [only] = candidates
            && !only.goes_on
        {
            insert.push(' ');
        }
        if common.len() > word.value.len() || candidates.len() == 1 {
            self.stuck = false;
            let rest = self.text.split_off(self.cursor);
            let prefix = self.text.get(..start).map(<[char]>::to_vec);
            let whole: Vec<char> = prefix
                .unwrap_or_default()
                .into_iter()
                .chain(insert.chars())
                .collect();
            if whole.len() + rest.len() <= TEXT_LIMIT {
                self.text = whole;
                self.cursor = self.text.len();
            } else {
                self.bell = true;
            }
            self.text.extend(rest);
            return;
        }
        self.bell = true;
        if core::mem::replace(&mut self.stuck, true) && !candidates.is_empty() {
            self.finish(out);
            complete::columns(candidates, WIDTH, out);
            self.shown = None;
        }
    }

    /// What is to be on the screen, and where its cursor is to be.
    fn wanted(&mut self) -> Shown {
        let mut chars: Vec<char> = match &self.search {
            Some(search) => alloc::format!("(search `{}`) ", search.query)
                .chars()
                .collect(),
            None => self.prompt.chars().collect(),
        };
        let room = (WIDTH - 1).saturating_sub(columns(&chars)).max(LEAST_TEXT);
        let out_of_sight =
            |scroll: usize| columns(self.text.get(scroll..self.cursor).unwrap_or(&[])) >= room;
        if self.cursor < self.scroll || out_of_sight(self.scroll) {
            // Half of the room to the left of the cursor, so that the next keys find it in sight.
            let before = self.text.get(..self.cursor).unwrap_or(&[]).iter().rev();
            let mut used = 0;
            let fitting = before.take_while(|&&c| {
                used += width(c);
                used <= room / 2
            });
            self.scroll = self.cursor - fitting.count();
        }
        let start = chars.len();
        let mut used = 0;
        for &c in self.text.iter().skip(self.scroll) {
            used += width(c);
            if used >= room {
                break;
            }
            chars.push(c);
        }
        Shown {
            chars,
            cursor: start + self.cursor - self.scroll,
        }
    }

    /// Writes to `out` what brings the screen up to date.
    pub fn draw(&mut self, out: &mut Vec<u8>) {
        let wanted = self.wanted();
        if core::mem::take(&mut self.bell) {
            out.push(BELL);
        }
        let old = self.shown.take().unwrap_or_default();
        let same = old
            .chars
            .iter()
            .zip(&wanted.chars)
            .take_while(|(old, new)| old == new)
            .count();
        let changed = same < old.chars.len() || same < wanted.chars.len();
        let mut at = old.cursor;
        if changed {
            travel(&old.chars, at, same, out);
            for &c in wanted.chars.iter().skip(same) {
                put(c, out);
            }
            at = wanted.chars.len();
            let (before, after) = (columns(&old.chars), columns(&wanted.chars));
            let surplus = before.saturating_sub(after);
            out.extend(core::iter::repeat_n(b' ', surplus));
            out.extend(core::iter::repeat_n(0x08, surplus));
        }
        travel(&wanted.chars, at, wanted.cursor, out);
        self.shown = Some(wanted);
    }

    /// Leaves the line as it is on the screen and goes to the next one.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(shown) = self.shown.take() {
            travel(&shown.chars, shown.cursor, shown.chars.len(), out);
            out.push(b'\n');
        }
    }
}

/// Moves the cursor of the screen between two characters of `chars`.
fn travel(chars: &[char], from: usize, to: usize, out: &mut Vec<u8>) {
    if to < from {
        let back = columns(chars.get(to..from).unwrap_or(&[]));
        out.extend(core::iter::repeat_n(0x08, back));
    } else {
        for &c in chars.get(from..to).unwrap_or(&[]) {
            put(c, out);
        }
    }
}

fn put(c: char, out: &mut Vec<u8>) {
    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn columns(chars: &[char]) -> usize {
    chars.iter().map(|&c| width(c)).sum()
}

#[cfg(test)]
mod tests;
