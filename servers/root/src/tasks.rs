//! What the worker and the printer are given to do, and what follows when it is done.

use gritos_service::Port;
use gritos_service::idl::{ServerPort, Ticket};
use gritos_sys::Cap;
use gritos_sys::abi::Status;
use gritos_sys::cap::Tcb;

use crate::component::{Component, Facts, bits};
use crate::helper::PRIORITY;
use crate::printer;
use crate::root::{REPLIES, Root};
use crate::stand_in::{self, State};
use crate::worker::{self, Task};

/// The worker as the root task sees it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) tcb: Cap<Tcb>,
    /// How urgent it is.
    pub(crate) priority: u8,
    /// It waits for something to do.
    pub(crate) idle: Option<Ticket>,
    /// For which component it is doing what.
    doing: Option<(u16, Doing)>,
}

impl Worker {
    pub(crate) const fn new(tcb: Cap<Tcb>, priority: u8) -> Self {
        Self {
            tcb,
            priority,
            idle: None,
            doing: None,
        }
    }
}

/// A kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Report,
    Stop,
    TakeBack,
    Make,
    /// The stand-in of this service.
    StandIn(u16),
}

impl Root {
    /// What is to be done next for component `index`, if the worker is to do it.
    fn next_for(&self, index: u16, component: &Component) -> Option<Doing> {
        if component.fault.is_some() {
            return Some(Doing::Report);
        }
        match component.leaving {
            Some(leaving) if leaving.has_space => Some(Doing::Stop),
            Some(_) => self.is_forgotten(index).then_some(Doing::TakeBack),
            None if component.starting => Some(Doing::Make),
            None => None,
        }
    }

    /// The most urgent thing to do: how urgent, for whom, what.
    fn next_task(&self) -> Option<(u8, u16, Doing)> {
        let components = self.unsettled().filter_map(|(index, component)| {
            let doing = self.next_for(index, component)?;
            Some((component.facts.urgency, index, doing))
        });
        let stand_ins = bits(self.wanted_stand_ins).filter_map(|service| {
            let index = self.provider(service)?;
            let urgency = self.components.get(usize::from(index))?.facts.urgency;
            Some((urgency, index, Doing::StandIn(service)))
        });
        components
            .chain(stand_ins)
            .min_by_key(|(urgency, ..)| *urgency)
    }

    /// Gives the worker something to do, and makes it as urgent as the most urgent that
    /// waits for it.
    pub(crate) fn give_work(&mut self, port: &mut Port<REPLIES>) {
        let Some((urgency, index, doing)) = self.next_task() else {
            return;
        };
        if self.worker.doing.is_none()
            && let Some(ticket) = self.worker.idle
        {
            let Some(task) = self.task(index, doing) else {
                // It came to nothing, and something else may be next.
                self.has_work = true;
                return;
            };
            self.worker.idle = None;
            if port.answer(ticket, worker::job(&task)).is_ok() {
                self.worker.doing = Some((index, doing));
            }
            self.set_urgency(urgency.max(PRIORITY));
        } else if urgency < self.worker.priority {
            self.set_urgency(urgency.max(PRIORITY));
        }
    }

    fn set_urgency(&mut self, priority: u8) {
        let worker = &mut self.worker;
        if worker.priority != priority {
            let authority = self.shared.creator.tcb;
            if worker
                .tcb
                .set_priority(priority, PRIORITY, authority)
                .is_ok()
            {
                worker.priority = priority;
            }
        }
    }

    /// The task in full. `None` if nothing is left to do: then something else is next.
    fn task(&mut self, index: u16, doing: Doing) -> Option<Task> {
        let component = self.components.get_mut(usize::from(index))?;
        match doing {
            Doing::Report => component.fault.map(|fault| Task::Report(index, fault)),
            Doing::Stop => {
                let process = component.process?;
                // It may have ended by itself.
                let _ = process.tcb.kill();
                Some(Task::Stop(process.space))
            }
            Doing::TakeBack => Some(Task::TakeBack(self.remains(index))),
            Doing::Make => match self.set_aside(index) {
                Ok(making) => Some(Task::Make(making)),
                Err(error) => {
                    use core::fmt::Write;
                    let name = self.shared.system.component(index).map_or("?", |s| s.name);
                    self.console
                        .complain(|out| writeln!(out, "root: {name} was not started: {error}"));
                    self.not_made(index, crate::answer::refused(error));
                    None
                }
            },
            Doing::StandIn(service) => self.stand_in_task(service),
        }
    }

