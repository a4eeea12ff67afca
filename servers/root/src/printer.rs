//! The helper that shows what the root task printed.
//!
//! The console's driver shows it as any client's text: whole lines, between those
//! of others, and nobody waits for the line but this thread. Where no driver has
//! the device, or the one that has it does not take text, the kernel shows it. The
//! helper is as urgent as the driver: whoever is more urgent is not held up by a
//! report, which takes a line of 115200 baud 90 ms.

use gritos_console_api::ConsoleClient;
use gritos_idl_runtime::{Bytes, Transport};
use gritos_service::idl::{Incoming, Outcome, Outgoing};
use gritos_service::{Kernel, call_cap};
use gritos_sys::Cap;
use gritos_sys::abi::Address;
use gritos_sys::cap::Endpoint;
use gritos_sys::debug::DebugConsole;

use crate::console::Piece;
use crate::helper::{answer, ask};

/// Tag of a call after a piece that the driver did not take; else 0.
pub(crate) const REFUSED: u64 = 1;

/// How long the driver may take for a piece, in nanoseconds: its line is busy for
/// 0.2 s with what one client can have unsent.
const PATIENCE_NS: u64 = 1_000_000_000;

/// What the root task answers it: show a piece, by way of `driver` if there is one.
pub(crate) fn job(piece: &Piece, driver: Option<Cap<Endpoint>>) -> Outgoing<0> {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(piece.text.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(whole);
    }
    let driver = driver.filter(|_| !piece.direct);
    words[7] =
        piece.text.len() as u64 | driver.map_or(0, |driver| u64::from(driver.address().0) << 32);
    answer(0, words)
}

pub(crate) extern "C" fn run(asks: u64) -> ! {
    let root = Cap::<Endpoint>::at(Address(asks as u32));
    let mut tag = 0;
    loop {
        let (_, words) = ask(root, tag, [0; 8]);
        let mut bytes = [0; 64];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let text = bytes.get(..(words[7] & 0x3f) as usize).unwrap_or(&[]);
        tag = match words[7] >> 32 {
            0 => {
                show(text);
                0
            }
            driver => match write(Address(driver as u32), text) {
                true => 0,
                false => REFUSED,
            },
        };
    }
}

/// Shows text by way of the kernel.
pub(crate) fn show(text: &[u8]) {
    for &byte in text {
        if byte == b'\n' {
            DebugConsole.put(b'\r');
        }
        DebugConsole.put(byte);
    }
}

/// Whether the driver took the text; if not, the kernel shows it or keeps it.
fn write(driver: Address, text: &[u8]) -> bool {
    let mut console = ConsoleClient::new(call_cap(Cap::<Endpoint>::at(driver)), Patient);
    let taken = console.write(Bytes::new(text).unwrap_or_default()).is_ok();
    if !taken {
        show(text);
    }
    taken
}

/// Calls that wait for a limited time.
struct Patient;

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout_ns = timeout_ns.or(Some(PATIENCE_NS));
        Kernel.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}
