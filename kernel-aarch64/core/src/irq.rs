//! Interrupt lines as objects: masked on delivery, unmasked by Ack.

use core::iter::successors;

use gritos_abi::Status;
use gritos_abi::method::IrqHandler;

use crate::handle::{NotificationRef, TcbRef};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::notification_state::DELIVERED;
use crate::store::Store;

/// Interrupt IDs that can have a handler: 0 to this, exclusive.
pub const LINES: u32 = 320;

/// Most lines of one notification: a wait acknowledges all of them in one stretch.
const MOST_LINES: usize = 32;

/// One line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Line {
    /// Notification that it signals.
    notification: Option<NotificationRef>,
    /// With these bits.
    bits: u32,
    /// Next line of the same notification, plus one; 0 ends the list.
    next: u32,
    /// Capabilities that name it.
    refs: u32,
    /// Waiting on the notification acknowledges.
    automatic: bool,
    /// Delivered and not yet acknowledged.
    delivered: bool,
}

/// All lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IrqTable([Line; LINES as usize]);

impl IrqTable {
    /// No line has a handler.
    pub(crate) const fn new() -> Self {
        const FREE: Line = Line {
            notification: None,
            bits: 0,
            next: 0,
            refs: 0,
            automatic: false,
            delivered: false,
        };
        Self([FREE; LINES as usize])
    }

    fn line(&self, irq: u32) -> Line {
        self.0.get(irq as usize).copied().unwrap_or_default()
    }

    fn line_mut(&mut self, irq: u32) -> Option<&mut Line> {
        self.0.get_mut(irq as usize)
    }

    /// Whether the line exists and has no handler.
    #[must_use]
    pub fn is_free(&self, irq: u64) -> bool {
        self.0.get(irq as usize).is_some_and(|l| l.refs == 0)
    }

    /// What a line signals.
    pub(crate) fn signal(&self, irq: u32) -> Option<(NotificationRef, u64)> {
        let line = self.0.get(irq as usize)?;
        Some((line.notification?, line.bits.into()))
    }

    pub(crate) fn add_ref(&mut self, irq: u32) {
        if let Some(line) = self.line_mut(irq) {
            line.refs = line.refs.wrapping_add(1);
        }
    }

    /// Counts a capability out; whether it was the last.
    pub(crate) fn drop_ref(&mut self, irq: u32) -> bool {
        self.line_mut(irq).is_some_and(|line| {
            line.refs = line.refs.saturating_sub(1);
            line.refs == 0
        })
    }
}

/// For checkers.
#[cfg(any(test, feature = "host"))]
impl IrqTable {
    /// The notification that a line is bound to.
    #[must_use]
    pub fn bound(&self, irq: u32) -> Option<NotificationRef> {
        self.line(irq).notification
    }

    /// Capabilities that name a line.
    #[must_use]
    pub fn refs(&self, irq: u32) -> u32 {
        self.line(irq).refs
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// A device interrupt: holds the line back and signals.
    pub fn interrupt(&mut self, irq: u32) {
        self.hold_back(irq);
        if let Some((notification, bits)) = self.irqs.signal(irq) {
            self.signal(notification, bits);
        }
    }

    /// Masks a line until it is acknowledged.
    pub(crate) fn hold_back(&mut self, irq: u32) {
        self.machine.mask(irq);
        if let Some(line) = self.irqs.line_mut(irq) {
            line.delivered = true;
            if let (true, Some(n)) = (line.automatic, line.notification) {
                self.store.notification(n).header.set(DELIVERED);
            }
        }
    }

    /// Methods of an IrqHandler.
    pub(crate) fn invoke_irq(&mut self, current: TcbRef, irq: u32, method: IrqHandler) -> Done {
        match method {
            IrqHandler::Bind => {
                let (notification, bits) = self.argument_signal(current, 0)?;
                if self.irqs.line(irq).notification.is_some() {
                    return Err(Status::AlreadyBound.into());
                }
                let automatic = match self.tcb(current).x::<0>() {
                    0 => false,
                    1 => true,
                    _ => return Err(Status::InvalidArgument.into()),
                };
                let n = self.store.notification(notification);
                let after = |irq: &u32| self.irqs.line(*irq).next.checked_sub(1);
                if successors(n.irq.get().checked_sub(1), after).count() >= MOST_LINES {
                    return Err(Status::InvalidState.into());
                }
                if let Some(line) = self.irqs.line_mut(irq) {
                    line.notification = Some(notification);
                    line.bits = bits;
                    line.automatic = automatic;
                    line.delivered = false;
                    line.next = n.irq.get();
                    n.irq.set(irq + 1);
                }
                self.machine.unmask(irq);
            }
            IrqHandler::Unbind => {
                if !self.unbind_irq(irq) {
                    return Err(Status::NotBound.into());
                }
            }
            IrqHandler::Ack => {
                if self.irqs.line(irq).notification.is_none() {
                    return Err(Status::NotBound.into());
                }
                self.acknowledge(irq);
            }
        }
        self.succeed(current, 0);
        Ok(())
    }

    fn acknowledge(&mut self, irq: u32) {
        if let Some(line) = self.irqs.line_mut(irq)
            && line.delivered
        {
            line.delivered = false;
            self.machine.unmask(irq);
        }
    }

    /// A thread waits on `notification`: lines bound with automatic
    /// acknowledgement are let through again.
    pub(crate) fn acknowledge_waits(&mut self, notification: NotificationRef) {
        let n = self.store.notification(notification);
        if !n.header.has(DELIVERED) {
            return;
        }
        n.header.clear(DELIVERED);
        let mut next = n.irq.get();
        // The list is not longer.
        for _ in 0..MOST_LINES {
            let Some(irq) = next.checked_sub(1) else {
                break;
            };
            let line = self.irqs.line(irq);
            if line.automatic {
                self.acknowledge(irq);
            }
            next = line.next;
        }
    }

    /// Holds a line back and unties it; whether it was bound.
    pub(crate) fn unbind_irq(&mut self, irq: u32) -> bool {
        let line = self.irqs.line(irq);
        let Some(notification) = line.notification else {
            return false;
        };
        self.machine.mask(irq);
        let first = &self.store.notification(notification).irq;
        if first.get() == irq + 1 {
            first.set(line.next);
        } else {
            let mut before = first.get();
            for _ in 0..MOST_LINES {
                let Some(previous) = before.checked_sub(1).and_then(|p| self.irqs.line_mut(p))
                else {
                    break;
                };
                if previous.next == irq + 1 {
                    previous.next = line.next;
                    break;
                }
                before = previous.next;
            }
        }
        if let Some(entry) = self.irqs.line_mut(irq) {
            *entry = Line {
                refs: line.refs,
                ..Line::default()
            };
        }
        true
    }
}
