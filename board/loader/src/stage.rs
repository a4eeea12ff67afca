//! From the first byte to the start of the image.

use gritos_board::rpi4::UART_BAUD;
use gritos_loader_core::wire::{Decoder, Event};
use gritos_loader_core::{Action, FromBoard, FromHost, Receiver};

use crate::machine::{self, ImageMemory, Uart, baud_divisor, microseconds};

/// How often it says that it waits, while nothing happens.
const SAY_AGAIN: u64 = 500_000;
/// After so long without a byte, a transfer or another speed is given up.
const PATIENCE: u64 = 10_000_000;
/// After so long without a byte, a frame that has begun is none.
const FRAME_PATIENCE: u64 = 1_000_000;

/// Between two looks at an empty FIFO.
const PAUSE: u64 = 50;

/// Receives an image and starts it.
pub(crate) fn run(device_tree: u64) -> ! {
    let mut uart = Uart::start(UART_BAUD);
    let mut memory = ImageMemory::below(device_tree);
    let mut receiver = Receiver::new();
    let mut decoder = Decoder::new();
    uart.text("\r\ngRiTOS loader: waits for `cargo xtask load` on this line\r\n");
    let mut speed = UART_BAUD;
    let mut heard = microseconds();
    let mut last_byte = heard;
    let mut said = None;
    loop {
        let now = microseconds();
        let Some(byte) = uart.take() else {
            // Bytes come every 10 µs at most, and the FIFO holds 16 or more.
            machine::pause(PAUSE);
            if decoder.is_inside() && now - last_byte > FRAME_PATIENCE {
                decoder.reset();
                send(&mut uart, FromBoard::Damaged);
            }
            if now - heard > PATIENCE {
                receiver.reset();
                if speed != UART_BAUD {
                    speed = UART_BAUD;
                    uart = Uart::start(speed);
                }
                heard = now;
            }
            let silent = said.is_none_or(|said| now - said > SAY_AGAIN);
            if !receiver.is_busy() && !decoder.is_inside() && silent && speed == UART_BAUD {
                send(&mut uart, receiver.ready(&memory));
                said = Some(now);
            }
            continue;
        };
        (last_byte, heard) = (now, now);
        let message = match decoder.push(byte) {
            Some(Event::Frame(kind, payload)) => FromHost::parse(kind, payload),
            Some(Event::Damaged) => {
                send(&mut uart, FromBoard::Damaged);
                None
            }
            Some(Event::Other(_)) | None => None,
        };
        let Some(message) = message else { continue };
        let can = |baud| baud_divisor(baud).is_some();
        let (answer, action) = receiver.handle(&message, &mut memory, can);
        match action {
            Action::None => send(&mut uart, answer),
            Action::Speed(baud) => {
                send(&mut uart, answer);
                speed = baud;
                uart = Uart::start(speed);
            }
            Action::Start(_) => {
                // Said thrice: nobody could ask again.
                for _ in 0..3 {
                    send(&mut uart, answer);
                }
                // The line goes on as the kernel expects it.
                uart.drain();
                let _ = Uart::start(UART_BAUD);
                machine::start_image(device_tree, memory.base());
            }
        }
    }
}

fn send(uart: &mut Uart, message: FromBoard) {
    message.send(|byte| uart.put(byte));
}
