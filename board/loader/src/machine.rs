//! The board: entry, serial line, time, the memory for the image, and the jump into it.
//!
//! Everything is accessed by physical addresses, with the MMU off: device memory in the sense of the
//! architecture (Arm ARM, "The effects of disabling a stage of address translation"), in order, never
//! cached, and aligned, which the target's `strict-align` sees to.

use core::arch::{asm, global_asm};

use gritos_board::rpi4::{BOARD, GPIO, UART_CLOCK_HZ, UART0};
use gritos_loader_core::Memory;

/// Where the image goes: a block boundary above the loader, as the kernel's header asks for.
const IMAGE: u64 = 0x40_0000;
/// Most bytes of an image.
const IMAGE_LIMIT: u64 = 64 << 20;
/// First word of a device tree, as the processor reads it.
const DEVICE_TREE_MAGIC: u32 = 0xd00d_feed;

global_asm!(include_str!("machine/entry.s"));

/// Called once, by `entry.s`, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn loader_main(device_tree: u64) -> ! {
    crate::stage::run(device_tree)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let mut uart = Uart(());
    uart.text("\r\ngRiTOS loader: stopped by an error of its own; reset the board\r\n");
    loop {
        core::hint::spin_loop();
    }
}

fn read(address: u64) -> u32 {
    // SAFETY: callers pass aligned addresses of registers of the Pi 4, or the first word of the device
    // tree that the firmware passed; with the MMU off both can be read.
    unsafe { core::ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() }
}

fn write(address: u64, value: u32) {
    // SAFETY: callers pass aligned addresses of registers of UART and GPIO, at which no Rust object lies.
    unsafe {
        core::ptr::with_exposed_provenance_mut::<u32>(address as usize).write_volatile(value);
    }
}

/// Time since any fixed moment, in microseconds.
pub(crate) fn microseconds() -> u64 {
    let (ticks, hz): (u64, u64);
    // SAFETY: reading the counter and its frequency changes nothing. They may be read at EL2 and, as the
    // firmware leaves them, at EL1.
    unsafe {
        asm!("isb", "mrs {}, cntpct_el0", "mrs {}, cntfrq_el0", out(reg) ticks, out(reg) hz,
            // Not `nomem`: the barrier keeps the order with accesses to devices.
            options(nostack, preserves_flags));
    }
    ticks / (hz / 1_000_000).max(1)
}

/// Comes back after so many microseconds, without touching a device.
pub(crate) fn pause(time: u64) {
    let end = microseconds() + time;
    while microseconds() < end {
        core::hint::spin_loop();
    }
}

/// PL011's divisor for so many baud in 1/64, if it has one (DDI 0183, "Fractional baud rate register").
pub(crate) fn baud_divisor(baud: u32) -> Option<u32> {
    let divisor = (UART_CLOCK_HZ.checked_mul(4)?)
        .checked_add(baud / 2)?
        .checked_div(baud)?;
    (64..=0xffff << 6).contains(&divisor).then_some(divisor)
}

/// The PL011 on GPIO 14 and 15 (DDI 0183, "Summary of registers").
pub(crate) struct Uart(());

const DATA: u64 = UART0;
const FLAGS: u64 = UART0 + 0x18;
const INTEGER_DIVISOR: u64 = UART0 + 0x24;
const FRACTION: u64 = UART0 + 0x28;
const LINE_CONTROL: u64 = UART0 + 0x2c;
const CONTROL: u64 = UART0 + 0x30;
const INTERRUPT_MASK: u64 = UART0 + 0x38;

/// `FR`: busy, receive FIFO empty, transmit FIFO full.
const BUSY: u32 = 1 << 3;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;

impl Uart {
    /// Sets pins, speed and format. At a speed that [`baud_divisor`] refuses, it keeps the one it has.
    pub(crate) fn start(baud: u32) -> Self {
        // GPFSEL1: GPIO 14 and 15 to alternate function 0 ("General Purpose I/O", "Register View").
        let select = read(GPIO + 4) & !(0o77 << 12);
        write(GPIO + 4, select | 0o44 << 12);
        write(CONTROL, 0);
        if let Some(divisor) = baud_divisor(baud) {
            write(INTEGER_DIVISOR, divisor >> 6);
            write(FRACTION, divisor & 0x3f);
        }
        // Eight bits, FIFOs on. It latches the divisor, too.
        write(LINE_CONTROL, 7 << 4);
        write(INTERRUPT_MASK, 0);
        write(CONTROL, 1 | 1 << 8 | 1 << 9);
        Self(())
    }

    /// Takes a byte if one is there. One that came damaged is taken as it is: the frame's checksum tells.
    pub(crate) fn take(&mut self) -> Option<u8> {
        (read(FLAGS) & RECEIVE_EMPTY == 0).then(|| read(DATA) as u8)
    }

    /// Sends a byte, waiting for room.
    pub(crate) fn put(&mut self, byte: u8) {
        while read(FLAGS) & TRANSMIT_FULL != 0 {}
        write(DATA, byte.into());
    }

    /// Sends text.
    pub(crate) fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.put(byte));
    }

    /// Waits until everything is out.
    pub(crate) fn drain(&mut self) {
        while read(FLAGS) & BUSY != 0 {}
    }
}

/// The memory for the image: from 4 MiB up to the device tree, and not beyond the first bank of RAM that
/// every Pi 4 has.
pub(crate) struct ImageMemory {
    end: u64,
}

impl ImageMemory {
    /// The memory below a device tree, if that lies above.
    pub(crate) fn below(device_tree: u64) -> Self {
        let limit = IMAGE + IMAGE_LIMIT;
        // Whoever booted this without one (QEMU without -dtb) passed something else.
        let passed = device_tree.is_multiple_of(8)
            && (BOARD.ram_start..BOARD.ram_end).contains(&device_tree)
            && u32::from_be(read(device_tree)) == DEVICE_TREE_MAGIC;
        let end = if passed && device_tree >= IMAGE {
            limit.min(device_tree)
        } else {
            limit
        };
        Self { end }
    }

    /// Its first byte.
    pub(crate) fn base(&self) -> u64 {
        IMAGE
    }
}

impl Memory for ImageMemory {
    fn room(&self) -> u32 {
        (self.end - IMAGE) as u32
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) {
        let at = u64::from(offset);
        let fits = at + bytes.len() as u64 <= u64::from(self.room());
        if !fits {
            return;
        }
        let to = core::ptr::with_exposed_provenance_mut::<u8>((IMAGE + at) as usize);
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: the bytes lie between the loader's end (asserted by `loader.ld`) and the device tree,
            // in RAM that nothing else uses: `fits` was just checked.
            unsafe { to.wrapping_add(i).write_volatile(byte) };
        }
    }
}

/// Starts the image as the firmware would: the device tree in x0, x1 to x3 zero, MMU and data cache off.
pub(crate) fn start_image(device_tree: u64, image: u64) -> ! {
    // SAFETY: `image` holds what was received complete and with the right checksum, and the host says that
    // it is to be started; nothing of the loader is needed after this. What was written with the cache off
    // is in memory; the instruction cache, which was on, is made to forget (Arm ARM, "Instruction cache
    // maintenance").
    unsafe {
        asm!(
            "dsb sy",
            "ic iallu",
            "dsb sy",
            "isb",
            "mov x1, xzr",
            "mov x2, xzr",
            "mov x3, xzr",
            "br x4",
            in("x0") device_tree,
            in("x4") image,
            options(noreturn),
        );
    }
}
