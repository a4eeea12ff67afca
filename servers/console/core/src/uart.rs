//! The PL011 (Arm DDI 0183, "Summary of registers"), as far as a console needs it.
//!
//! Baud rate and format stay as whoever booted the board set them. Interrupts: the receive and receive-timeout
//! interrupts are enabled while there is room for what arrives. They are cleared by reading alone, never by writing `ICR`:
//! QEMU raises the receive interrupt once per filling of the FIFO, and a clear with bytes in the FIFO would
//! lose it. The transmit interrupt is enabled only while the FIFO is full and there is more to send.

use gritos_console_api::InputEvents;

/// A register, by its offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Register {
    /// `DR`: a byte received, with its errors, or a byte to send. Reading takes the byte.
    Data = 0x00,
    /// `FR`: whether FIFOs are full or empty.
    Flags = 0x18,
    /// `LCR_H`: format of bytes, FIFOs on or off.
    LineControl = 0x2c,
    /// `CR`: UART, transmitter and receiver on or off.
    Control = 0x30,
    /// `IFLS`: how full FIFOs are when interrupts come.
    FifoLevels = 0x34,
    /// `IMSC`: which interrupts are enabled.
    InterruptMask = 0x38,
}

/// The registers of a PL011, each 32 bits wide.
pub trait Registers {
    /// Reads a register.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a register.
    fn write(&mut self, register: Register, value: u32);
}

/// `FR`: the receive FIFO is empty.
const RECEIVE_EMPTY: u32 = 1 << 4;
/// `FR`: the transmit FIFO is full.
const TRANSMIT_FULL: u32 = 1 << 5;
/// `LCR_H`: FIFOs on.
const FIFO_ENABLE: u32 = 1 << 4;
/// `LCR_H`: bytes of eight bits.
const EIGHT_BITS: u32 = 3 << 5;
/// `CR`: UART, transmitter and receiver on.
const ENABLE: u32 = 1 | 1 << 8 | 1 << 9;
/// `IFLS`: receive interrupt at a quarter, so that three quarters are left for the time until it is served; transmit
/// interrupt at a quarter.
const LEVELS: u32 = 1 << 3 | 1;
/// `IMSC`: receive and receive timeout.
const RECEIVE: u32 = 1 << 4 | 1 << 6;
/// `IMSC`: transmit.
const TRANSMIT: u32 = 1 << 5;
/// Most bytes taken from the FIFO before output gets its turn: several FIFOs full.
const RECEIVE_BATCH: usize = 256;

/// What came out of the receive FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The byte, unless it arrived damaged.
    pub byte: Option<u8>,
    /// What went wrong, with it or before it.
    pub events: InputEvents,
}

/// A PL011.
#[derive(Debug)]
pub struct Uart<R> {
    registers: R,
    mask: u32,
}

impl<R: Registers> Uart<R> {
    /// Takes the UART over: FIFOs on, receive interrupts enabled. Bytes that had arrived go to `received`.
    pub fn start(mut registers: R, mut received: impl FnMut(Received)) -> Self {
        let line = registers.read(Register::LineControl);
        let wanted = line | FIFO_ENABLE | EIGHT_BITS;
        registers.write(Register::InterruptMask, 0);
        if line != wanted {
            // Switching FIFOs on empties them.
            for _ in 0..RECEIVE_BATCH {
                match take(&mut registers) {
                    Some(one) => received(one),
                    None => break,
                }
            }
            registers.write(Register::Control, 0);
            registers.write(Register::LineControl, wanted);
        }
        registers.write(Register::FifoLevels, LEVELS);
        registers.write(Register::Control, ENABLE);
        registers.write(Register::InterruptMask, RECEIVE);
        Self {
            registers,
            mask: RECEIVE,
        }
    }

    /// Takes bytes from the FIFO while `room` says that there is place for one more. Without room receive
    /// interrupts are off, and the other end finds the FIFO full. Whether there may be more.
    pub fn receive(
        &mut self,
        mut room: impl FnMut() -> bool,
        mut received: impl FnMut(Received),
    ) -> bool {
        for _ in 0..RECEIVE_BATCH {
            if !room() {
                self.set_mask(self.mask & !RECEIVE);
                return false;
            }
            let Some(one) = take(&mut self.registers) else {
                self.set_mask(self.mask | RECEIVE);
                return false;
            };
            received(one);
        }
        self.set_mask(self.mask | RECEIVE);
        true
    }

    /// Sends bytes from `next` until it has none or the FIFO is full.
    pub fn transmit(&mut self, mut next: impl FnMut() -> Option<u8>) {
        loop {
            if self.registers.read(Register::Flags) & TRANSMIT_FULL != 0 {
                return self.set_mask(self.mask | TRANSMIT);
            }
            let Some(byte) = next() else {
                return self.set_mask(self.mask & !TRANSMIT);
            };
            self.registers.write(Register::Data, byte.into());
        }
    }

    /// The registers, for whoever needs to look.
    pub const fn registers(&mut self) -> &mut R {
        &mut self.registers
    }

    fn set_mask(&mut self, mask: u32) {
        if mask != self.mask {
            self.registers.write(Register::InterruptMask, mask);
            self.mask = mask;
        }
    }
}

/// Takes one byte from the receive FIFO.
fn take(registers: &mut impl Registers) -> Option<Received> {
    if registers.read(Register::Flags) & RECEIVE_EMPTY != 0 {
        return None;
    }
    let data = registers.read(Register::Data);
    let mut events = InputEvents::empty();
    for (bit, event) in [
        (8, InputEvents::FRAMING),
        (9, InputEvents::PARITY),
        (10, InputEvents::BREAK),
        (11, InputEvents::OVERRUN),
    ] {
        if data & 1 << bit != 0 {
            events |= event;
        }
    }
    if events.contains(InputEvents::BREAK) {
        // A break looks like a byte without a stop bit, too.
        events -= InputEvents::FRAMING;
    }
    // Behind an overrun the byte itself is good: those after it are missing.
    let damaged = InputEvents::FRAMING | InputEvents::PARITY | InputEvents::BREAK;
    Some(Received {
        byte: (!events.intersects(damaged)).then_some(data as u8),
        events,
    })
}
