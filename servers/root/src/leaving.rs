//! The end of a component.
//!
//! First it is stopped: its threads and its devices. Then its servers are told,
//! and when each has forgotten it, or had its time to, everything that it held
//! is taken back. Servers are told by the [`messenger`](crate::messenger), and
//! what takes long is done by the [`worker`](crate::worker), so that the root task
//! itself never waits for anybody: a server that hangs holds up nobody but the
//! component whose end it does not take note of.

use core::fmt::Write;

use gritos_service::Port;
use gritos_service::idl::{ServerPort, Ticket};
use gritos_sys::process::PROCESS_SLOTS;
use gritos_sys::time;
use gritos_system_api::{ComponentState, SystemError, SystemKillTicket, SystemRestartTicket};

use crate::component::{CONSOLE_DEVICE, badge, bits};
use crate::grants::nth;
use crate::messenger;
use crate::policy::End;
use crate::root::{REPLIES, Root};
use crate::worker::Remains;

/// What becomes of a component when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It ended by itself: its policy decides.
    Ended(End),
    /// Somebody stopped it: it stays.
    Stopped,
    /// Somebody wants it anew.
    Started,
    /// It could not be made.
    Unmade(SystemError),
}

/// A component that was stopped and holds its memory still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// Its AddressSpace is still there.
    pub(crate) has_space: bool,
    /// Services that it used and whose server is yet to be told: a bit each.
    untold: u64,
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

impl Root {
    /// Stops component `index` for good. The rest follows in [`turn`](Self::turn).
    pub(crate) fn leave(&mut self, index: u16, next: Next) {
        self.has_work = true;
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        component.due = None;
        component.starting = false;
        if let Some(leaving) = &mut component.leaving {
            leaving.next = next;
            return;
        }
        let process = component.process;
        let untold = process.map_or(0, |_| component.facts.uses);
        component.leaving = Some(Leaving {
            has_space: process.is_some(),
            untold,
            next,
        });
        if let Some(process) = process.filter(|_| component.fault.is_none()) {
            // It may have ended by itself.
            let _ = process.tcb.kill();
        }
        self.unsettled |= 1 << index;
    }

    /// Component `index` could not be made.
    pub(crate) fn not_made(&mut self, index: u16, error: SystemError) {
        self.leave(index, Next::Unmade(error));
    }

    /// No thread of component `index` runs any more: nor do its devices.
    pub(crate) fn stopped(&mut self, index: u16) {
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        if let Some(leaving) = &mut component.leaving {
            leaving.has_space = false;
        }
        if !component.facts.has_devices {
            return;
        }
        let shared = self.shared;
        for number in shared.system.devices_of(index) {
            let made = shared.devices.get(number);
            for handler in made.iter().flat_map(|made| made.interrupts()) {
                // A line that nobody bound needs no unbinding.
                let _ = handler.unbind();
            }
            let Some(device) = shared.system.device(number) else {
                continue;
            };
            let stopped = match (device.stop, made) {
                (Some(stop), Some(made)) => made.stop(stop, shared.creator.space),
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

    /// Whether every server of component `index` that is to be told has been.
    pub(crate) fn is_forgotten(&self, index: u16) -> bool {
        let component = self.components.get(usize::from(index));
        let leaving = component.and_then(|component| component.leaving);
        leaving.is_some_and(|leaving| !leaving.has_space && leaving.untold == 0)
            && self.messenger.busy_with != Some(index)
    }

    /// Has the messenger tell the next server of a component that leaves.
    pub(crate) fn tell(&mut self, port: &mut Port<REPLIES>) {
        for index in bits(self.unsettled) {
            let component = self.components.get(usize::from(index));
            let leaving = component.and_then(|component| component.leaving.as_ref());
            if leaving.is_some_and(|leaving| !leaving.has_space && leaving.untold != 0) {
                self.tell_next(index, port);
            }
        }
    }

    /// Has the messenger tell the next server of component `index`, if both are ready.
    fn tell_next(&mut self, index: u16, port: &mut Port<REPLIES>) {
        let component = self.components.get(usize::from(index));
        let leaving = component.and_then(|component| component.leaving);
        let untold = leaving.map_or(0, |leaving| leaving.untold);
        for service in bits(untold) {
            let administration = self.administration(service);
            let component = self.components.get_mut(usize::from(index));
            let Some(leaving) = component.and_then(|component| component.leaving.as_mut()) else {
                return;
            };
            // A server that does not run knows nobody.
            let Some(endpoint) = administration else {
                leaving.untold &= !(1 << service);
                continue;
            };
            let Some(ticket) = self.messenger.idle.take() else {
                return;
            };
            leaving.untold &= !(1 << service);
            self.messenger.busy_with = Some(index);
            let job = messenger::job(endpoint, badge(index));
            if port.answer(ticket, job).is_err() {
                // Without its messenger the root task tells nobody any more.
                self.messenger.busy_with = None;
            }
            return;
        }
    }

    /// What the worker takes back of component `index`.
    pub(crate) fn remains(&self, index: u16) -> Remains {
        let component = self.components.get(usize::from(index));
        component.map_or_else(Remains::default, |component| Remains {
            grants: component.grants,
            memory: component
                .region
                .map(|region| self.slots.slot(region.untyped.address().index())),
            run: component.run,
        })
    }

    /// Everything that component `index` held was taken back, or, unless `clean`,
    /// something could not be.
    pub(crate) fn gone(&mut self, index: u16, clean: bool, port: &mut Port<REPLIES>) {
        let remains = self.remains(index);
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        let Some(leaving) = component.leaving.take() else {
            return;
        };
        component.process = None;
        component.run = None;
        component.grants = None;
        if clean {
            let run = remains.run.map(|first| (first, PROCESS_SLOTS));
            for (first, count) in run.into_iter().chain(remains.grants) {
                (0..count).for_each(|position| self.slots.give_back(nth(first, position)));
            }
        }
        self.go_on(index, leaving.next, port);
    }

    /// Does what is to be done about a component that is gone.
    fn go_on(&mut self, index: u16, next: Next, port: &mut Port<REPLIES>) {
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
                    component.starting = true;
                    component.state = ComponentState::Restarting;
                }
                return;
            }
            Next::Unmade(error) => {
                if let Ok(component) = self.component_mut(index) {
                    component.state = ComponentState::Failed;
                }
                self.want_stand_ins(index);
                return self.answer_waiting(index, Err(error), port);
            }
        }
        let component = self.components.get(usize::from(index));
        if component.is_some_and(|component| !component.is_alive()) {
            self.want_stand_ins(index);
        }
        self.answer_waiting(index, Ok(()), port);
    }

    /// Answers all who wait for something to become of component `index`.
    pub(crate) fn answer_waiting(
        &mut self,
        index: u16,
        result: Result<(), SystemError>,
        port: &mut Port<REPLIES>,
    ) {
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
        let now = time::nanoseconds(time::now());
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        let history = &mut component.history;
        let restart = component.facts.restart.as_ref();
        component.due = restart.and_then(|restart| history.next(end, restart, now));
        component.state = match (component.due, end) {
            (Some(_), _) => ComponentState::Restarting,
            (None, End::Returned) => ComponentState::Ended,
            (None, End::Failed) => ComponentState::Failed,
        };
        if component.state == ComponentState::Failed {
            let name = self
                .shared
                .system
                .component(index)
                .map_or("?", |spec| spec.name);
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