    fn stand_in_task(&mut self, service: u16) -> Option<Task> {
        let held = self.stand_ins.get(usize::from(service))?.held;
        let held = match held {
            Some(held) => Ok(held),
            None => self
                .pool
                .take(stand_in::BYTES, &mut self.slots)
                .and_then(|region| Ok((region, self.slots.take_run(stand_in::SLOTS)?))),
        };
        let place = self.stand_ins.get_mut(usize::from(service))?;
        match held {
            Ok((region, run)) => {
                place.held = Some((region, run));
                let memory = self.slots.slot(region.untyped.address().index());
                Some(Task::StandIn(service, memory, run))
            }
            Err(_) => {
                // Callers wait until the component is started again.
                place.state = State::Absent;
                self.wanted_stand_ins &= !(1 << service);
                None
            }
        }
    }

    /// The worker is done with `status`, or begins.
    pub(crate) fn worker_is_idle(
        &mut self,
        ticket: Option<Ticket>,
        status: u64,
        port: &mut Port<REPLIES>,
    ) {
        self.worker.idle = ticket;
        let Some((index, doing)) = self.worker.doing.take() else {
            return;
        };
        let done = status == Status::Ok as u64;
        match doing {
            Doing::Report => {
                if let Ok(component) = self.component_mut(index) {
                    component.fault = None;
                }
            }
            // Nobody runs without what there is left of an AddressSpace.
            Doing::Stop => self.stopped(index),
            Doing::TakeBack => self.gone(index, done, port),
            Doing::Make => self.made(index, status, port),
            Doing::StandIn(service) => {
                self.wanted_stand_ins &= !(1 << service);
                if let Some(stand_in) = self.stand_ins.get_mut(usize::from(service)) {
                    stand_in.state = if done { State::Present } else { State::Absent };
                }
            }
        }
    }

    fn made(&mut self, index: u16, status: u64, port: &mut Port<REPLIES>) {
        let Ok(component) = self.component_mut(index) else {
            return;
        };
        if status != Status::Ok as u64 {
            if component.leaving.is_some() {
                return;
            }
            let error = u8::try_from(status).ok().and_then(Status::from_number);
            return self.not_made(index, crate::answer::refusal(error));
        }
        component.process = component.run.map(gritos_sys::process::Process::at);
        if let Some(leaving) = &mut component.leaving {
            // Somebody stopped it before it began.
            leaving.has_space = component.process.is_some();
            return;
        }
        match self.let_run(index) {
            Ok(()) => self.answer_waiting(index, Ok(()), port),
            Err(error) => self.not_made(index, error),
        }
    }

    /// The component that offers a service.
    pub(crate) fn provider(&self, service: u16) -> Option<u16> {
        let service = self.shared.services.get(usize::from(service))?;
        service.as_ref()?.provider
    }

    /// Nobody serves what component `index` offered: others shall say so.
    pub(crate) fn want_stand_ins(&mut self, index: u16) {
        let Some(component) = self.components.get(usize::from(index)) else {
            return;
        };
        for service in component.facts.services() {
            if let Some(stand_in) = self.stand_ins.get_mut(usize::from(service))
                && stand_in.state == State::Absent
            {
                stand_in.state = State::Wanted;
                self.wanted_stand_ins |= 1 << service;
            }
        }
    }

    /// A component serves what it offers itself.
    pub(crate) fn dismiss_stand_ins(&mut self, facts: Facts) {
        for service in facts.services() {
            let Some(stand_in) = self.stand_ins.get_mut(usize::from(service)) else {
                continue;
            };
            stand_in.state = State::Absent;
            self.wanted_stand_ins &= !(1 << service);
            if let Some((region, _)) = stand_in.held {
                // Thread and Reply go with their memory; who was being answered
                // wakes with `ServerDied`.
                let memory = self.slots.slot(region.untyped.address().index());
                let _ = memory.revoke();
            }
        }
    }

    /// Gives the printer something to show.
    pub(crate) fn give_text(&mut self, port: &mut Port<REPLIES>) {
        let Some(ticket) = self.printer else {
            return;
        };
        let driver = self.console_service.and_then(|s| self.administration(s));
        if let Some(piece) = self.console.show(driver.is_some()) {
            self.printer = None;
            // Without its printer the root task shows nothing.
            let _ = port.answer(ticket, printer::job(&piece, driver));
        }
    }

    /// Whether a helper has something to do still.
    pub(crate) fn is_busy(&self) -> bool {
        self.worker.doing.is_some() || self.next_task().is_some() || self.printer.is_none()
    }
}
