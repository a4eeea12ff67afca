//! The shell's life: read, run, read.

use core::sync::atomic::{AtomicU64, Ordering};

use gritos_service::call_cap;
use gritos_shell_core::{Host, Session, Shell};
use gritos_sys::heap::Heap;
use gritos_sys::{Error, debug_println};

use crate::commands;
use crate::terminal::Terminal;

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 31;

/// When the console had taken the first prompt, in nanoseconds since the machine started.
static READY_AT: AtomicU64 = AtomicU64::new(0);

/// When the shell was ready for the first line, in nanoseconds since the machine started.
pub(crate) fn ready_at() -> u64 {
    READY_AT.load(Ordering::Relaxed)
}

/// Bytes of the heap that are in use, and that are mapped.
pub(crate) fn heap_usage() -> (usize, usize) {
    HEAP.usage()
}

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        debug_println!("shell: {error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    HEAP.provide_own(HEAP_PIECES)?;
    let Some(console) = environment.service("console") else {
        debug_println!("shell: the system table must let it use the service `console`");
        return Ok(());
    };
    let mut terminal = Terminal::new(call_cap(console))?;
    let mut session = Session::new(Shell::new(commands::TABLES), environment.generation());
    session.start(&mut terminal);
    READY_AT.store(terminal.now(), Ordering::Relaxed);
    loop {
        let (bytes, disturbed) = terminal.read();
        session.input(&mut terminal, &bytes, disturbed);
    }
}
