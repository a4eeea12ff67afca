//! The end of a component, in two steps.
//!
//! First it is stopped: its threads and its devices. Then its servers are told,
//! and when each has forgotten it, or had its time to, everything that it held
//! is taken back. Servers are told by the [`messenger`](crate::messenger), so
//! that the root task itself never waits for anybody: a server that hangs holds
//! up nobody but the component whose end it does not take note of.

use core::fmt::Write;

use gritos_service::Port;
use gritos_service::idl::{ServerPort, Ticket};
use gritos_sys::process::Process;
use gritos_sys::time;
use gritos_system_api::{ComponentState, SystemError, SystemKillTicket, SystemRestartTicket};

use crate::component::{CONSOLE_DEVICE, badge};
use crate::grants::nth;
use crate::messenger;
use crate::policy::End;
use crate::root::{REPLIES, Root};

/// What becomes of a component when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It ended by itself: its policy decides.
    Ended(End),
    /// Somebody stopped it: it stays.
    Stopped,
    /// Somebody wants it anew.
    Started,
}

/// A component that was stopped and holds its memory still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// Which of its uses have a server that is yet to be told: a bit each.
    untold: u32,
    pub(crate) next: Next,
}

/// Who waits until a component is gone, or runs again.
#[derive(Debug)]
pub(crate) enum Waiting {
    Kill(SystemKillTicket),
    Restart(SystemRestartTicket),
}

/// A place for one of them, with the index of the component.
pub(crate) type WaitPlace = Option<(u16, Waiting)>;

/// What the messenger does.
#[derive(Debug, Default)]
pub(crate) struct Messenger {
    /// It waits for something to do.
    pub(crate) idle: Option<Ticket>,
    /// The component about which it is telling somebody.
    busy_with: Option<u16>,
}

