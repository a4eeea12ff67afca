//! Raspberry Pi 4 Model B (BCM2711), in the firmware's default "low peripheral" mode.
//!
//! Source: *BCM2711 ARM Peripherals*, section 1.2 "Address Map" (legacy master addresses
//! `0x7e00_0000` appear at `0xfe00_0000` to the ARM) and the chapters named below.

use crate::{Board, BoardId};

#[cfg(feature = "device-tree")]
mod device_tree;
#[cfg(feature = "device-tree")]
pub use device_tree::qemu_device_tree;
#[cfg(feature = "revision")]
mod revision;
#[cfg(feature = "revision")]
pub use revision::Revision;

/// What is known before the device tree is read.
pub const BOARD: Board = Board {
    id: BoardId::Rpi4,
    name: "rpi4",
    uart: UART0,
    ram_start: 0,
    // The firmware places the tree in the RAM bank below the VideoCore's share.
    ram_end: 0x4000_0000,
    // Up to the ARM's local peripherals, among which is the GIC.
    devices: (0xfc00_0000, 0xff80_0000),
    // The VideoCore's share reaches to the end of the first GiB; `gpu_mem` decides where it begins.
    share_end: 0x4000_0000,
    load_address: 0x20_0000,
};

/// PL011 UART0 ("UART", section "Address map").
pub const UART0: u64 = 0xfe20_1000;
/// Interrupt of UART0: VideoCore interrupt 57, GIC identifier 57 + 96.
pub const UART0_IRQ: u32 = 153;
/// UART reference clock in Hz, fixed by `init_uart_clock` in `config.txt`.
pub const UART_CLOCK_HZ: u32 = 48_000_000;
/// Baud rate of the console.
pub const UART_BAUD: u32 = 115_200;
/// Divisor for that rate in 1/64, as PL011's IBRD (upper part) and FBRD (lower 6 bits) take it.
pub const UART_BAUD_DIVISOR: u32 = (UART_CLOCK_HZ * 4 + UART_BAUD / 2) / UART_BAUD;

/// GPIO registers ("General Purpose I/O", section "Register View").
pub const GPIO: u64 = 0xfe20_0000;
/// Power management and watchdog. Not in the peripherals manual; as in Linux `bcm2835-pm`.
pub const PM: u64 = 0xfe10_0000;
/// The ARM's mailboxes. Not in the peripherals manual; as in Linux `bcm2711.dtsi`, `mailbox@7e00b880`.
pub const MAILBOX: u64 = 0xfe00_b880;
/// The card's controller, EMMC2, as in Linux `bcm2711.dtsi`, `mmc@7e340000`.
pub const EMMC2: u64 = 0xfe34_0000;
/// Interrupt of EMMC2: VideoCore interrupt 62, GIC identifier 62 + 96.
pub const EMMC2_IRQ: u32 = 158;
/// GIC-400 distributor ("Interrupts", section "GIC-400 interrupt controller").
pub const GIC_DISTRIBUTOR: u64 = 0xff84_1000;
/// GIC-400 processor interface.
pub const GIC_CPU: u64 = 0xff84_2000;
/// First page of RAM: the firmware's stub and its spin table. Processors that nobody released
/// execute from it.
pub const SPIN_TABLE_PAGE: u64 = 0;
/// Word that releases processor `n` from the firmware's stub (`armstub8.S`), 0 being the boot
/// processor's own, unused one.
#[must_use]
pub const fn spin_table_word(processor: u64) -> u64 {
    0xd8 + 8 * processor
}

/// `config.txt` for the SD card, with the reason for each line.
pub const CONFIG_TXT: &str = include_str!("rpi4/config.txt");

#[cfg(test)]
mod tests {
    use super::{BOARD, CONFIG_TXT, UART_BAUD, UART_BAUD_DIVISOR, UART_CLOCK_HZ};

    /// Value of `key` in `config.txt`.
    fn setting(key: &str) -> Option<&'static str> {
        let mut lines = CONFIG_TXT.lines().filter(|line| !line.starts_with('#'));
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    #[test]
    fn the_firmware_is_told_what_the_kernel_assumes() {
        let address = setting("kernel_address").and_then(|text| text.strip_prefix("0x"));
        let address = address.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        assert_eq!(address, Some(BOARD.load_address));
        let clock = setting("init_uart_clock").and_then(|text| text.parse().ok());
        assert_eq!(clock, Some(UART_CLOCK_HZ));
        assert_eq!(setting("arm_64bit"), Some("1"));
        assert_eq!(setting("enable_uart"), Some("1"));
        assert_eq!(setting("kernel"), Some("kernel8.img"));
    }

    #[test]
    fn every_setting_follows_a_reason() {
        let mut before = "";
        for line in CONFIG_TXT.lines() {
            assert!(
                line.is_ascii() && line.len() < 98,
                "the firmware reads short lines"
            );
            if !line.is_empty() && !line.starts_with('#') {
                assert!(before.starts_with("# "), "{line}");
            }
            before = line;
        }
    }

    #[test]
    fn the_baud_rate_is_within_what_a_receiver_tolerates() {
        let rate = f64::from(UART_CLOCK_HZ) / (16.0 * f64::from(UART_BAUD_DIVISOR) / 64.0);
        assert!((rate / f64::from(UART_BAUD) - 1.0).abs() < 0.001, "{rate}");
    }
}
