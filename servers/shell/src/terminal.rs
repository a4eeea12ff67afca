//! The system as commands see it.

use alloc::string::String;
use alloc::vec::Vec;

use gritos_console_api::{
    Console, ConsoleClient, ConsoleError, ConsoleEvents, InputEvents, MAX_WRITE,
};
use gritos_idl_runtime::{Bytes, Cap as StubCap, Error as CallError, Rights, Status, WireError};
use gritos_service::Kernel;
use gritos_shell_core::{Host, Interrupted};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error, Wait, ipc, time};

use crate::commands;

/// Pause before a call is repeated that the console could not take, in nanoseconds.
const PAUSE: u64 = 2_000_000;

/// What the user types to interrupt: Ctrl-C.
const INTERRUPT: u8 = 0x03;

/// The console, and everything else by way of [`commands`].
pub(crate) struct Terminal {
    console: ConsoleClient<Kernel>,
    interrupts: Cap<Notification>,
    interrupted: bool,
    /// A command has ended by the Ctrl-C that the console will tell of next.
    obeyed: bool,
    log: commands::log::Follower,
}

impl Terminal {
    pub(crate) fn new(console: StubCap<Console>) -> Result<Self, Error> {
        let interrupts = Environment::MEMORY.create::<Notification>(own::take()?)?;
        let mut terminal = Self {
            console: ConsoleClient::new(console, Kernel),
            interrupts,
            interrupted: false,
            obeyed: false,
            log: commands::log::Follower::default(),
        };
        terminal.subscribe();
        Ok(terminal)
    }

    /// Asks the console to tell of Ctrl-C. Without that a command cannot be interrupted, and all else works.
    fn subscribe(&mut self) {
        let notification = StubCap::with_rights(self.interrupts.address(), Rights::SEND);
        let _ = self.console.notify_interrupt(notification);
    }

    /// Waits for input: bytes, and whether the line is to be drawn again. A Ctrl-C that came meanwhile is the first
    /// of them, unless a command has ended by it.
    pub(crate) fn read(&mut self) -> (Vec<u8>, bool) {
        loop {
            // Of what was signalled so far the console tells again, in its place among the bytes.
            self.clear_interrupt();
            match self.console.read() {
                Ok(read) => {
                    let disturbed = read.events.contains(InputEvents::DISTURBED);
                    let mut bytes = read.data.to_vec();
                    let obeyed = core::mem::take(&mut self.obeyed);
                    match bytes.first() {
                        Some(&INTERRUPT) => {
                            self.clear_interrupt();
                            if obeyed {
                                bytes.remove(0);
                            }
                        }
                        Some(_) => {}
                        // Only events: the byte is still to come.
                        None => self.obeyed = obeyed,
                    }
                    return (bytes, disturbed);
                }
                Err(error) => self.recover(&error),
            }
        }
    }

    /// After a call that failed: waits until it can be repeated.
    fn recover(&mut self, error: &CallError<ConsoleError>) {
        if matches!(error, CallError::Call(Status::ServerDied)) {
            // A new console knows nothing of us.
            self.subscribe();
        } else {
            let _ = ipc::sleep_until(time::after(PAUSE));
        }
    }

    fn clear_interrupt(&mut self) {
        self.note_interrupts();
        self.interrupted = false;
    }

    fn note_interrupts(&mut self) {
        if let Ok(bits) = self.interrupts.poll() {
            self.interrupted |= bits & ConsoleEvents::INTERRUPT.bits() != 0;
        }
    }
}

impl Host for Terminal {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(MAX_WRITE as usize) {
            let part = Bytes::new(part).unwrap_or_default();
            while let Err(error) = self.console.write(part) {
                let passing = matches!(
                    error,
                    CallError::Call(Status::ServerDied)
                        | CallError::Refused(WireError::Busy)
                        | CallError::Server(ConsoleError::Busy | ConsoleError::Limit)
                );
                if !passing {
                    return;
                }
                self.recover(&error);
            }
        }
    }

    fn now(&mut self) -> u64 {
        time::nanoseconds(time::now())
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Interrupted> {
        let end = time::after(nanoseconds);
        while !self.interrupted {
            match self.interrupts.wait(&Wait::until(end)) {
                Ok(bits) => self.interrupted = bits & ConsoleEvents::INTERRUPT.bits() != 0,
                Err(error) if error.is(Status::TimedOut) => return Ok(()),
                Err(_) => {}
            }
        }
        Err(Interrupted)
    }

    fn interrupted(&mut self) -> bool {
        self.note_interrupts();
        self.interrupted
    }

    fn forget_interrupt(&mut self) {
        self.clear_interrupt();
        self.obeyed = true;
    }

    fn read_file(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, String> {
        commands::files::read(path, limit)
    }

    fn write_file(&mut self, path: &str, append: bool, bytes: &[u8]) -> Result<(), String> {
        commands::files::write(path, append, bytes)
    }

    fn list_folder(&mut self, path: &str) -> Vec<(String, bool)> {
        commands::files::list(path)
    }

    fn check_folder(&mut self, path: &str) -> Result<(), String> {
        commands::files::check_folder(path)
    }

    fn components(&mut self) -> Vec<String> {
        commands::system::names()
    }

    fn log_records(&mut self, record: &mut dyn FnMut(&str)) {
        self.log.since(record);
    }
}
