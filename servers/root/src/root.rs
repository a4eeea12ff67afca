//! The life of the root task: start what the system table says, answer, repair.

use core::fmt::Write;

use gritos_service::Port;
use gritos_service::idl::{Answer, Dispatch, Incoming, Kind, Outgoing, ServerPort, Ticket};
use gritos_sys::abi::boot_info::BootInfo;
use gritos_sys::abi::fault::FaultReply;
use gritos_sys::cap::{Endpoint, SchedulingContext, Tcb};
use gritos_sys::memory::Pool;
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::{Cap, rt, shared, time};
use gritos_system::{COMPONENT_LIMIT, SERVICE_LIMIT};
use gritos_system_api::ComponentState;

use crate::component::{Component, Facts, bits, index_of};
use crate::console::Console;
use crate::helper::{Helper, PRIORITY};
use crate::leaving::{Messenger, Next, WaitPlace};
use crate::policy::End;
use crate::stand_in::StandIn;
use crate::tasks::Worker;
use crate::worker::{self, Shared};
use crate::{printer, report};

/// Most callers that wait for the end of a component at a time.
const WAIT_LIMIT: usize = 4;
/// Those, the three helpers, and the call in hand.
pub(crate) const REPLIES: usize = WAIT_LIMIT + 4;
/// Everything that the root task knows.
pub(crate) struct Root {
    pub(crate) info: &'static BootInfo,
    /// What does not change.
    pub(crate) shared: &'static Shared,
    pub(crate) pool: Pool,
    pub(crate) slots: Slots,
    /// Two slots for the making of components.
    pub(crate) scratch: Slot,
    /// Where faults and calls of the service `system` arrive.
    pub(crate) endpoint: Cap<Endpoint>,
    pub(crate) components: [Component; COMPONENT_LIMIT],
    /// Components about which something may be to be done, a bit each: nobody else needs a look. Most of the
    /// time all are settled, and a look at all costs everybody's time.
    pub(crate) unsettled: u64,
    pub(crate) stand_ins: [StandIn; SERVICE_LIMIT],
    /// Services whose stand-in is wanted, a bit each.
    pub(crate) wanted_stand_ins: u64,
    pub(crate) console: Console,
    /// The service that shows text, if the device of the console has a driver.
    pub(crate) console_service: Option<u16>,
    pub(crate) messenger: Messenger,
    pub(crate) worker: Worker,
    /// The time of the root task's threads: its own, and its helpers'.
    pub(crate) contexts: [Cap<SchedulingContext>; 4],
    /// The printer, when it waits for text.
    pub(crate) printer: Option<Ticket>,
    /// Who waits for the end of which component.
    pub(crate) waiting: [WaitPlace; WAIT_LIMIT],
    /// Something happened after which there may be work for worker or messenger.
    pub(crate) has_work: bool,
    /// When the next component is to be started, as a counter value.
    due: Option<u64>,
}

/// What the root task begins with.
pub(crate) struct Start {
    pub(crate) info: &'static BootInfo,
    pub(crate) shared: &'static Shared,
    pub(crate) pool: Pool,
    pub(crate) slots: Slots,
    pub(crate) scratch: Slot,
    pub(crate) endpoint: Cap<Endpoint>,
    pub(crate) console: Console,
    pub(crate) console_service: Option<u16>,
    pub(crate) worker: Cap<Tcb>,
    pub(crate) contexts: [Cap<SchedulingContext>; 4],
}

impl Root {
    /// A root task that has done nothing yet.
    pub(crate) fn new(start: Start) -> Self {
        Self {
            info: start.info,
            shared: start.shared,
            pool: start.pool,
            slots: start.slots,
            scratch: start.scratch,
            endpoint: start.endpoint,
            components: [Component::NEW; COMPONENT_LIMIT],
            unsettled: 0,
            stand_ins: [StandIn::NONE; SERVICE_LIMIT],
            wanted_stand_ins: 0,
            console: start.console,
            console_service: start.console_service,
            messenger: Messenger::default(),
            worker: Worker::new(start.worker, PRIORITY),
            contexts: start.contexts,
            printer: None,
            waiting: [const { None }; WAIT_LIMIT],
            has_work: true,
            due: None,
        }
    }

    /// How many components the table has.
    pub(crate) const fn count(&self) -> u16 {
        self.shared.system.component_count()
    }

    /// Has every component started, the most urgent first.
    pub(crate) fn begin(&mut self) {
        for (index, component) in (0..self.count()).zip(&mut self.components) {
            component.facts = Facts::of(self.shared, index);
            component.starting = true;
            self.unsettled |= 1 << index;
        }
    }

    /// What to call a service by that a running component offers.
    pub(crate) fn administration(&self, service: u16) -> Option<Cap<Endpoint>> {
        let provider = self.provider(service)?;
        let provider = self.components.get(usize::from(provider))?;
        let ends = self
            .shared
            .services
            .get(usize::from(service))
            .copied()
            .flatten()?;
        provider.serves().then_some(ends.administration)
    }

