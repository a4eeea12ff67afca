//! From capabilities to text on a screen.

use alloc::format;
use alloc::string::String;

use gritos_board::rpi4::Revision;
use gritos_board_api::{BoardClient, BoardClock};
use gritos_console_api::ConsoleClient;
use gritos_display_core::Terminal;
use gritos_log_api::{Level, LogClient};
use gritos_service::{Kernel, call_cap};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::cap::Endpoint;
use gritos_sys::heap::Heap;
use gritos_sys::{Cap, Error, ipc, mmio, time};

use crate::screen::Screen;

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 8;
/// Text that comes without a pause is drawn so often: 25 times a second.
const FRAME_NS: u64 = 40_000_000;
/// Before a console that refused is asked again.
const PAUSE_NS: u64 = 500_000_000;

/// Most records of the root task that are shown first: what it prints about machine and boot image are half as many.
const START_RECORDS: usize = 40;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        log::error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let (Some(console), Some(board), Some(device)) = (
        environment.service("console"),
        environment.service("board"),
        environment.device("videocore"),
    ) else {
        log::error!(
            "the system table must give it the services `console` and `board` and the device `videocore`"
        );
        return Ok(());
    };
    let base = environment.arguments().trim().strip_prefix("0x");
    let Some(base) = base.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
        log::error!(
            "its arguments must say where the device `videocore` begins, as in \"0x3c000000\""
        );
        return Ok(());
    };
    let mut board = BoardClient::new(call_cap(board), Kernel);
    let made = match board.framebuffer() {
        Ok(made) => made,
        Err(error) => {
            log::warn!("the firmware shows nothing: {error}; there is the serial line");
            return Ok(());
        }
    };
    let memory = mmio::Registers::map(device.registers)?;
    let place = (made.address, made.pitch);
    let size = (made.width, made.height);
    let Some(mut screen) = Screen::new(memory, base, place, size) else {
        log::error!(
            "the firmware's framebuffer at {:#x} is not in the device `videocore`: is `gpu_mem` in config.txt \
             what it should be?",
            made.address
        );
        return Ok(());
    };
    screen.clear();
    let mut terminal = Terminal::new(made.width, made.height);
    let (columns, rows) = terminal.size();
    log::info!(
        "a screen of {} x {} pixels, {columns} x {rows} characters",
        made.width,
        made.height
    );
    terminal.write(head(&mut board).as_bytes());
    if let Some(log) = environment.service("log") {
        show_start(log, &mut terminal);
    }
    let mut console = ConsoleClient::new(call_cap(console), Kernel);
    let (mut seen, mut drawn_at) = (0, 0);
    loop {
        let now = time::nanoseconds(time::now());
        match console.watch(seen) {
            Ok(text) => {
                terminal.write(&text.data);
                seen = text.next;
                // More is there at once: drawing it all together costs no more.
                if text.more && now < drawn_at + FRAME_NS {
                    continue;
                }
            }
            Err(error) => {
                // The console starts anew; whatever it wrote before is on the screen.
                log::warn!("the console: {error}");
                let _ = ipc::sleep_until(time::after(PAUSE_NS));
            }
        }
        terminal.draw(&mut screen);
        drawn_at = time::nanoseconds(time::now());
    }
}

/// Which board this is, as its firmware says. What the firmware does not answer is left away.
fn head(board: &mut BoardClient<Kernel>) -> String {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let code = board.identity().map(|about| about.revision).ok();
    let mut text = match code.and_then(Revision::new) {
        Some(about) => format!("\x1b[1mgRiTOS {VERSION} on {about}\x1b[0m\r\n"),
        None => format!("\x1b[1mgRiTOS {VERSION} on rpi4\x1b[0m\r\n"),
    };
    if let Some(code) = code {
        text += &format!("revision {code:x}");
    }
    if let Ok(hz) = board.clock(BoardClock::Processor) {
        text += &format!(", {} MHz", hz / 1_000_000);
    }
    if let Ok(millidegrees) = board.temperature() {
        let (whole, tenths) = (millidegrees / 1000, millidegrees % 1000 / 100);
        text += &format!(", {whole}.{tenths} C");
    }
    text + "; this screen shows the serial line: type there\r\n\r\n"
}

/// Shows what the root task printed so far, most of which was before there was a console: from the log, which keeps it.
fn show_start(log: Cap<Endpoint>, terminal: &mut Terminal) {
    let mut log = LogClient::new(call_cap(log), Kernel);
    let mut after = 0;
    for _ in 0..START_RECORDS {
        // The last record, or a log that does not answer: the console's text follows.
        let Ok(found) = log.next(after, Level::Trace, BADGE_CLIENT) else {
            break;
        };
        after = found.head.sequence;
        terminal.write(&found.text);
        let mut shown = found.text.len();
        while shown < usize::from(found.head.length) {
            match log.rest(after, shown as u16) {
                Ok(text) if !text.is_empty() => {
                    terminal.write(&text);
                    shown += text.len();
                }
                _ => break,
            }
        }
        terminal.write(b"\r\n");
    }
}