impl Root<'_> {
    /// Stops component `index` for good. The rest follows in [`turn`](Self::turn).
    pub(crate) fn leave(&mut self, index: u16, next: Next) {
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        component.due = None;
        if let Some(leaving) = &mut component.leaving {
            leaving.next = next;
            return;
        }
        let process = component.process;
        let mut untold = 0;
        if let Some(process) = process {
            // It may have ended by itself.
            let _ = process.tcb.kill();
            // No thread runs without the AddressSpace, however many it had.
            let space = self.slots.slot(process.space.address().index());
            let _ = space.revoke().and_then(|()| space.delete());
            let uses = self.system.uses_of(index).count();
            untold = (0..uses.min(32)).fold(0, |bits, at| bits | 1 << at);
        }
        self.stop_devices(index);
        if let Ok(component) = self.component_mut(index) {
            component.leaving = Some(Leaving { untold, next });
        }
    }

    fn stop_devices(&mut self, index: u16) {
        for number in self.system.devices_of(index) {
            let made = self.devices.get(number);
            for handler in made.iter().flat_map(|made| made.interrupts()) {
                // A line that nobody bound needs no unbinding.
                let _ = handler.unbind();
            }
            let Some(device) = self.system.device(number) else {
                continue;
            };
            let stopped = match (device.stop, made) {
                (Some(stop), Some(made)) => made.stop(stop, self.creator.space),
                _ => Ok(()),
            };
            if let Err(why) = stopped {
                let name = device.name;
                self.console
                    .complain(|out| writeln!(out, "root: device {name} was not stopped: {why}"));
            }
            if device.name == CONSOLE_DEVICE {
                self.console.take_back();
            }
        }
    }

    /// The messenger has nothing to do, or is done.
    pub(crate) fn messenger_is_idle(&mut self, ticket: Option<Ticket>) {
        self.messenger.busy_with = None;
        self.messenger.idle = ticket;
    }

    /// Goes on with all components that leave.
    pub(crate) fn turn(&mut self, port: &mut Port<REPLIES>) {
        for index in 0..self.count() {
            let leaving = |root: &Self| root.components.get(usize::from(index))?.leaving;
            if leaving(self).is_none() {
                continue;
            }
            self.tell_next(index, port);
            if let Some(leaving) = leaving(self).filter(|leaving| leaving.untold == 0)
                && self.messenger.busy_with != Some(index)
            {
                self.take_back(index);
                self.go_on(index, leaving.next, port);
            }
        }
    }

    /// Has the messenger tell the next server of component `index`, if both are ready.
    fn tell_next(&mut self, index: u16, port: &mut Port<REPLIES>) {
        for (at, wanted) in self.system.uses_of(index).enumerate().take(32) {
            let administration = self.administration(wanted.service);
            let component = self.components.get_mut(usize::from(index));
            let Some(leaving) = component.and_then(|component| component.leaving.as_mut()) else {
                return;
            };
            if leaving.untold & 1 << at == 0 {
                continue;
            }
            // A server that does not run knows nobody.
            let Some(endpoint) = administration else {
                leaving.untold &= !(1 << at);
                continue;
            };
            let Some(ticket) = self.messenger.idle.take() else {
                return;
            };
            leaving.untold &= !(1 << at);
            self.messenger.busy_with = Some(index);
            let job = messenger::job(endpoint, badge(index));
            if port.answer(ticket, job).is_err() {
                // Without its messenger the root task tells nobody any more.
                self.messenger.busy_with = None;
            }
            return;
        }
    }

    /// Takes back everything that component `index` held: what it handed out,
    /// its devices and its memory.
    pub(crate) fn take_back(&mut self, index: u16) {
        let Some(component) = self.components.get(usize::from(index)).copied() else {
            return;
        };
        if let Some((run, count)) = component.grants {
            for slot in (0..count).map(|position| nth(run, position)) {
                if slot.revoke().and_then(|()| slot.delete()).is_ok() {
                    self.slots.give_back(slot);
                }
            }
        }
        if let Some(region) = component.region {
            let slot = self.slots.slot(region.untyped.address().index());
            if let Err(error) = slot.revoke() {
                self.console
                    .complain(|out| writeln!(out, "root: memory of a component: {error}"));
            }
        }
        if let Some(run) = component.run {
            // All of it went with the memory: the slots are empty.
            let _ = Process::forget(run, &mut self.slots);
        }
        if let Ok(component) = self.component_mut(index) {
            component.process = None;
            component.run = None;
            component.grants = None;
            component.leaving = None;
        }
    }

    /// Does what is to be done about a component that is gone.
    fn go_on(&mut self, index: u16, next: Next, port: &mut Port<REPLIES>) {
        let mut result = Ok(());
        match next {
            Next::Ended(end) => self.ended(index, end),
            Next::Stopped => {
                if let Ok(component) = self.component_mut(index) {
                    component.state = ComponentState::Stopped;
                }
            }
            Next::Started => {
                if let Ok(component) = self.component_mut(index) {
                    component.history.asked();
                }
                result = self.start(index).map_err(crate::answer::refused);
            }
        }
        for place in &mut self.waiting {
            let Some((_, waiting)) = place.take_if(|(of, _)| *of == index) else {
                continue;
            };
            // Who asked may be gone itself.
            let _ = match waiting {
                Waiting::Kill(ticket) => ticket.answer(port, result),
                Waiting::Restart(ticket) => ticket.answer(port, result),
            };
        }
    }

    /// Decides what becomes of a component that ended by itself.
    fn ended(&mut self, index: u16, end: End) {
        let Some(spec) = self.system.component(index) else {
            return;
        };
        let now = time::nanoseconds(time::now());
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        component.due = component.history.next(end, &spec.restart, now);
        component.state = match (component.due, end) {
            (Some(_), _) => ComponentState::Restarting,
            (None, End::Returned) => ComponentState::Ended,
            (None, End::Failed) => ComponentState::Failed,
        };
        if component.state == ComponentState::Failed {
            let name = spec.name;
            self.console
                .complain(|out| writeln!(out, "root: {name} is not started again"));
        }
    }

    /// A place for one more who waits.
    ///
    /// # Errors
    /// `NO_MEMORY` if too many do.
    pub(crate) fn wait_place(&mut self) -> Result<&mut WaitPlace, SystemError> {
        let place = self.waiting.iter_mut().find(|place| place.is_none());
        place.ok_or(SystemError::NoMemory)
    }
}
