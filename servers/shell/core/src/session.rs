//! A person, or `cargo xtask qemu --exec`, at the other end of the console.
//!
//! Requests of the host (`docs/reference/serial-frames.md`) arrive between the bytes that are typed. From the first on
//! no prompt is shown, and everything that commands write travels in frames.

use alloc::string::String;
use alloc::vec::Vec;

use gritos_abi::frame::{Channel, Decoder, Event as FrameEvent, PAYLOAD_LIMIT, encode};

use crate::command::{Host, Interrupted};
use crate::editor::{Editor, Event};
use crate::shell::{Shell, status};

/// Most bytes of a command that the host may send: a frame without what precedes the command in it.
pub const COMMAND_LIMIT: usize = PAYLOAD_LIMIT - 32;

/// A session.
#[derive(Debug)]
pub struct Session {
    /// What runs the lines.
    pub shell: Shell,
    editor: Editor,
    decoder: Decoder,
    /// Tells this life of the shell from others.
    life: u64,
    /// The host asks by frames.
    framed: bool,
    /// Number of the host's last command, and its status.
    last: Option<(u64, u8)>,
    screen: Vec<u8>,
}

/// What arrived in a frame.
enum Request {
    Hello,
    Run(u64, String),
    Nonsense,
}

impl Session {
    /// A session of a shell that was started `life` times before.
    #[must_use]
    pub fn new(shell: Shell, life: u64) -> Self {
        Self {
            shell,
            editor: Editor::default(),
            decoder: Decoder::new(),
            life,
            framed: false,
            last: None,
            screen: Vec::new(),
        }
    }

    /// Shows the first prompt.
    pub fn start(&mut self, host: &mut dyn Host) {
        self.prompt();
        self.show(host);
    }

    /// Takes what the console received. `disturbed` says that others wrote where the line is shown.
    pub fn input(&mut self, host: &mut dyn Host, bytes: &[u8], disturbed: bool) {
        if disturbed {
            self.editor.forget_screen();
        }
        for &byte in bytes {
            let request = match self.decoder.push(byte) {
                None => continue,
                Some(FrameEvent::Text(byte)) => {
                    if !self.framed {
                        self.typed(host, byte);
                    }
                    continue;
                }
                Some(FrameEvent::Frame(Channel::Request, payload)) => request(payload),
                Some(FrameEvent::Frame(..)) => continue,
                Some(FrameEvent::Damaged) => Request::Nonsense,
            };
            self.asked(host, request);
        }
        self.show(host);
    }

    fn prompt(&mut self) {
        let folder = match self.shell.folder.as_str() {
            "/" => "",
            folder => folder,
        };
        self.editor.begin(&alloc::format!("gritos{folder}> "));
    }

    fn show(&mut self, host: &mut dyn Host) {
        if !self.framed {
            self.editor.draw(&mut self.screen);
        }
        if !self.screen.is_empty() {
            host.write(&core::mem::take(&mut self.screen));
        }
    }

    fn typed(&mut self, host: &mut dyn Host, byte: u8) {
        match self.editor.push(byte) {
            Event::Edited => {}
            Event::Line(line) => {
                self.leave_line();
                host.write(&core::mem::take(&mut self.screen));
                core::mem::swap(&mut self.shell.past, self.editor.history());
                let status = self.shell.run_line(host, &line);
                core::mem::swap(&mut self.shell.past, self.editor.history());
                if status == status::INTERRUPTED {
                    host.write(b"^C\n");
                }
                self.prompt();
            }
            Event::Interrupt => {
                self.editor.draw(&mut self.screen);
                self.screen.extend(b"^C");
                self.editor.finish(&mut self.screen);
                self.prompt();
            }
            Event::End => {
                self.editor.draw(&mut self.screen);
                self.editor.finish(&mut self.screen);
                self.screen
                    .extend(b"This is the system's shell: it does not end. `poweroff` does.\n");
                self.prompt();
            }
            Event::Complete => {
                let line = self.editor.before_cursor();
                let candidates = self.shell.candidates(host, &line);
                self.editor.draw(&mut self.screen);
                self.editor.complete(&candidates, &mut self.screen);
            }
        }
    }

