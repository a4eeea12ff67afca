//! What the root task prints: into a ring, from which the log reads it and the
//! [`printer`](crate::printer) shows it.

use core::fmt;

use gritos_idl_runtime::Bytes;
use gritos_sys::Cap;
use gritos_sys::cap::{Notification, Platform};
use gritos_sys::debug::DebugConsole;
use gritos_sys::slots::Slot;

use crate::text::{Ring, SHOWN};

/// Longest line of a report that is kept together.
const LINE: usize = 256;

/// The text, and who has the device.
#[derive(Debug)]
pub(crate) struct Console {
    platform: Cap<Platform>,
    /// A component drives the device.
    handed_over: bool,
    /// Its driver did not take text: the root task borrows the device.
    mute: bool,
    /// The device is borrowed for the piece that is being shown.
    borrowed: bool,
    /// Text is shown by the printer, not at once.
    has_printer: bool,
    /// The kernel may have text that nobody has shown.
    replay: bool,
    ring: Ring,
    /// A line of a report that is not complete.
    line: ([u8; LINE], usize),
    /// Whom to tell that the ring has something.
    reader: Option<Slot>,
    /// It has something that the reader was not told of.
    untold: bool,
}

/// A text on its way into the ring, and to the device if that is shown at once.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    ring: &'a mut Ring,
    failure: bool,
    at_once: bool,
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.ring.push(self.failure, text.as_bytes());
        match self.at_once {
            true => DebugConsole.write_str(text),
            false => Ok(()),
        }
    }
}

/// A piece of text to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) text: Bytes<SHOWN>,
    /// By way of the kernel; else by way of the component that has the device.
    pub(crate) direct: bool,
}

impl Console {
    /// The console, which the kernel has at the start.
    pub(crate) const fn new(platform: Cap<Platform>) -> Self {
        Self {
            platform,
            handed_over: false,
            mute: false,
            borrowed: false,
            has_printer: false,
            replay: false,
            ring: Ring::new(),
            line: ([0; LINE], 0),
            reader: None,
            untold: false,
        }
    }

    /// Authority over the machine.
    pub(crate) const fn platform(&self) -> Cap<Platform> {
        self.platform
    }

    /// From now on the printer shows what is printed.
    pub(crate) const fn use_printer(&mut self) {
        self.ring.set_shown();
        self.has_printer = true;
    }

    /// A component drives the device from now on.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over = self.platform.take_console(true).is_ok();
        self.mute = false;
        self.borrowed = false;
    }

    /// The component is gone.
    pub(crate) fn take_back(&mut self) {
        if self.handed_over {
            // The kernel refuses nobody who has the authority.
            let _ = self.platform.take_console(false);
            self.handed_over = false;
            self.borrowed = false;
        }
    }

    /// Prints that something failed; see [`say`](Self::say).
    pub(crate) fn complain(&mut self, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.print(true, text);
    }

    /// Prints what `text` writes, whole lines.
    pub(crate) fn say(&mut self, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.print(false, text);
    }

    /// Has the log keep what `text` writes, whole lines, which the kernel has shown in its own words. Before there is
    /// a printer.
    pub(crate) fn note(&mut self, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let ring = &mut self.ring;
        // The ring takes everything.
        let _ = text(&mut Writer {
            ring,
            failure: false,
            at_once: false,
        });
        self.untold = true;
    }

    fn print(&mut self, failure: bool, text: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.replay |= self.handed_over;
        self.replay_piece();
        let at_once = !self.has_printer;
        let ring = &mut self.ring;
        // The ring takes everything, and so does the device.
        let _ = text(&mut Writer {
            ring,
            failure,
            at_once,
        });
        self.untold = true;
    }

    /// Takes a piece of what kernel and dying components wrote while a driver had
    /// the device, so that it is shown.
    fn replay_piece(&mut self) {
        if !self.replay {
            return;
        }
        match self.platform.read_log() {
            Ok(text) if !text.bytes().is_empty() => self.ring.push(true, text.bytes()),
            _ => self.replay = false,
        }
    }

    /// A part of a report. Others print between its lines, not within them.
    pub(crate) fn report(&mut self, part: &[u8]) {
        for piece in part.split_inclusive(|&byte| byte == b'\n') {
            if self.line.1 + piece.len() > LINE {
                self.end_line();
            }
            let (line, length) = &mut self.line;
            if let Some(places) = line.get_mut(*length..*length + piece.len()) {
                places.copy_from_slice(piece);
                *length += piece.len();
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Ends the line of a report, if one was begun.
    fn end_line(&mut self) {
        let (line, length) = &mut self.line;
        self.ring.push(true, line.get(..*length).unwrap_or(&[]));
        *length = 0;
        self.untold = true;
    }

    /// What is to be shown next; nothing if everything was. `answers` says that
    /// the component that has the device can be asked to.
    pub(crate) fn show(&mut self, answers: bool) -> Option<Piece> {
        if core::mem::take(&mut self.borrowed) {
            let _ = self.platform.take_console(true);
        }
        let mut text = self.ring.show();
        if text.is_empty() {
            self.replay_piece();
            text = self.ring.show();
        }
        if text.is_empty() {
            return None;
        }
        let direct = !self.handed_over || self.mute || !answers;
        if direct && self.handed_over {
            self.borrowed = self.platform.take_console(false).is_ok();
        }
        Some(Piece { text, direct })
    }

    /// Who has the device did not take text. The root task shows what follows
    /// itself, until the component is started again.
    pub(crate) const fn set_mute(&mut self) {
        self.mute = self.handed_over;
    }

    /// There may be something to read.
    pub(crate) const fn note_text(&mut self) {
        self.replay |= self.handed_over;
        self.untold = true;
    }

    /// Tells the reader of the ring that there is something new: at a moment
    /// when it can be answered at once.
    pub(crate) fn tell_reader(&mut self) {
        if let Some(reader) = self.reader.filter(|_| self.untold) {
            // A reader that is gone has its successor read what it missed.
            let _ = reader.cap::<Notification>().signal(1);
            self.untold = false;
        }
    }

    /// The next piece for the log: whether it tells of a failure, and its text.
    pub(crate) fn piece(&mut self) -> (bool, Bytes<61>) {
        let (failure, text) = self.ring.piece();
        if !text.is_empty() {
            return (failure, text);
        }
        let rest = self.platform.read_log().ok();
        let rest = rest.and_then(|rest| Bytes::new(rest.bytes()).ok());
        (false, rest.unwrap_or_default())
    }

    /// From now on the notification in `slot` is told when there is a piece.
    /// Returns that which was told until now.
    pub(crate) const fn watch(&mut self, slot: Slot) -> Option<Slot> {
        self.reader.replace(slot)
    }
}