    /// Serves faults and calls until no component runs or will.
    pub(crate) fn watch(&mut self, port: &mut Port<REPLIES>) {
        let mut reply = None;
        while self.is_alive() || self.is_busy() {
            port.set_deadline(self.due);
            self.console.tell_reader();
            let incoming = match reply {
                Some(reply) => port.reply_recv(reply),
                None => port.recv(),
            };
            reply = self.handle(port, &incoming);
            self.start_due();
            while core::mem::take(&mut self.has_work) {
                self.tell(port);
                self.give_work(port);
                self.settle();
                self.due = self.next_due();
            }
            // Whoever writes a report calls again: not all that it costs at a time.
            if !is_report(&incoming) {
                self.give_text(port);
            }
        }
        if let Some(reply) = reply {
            // Whoever called last may be gone with its component.
            let _ = port.reply(reply);
        }
    }

    fn handle(&mut self, port: &mut Port<REPLIES>, incoming: &Incoming) -> Option<Outgoing<0>> {
        if !incoming.outcome.is_ok() {
            return None;
        }
        match incoming.outcome.kind() {
            Ok(Kind::Fault) => return self.fault(incoming),
            Ok(Kind::Call) => {}
            _ => return None,
        }
        if let Some(helper) = Helper::of(incoming.badge()) {
            return self.help(port, helper, incoming);
        }
        match gritos_system_api::System::dispatch(self, incoming, || port.ticket()) {
            Answer::Words(reply) => Some(reply),
            Answer::Refused(error) => Some(Outgoing::refusal(error)),
            Answer::Kept => {
                port.keep();
                None
            }
            Answer::Caps(_) | Answer::Nothing => None,
        }
    }

    /// Serves a helper: takes what it has done and keeps it waiting for more.
    fn help(
        &mut self,
        port: &mut Port<REPLIES>,
        helper: Helper,
        incoming: &Incoming,
    ) -> Option<Outgoing<0>> {
        if is_report(incoming) {
            let (bytes, length) = worker::part(incoming.words);
            self.console.report(bytes.get(..length).unwrap_or(&[]));
            return Some(Outgoing::new(0, [0; 8], 0));
        }
        let ticket = port.ticket();
        port.keep();
        self.has_work |= helper != Helper::Printer;
        match helper {
            Helper::Messenger => self.messenger_is_idle(ticket),
            Helper::Worker => self.worker_is_idle(ticket, incoming.words[0], port),
            Helper::Printer => {
                if incoming.tag == printer::REFUSED {
                    self.console.set_mute();
                }
                self.printer = ticket;
            }
        }
        None
    }

    /// Decides about a fault: the answer to the thread, if it goes on.
    fn fault(&mut self, incoming: &Incoming) -> Option<Outgoing<0>> {
        if Helper::of(incoming.badge()).is_some() {
            self.console
                .complain(|out| writeln!(out, "root: a helper of the root task failed"));
            return None;
        }
        let index = index_of(incoming.badge())?;
        let component = self.components.get_mut(usize::from(index))?;
        let process = component.process?;
        let fault = report::Fault::decode(process.tcb, incoming);
        if let Some(exit) = error_exit(self.shared, component.facts.entry, fault.pc()) {
            let words = [exit, fault.sp(), 0, 0, 0, 0, 0, 0];
            return Some(Outgoing::new(FaultReply::Jump as u64, words, 2));
        }
        // The first thing that goes wrong is what matters.
        if component.leaving.is_none() {
            let end = match fault.breakpoint() {
                Some(rt::EXIT) => End::Returned,
                _ => End::Failed,
            };
            component.fault = (end == End::Failed).then_some(fault);
            self.leave(index, Next::Ended(end));
        }
        // What it wrote on the debug console, if it did, lies with the kernel.
        self.console.note_text();
        None
    }

    /// The components about which something may be to be done.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (u16, &Component)> {
        bits(self.unsettled).filter_map(|index| {
            let component = self.components.get(usize::from(index))?;
            Some((index, component))
        })
    }

    /// Looks no more at components about which nothing is to be done.
    fn settle(&mut self) {
        let settled = self
            .unsettled()
            .filter(|(_, component)| component.is_settled());
        self.unsettled &= !settled.fold(0, |set, (index, _)| set | 1 << index);
    }

    /// When the next component is to be started, as a counter value.
    fn next_due(&self) -> Option<u64> {
        let due = self.unsettled().filter_map(|(_, component)| component.due);
        due.min().map(time::ticks)
    }

    fn start_due(&mut self) {
        let now = time::now();
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.has_work = true;
        for index in bits(self.unsettled) {
            let Some(component) = self.components.get_mut(usize::from(index)) else {
                continue;
            };
            if component.due.is_some_and(|due| time::ticks(due) <= now) {
                component.due = None;
                component.starting = true;
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.components.iter().any(Component::is_alive)
    }

    pub(crate) fn failed(&self) -> usize {
        self.components
            .iter()
            .filter(|component| component.state == ComponentState::Failed)
            .count()
    }
}

/// Whether a message is a part of a report.
fn is_report(incoming: &Incoming) -> bool {
    incoming.outcome.is_ok()
        && incoming.badge() == Helper::Worker as u32
        && incoming.tag == worker::REPORT
}

/// Where a thread of a component goes on that faulted at `pc` because memory that it shares is gone.
fn error_exit(shared: &Shared, entry: Option<u32>, pc: u64) -> Option<u64> {
    let entry = shared.image.entry(entry?)?;
    let (bytes, base) = report::text(&entry, &shared.image)?;
    shared::error_exit(bytes, base, pc)
}

#[cfg(test)]
mod tests;