    /// Shows the line as it is entered.
    fn leave_line(&mut self) {
        self.editor.draw(&mut self.screen);
        self.editor.finish(&mut self.screen);
    }

    fn asked(&mut self, host: &mut dyn Host, request: Request) {
        if !self.framed {
            if matches!(request, Request::Nonsense) {
                return;
            }
            // A frame begins on a line of its own.
            self.leave_line();
            host.write(&core::mem::take(&mut self.screen));
            self.framed = true;
        }
        match request {
            Request::Hello => say(host, &alloc::format!("ready {}", self.life)),
            Request::Nonsense => say(host, "damaged"),
            Request::Run(number, line) => {
                let status = match self.last {
                    // The host has not heard the answer.
                    Some((last, status)) if last == number => status,
                    _ => self.run_framed(host, &line),
                };
                self.last = Some((number, status));
                say(host, &alloc::format!("exit {number} {status}"));
            }
        }
    }

    fn run_framed(&mut self, host: &mut dyn Host, line: &str) -> u8 {
        // The log says what happens from now on.
        host.log_records(&mut |_| {});
        let mut framed = Framed {
            host,
            buffer: Vec::new(),
        };
        let status = self.shell.run_line(&mut framed, line);
        framed.flush();
        let mut frames = Vec::new();
        host.log_records(&mut |record| {
            encode(Channel::Log, record.as_bytes(), |byte| frames.push(byte));
        });
        host.write(&frames);
        status
    }
}

fn request(payload: &[u8]) -> Request {
    let Ok(text) = core::str::from_utf8(payload) else {
        return Request::Nonsense;
    };
    if text == "hello" {
        return Request::Hello;
    }
    let parsed = text.strip_prefix("run ").and_then(|rest| {
        let (number, line) = rest.split_once(' ')?;
        Some(Request::Run(number.parse().ok()?, line.into()))
    });
    parsed.unwrap_or(Request::Nonsense)
}

/// Sends a status frame.
fn say(host: &mut dyn Host, what: &str) {
    let mut frame = Vec::new();
    encode(Channel::Status, what.as_bytes(), |byte| frame.push(byte));
    host.write(&frame);
}

/// A host whose terminal is the frames of channel `O`.
struct Framed<'a> {
    host: &'a mut dyn Host,
    buffer: Vec<u8>,
}

impl Framed<'_> {
    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut frames = Vec::new();
        encode(Channel::Output, &self.buffer, |byte| frames.push(byte));
        self.buffer.clear();
        self.host.write(&frames);
    }
}

impl Host for Framed<'_> {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(PAYLOAD_LIMIT) {
            if self.buffer.len() + part.len() > PAYLOAD_LIMIT {
                self.flush();
            }
            self.buffer.extend(part);
        }
    }

    fn is_screen(&self) -> bool {
        false
    }

    fn now(&mut self) -> u64 {
        self.host.now()
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Interrupted> {
        self.flush();
        self.host.sleep(nanoseconds)
    }

    fn interrupted(&mut self) -> bool {
        self.host.interrupted()
    }

    fn forget_interrupt(&mut self) {
        self.host.forget_interrupt();
    }

    fn read_file(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, String> {
        self.host.read_file(path, limit)
    }

    fn write_file(&mut self, path: &str, append: bool, bytes: &[u8]) -> Result<(), String> {
        self.host.write_file(path, append, bytes)
    }

    fn list_folder(&mut self, path: &str) -> Vec<(String, bool)> {
        self.host.list_folder(path)
    }

    fn check_folder(&mut self, path: &str) -> Result<(), String> {
        self.host.check_folder(path)
    }

    fn components(&mut self) -> Vec<String> {
        self.host.components()
    }

    fn log_records(&mut self, record: &mut dyn FnMut(&str)) {
        self.host.log_records(record);
    }
}

#[cfg(test)]
mod tests;
