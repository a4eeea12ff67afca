//! Interrupts: delivered as bits, masked until acknowledged.
//!
//! The device is the PL011 UART that the kernel prints on. Its transmit
//! interrupt is raised by output and stays until it is cleared or masked in the
//! device; nobody else uses it.

use gritos_sys::abi::Rights;
use gritos_sys::abi::boot_info::Board;
use gritos_sys::cap::{IrqHandler, Notification};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::SHARED_BASE;
use gritos_sys::svc::probe;
use gritos_sys::{Cap, Wait, debug_print, time};

use super::tests;
use crate::check::{Verdict, check, check_eq, check_refused};
use crate::env::Env;

tests![
    an_interrupt_sets_the_bits_of_the_badge,
    waiting_can_acknowledge,
    a_line_has_one_handler,
    unbound_lines_are_silent,
    deleting_the_notification_unbinds,
];

/// Registers of the PL011 (Arm DDI 0183, "Programmers Model").
const MASK: u64 = 0x38;
const RAW_STATUS: u64 = 0x3c;
const CLEAR: u64 = 0x44;
/// Transmit interrupt, in all three.
const TRANSMIT: u32 = 1 << 5;

/// The interrupt of the UART.
fn line(env: &Env) -> u32 {
    if env.board == Board::RaspberryPi4 as u64 {
        153
    } else {
        33
    }
}

/// The UART's interrupt, its handler, and a notification for it.
struct Uart {
    handler: Cap<IrqHandler>,
    notification: Cap<Notification>,
    /// Signals bit 4.
    badged: Cap<Notification>,
}

impl Uart {
    fn new(env: &mut Env) -> Verdict<Self> {
        Env::UART.map_all(Env::SPACE, SHARED_BASE, Permissions::ReadWrite)?;
        let notification = env.make()?;
        let line = line(env);
        let uart = Self {
            handler: Env::IRQS.get(line, false, env.slot()?)?,
            notification,
            badged: env.mint(notification, Rights::SEND, 0x10)?,
        };
        uart.quiet();
        Ok(uart)
    }

    fn write(&self, register: u64, value: u32) {
        probe::store_word(SHARED_BASE + register, value);
    }

    /// Makes the device interrupt: there was output, and it may tell.
    fn raise(&self) {
        debug_print!("\n");
        self.write(MASK, TRANSMIT);
    }

    /// Makes the device stop.
    fn quiet(&self) {
        self.write(MASK, 0);
        self.write(CLEAR, TRANSMIT);
    }

    fn wait(&self) -> Result<u64, gritos_sys::Error> {
        self.notification
            .wait(&Wait::until(time::after(100_000_000)))
    }
}

fn an_interrupt_sets_the_bits_of_the_badge(env: &mut Env) -> Verdict {
    let uart = Uart::new(env)?;
    check_refused!(uart.handler.ack(), NotBound);
    uart.handler.bind(uart.badged, false)?;
    check_refused!(uart.notification.poll(), WouldBlock);
    uart.raise();
    check!(probe::load_word(SHARED_BASE + RAW_STATUS) & TRANSMIT != 0);
    check_eq!(uart.wait()?, 0x10);
    // The line is masked, although the device still asks.
    check_refused!(uart.notification.poll(), WouldBlock);
    uart.handler.ack()?;
    check_eq!(uart.wait()?, 0x10);
    uart.quiet();
    uart.handler.ack()?;
    check_refused!(uart.notification.poll(), WouldBlock);
    uart.raise();
    check_eq!(uart.wait()?, 0x10);
    uart.quiet();
    Ok(())
}

fn waiting_can_acknowledge(env: &mut Env) -> Verdict {
    let uart = Uart::new(env)?;
    uart.handler.bind(uart.badged, true)?;
    uart.raise();
    for _ in 0..20 {
        check_eq!(uart.wait()?, 0x10);
    }
    uart.quiet();
    // What came before the device was quiet may still be there, once.
    let _ = uart.notification.poll();
    check_refused!(uart.wait(), TimedOut);
    Ok(())
}

fn a_line_has_one_handler(env: &mut Env) -> Verdict {
    let line = line(env);
    let (slot, other) = (env.slot()?, env.slot()?);
    let handler = Env::IRQS.get(line, false, slot)?;
    check_refused!(Env::IRQS.get(line, false, other), IrqUnavailable);
    check_refused!(Env::IRQS.get(1 << 20, false, other), IrqUnavailable);
    check_refused!(Env::IRQS.get(u32::MAX, true, other), IrqUnavailable);
    check_refused!(Env::IRQS.get(line + 1, false, slot), SlotOccupied);
    let notification = env.make::<Notification>()?;
    handler.bind(notification, false)?;
    check_refused!(handler.bind(notification, false), AlreadyBound);
    let copy = env.copy(handler, Rights::CONTROL)?;
    slot.delete()?;
    check_refused!(Env::IRQS.get(line, false, other), IrqUnavailable);
    env.delete(copy)?;
    let handler = Env::IRQS.get(line, false, other)?;
    check_refused!(handler.unbind(), NotBound);
    Ok(())
}

fn unbound_lines_are_silent(env: &mut Env) -> Verdict {
    let uart = Uart::new(env)?;
    uart.raise();
    check_refused!(uart.wait(), TimedOut);
    uart.handler.bind(uart.badged, false)?;
    check_eq!(uart.wait()?, 0x10);
    uart.handler.unbind()?;
    check_refused!(uart.handler.ack(), NotBound);
    check_refused!(uart.wait(), TimedOut);
    uart.quiet();
    Ok(())
}

fn deleting_the_notification_unbinds(env: &mut Env) -> Verdict {
    let uart = Uart::new(env)?;
    uart.handler.bind(uart.badged, false)?;
    env.revoke(uart.notification)?;
    env.delete(uart.notification)?;
    check_refused!(uart.handler.ack(), NotBound);
    uart.raise();
    let next = env.make::<Notification>()?;
    uart.handler.bind(next, false)?;
    check!(next.wait(&Wait::until(time::after(100_000_000)))? != 0);
    uart.quiet();
    Ok(())
}
